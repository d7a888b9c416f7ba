package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/servertest"
)

// mirrors is how many tiles a case of one tile has, with its mirror images.
const mirrors = 8

// wide is a device that says it has many units. It notes how many tiles each run of a
// network has, after before has been asked.
type wide struct {
	backend.Device
	before func(ctx context.Context, run, tiles int) error
	tiles  *[]int // of each run
}

type wideProgram struct {
	backend.Executable
	wide
	n int // tiles of a run
}

func (w wide) Limits() backend.Limits {
	l := w.Device.Limits()
	l.Units = 64
	return l
}

func (w wide) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	e, err := w.Device.Compile(p, bind)
	for _, n := range p.Nodes {
		if load, ok := n.Op.(graph.TileLoad); ok && err == nil {
			return wideProgram{e, w, load.N}, nil
		}
	}
	return e, err
}

func (p wideProgram) Run(ctx context.Context) error {
	*p.tiles = append(*p.tiles, p.n)
	if err := p.before(ctx, len(*p.tiles)-1, p.n); err != nil {
		return err
	}
	return p.Executable.Run(ctx)
}

// crowd is a server that has had jobs before it started. Its device begins the second
// run when so many jobs are ready that all but the first and the last are in the line.
type crowd struct {
	*running
	jobs   []api.Job
	tiles  []int    // of each run
	opened int      // times
	order  []string // of jobs, as they were segmented
}

// one is a job of a crowd.
type one struct {
	api.Submit
	shape [3]int
}

// smallScan is the i-th scan of one tile.
func smallScan(i int) [3]int { return [3]int{8 - i%6, 8, 5 + i%3} }

func alike(n int) (list []one) {
	for i := range n {
		list = append(list, one{api.Submit{Model: modelID}, smallScan(i)})
	}
	return list
}

// crowded submits jobs to a server without a device, and starts it again with one. ready is
// how many jobs the first run waits for; before is asked by the runs behind it.
func crowded(t *testing.T, o Options, list []one, ready int, before func(c *crowd, run, tiles int) error) *crowd {
	t.Helper()
	devices := o.Devices
	o.Devices = nil
	c := &crowd{running: start(t, o)}
	for _, s := range list {
		s.Inputs = []api.Input{{Upload: c.upload(nifti(t, s.shape)).ID}}
		c.jobs = append(c.jobs, c.submit(s.Submit))
	}
	c.stop()
	var mu sync.Mutex
	var prepared sync.WaitGroup
	prepared.Add(ready + 1)
	o.Trace = func(s engine.Span) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case s.Name == api.StagePreprocess && ready > 0:
			ready--
			prepared.Done()
		case s.Name == api.StageSegment:
			c.order = append(c.order, s.Job)
		}
	}
	o.Devices = devices
	o.Devices[0].Open = func() (backend.Device, error) {
		c.opened++
		return wide{cpu.Open(cpu.Options{Workers: 1}), func(_ context.Context, run, tiles int) error {
			if run == 0 {
				prepared.Wait()
				return nil
			}
			return before(c, run, tiles)
		}, &c.tiles}, nil
	}
	c.running = start(t, o)
	prepared.Done() // and the server is there
	return c
}

// done waits for all jobs and stops the server; each job has the labels that the library
// makes of its scan alone.
func (c *crowd) done(list []one, attempts ...int) {
	c.t.Helper()
	for i, j := range c.jobs {
		c.jobs[i] = c.wait(j.ID)
		require.Equal(c.t, api.JobDone, c.jobs[i].State, "job %d: %+v", i, c.jobs[i].Failed)
		want := labelsWith(c.t, servertest.Model(), predict.Options{NoMirror: list[i].Mirror != nil}, list[i].shape)
		assert.True(c.t, slices.Equal(want, c.result(c.jobs[i], "nifti")), "job %d", i)
		if len(attempts) > 0 {
			assert.Equal(c.t, attempts[i], c.jobs[i].Attempts, "job %d", i)
		}
	}
}

