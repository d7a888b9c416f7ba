package cpu

// convShape is the shapes of a Conv3D:
//
//	x [N D H W C1]   x2 [N D H W C2]   w [kD kH kW C1+C2 Co]   b [Co]
//	y [N ⌈D/sD⌉ ⌈H/sH⌉ ⌈W/sW⌉ Co]
//
// In is D H W; C2 is 0 without a second input.
type convShape struct {
	N              int
	In             [3]int
	C1, C2, Co     int
	Kernel, Stride [3]int
}

// out is the size of y.
func (s convShape) out() (o size) {
	for i := range o {
		o[i] = ceil(s.In[i], s.Stride[i])
	}
	return o
}

// direction is what a convolution is planned for.
type direction uint8

const (
	forward direction = 1 << iota
	gradInput
	gradWeight
)

// conv is a planned Conv3D: its run methods allocate nothing. The memory that
// they need is the pool's.
type conv struct {
	isa   *isa
	pool  *pool
	shape convShape
	fold  int
	need  need

	y    *gather
	head *head // makes what it fits of few outputs
	dx   *gather
	turn *turner
	dw   *outer
	flip *upConv // makes dw of few outputs, see newConv

	w, dwOut tensor // of the run
	dbOut    []float32
}

// newConv plans the directions of a convolution and reserves the memory that
// they need in the pool.
func newConv(s convShape, isa *isa, pool *pool, directions direction) *conv {
	if one := [3]int{1, 1, 1}; s.Kernel == one && s.Stride == one {
		s.N, s.In = flatten(s.N, s.In)
	}
	c := &conv{isa: isa, pool: pool, shape: s, fold: 1}
	if s.C1 == 1 && s.C2 == 0 && s.Kernel[2] > 1 { // more have runs of kW*Ci that are long enough
		c.fold = s.Kernel[1]
	}
	c.head, c.need = newHead(s, isa, pool)
	if directions&forward != 0 {
		c.planForward()
	}
	if directions&gradInput != 0 {
		c.planGradInput()
	}
	if directions&gradWeight != 0 && s.pointwise() && s.Co < isa.lanes {
		// Vectors run over the inputs, which are more: as in a transposed
		// convolution of stride 1, which is the same.
		c.flip = newUpConv(upShape{N: s.N, In: s.In, Ci: s.C1, Co: s.Co, Stride: s.Stride}, isa, pool, gradWeight)
	} else if directions&gradWeight != 0 {
		c.planGradWeight()
	}
	pool.reserve(c.need)
	return c
}

// pointwise says that an output voxel sees one voxel of one input.
func (s convShape) pointwise() bool {
	one := [3]int{1, 1, 1}
	return s.Kernel == one && s.Stride == one && s.C2 == 0
}

// flatten gives a grid whose voxels do not see each other long rows.
func flatten(n int, in size) (int, size) {
	const longest = 1024
	v := n * in.volume()
	for w := min(longest, v); w > in[2]; w-- {
		if v%w == 0 {
			return 1, size{1, v / w, w}
		}
	}
	return n, in
}

// source is the input of the forward pass, and the steps, first taps and taps
// of the grid of y in its rows.
func (c *conv) source() (src source, step, first, taps size) {
	s := c.shape
	src = source{isa: c.isa, c: [2]int{s.C1, s.C2}, size: s.In, fold: c.fold, rowStep: 1}
	step, taps = s.Stride, s.Kernel
	for i, k := range s.Kernel {
		first[i] = -(k - 1) / 2
	}
	if c.fold > 1 {
		src.rowStep, step[1], taps[1] = s.Stride[1], 1, 1
	}
	return src, step, first, taps
}

func (c *conv) planForward() {
	src, step, first, taps := c.source()
	out := c.shape.out()
	c.y = &gather{
		isa: c.isa, pool: c.pool, n: c.shape.N, src: src, step: step, first: first, taps: taps,
		outC: [2]int{c.shape.Co}, outSize: out, mul: size{1, 1, 1},
		classes: []class{{first: first, taps: taps, grid: out}},
	}
	c.need = c.need.max(c.y.plan([]int{c.shape.Co}))
}

