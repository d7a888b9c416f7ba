package engine

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/gounet/gounet/core/predict"
)

// kind is what jobs that share a run have in common. The step does not matter: they are
// of one tile each.
type kind struct {
	model, sha string
	noMirror   bool
}

// line is the jobs that are ready for a device, in the order in which it gets them. Those
// at its front that are of a kind go together, as many as fill a run of the device.
//
// There is one job in it at a time, so that which comes next is decided late, and more
// only as company: while those that are there are of a kind, and fewer than go together.
type line struct {
	mu      sync.Mutex
	changed sync.Cond
	jobs    []*job
	most    map[kind]int // that go together; of a kind that the device does not know yet one goes
	closed  bool
}

func newLine() *line {
	l := &line{most: map[kind]int{}}
	l.changed.L = &l.mu
	return l
}

// learn sets how many jobs of a kind go together, if that is not known.
func (l *line) learn(k kind, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.most[k]; !known {
		l.most[k] = most
		l.changed.Broadcast()
	}
}

// fewer halves how many jobs of a kind go together, of which n were too many.
func (l *line) fewer(k kind, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most[k] = max(1, min(l.most[k], n/2))
}

// put adds a job at the end, and waits until the device has it, or it may have company.
func (l *line) put(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs = append(l.jobs, j)
	l.changed.Broadcast()
	for slices.Contains(l.jobs, j) && !l.room() {
		l.changed.Wait()
	}
}

// alike is how many jobs at the front go together.
func (l *line) alike() int {
	k := l.jobs[0].kind
	n, most := 1, l.most[k]
	for k != (kind{}) && n < min(most, len(l.jobs)) && l.jobs[n].kind == k {
		n++
	}
	return n
}

// room says whether the jobs that are there may have company.
func (l *line) room() bool {
	n := len(l.jobs)
	return n == 0 || l.alike() == n && n < l.most[l.jobs[0].kind]
}

// take waits for jobs, nil if there will be no more. It does not wait for company: what
// is there goes, as many as go together, or else a power of two, because each number is
// a program of its own.
func (l *line) take() []*job {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.jobs) == 0 {
		if l.closed {
			return nil
		}
		l.changed.Wait()
	}
	n := l.alike()
	if n < l.most[l.jobs[0].kind] {
		n = 1 << (bits.Len(uint(n)) - 1)
	}
	group := slices.Clone(l.jobs[:n])
	l.jobs = slices.Delete(l.jobs, 0, n)
	l.changed.Broadcast()
	return group
}

// close says that there will be no more jobs.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
}

// kindOf is the kind of a job that is ready, or none if it goes alone: because it is no
// single tile, or because it failed before, perhaps in company.
func kindOf(j *job) kind {
	if j.pre == nil || j.Attempts > 1 {
		return kind{}
	}
	c, err := configuration(j.model.Plan, j.model.Configuration)
	if err != nil || !predict.Small(c, j.pre.Placement) {
		return kind{}
	}
	return kind{j.model.ID, j.model.SHA256, keyOf(j).noMirror}
}