func goesOn(*crowd, int, int) error { return nil }

// What is ready goes together, with the labels that each job has alone.
func TestSmallJobsShareARun(t *testing.T) {
	for _, x := range []struct {
		name     string
		most     int // --batch-jobs
		noMirror bool
		jobs     int
		ready    int
		tiles    []int // of each run; nil: of a part of them it is chance who is ready
		largest  int
	}{
		{"a device of many units", 0, true, 6, 6, []int{1, 4, 1}, 4},
		{"with mirror images", 0, false, 6, 4, nil, 4 * mirrors},
		{"as many as are allowed", 2, false, 6, 3, nil, 2 * mirrors},
		{"all that are ready", 6, false, 6, 6, []int{mirrors, 4 * mirrors, mirrors}, 4 * mirrors},
		{"off", 1, false, 4, 2, []int{mirrors, mirrors, mirrors, mirrors}, mirrors},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := testOptions(t)
			o.Devices[0].BatchJobs = x.most
			list, each := alike(x.jobs), mirrors
			for i := range list {
				if x.noMirror {
					list[i].Mirror, each = new(bool), 1
				}
			}
			c := crowded(t, o, list, x.ready, goesOn)
			c.done(list)
			assert.Contains(t, string(read(t, c.do("GET", "/metrics", nil), 200)), fmt.Sprintf("gounet_tiles_total %d\n", each*x.jobs))
			used := c.devices()[0].UsedBytes
			for _, j := range c.jobs {
				assert.GreaterOrEqual(t, used, j.Memory.DeviceBytes, "what the largest run took is the model's")
			}
			c.stop()
			if x.tiles != nil {
				assert.Equal(t, x.tiles, c.tiles)
			}
			total := 0
			for _, n := range c.tiles {
				total += n
			}
			assert.Equal(t, each*x.jobs, total, "no tile is made twice, and none is empty")
			assert.LessOrEqual(t, slices.Max(c.tiles), x.largest)
			for i, j := range c.jobs {
				assert.Equal(t, j.ID, c.order[i], "they begin as they came")
				assert.Equal(t, 1, j.Memory.Tiles)
				assert.Positive(t, j.Times.SegmentMS)
			}
		})
	}
}

// Jobs of another model end a group, those of a larger scan too, and nobody is overtaken.
func TestAGroupIsTheNextJobsInTheirOrder(t *testing.T) {
	o := testOptions(t)
	o.Devices[0].BatchJobs = 8
	require.NoError(t, checkpoint.Save(filepath.Join(o.Models, "other"+checkpoint.Extension), servertest.Model()))
	list := alike(9)
	list[3].Model = "other"
	list[6].shape = [3]int{9, 8, 8} // of two tiles
	c := crowded(t, o, list, 4, goesOn)
	c.done(list)
	c.stop()
	for i, j := range c.jobs {
		assert.Equal(t, j.ID, c.order[i])
	}
	assert.Equal(t, []int{mirrors, 2 * mirrors, mirrors}, c.tiles[:3], "the second and the third together, then the other model")
}

// High priority before normal before low, whether jobs go together or not.
func TestPriorityIsThatOfJobsAlone(t *testing.T) {
	for _, most := range []int{1, 8} {
		o := testOptions(t)
		o.Devices[0].BatchJobs = most
		list := alike(9)
		var want [3][]string
		for i := range list {
			list[i].Priority = []string{api.PriorityLow, api.PriorityNormal, api.PriorityHigh}[i%3]
		}
		c := crowded(t, o, list, 2, goesOn)
		for i, j := range c.jobs {
			want[2-i%3] = append(want[2-i%3], j.ID)
		}
		c.done(list)
		c.stop()
		assert.Equal(t, slices.Concat(want[:]...), c.order)
	}
}

