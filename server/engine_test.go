package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
	"github.com/gounet/gounet/server/servertest"
)

// fragile is a device whose programs do what fail says before they run.
type fragile struct {
	backend.Device
	fail func(context.Context) error
}

type fragileProgram struct {
	backend.Executable
	fail func(context.Context) error
}

func (f fragile) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	e, err := f.Device.Compile(p, bind)
	return fragileProgram{e, f.fail}, err
}

func (f fragileProgram) Run(ctx context.Context) error {
	if err := f.fail(ctx); err != nil {
		return err
	}
	return f.Executable.Run(ctx)
}

// withDevice is a server whose device fails so.
func withDevice(t *testing.T, fail func() error) (r *running, opened *atomic.Int32) {
	t.Helper()
	o := testOptions(t)
	opened = &atomic.Int32{}
	o.Devices[0].Open = func() (backend.Device, error) {
		opened.Add(1)
		return fragile{cpu.Open(cpu.Options{Workers: 1}), func(context.Context) error { return fail() }}, nil
	}
	return start(t, o), opened
}

// halting makes the device of o stop in the middle of its first job, until goOn is called
// or the job is ended: however slow a test is, it meets the job while it runs.
func halting(o Options) (halted Options, goOn func()) {
	gate := make(chan struct{})
	o.Devices = []engine.Device{{Name: "cpu", Open: func() (backend.Device, error) {
		runs := 0
		return fragile{cpu.Open(cpu.Options{Workers: 1}), func(ctx context.Context) error {
			if runs++; runs > 2 {
				select {
				case <-gate:
				case <-ctx.Done():
				}
			}
			return nil
		}}, nil
	}}}
	return o, sync.OnceFunc(func() { close(gate) })
}

func (r *running) tiny() api.Submit {
	return api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(nifti(r.t, small)).ID}}}
}

func TestAJobSurvivesTheLossOfItsDevice(t *testing.T) {
	var runs atomic.Int32
	r, opened := withDevice(t, func() error {
		if runs.Add(1) == 2 {
			return errors.Join(errors.New("unplugged"), backend.ErrLost)
		}
		return nil
	})
	j := r.wait(r.submit(r.tiny()).ID)
	require.Equal(t, api.JobDone, j.State)
	assert.Equal(t, 2, j.Attempts)
	assert.EqualValues(t, 2, opened.Load(), "it is opened again")
	assert.Equal(t, labelsOf(t, small), r.result(j, "nifti"))
}

// A device that this process has lost for good ends the server with an error, by which who
// started it starts it again; the next goes on with the job.
func TestADeviceThatOnlyAnotherProcessOpensEndsTheServer(t *testing.T) {
	o := testOptions(t)
	good := o.Devices
	o.Devices = []engine.Device{{Name: "gpu", Open: func() (backend.Device, error) {
		return fragile{cpu.Open(cpu.Options{Workers: 1}), func(context.Context) error {
			return errors.Join(errors.New("an illegal address"), backend.ErrRestart)
		}}, nil
	}}}
	r := start(t, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- r.Serve(t.Context(), l, time.Minute) }()
	id := r.submit(r.tiny()).ID
	select {
	case err := <-served:
		require.ErrorIs(t, err, backend.ErrRestart)
		require.ErrorContains(t, err, "start it again, it goes on with its jobs")
	case <-time.After(30 * time.Second):
		require.Fail(t, "the server goes on without its device")
	}
	r.stop()
	o.Devices = good
	r = start(t, o)
	j := r.wait(id)
	require.Equal(t, api.JobDone, j.State)
	assert.Equal(t, 2, j.Attempts)
}

func TestAJobThatCrashesEndsAlone(t *testing.T) {
	var crash atomic.Bool
	crash.Store(true)
	r, _ := withDevice(t, func() error {
		if crash.Load() {
			panic("out of bounds")
		}
		return nil
	})
	s := r.tiny()
	j := r.wait(r.submit(s).ID)
	assert.Equal(t, api.JobFailed, j.State)
	assert.Equal(t, api.FailedCrashed, j.Failed.Code)
	assert.Equal(t, 1, j.Attempts)
	crash.Store(false)
	assert.Equal(t, api.JobDone, r.wait(r.submit(s).ID).State, "others go on")
}

// A device that is lost again and again does not get its job for ever.
func TestAJobIsTriedAFewTimes(t *testing.T) {
	r, _ := withDevice(t, func() error { return backend.ErrLost })
	j := r.wait(r.submit(r.tiny()).ID)
	assert.Equal(t, api.JobFailed, j.State)
	assert.Equal(t, api.FailedLost, j.Failed.Code)
	assert.Equal(t, r.queue.Attempts(), j.Attempts)
}

// fullStore has no room for results.
type fullStore struct {
	blob.Store
	full atomic.Bool
}

func (f *fullStore) PutFile(ctx context.Context, name, path string) error {
	if f.full.Load() && strings.HasPrefix(name, "results/") {
		return blob.ErrFull
	}
	return f.Store.PutFile(ctx, name, path)
}

func (f *fullStore) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	return 0, errors.New("unused")
}

