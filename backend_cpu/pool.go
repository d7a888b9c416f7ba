package cpu

import (
	"sync/atomic"
	"unsafe"
)

// task is work in units that may run in any order and side by side. What a
// unit computes must not depend on the worker that does it, so that results
// have the same bits for any number of workers.
type task interface {
	do(w *worker, unit int)
}

// pool is a fixed number of workers and their scratch memory. One goroutine at
// a time may use it. Running allocates nothing: all memory is reserved before.
type pool struct {
	workers []*worker
	wake    []chan struct{} // of the workers but the first, which is the caller
	done    chan struct{}
	shared  []float32 // for one run of an op: packed weights, partial sums

	task  task
	units int
	next  atomic.Int64
}

// worker is what one goroutine needs to itself.
type worker struct {
	scratch []float32
	segs    []segment
	window  window
	tile    tile
	ahead   ahead
	zero    [2 * maxLanes]float32
	flatArgs
}

// newPool starts a pool of workers, at least one.
func newPool(workers int) *pool {
	p := &pool{done: make(chan struct{})}
	for range max(1, workers) {
		p.workers = append(p.workers, &worker{})
	}
	for _, w := range p.workers[1:] {
		wake := make(chan struct{})
		p.wake = append(p.wake, wake)
		go func() {
			for range wake {
				p.work(w)
				p.done <- struct{}{}
			}
		}()
	}
	return p
}

// close ends the workers.
func (p *pool) close() {
	for _, wake := range p.wake {
		close(wake)
	}
	p.wake = nil
}

// need is scratch memory: f32 shared by all workers, and of each worker its
// f32, segments and rows of the window.
type need struct{ shared, worker, segs, rows, planes int }

// max is the need of a run that may be either.
func (n need) max(m need) need {
	return need{
		max(n.shared, m.shared), max(n.worker, m.worker), max(n.segs, m.segs),
		max(n.rows, m.rows), max(n.planes, m.planes),
	}
}

// reserve makes sure that a run that needs n finds it.
func (p *pool) reserve(n need) {
	if len(p.shared) < n.shared {
		p.shared = aligned(n.shared)
	}
	for _, w := range p.workers {
		if len(w.scratch) < n.worker {
			w.scratch = aligned(n.worker)
		}
		if cap(w.segs) < n.segs {
			w.segs = make([]segment, 0, n.segs)
		}
		if len(w.window.rows) < n.rows {
			w.window.rows = make([]unsafe.Pointer, n.rows)
		}
		if len(w.window.holds) < n.planes {
			w.window.holds = make([]int, n.planes)
		}
	}
}

// aligned allocates n f32 that begin on a cache line.
func aligned(n int) []float32 {
	b := make([]float32, n+16)
	skip := int(-uintptr(unsafe.Pointer(&b[0]))&63) / 4
	return b[skip : skip+n : skip+n]
}

// run does the units 0 … units-1 of t.
func (p *pool) run(units int, t task) {
	if units == 0 {
		return
	}
	p.task, p.units = t, units
	p.next.Store(0)
	helpers := min(len(p.wake), units-1)
	for _, wake := range p.wake[:helpers] {
		wake <- struct{}{}
	}
	p.work(p.workers[0])
	for range helpers {
		<-p.done
	}
	p.task = nil
}

// work does units until none is left.
func (p *pool) work(w *worker) {
	for u := int(p.next.Add(1)) - 1; u < p.units; u = int(p.next.Add(1)) - 1 {
		p.task.do(w, u)
	}
}