// forward writes y. b may be the zero tensor.
func (c *conv) forward(x, x2, w, b, y tensor) {
	if c.head.fits(x, y) {
		c.head.forward(x, w, b, y)
		return
	}
	g := c.y
	g.src.in, g.out = [2]tensor{x, x2}, [2]tensor{y}
	c.w = w
	for _, p := range g.classes[0].panels {
		init := c.pool.shared[p.init:][:p.nv*c.isa.lanes]
		clear(init)
		if b.f32 != nil || b.u16 != nil {
			c.isa.fetch(init, 0, b, p.c0, 0, 1, p.width)
		}
	}
	if c.isa.paired {
		c.pool.run((*convPairs)(c).units(), (*convPairs)(c))
	} else {
		c.pool.run(ceil(c.rows(), packRows), (*convPack)(c))
	}
	g.run()
}

// rows is the rows of the weights [kD kH kW Ci].
func (c *conv) rows() int { return size(c.shape.Kernel).volume() * (c.shape.C1 + c.shape.C2) }

// runs is how many rows of packed weights follow each other in w too, and run
// maps the first of such rows to w: with a fold, packed rows are
// [kD][kW][kH][Ci].
func (c *conv) runs() int {
	if c.fold == 1 {
		return c.rows()
	}
	return c.shape.C1 + c.shape.C2
}

func (c *conv) run(row int) int {
	if c.fold == 1 {
		return row
	}
	k, cin := c.shape.Kernel, c.shape.C1+c.shape.C2
	tap := row / cin
	kd, kw, kh := tap/(k[1]*k[2]), tap/k[1]%k[2], tap%k[1]
	return ((kd*k[1]+kh)*k[2]+kw)*cin + row%cin
}

// convPack brings weights into panels, packRows of all panels a unit.
type convPack conv

const packRows = 32

func (p *convPack) do(_ *worker, unit int) {
	c := (*conv)(p)
	class := &c.y.classes[0]
	for _, pn := range class.panels {
		nr := pn.nv * c.isa.lanes
		to := c.pool.shared[class.weights+pn.weights:]
		c.each(unit*packRows, packRows, func(row, from, rows int) {
			dst := to[row*nr:][:rows*nr]
			if pn.width < nr {
				clear(dst)
			}
			c.isa.fetch(dst, nr, c.w, from*c.shape.Co+pn.c0, c.shape.Co, rows, pn.width)
		})
	}
}

// each calls f for the runs among rows row … row+count of packed weights: they
// are rows from … of w.
func (c *conv) each(row, count int, f func(row, from, rows int)) {
	run, end := c.runs(), min(row+count, c.rows())
	for row < end {
		rows := min(run-row%run, end-row)
		f(row, c.run(row), rows)
		row += rows
	}
}

// planGradInput plans dx. Input voxels of one parity g*s+r see a fixed subset
// of the taps, so each parity is a class: a gather over dy with the transposed
// weights of these taps in reverse.
func (c *conv) planGradInput() {
	s, out := c.shape, c.shape.out()
	g := &gather{
		isa: c.isa, pool: c.pool, n: s.N, step: size{1, 1, 1},
		src:  source{isa: c.isa, c: [2]int{s.Co}, size: out, fold: 1, rowStep: 1},
		outC: [2]int{s.C1, s.C2}, outSize: s.In, mul: s.Stride,
	}
	var end size
	lasts := make([]size, 0, size(s.Stride).volume())
	for i := range size(s.Stride).volume() {
		q, last := c.parity(size{i / (s.Stride[1] * s.Stride[2]), i / s.Stride[2] % s.Stride[1], i % s.Stride[2]})
		for a, taps := range q.taps {
			if taps > 0 {
				g.first[a] = min(g.first[a], q.first[a])
				end[a] = max(end[a], q.first[a]+taps)
			}
		}
		g.classes, lasts = append(g.classes, q), append(lasts, last)
	}
	for a := range end {
		g.taps[a] = end[a] - g.first[a]
	}
	c.dx = g
	c.need = c.need.max(g.plan([]int{s.C1, s.C2}))
	c.turn = &turner{isa: c.isa, pool: c.pool, columns: s.Co}
	for i := range g.classes {
		c.planTurn(&g.classes[i], lasts[i])
	}
	c.need = c.need.max(c.turn.plan())
}

