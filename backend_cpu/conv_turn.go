package cpu

import "github.com/gounet/gounet/core/graph"

// turner transposes weights [taps][Ci][Co] to the panels of a gather over Co:
// [panel][taps][Co][nv*lanes of Ci], Co in pairs for kernels of pairs.
type turner struct {
	isa     *isa
	pool    *pool
	columns int // Co
	list    []turned
	w       tensor
}

// turned is one tap of one panel.
type turned struct{ from, to, width, nr int }

// add lists tap t of a panel of class q, whose weights begin at w[from].
func (t *turner) add(q *class, p panel, tap, from int) {
	nr := p.nv * t.isa.lanes
	t.list = append(t.list, turned{from, q.weights + p.weights + tap*t.isa.steps(t.columns)*nr, p.width, nr})
}

// plan is the memory that a worker needs where weights are not f32.
func (t *turner) plan() need {
	return need{worker: t.isa.steps(t.columns) * t.isa.vectors * t.isa.lanes}
}

// run transposes all.
func (t *turner) run(w tensor) {
	t.w = w
	t.pool.run(len(t.list), t)
}

func (t *turner) do(w *worker, unit int) {
	u := t.list[unit]
	if t.isa.paired {
		t.pairs(w, u)
		return
	}
	dst := t.pool.shared[u.to:][:t.columns*u.nr]
	if u.width < u.nr {
		clear(dst)
	}
	src := w.scratch
	if t.w.dtype == graph.F32 {
		src = t.w.f32[u.from:]
	} else {
		t.isa.fetch(src, t.columns, t.w, u.from, t.columns, u.width, t.columns)
	}
	t.isa.turn(dst, u.nr, src, t.columns, u.width, t.columns)
}