func TestAFullDiskFailsTheJobAndNotTheServer(t *testing.T) {
	o := testOptions(t)
	folder, err := blob.OpenFolder(filepath.Join(t.TempDir(), "blobs"), 0)
	require.NoError(t, err)
	store := &fullStore{Store: folder}
	store.full.Store(true)
	o.Blobs = store
	r := start(t, o)
	s := r.tiny()
	j := r.wait(r.submit(s).ID)
	assert.Equal(t, api.JobFailed, j.State)
	assert.Equal(t, api.FailedDisk, j.Failed.Code)
	assert.Empty(t, j.Results)
	store.full.Store(false)
	j = r.wait(r.submit(s).ID)
	assert.Equal(t, api.JobDone, j.State)

	o = testOptions(t)
	o.Bounds.Reserve = 1 << 60 // more than there is
	r = start(t, o)
	a := r.do("POST", "/api/v1/uploads?name=a.nii", []byte("x"))
	refused(t, a, http.StatusServiceUnavailable)
	assert.NotEmpty(t, a.Header.Get("Retry-After"))
	assert.Equal(t, http.StatusServiceUnavailable, r.do("GET", "/readyz", nil).StatusCode)
	assert.Equal(t, http.StatusOK, r.do("GET", "/healthz", nil).StatusCode)
}

func TestAScanThatDoesNotFitTheDeviceSaysHowMuchIsMissing(t *testing.T) {
	o := testOptions(t)
	o.Devices[0].MemoryBytes = 1 << 10
	r := start(t, o)
	j := r.wait(r.submit(r.tiny()).ID)
	assert.Equal(t, api.JobFailed, j.State)
	assert.Equal(t, api.FailedMemory, j.Failed.Code)
	assert.Greater(t, j.Failed.Need, j.Failed.Have)
}

// High before normal before low, and in each class the users in turn.
func TestUsersTakeTurns(t *testing.T) {
	o := testOptions(t)
	o.Devices = nil
	r := start(t, o)
	submit := func(owner, priority string, n int) (ids []string) {
		for range n {
			j := api.Job{ID: queue.ID(), Owner: owner, State: api.JobQueued, Created: time.Now(), Submit: api.Submit{Model: modelID, Priority: priority}}
			_, err := r.queue.Submit(t.Context(), &queue.Record{Job: j})
			require.NoError(t, err)
			ids = append(ids, j.ID)
		}
		return ids
	}
	greedy := submit("greedy", "", 20)
	submit("low", api.PriorityLow, 1)
	submit("modest", "", 2)
	boss := submit("boss", api.PriorityHigh, 1)
	assert.Equal(t, 1+2+19, r.queue.Waiting(greedy[19]))
	assert.Equal(t, 0, r.queue.Waiting(boss[0]))
	var order []string
	for range 24 {
		d, err := r.queue.Next(t.Context())
		require.NoError(t, err)
		order = append(order, d.Owner)
		require.NoError(t, d.Finish(t.Context(), func(r *queue.Record) { r.State = api.JobDone }))
	}
	assert.Equal(t, "boss", order[0])
	assert.Contains(t, order[1:4], "modest")
	assert.Contains(t, order[3:6], "modest")
	assert.Equal(t, "low", order[23])
}

// A job whose worker dies each time is given up, and can be found.
func TestAJobThatKillsItsWorkersIsGivenUp(t *testing.T) {
	o := testOptions(t)
	o.Devices, o.AckWait = nil, 200*time.Millisecond
	r := start(t, o)
	s := r.tiny()
	j := r.submit(s)
	for n := range r.queue.Attempts() {
		d, err := r.queue.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, n+1, d.Attempts)
		d.Abandon()
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // a worker that looks for another
		defer cancel()
		_ = r.wait(j.ID)
	}()
	_, err := r.queue.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
	j = r.job(j.ID)
	assert.Equal(t, api.JobFailed, j.State)
	assert.True(t, j.Dead)
	assert.Equal(t, api.FailedCrashed, j.Failed.Code)
	dead := decode[api.JobList](t, r.do("GET", "/api/v1/jobs?dead=true", nil), 200)
	require.Len(t, dead.Jobs, 1)
	assert.Equal(t, j.ID, dead.Jobs[0].ID)
	assert.Contains(t, string(read(t, r.do("GET", "/metrics", nil), 200)), "gounet_jobs_dead 1")
}

func TestWarmModelsLeaveWhenMemoryIsNeeded(t *testing.T) {
	o := testOptions(t)
	for _, name := range []string{"second", "third"} {
		require.NoError(t, checkpoint.Save(filepath.Join(o.Models, name+checkpoint.Extension), servertest.Model()))
	}
	r := start(t, o)
	s := r.tiny()
	j := r.wait(r.submit(s).ID)
	r.stop()
	o.Devices[0].MemoryBytes = j.Memory.DeviceBytes*5/4 + 1 // for one with its scan, not for two
	r = start(t, o)
	for _, m := range []string{modelID, "second", "third", modelID} {
		s.Model = m
		require.Equal(t, api.JobDone, r.wait(r.submit(s).ID).State)
		d := r.devices()[0]
		assert.LessOrEqual(t, d.UsedBytes, o.Devices[0].MemoryBytes)
		assert.Equal(t, []string{m}, d.Models)
	}
}