// parity is the class of the input voxels g*s+r, and its highest tap.
func (c *conv) parity(r size) (q class, last size) {
	q.off = r
	for a, r := range r {
		k, s := c.shape.Kernel[a], c.shape.Stride[a]
		pad := (k - 1) / 2
		low := (r + pad) % s
		q.taps[a] = max(0, ceil(k-low, s))
		last[a] = low + (q.taps[a]-1)*s
		q.first[a] = (r + pad - last[a]) / s
		q.grid[a] = ceil(c.shape.In[a]-r, s)
	}
	return q, last
}

// planTurn lists the transpositions of a class's weights: tap 0 is the last one
// of w, and each next one is a stride before.
func (c *conv) planTurn(q *class, last size) {
	k, s, cin := c.shape.Kernel, c.shape.Stride, c.shape.C1+c.shape.C2
	for _, p := range q.panels {
		ci := p.c0 + p.out*c.shape.C1
		for t := range q.taps.volume() {
			d, h, w := t/(q.taps[1]*q.taps[2]), t/q.taps[2]%q.taps[1], t%q.taps[2]
			tap := ((last[0]-d*s[0])*k[1]+last[1]-h*s[1])*k[2] + last[2] - w*s[2]
			c.turn.add(q, p, t, (tap*cin+ci)*c.shape.Co)
		}
	}
}

// gradInput writes dx and, with a second input, dx2.
func (c *conv) gradInput(dy, w, dx, dx2 tensor) {
	if c.head.spreads(dy, dx) {
		c.head.gradInput(dy, w, dx)
		return
	}
	g := c.dx
	g.src.in, g.out = [2]tensor{dy}, [2]tensor{dx, dx2}
	clear(c.pool.shared[:g.inits])
	c.turn.run(w)
	g.run()
}

func (c *conv) planGradWeight() {
	src, step, first, taps := c.source()
	c.dw = &outer{
		isa: c.isa, pool: c.pool, n: c.shape.N, src: src, step: step, first: first, taps: taps,
		grid: c.shape.out(), bC: c.shape.Co, sumB: true,
	}
	c.need = c.need.max(c.dw.plan())
}

// gradWeight writes dw and db.
func (c *conv) gradWeight(dy, x, x2 tensor, dw, db []float32) {
	if c.head.fits(x, dy) {
		c.head.gradWeight(dy, x, dw, db)
		return
	}
	if c.flip != nil {
		c.flip.gradWeight(dy, x, dw, db)
		return
	}
	o := c.dw
	o.src.in, o.b = [2]tensor{x, x2}, dy
	c.dwOut, c.dbOut = f32s(dw), db
	o.run()
	c.pool.run(ceil(c.rows(), packRows), (*convUnpack)(c))
}

// convUnpack brings the sums of gradWeight to dw and db, packRows of all panels
// a unit.
type convUnpack conv

func (p *convUnpack) do(_ *worker, unit int) {
	c := (*conv)(p)
	o := c.dw
	for _, pn := range o.panels {
		nr := pn.nv * c.isa.lanes
		sums := o.sums(0)[pn.weights:]
		c.each(unit*packRows, packRows, func(row, to, rows int) {
			c.isa.put(c.dwOut, to*c.shape.Co+pn.c0, c.shape.Co, sums[row*nr:], nr, rows, pn.width)
		})
		if unit == 0 {
			copy(c.dbOut[pn.c0:][:pn.width], sums[(o.rows-1)*nr:])
		}
	}
}
