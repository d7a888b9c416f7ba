package cpu

import (
	"github.com/gounet/gounet/core/graph"
)

// head makes a pointwise convolution to few channels, as those at the ends of a network,
// where most of each vector over the outputs of a gather would be empty: vectors run over
// the inputs. The other directions of conv do what it does not fit.
type head struct {
	pool           *pool
	isa            *isa
	flat           *flat
	lanes          int             // of flat
	by             [2]*headKernels // for x in f32 and in bf16
	voxels, ci, co int

	// of the run
	use  *headKernels
	wide bool // x is bf16
	x, y tensor
	w, b []float32
}

// headVoxels is the voxels of a unit of work: a multiple of all steps, 256 KB of x where
// ci is 32 and f32.
const headVoxels = 2048

// newHead is the plan for s, or nil where a gather is to do it, and what it needs.
func newHead(s convShape, isa *isa, pool *pool) (*head, need) {
	f, voxels := flatOf(isa), s.N*size(s.In).volume()
	if !s.pointwise() || s.Co >= len(f.heads) || f.heads[s.Co][0] == nil || s.C1%(2*f.lanes) != 0 || voxels < f.heads[s.Co][0].step {
		return nil, need{}
	}
	h := &head{pool: pool, isa: isa, flat: f, lanes: f.lanes, by: f.heads[s.Co], voxels: voxels, ci: s.C1, co: s.Co}
	return h, need{
		shared: max(h.co*(h.ci+h.by[0].step), (h.units()+1)*h.partial()),
		worker: 2 * headVoxels * h.co,
	}
}

func (h *head) units() int { return max(1, h.voxels/headVoxels) }

// unit is the voxels of a unit: the last one has also what is left.
func (h *head) unit(unit int) (from, count int) {
	from = unit * headVoxels
	if unit == h.units()-1 {
		return from, h.voxels - from
	}
	return from, headVoxels
}

// fits finds the kernels for x of which y, with them, has the type too.
func (h *head) fits(x, y tensor) bool {
	if h == nil || x.dtype != y.dtype || x.dtype == graph.F16 {
		return false
	}
	h.wide = x.dtype == graph.BF16
	h.use = h.by[0]
	if h.wide {
		h.use = h.by[1]
	}
	return true
}

// place is the vector of a strip and the lane that channel k has.
func (h *head) place(k int) (strip, vector, lane int) {
	strip, k = k/(2*h.lanes), k%(2*h.lanes)
	if h.wide {
		return strip, k % 2, k / 2
	}
	return strip, k / h.lanes, k % h.lanes
}

// forward writes y. b may be the zero tensor.
func (h *head) forward(x, w, b, y tensor) {
	h.x, h.y = x, y
	h.w, h.b = h.pool.shared[:h.co*h.ci], h.pool.shared[h.co*h.ci:][:h.co*h.use.step]
	h.weights(w, func(strip, vector, lane, j int) int { return j*h.ci + (2*strip+vector)*h.lanes + lane })
	clear(h.b)
	if !b.none() {
		for v := range h.use.step {
			b.column(h.b[v*h.co:], 1, 0, 1, h.co)
		}
	}
	h.pool.run(h.units(), (*headForward)(h))
}

// weights puts w [ci co] where at says.
func (h *head) weights(w tensor, at func(strip, vector, lane, j int) int) {
	for k := range h.ci {
		strip, vector, lane := h.place(k)
		for j := range h.co {
			w.column(h.w[at(strip, vector, lane, j):], 1, k*h.co+j, 1, 1)
		}
	}
}

type headForward head

// do makes a unit. A last step that is not whole makes some voxels twice.
func (f *headForward) do(w *worker, unit int) {
	h := (*head)(f)
	from, count := h.unit(unit)
	y := h.isa.target(h.y, from*h.co, count*h.co, w.scratch)
	whole := count / h.use.step
	h.dots(y, from, 0, whole)
	if whole*h.use.step < count {
		h.dots(y, from, count-h.use.step, 1)
	}
	h.isa.flush(h.y, from*h.co, y)
}

// dots makes some steps from voxel v of y, which begins at voxel from.
func (h *head) dots(y []float32, from, v, steps int) {
	h.use.dot(&y[v*h.co], h.x.start((from+v)*h.ci), &h.w[0], &h.b[0], h.ci, steps)
}

// spreads says whether gradInput does dx of dy.
func (h *head) spreads(dy, dx tensor) bool { return h.fits(dy, dx) && h.use.spread != nil }

// gradInput writes dx.
func (h *head) gradInput(dy, w, dx tensor) {
	h.x, h.y = dx, dy
	h.w = h.pool.shared[:h.co*h.ci]
	h.weights(w, func(strip, vector, lane, j int) int { return ((strip*h.co+j)*2+vector)*h.lanes + lane })
	h.pool.run(h.units(), (*headGradInput)(h))
}

type headGradInput head

func (g *headGradInput) do(w *worker, unit int) {
	h := (*head)(g)
	from, count := h.unit(unit)
	dy := h.isa.read(h.y, from*h.co, count*h.co, w.scratch)
	h.use.spread(h.x.start(from*h.ci), &dy[0], &h.w[0], h.ci/(2*h.lanes), count)
}

// partial is the f32 of a unit's sums: [strip][co][3][lanes].
func (h *head) partial() int { return h.ci / 2 * h.co * 3 }

// gradWeight writes dw and db.
func (h *head) gradWeight(dy, x tensor, dw, db []float32) {
	h.x, h.y = x, dy
	h.pool.run(h.units(), (*headGradWeight)(h))
	sum := h.pool.shared[:h.partial()]
	for unit := 1; unit < h.units(); unit++ {
		h.flat.addScaled(sum, h.pool.shared[unit*h.partial():][:len(sum)], 1)
	}
	for k := range h.ci {
		strip, vector, lane := h.place(k)
		for j := range h.co {
			dw[k*h.co+j] = sum[((strip*h.co+j)*3+vector)*h.lanes+lane]
		}
	}
	for j := range h.co {
		db[j] = sum[(j*3+2)*h.lanes]
	}
}

type headGradWeight head

func (g *headGradWeight) do(w *worker, unit int) {
	h := (*head)(g)
	from, count := h.unit(unit)
	dy := h.isa.read(h.y, from*h.co, count*h.co, w.scratch)
	to := h.pool.shared[unit*h.partial():]
	_, size := h.x.at(0)
	for k := 0; k < h.ci; k += 2 * h.lanes {
		h.use.grad(&to[0], h.x.start(from*h.ci+k), &dy[0], h.ci*size, count)
		to = to[3*h.co*h.lanes:]
	}
}