// A drained server gives jobs back that take too long; the next one does them.
func TestADrainedServerLosesNoJob(t *testing.T) {
	o := testOptions(t)
	halted, _ := halting(o)
	r := start(t, halted)
	u := r.upload(nifti(t, large)).ID
	j := r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u}}})
	r.untilTiles(j.ID)
	at, cancel := context.WithCancel(t.Context())
	cancel()
	r.Drain(at)
	j = r.job(j.ID)
	assert.Equal(t, api.JobQueued, j.State)
	assert.Equal(t, 0, j.Attempts, "it was not the job's fault")
	assert.Equal(t, http.StatusServiceUnavailable, r.do("GET", "/readyz", nil).StatusCode)
	r.stop()
	r = start(t, o)
	j = r.wait(j.ID)
	assert.Equal(t, api.JobDone, j.State)
	assert.Equal(t, 1, j.Attempts)
}

// One process at a time has a folder.
func TestTwoServersDoNotShareAFolder(t *testing.T) {
	o := testOptions(t)
	start(t, o)
	_, err := New(t.Context(), o)
	require.ErrorContains(t, err, "another server")
}

// TestACascadeIsOneJob runs both stages of a model, and refuses the second one alone.
func TestACascadeIsOneJob(t *testing.T) {
	o := testOptions(t)
	m := servertest.Cascade()
	require.NoError(t, checkpoint.Save(filepath.Join(o.Models, "cascade.gounet"), m))
	alone := *m
	alone.Before = nil
	require.NoError(t, checkpoint.Save(filepath.Join(o.Models, "alone.gounet"), &alone))
	r := start(t, o)
	models := decode[[]api.Model](t, r.do("GET", "/api/v1/models", nil), 200)
	require.Len(t, models, 3)
	assert.Contains(t, models[0].Problem, "second is the second stage of a cascade, without the first one, test: gounet export")
	require.Empty(t, models[1].Problem)
	want := labelsBy(t, m, small)
	assert.NotEqual(t, labelsOf(t, small), want)
	s := r.tiny()
	for _, statistics := range []bool{false, true} {
		s.Model, s.Statistics = "cascade", statistics
		j := r.wait(r.submit(s).ID)
		require.Equal(t, api.JobDone, j.State, "%v", j.Failed)
		assert.Equal(t, want, r.result(j, "nifti"))
	}
}

// What an earlier version has kept of a model lacks what this one says.
func TestModelsAreDescribedAnewByANewVersion(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	require.NoError(t, checkpoint.Save(filepath.Join(dir, "one.gounet"), servertest.Model()))
	memory := func() int64 {
		m, err := engine.OpenModels(t.Context(), dir, cache)
		require.NoError(t, err)
		require.Len(t, m.All(), 1)
		return m.All()[0].MemoryBytes
	}
	want := memory()
	assert.Positive(t, want)
	assert.Equal(t, want, memory(), "from what is kept")
	path := filepath.Join(cache, "one.json")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var kept map[string]any
	require.NoError(t, json.Unmarshal(b, &kept))
	delete(kept, "form")
	delete(kept["model"].(map[string]any), "memory_bytes")
	b, err = json.Marshal(kept)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b, 0o600))
	assert.Equal(t, want, memory())
}

func TestModelsComeAndGo(t *testing.T) {
	o := testOptions(t)
	r := start(t, o)
	require.NoError(t, checkpoint.Save(filepath.Join(o.Models, "folder"), servertest.Model()))
	require.NoError(t, os.WriteFile(filepath.Join(o.Models, "broken.gounet"), []byte("PK"), 0o666))
	require.NoError(t, r.models.Refresh(t.Context()))
	models := decode[[]api.Model](t, r.do("GET", "/api/v1/models", nil), 200)
	require.Len(t, models, 3)
	assert.Equal(t, "broken", models[0].ID)
	assert.NotEmpty(t, models[0].Problem)
	assert.Equal(t, models[2].SHA256, models[1].SHA256, "a folder and a file of one model are the same .gounet file")
	need, err := predict.Needs(servertest.Model())
	require.NoError(t, err)
	assert.Equal(t, need.Total(), models[1].MemoryBytes)
	b := read(t, r.do("GET", "/api/v1/models/folder/file", nil), 200)
	assert.EqualValues(t, models[1].Bytes, len(b))
	refused(t, r.do("GET", "/api/v1/models/broken/file", nil), http.StatusUnprocessableEntity)
	body, err := json.Marshal(api.Submit{Model: "broken", Inputs: r.tiny().Inputs})
	require.NoError(t, err)
	refused(t, r.do("POST", "/api/v1/jobs", body), http.StatusUnprocessableEntity)
	require.NoError(t, os.Remove(filepath.Join(o.Models, "broken.gounet")))
	require.NoError(t, r.models.Refresh(t.Context()))
	assert.Len(t, decode[[]api.Model](t, r.do("GET", "/api/v1/models", nil), 200), 2)
}
