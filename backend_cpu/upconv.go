package cpu

// upShape is the shapes of an UpConv3D:
//
//	x [N D H W Ci]   w [sD sH sW Ci Co]   b [Co]   y [N D*sD H*sH W*sW Co]
//
// In is D H W.
type upShape struct {
	N      int
	In     [3]int
	Ci, Co int
	Stride [3]int
}

// out is the size of y.
func (s upShape) out() size {
	return size{s.In[0] * s.Stride[0], s.In[1] * s.Stride[1], s.In[2] * s.Stride[2]}
}

// upConv is a planned UpConv3D: its run methods allocate nothing. The memory
// that they need is the pool's.
//
// What a voxel of x becomes along W is one run of sW*Co channels of y, so there
// is a class of outputs for each place along D and H only.
type upConv struct {
	isa   *isa
	pool  *pool
	shape upShape
	need  need

	y     *gather
	dx    *gather
	turn  *turner
	dw    *outer
	total *outer // the sum of dy

	w     tensor // of the run
	dwOut []float32
}

// newUpConv plans the directions of a transposed convolution and reserves the
// memory that they need in the pool.
func newUpConv(s upShape, isa *isa, pool *pool, directions direction) *upConv {
	u := &upConv{isa: isa, pool: pool, shape: s}
	if directions&forward != 0 {
		u.planForward()
	}
	if directions&gradInput != 0 {
		u.planGradInput()
	}
	if directions&gradWeight != 0 {
		u.planGradWeight()
	}
	pool.reserve(u.need)
	return u
}

func (u *upConv) planForward() {
	s := u.shape
	one := size{1, 1, 1}
	u.y = &gather{
		isa: u.isa, pool: u.pool, n: s.N, src: source{isa: u.isa, c: [2]int{s.Ci}, size: s.In, fold: 1, rowStep: 1},
		step: one, taps: one, outC: [2]int{s.Co}, outSize: s.out(), mul: s.Stride,
	}
	for i := range s.Stride[0] * s.Stride[1] {
		off := size{i / s.Stride[1], i % s.Stride[1], 0}
		u.y.classes = append(u.y.classes, class{taps: one, grid: s.In, off: off})
	}
	u.need = u.need.max(u.y.plan([]int{s.Stride[2] * s.Co}))
}

// forward writes y. b may be the zero tensor.
func (u *upConv) forward(x, w, b, y tensor) {
	g, co := u.y, u.shape.Co
	g.src.in, g.out = [2]tensor{x}, [2]tensor{y}
	u.w = w
	clear(u.pool.shared[:g.inits])
	for _, p := range g.classes[0].panels {
		if b.f32 == nil && b.u16 == nil {
			break
		}
		init := u.pool.shared[p.init:]
		eachPiece(p, co, func(_, c, at, width int) { u.isa.fetch(init[at:], 0, b, c, 0, 1, width) })
	}
	u.pool.run(len(g.classes)*len(g.classes[0].panels), (*upPack)(u))
	g.run()
}

// eachPiece cuts the columns of a panel over [sW][Co] where a place l along W
// ends: f gets l, the first channel, where the piece begins in the panel and how
// wide it is.
func eachPiece(p panel, co int, f func(l, c, at, width int)) {
	for at := 0; at < p.width; {
		l, c := (p.c0+at)/co, (p.c0+at)%co
		width := min(co-c, p.width-at)
		f(l, c, at, width)
		at += width
	}
}

// upPack brings weights into panels, a panel of a class a unit.
type upPack upConv

func (p *upPack) do(_ *worker, unit int) {
	u := (*upConv)(p)
	s, panels := u.shape, u.y.classes[0].panels
	i := unit / len(panels)
	class, pn := &u.y.classes[i], panels[unit%len(panels)]
	nr := pn.nv * u.isa.lanes
	to := u.pool.shared[class.weights+pn.weights:][:u.isa.steps(s.Ci)*nr]
	if pn.width < nr {
		clear(to)
	}
	eachPiece(pn, s.Co, func(l, c, at, width int) {
		u.isa.pack(to[at:], nr, u.w, (i*s.Stride[2]+l)*s.Ci*s.Co+c, s.Co, s.Ci, width)
	})
}

// planGradInput plans dx: a convolution of dy whose kernel and stride are equal.
func (u *upConv) planGradInput() {
	s := u.shape
	u.dx = &gather{
		isa: u.isa, pool: u.pool, n: s.N, src: source{isa: u.isa, c: [2]int{s.Co}, size: s.out(), fold: 1, rowStep: 1},
		step: s.Stride, taps: s.Stride, outC: [2]int{s.Ci}, outSize: s.In, mul: size{1, 1, 1},
		classes: []class{{taps: s.Stride, grid: s.In}},
	}
	u.need = u.need.max(u.dx.plan([]int{s.Ci}))
	u.turn = &turner{isa: u.isa, pool: u.pool, columns: s.Co}
	class := &u.dx.classes[0]
	for _, p := range class.panels {
		for tap := range size(s.Stride).volume() {
			u.turn.add(class, p, tap, (tap*s.Ci+p.c0)*s.Co)
		}
	}
	u.need = u.need.max(u.turn.plan())
}

// gradInput writes dx.
func (u *upConv) gradInput(dy, w, dx tensor) {
	g := u.dx
	g.src.in, g.out = [2]tensor{dy}, [2]tensor{dx}
	clear(u.pool.shared[:g.inits])
	u.turn.run(w)
	g.run()
}

// planGradWeight plans dw: the weight gradient of that convolution of dy, with
// Ci and Co changing places, and db.
func (u *upConv) planGradWeight() {
	s := u.shape
	u.dw = &outer{
		isa: u.isa, pool: u.pool, n: s.N, src: source{isa: u.isa, c: [2]int{s.Co}, size: s.out(), fold: 1, rowStep: 1},
		step: s.Stride, taps: s.Stride, grid: s.In, bC: s.Ci,
	}
	n, grid := flatten(s.N, s.out())
	u.total = &outer{isa: u.isa, pool: u.pool, n: n, step: size{1, 1, 1}, taps: size{1, 1, 1}, grid: grid, bC: s.Co, sumB: true}
	u.need = u.need.max(u.dw.plan()).max(u.total.plan())
}

// gradWeight writes dw and db.
func (u *upConv) gradWeight(dy, x tensor, dw, db []float32) {
	u.dw.src.in, u.dw.b, u.total.b, u.dwOut = [2]tensor{dy}, x, dy, dw
	u.dw.run()
	u.pool.run(len(u.dw.panels)*size(u.shape.Stride).volume(), (*upUnpack)(u))
	u.total.run()
	for _, p := range u.total.panels {
		copy(db[p.c0:][:p.width], u.total.sums(0)[p.weights:])
	}
}

// upUnpack brings the sums [panel][tap][Co][Ci] of gradWeight to dw, a tap of a
// panel a unit.
type upUnpack upConv

func (p *upUnpack) do(_ *worker, unit int) {
	u := (*upConv)(p)
	s, taps := u.shape, size(u.shape.Stride).volume()
	pn, tap := u.dw.panels[unit/taps], unit%taps
	nr := pn.nv * u.isa.lanes
	sums := u.dw.sums(0)[pn.weights+tap*s.Co*nr:]
	u.isa.turn(u.dwOut[(tap*s.Ci+pn.c0)*s.Co:], s.Co, sums, nr, s.Co, pn.width)
}