// The others do not notice when one of a group is cancelled.
func TestAJobOfAGroupIsCancelledAlone(t *testing.T) {
	o := testOptions(t)
	o.Devices[0].BatchJobs = 6
	list := alike(6)
	c := crowded(t, o, list, 6, func(c *crowd, run, _ int) error {
		if run == 1 {
			c.cancel(c.jobs[2].ID)
		}
		return nil
	})
	assert.Equal(t, api.JobCancelled, c.wait(c.jobs[2].ID).State)
	c.jobs, list = slices.Delete(c.jobs, 2, 3), slices.Delete(list, 2, 3)
	c.done(list)
	c.stop()
	assert.Equal(t, []int{mirrors, 4 * mirrors, mirrors}, c.tiles)
}

// cancel cancels a job that runs, and waits until its worker knows.
func (r *running) cancel(id string) {
	stream := r.do("GET", "/api/v1/jobs/"+id+"/events", nil)
	r.do("POST", "/api/v1/jobs/"+id+"/cancel", nil)
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), `"cancelling":true`) {
			return
		}
	}
}

// What fails a run that jobs share fails none of them, but a lost device, which each is
// tried again after, alone.
func TestAFailureOfASharedRunIsNoJobsFault(t *testing.T) {
	for _, x := range []struct {
		name     string
		fail     func() error
		tiles    []int
		attempts []int
		opened   int
	}{
		{"broken", func() error { return errors.New("broken") }, []int{8, 32, 8, 8, 8, 8, 8}, []int{1, 1, 1, 1, 1, 1}, 1},
		{"out of memory", func() error { return backend.ErrMemory }, []int{8, 32, 8, 8, 8, 8, 8}, []int{1, 1, 1, 1, 1, 1}, 1},
		{"panic", func() error { panic("out of bounds") }, []int{8, 32, 8, 8, 8, 8, 8}, []int{1, 1, 1, 1, 1, 1}, 2},
		{"lost", func() error { return backend.ErrLost }, []int{8, 32, 8, 8, 8, 8, 8}, []int{1, 2, 2, 2, 2, 1}, 2},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := testOptions(t)
			o.Devices[0].BatchJobs = 6
			list := alike(6)
			c := crowded(t, o, list, 6, func(_ *crowd, run, _ int) error {
				if run == 1 {
					return x.fail()
				}
				return nil
			})
			c.done(list, x.attempts...)
			c.stop()
			assert.Equal(t, x.tiles, c.tiles)
			assert.Equal(t, x.opened, c.opened)
		})
	}
}

// A job whose scan breaks each run fails as it does alone, and fails nobody else.
func TestAJobThatBreaksItsGroupFailsAlone(t *testing.T) {
	o := testOptions(t)
	o.Devices[0].BatchJobs = 6
	list := alike(6)
	c := crowded(t, o, list, 6, func(_ *crowd, run, _ int) error {
		if run == 1 || run == 3 { // all of them, and the second of them alone
			return errors.New("broken")
		}
		return nil
	})
	j := c.wait(c.jobs[2].ID)
	assert.Equal(t, api.JobFailed, j.State)
	assert.Equal(t, api.FailedDevice, j.Failed.Code)
	c.jobs, list = slices.Delete(c.jobs, 2, 3), slices.Delete(list, 2, 3)
	c.done(list)
}

// A group that does not fit the device is admitted as jobs alone.
func TestAGroupThatDoesNotFitGoesAlone(t *testing.T) {
	o := testOptions(t)
	list := alike(6)
	r := start(t, o)
	j := r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(nifti(t, list[0].shape)).ID}}}).ID)
	r.stop()
	o = testOptions(t)
	o.Devices[0].BatchJobs, o.Devices[0].MemoryBytes = 6, j.Memory.DeviceBytes*3/2
	c := crowded(t, o, list, 6, goesOn)
	c.done(list)
	for _, j := range c.jobs {
		assert.LessOrEqual(t, j.Memory.DeviceBytes, o.Devices[0].MemoryBytes)
	}
	c.stop()
	assert.Equal(t, []int{8, 8, 8, 8, 8, 8}, c.tiles)
}
