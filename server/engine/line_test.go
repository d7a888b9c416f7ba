package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
	"github.com/gounet/gounet/server/servertest"
)

var kindA, kindB = kind{model: "a"}, kind{model: "b"}

// putAll puts jobs one after the other, and tells of each that is put.
func putAll(l *line, jobs []*job) <-chan *job {
	done := make(chan *job, len(jobs))
	go func() {
		for _, j := range jobs {
			l.put(j)
			done <- j
		}
		close(done)
	}()
	return done
}

func jobsOf(kinds ...kind) (jobs []*job) {
	for _, k := range kinds {
		jobs = append(jobs, &job{kind: k})
	}
	return jobs
}

// As many as are alike go together, in the order in which they came: as many as fill a
// run, or a power of two.
func TestTheLineKeepsItsOrder(t *testing.T) {
	none := kind{}
	for _, c := range []struct {
		name   string
		most   int
		kinds  []kind
		groups []int
	}{
		{"full", 3, []kind{kindA, kindA, kindA}, []int{3}},
		{"a power of two", 8, []kind{kindA, kindA, kindA, kindA, kindA, kindA, kindA}, []int{4, 2, 1}},
		{"off", 1, []kind{kindA}, []int{1}},
		{"another kind between", 4, []kind{kindA, kindA, kindB}, []int{2, 1}},
		{"alone", 4, []kind{none}, []int{1}},
		{"one that goes alone ends a group", 4, []kind{kindA, kindA, none}, []int{2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLine()
			l.learn(kindA, c.most)
			jobs := jobsOf(c.kinds...)
			done := putAll(l, jobs)
			for i := range len(jobs) - 1 { // the last one may have to wait for the device
				require.Same(t, jobs[i], <-done)
			}
			l.mu.Lock()
			for len(l.jobs) < len(jobs) {
				l.changed.Wait()
			}
			l.mu.Unlock()
			at := 0
			for _, n := range c.groups {
				group := l.take()
				require.Len(t, group, n)
				for i, j := range group {
					require.Same(t, jobs[at+i], j)
				}
				at += n
			}
			require.Equal(t, len(jobs), at)
			for range done { // until all are put
			}
			l.close()
			assert.Nil(t, l.take())
		})
	}
}

// Jobs that may not have company are ready one at a time: which comes next is decided
// when the one before is with the device.
func TestTheNextJobIsDecidedLate(t *testing.T) {
	for _, c := range []struct {
		name  string
		most  int // of kindA
		first []kind
	}{
		{"of no kind", 4, []kind{{}}},
		{"of a kind that the device does not know", 0, []kind{kindA}},
		{"where none go together", 1, []kind{kindA}},
		{"in a group that is full", 2, []kind{kindA, kindA}},
		{"of another kind than the group", 4, []kind{kindA, kindB}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLine()
			if c.most > 0 {
				l.learn(kindA, c.most)
			}
			l.jobs = jobsOf(c.first...)
			assert.False(t, l.room())
			for len(l.jobs) > 0 {
				l.take()
			}
			assert.True(t, l.room())
		})
	}
	l := newLine()
	l.jobs = jobsOf(kindA)
	require.False(t, l.room())
	l.learn(kindA, 2)
	assert.True(t, l.room(), "company is let in as soon as the device knows the kind")
	l.learn(kindA, 8)
	assert.Equal(t, 2, l.most[kindA], "it is learnt once")
	l.fewer(kindA, 2)
	l.learn(kindA, 8)
	assert.Equal(t, 1, l.most[kindA], "what did not fit is not tried again")
}

// Only what is one tile, of one model and the same mirror images, and was not begun
// before goes together; the step of tiles does not matter.
func TestTheKindOfAJob(t *testing.T) {
	m := servertest.Model()
	ready := func(change func(*job)) kind {
		at := volume.Placement{Shape: [3]int{8, 7, 6}, Cropped: [3]int{8, 7, 6}}
		r := &queue.Record{Job: api.Job{Submit: api.Submit{Model: "a"}, Attempts: 1}}
		j := &job{Delivery: &queue.Delivery{Record: r}, model: &Model{Model: api.Model{ID: "a", SHA256: "1", Configuration: "test"}, Plan: m.Plan}, pre: &volume.Preprocessed{Placement: at}}
		change(j)
		return kindOf(j)
	}
	plain := ready(func(*job) {})
	assert.Equal(t, kind{model: "a", sha: "1"}, plain)
	assert.Equal(t, plain, ready(func(j *job) { j.Submit.Step = 0.25 }))
	for name, change := range map[string]func(*job){
		"a larger scan":    func(j *job) { j.pre.Shape[2] = 9 },
		"tried again":      func(j *job) { j.Attempts = 2 },
		"a cascade":        func(j *job) { j.pre = nil },
		"large labels":     func(j *job) { j.pre.Cropped = [3]int{512, 512, 64} },
		"no configuration": func(j *job) { j.model.Configuration = "none" },
	} {
		assert.Equal(t, kind{}, ready(change), name)
	}
	for name, change := range map[string]func(*job){
		"another model":       func(j *job) { j.model.ID = "b" },
		"a changed model":     func(j *job) { j.model.SHA256 = "2" },
		"other mirror images": func(j *job) { j.Submit.Mirror = new(bool) },
	} {
		k := ready(change)
		assert.NotEqual(t, kind{}, k, name)
		assert.NotEqual(t, plain, k, name)
	}
}
