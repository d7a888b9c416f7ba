package cpu

import "unsafe"

// outer sums the products of a neighbourhood of the input with a tensor on its
// grid: the gradient of the weights.
//
//	sum[tap][Cin][C] = sum over voxels g of the grid: in[g*step+first+tap][Cin] * b[g][C]
//
// The sums are made slab by slab of the voxels; how many slabs there are
// depends on the shape alone, and they are added in their order. Without
// channels of the input only b is summed.
type outer struct {
	isa         *isa
	pool        *pool
	n           int
	src         source
	step        size // of the grid, in rows of src
	first, taps size // with a fold, H counts rows of the copy
	grid        size
	b           tensor
	bC          int
	sumB        bool // one more row: the sum of b

	panels         []panel
	rows           int // of sums a panel: [kD][kH][kW*Cin], and the sum of b
	floats         int // f32 of a slab's sums
	bd, bh, nd, nh int // planes and rows of a block, blocks along D and H
	slabs          int
	kd, share      int // taps along D and panels of a unit
	groups         int // of panels
	ring           int // f32 of a worker that hold the window; rows of b follow
}

// aStep is the bytes from one step of k to the next in a copied row.
func (o *outer) aStep() int {
	step := o.step[2] * o.src.cin() * 4
	if o.isa.paired {
		return 2 * step
	}
	return step
}

// m is the number of sums of one (kd, kh).
func (o *outer) m() int { return o.taps[2] * o.src.cin() }

// plan lays out blocks, slabs and memory.
func (o *outer) plan() need {
	o.src.w0, o.src.w = o.first[2], (o.grid[2]-1)*o.step[2]+o.taps[2]
	if o.isa.paired {
		o.src.pairs, o.src.gridStep = voxelPairs, o.step[2]
	}
	o.rows = o.taps[0]*o.taps[1]*o.m() + 1
	o.panels, o.floats, _ = o.isa.panels([]int{o.bC}, o.rows)
	nr := o.isa.vectors * o.isa.lanes
	o.bd, o.bh = o.block()
	o.nd, o.nh = ceil(o.grid[0], o.bd), ceil(o.grid[1], o.bh)
	blocks := o.n * o.nd * o.nh
	o.slabs = max(1, min(16, (2<<20)/o.floats, o.n*o.grid.volume()/1024))
	o.slabs = min(o.slabs, blocks)
	enough := 1 // units: each makes its own copy of the planes that it needs
	if n := len(o.pool.workers); n > 1 {
		enough = 3 * n
	}
	o.kd, o.share = o.taps[0], len(o.panels)
	if o.slabs < enough {
		o.kd = 1 // with a stride, such units need different planes
	}
	for o.share > 1 && o.slabs*o.taps[0]/o.kd*ceil(len(o.panels), o.share) < enough {
		o.share = ceil(o.share, 2)
	}
	o.groups = ceil(len(o.panels), o.share)
	planes, rows := (o.bd-1)*o.step[0]+o.kd, (o.bh-1)*o.step[1]+o.taps[1]
	o.ring = planes * rows * o.src.stride()
	return need{
		shared: o.slabs * o.floats,
		worker: o.ring + o.share*o.bd*o.bh*o.grid[2]*nr,
		segs:   o.bd * o.bh,
		rows:   planes * rows,
		planes: planes,
	}
}

// block chooses the planes and rows of a block. Few sums stay in the second
// level of the cache beside the window. Many sums are not read often: then the
// rows of one (kd, kh) stay there, if not all rows.
func (o *outer) block() (d, h int) {
	nr, rowBytes := o.isa.vectors*o.isa.lanes, max(1, o.src.stride()*4)
	bytes, rows := inputBytes, max(1, sumBytes/(o.grid[2]*nr*4))
	switch sums := o.floats * 4; {
	case sums <= 256<<10:
		bytes = min(bytes, 384<<10-sums)
	case sums > 1<<20:
		bytes, rows = 2*bytes, min(rows, max(1, bytes*4/5/rowBytes))
	}
	return block(o.grid, o.step, o.taps, rowBytes, bytes, rows)
}

// sums is the sums of a slab; those of slab 0 are the result of run.
func (o *outer) sums(slab int) []float32 { return o.pool.shared[slab*o.floats:][:o.floats] }

// run makes the sums.
func (o *outer) run() {
	o.pool.run(o.slabs*o.groups*(o.taps[0]/o.kd), o)
	if o.slabs > 1 {
		o.pool.run(ceil(o.floats, addFloats), (*outerAdd)(o))
	}
}

// place is what block b begins with: rows h0 … and planes d0 … of sample n.
func (o *outer) place(b int) (n, h0, d0 int) {
	return b / (o.nd * o.nh), b / o.nd % o.nh * o.bh, b % o.nd * o.bd
}

// windowRows is the first row of the copy that rows h0 … of the grid need, and
// how many they need.
func (o *outer) windowRows(h0 int) (first, rows int) {
	h1 := min(h0+o.bh, o.grid[1])
	return h0*o.step[1]*o.src.rowStep + o.first[1], (h1-h0-1)*o.step[1] + o.taps[1]
}

// windowPlanes is the first plane that taps k0 … of grid planes d0 … need, and
// how many they need.
func (o *outer) windowPlanes(d0, k0 int) (first, planes int) {
	d1 := min(d0+o.bd, o.grid[0])
	return d0*o.step[0] + k0 + o.first[0], (d1-d0-1)*o.step[0] + o.kd
}

func (o *outer) do(w *worker, unit int) {
	parts := o.taps[0] / o.kd
	slab, g, k0 := unit/(o.groups*parts), unit/parts%o.groups*o.share, unit%parts*o.kd
	blocks := o.n * o.nd * o.nh
	begin, end := slab*blocks/o.slabs, (slab+1)*blocks/o.slabs
	panels := o.panels[g:min(g+o.share, len(o.panels))]
	win := &w.window
	for b := begin; b < end; b++ {
		n, h0, d0 := o.place(b)
		if o.m() > 0 {
			if b == begin || d0 == 0 {
				first, rows := o.windowRows(h0)
				win.open(&o.src, w.scratch[:o.ring], (o.bd-1)*o.step[0]+o.kd, n, first, rows)
			}
			win.load(o.windowPlanes(d0, k0))
		}
		o.lookAhead(w, b+1, end, k0)
		h1, d1 := min(h0+o.bh, o.grid[1]), min(d0+o.bd, o.grid[0])
		p := product{outer: o, w: w, slab: o.sums(slab), begin: b == begin, n: n, d0: d0, d1: d1, h0: h0, h1: h1}
		p.all(panels, k0, k0+o.kd)
	}
}

// lookAhead plans reading what block b needs, unless the unit ends there.
func (o *outer) lookAhead(w *worker, b, end, k0 int) {
	w.ahead.reset()
	if b < end {
		n, h0, d0 := o.place(b)
		h1 := min(h0+o.bh, o.grid[1])
		for d := d0; d < min(d0+o.bd, o.grid[0]); d++ {
			from := ((n*o.grid[0]+d)*o.grid[1] + h0) * o.grid[2]
			w.ahead.add(o.b, from*o.bC, (from+(h1-h0)*o.grid[2])*o.bC)
		}
		if o.m() > 0 {
			first, rows := o.windowRows(h0)
			p0, planes := o.windowPlanes(d0, k0)
			w.ahead.addRows(&w.window, n, first, rows, p0, planes)
		}
	}
	w.begin()
}

// product adds the voxels d0 … d1, h0 … h1 to the sums of panels, one panel at
// a time.
type product struct {
	*outer
	w              *worker
	slab           []float32 // its sums
	begin          bool      // the sums start from 0
	n              int
	d0, d1, h0, h1 int

	panel  *panel
	sums   []float32 // of the panel
	packed []float32 // its rows of b, nil if they are used in place
}

// all adds the taps k0 … k1 along D. All panels use the rows of one (kd, kh)
// before moving on: these stay in the second level of the cache.
func (p *product) all(panels []panel, k0, k1 int) {
	t := &p.w.tile
	t.k, t.aStep = p.isa.steps(p.grid[2]), p.aStep()
	t.init = nil
	if p.begin {
		t.init = &p.w.zero[0]
	}
	for i := range panels {
		p.use(panels, i)
		p.pack()
		if p.sumB && k0 == 0 && !p.sumsToo() {
			p.sum()
		}
	}
	m, rows := p.m(), (p.d1-p.d0)*(p.h1-p.h0)
	some, d, h := p.some(rows), p.center(0), p.center(1)
	for from := 0; from < rows && m > 0; from += some {
		to := min(from+some, rows)
		if k0 <= d && d < k1 { // first, because it sees all rows of b
			p.tap(panels, d, h, from, to, p.sumB)
		}
		for kd := k0; kd < k1; kd++ {
			for kh := range p.taps[1] {
				if kd != d || kh != h {
					p.tap(panels, kd, kh, from, to, false)
				}
			}
		}
		t.init = nil
	}
}

// tap adds rows from … to of b to the sums of one (kd, kh), and, with sum, to their own
// where there are kernels for it.
func (p *product) tap(panels []panel, kd, kh, from, to int, sum bool) {
	m := p.m()
	for i := range panels {
		p.use(panels, i)
		p.segments(kd, kh, from, to)
		if sum && p.sumsToo() {
			p.tilesAndSum((kd*p.taps[1]+kh)*m, m)
		} else {
			p.tiles((kd*p.taps[1]+kh)*m, m)
		}
	}
}

// use turns to panel i.
func (p *product) use(panels []panel, i int) {
	p.panel = &panels[i]
	p.sums = p.slab[p.panel.weights:]
	t, nr := &p.w.tile, p.panel.nv*p.isa.lanes
	t.bStep, t.cStep = nr*4, nr*4
	p.packed = nil
	if p.b.f32 != nil && p.panel.width == nr && (p.bC == nr || p.uses() <= fewUses) {
		t.bStep = p.bC * 4
		return
	}
	most := p.isa.vectors * p.isa.lanes
	p.packed = p.w.scratch[p.ring+i*p.bd*p.bh*p.grid[2]*most:]
}

// uses is how often a row of b is read.
func (o *outer) uses() int { return o.taps[0] * o.taps[1] * ceil(o.m(), o.isa.rows[o.isa.vectors]) }

// fewUses of rows of b are not worth a copy that puts a panel's channels side
// by side.
const fewUses = 8

// runVoxels is how many voxels are used for all taps before moving on: what a
// tile reads of them stays in the first level of the cache, where the next tile
// finds it.
const runVoxels = 160

// some is how many of so many rows that is: all groups are about as large.
func (p *product) some(rows int) int { return ceil(rows, max(1, ceil(rows*p.grid[2], runVoxels))) }

// pack brings rows of b to f32, or to pairs of voxels, and to the width of the
// panel, where they are not so already.
func (p *product) pack() {
	if p.packed == nil {
		return
	}
	if p.isa.paired {
		p.pairs()
		return
	}
	nr := p.panel.nv * p.isa.lanes
	count := (p.h1 - p.h0) * p.grid[2]
	for d := p.d0; d < p.d1; d++ {
		to := p.packed[(d-p.d0)*count*nr:][:count*nr]
		from := ((p.n*p.grid[0]+d)*p.grid[1] + p.h0) * p.grid[2]
		p.isa.fetchLoose(to, nr, p.b, from*p.bC+p.panel.c0, p.bC, count, p.panel.width)
	}
}

// pairs packs rows of b in pairs of voxels.
func (p *product) pairs() {
	step := p.isa.steps(p.grid[2]) * p.panel.nv * p.isa.lanes
	to := p.packed
	for d := p.d0; d < p.d1; d++ {
		for h := p.h0; h < p.h1; h++ {
			from := ((p.n*p.grid[0]+d)*p.grid[1] + h) * p.grid[2]
			p.isa.pack(to[:step], p.panel.nv*p.isa.lanes, p.b, from*p.bC+p.panel.c0, p.bC, p.grid[2], p.panel.width)
			to = to[step:]
		}
	}
}

// row is the first of the block's rows of b in plane d, and the bytes from one
// to the next.
func (p *product) row(d int) (first unsafe.Pointer, step int) {
	if p.packed == nil {
		step = p.grid[2] * p.bC
		return unsafe.Pointer(&p.b.f32[((p.n*p.grid[0]+d)*p.grid[1]+p.h0)*step+p.panel.c0]), step * 4
	}
	step = p.isa.steps(p.grid[2]) * p.panel.nv * p.isa.lanes
	return unsafe.Pointer(&p.packed[(d-p.d0)*(p.h1-p.h0)*step]), step * 4
}

// segments finds the rows of the input and of b that taps (kd, kh) multiply,
// for rows from … to of the block.
func (p *product) segments(kd, kh, from, to int) {
	segs := p.w.segs[:0]
	height := p.h1 - p.h0
	for d := from / height; d*height < to; d++ {
		plane := p.w.window.plane((p.d0+d)*p.step[0] + kd + p.first[0])
		b, step := p.row(p.d0 + d)
		for h := max(0, from-d*height); h < min(height, to-d*height); h++ {
			if row := plane[h*p.step[1]+kh]; row != nil {
				segs = append(segs, segment{row, unsafe.Add(b, h*step)})
			}
		}
	}
	p.w.tile.seg, p.w.tile.n = unsafe.SliceData(segs), len(segs)
}

// sum adds the rows of b to the last row of the sums.
func (p *product) sum() {
	segs := p.w.segs[:0]
	for d := p.d0; d < p.d1; d++ {
		b, step := p.row(d)
		for h := range p.h1 - p.h0 {
			segs = append(segs, segment{b: unsafe.Add(b, h*step)})
		}
	}
	t := &p.w.tile
	t.seg, t.n = unsafe.SliceData(segs), len(segs)
	t.c = &p.sums[(p.rows-1)*p.panel.nv*p.isa.lanes]
	p.isa.sum[p.panel.nv](t)
}

// sumsToo says whether a kernel makes the sum of b beside the sums of the center.
//
//go:noinline
func (p *product) sumsToo() bool {
	return p.panel.nv == 2 && p.m() <= maxRows && p.isa.outerSum[p.m()] != nil
}

// center is the tap along an axis whose rows of the input are all there.
//
//go:noinline
func (o *outer) center(axis int) int { return min(-o.first[axis], o.taps[axis]-1) }

// tilesAndSum makes rows from … from+m of the sums, and the last one.
func (p *product) tilesAndSum(from, m int) {
	t := &p.w.tile
	t.cRun = (p.rows - 1 - from) * t.cStep
	p.cut(&p.isa.outerSum, m, from, m)
}

// tiles makes rows from … from+m of the sums, those of one (kd, kh).
func (p *product) tiles(from, m int) {
	t := &p.w.tile
	if t.n == 0 && t.init == nil {
		return
	}
	if p.isa.outer3Rows > 0 && p.panel.nv == 1 && p.taps[2] == 3 && p.step[2] == 1 && t.k > 1 {
		t.cRun = m / 3 * t.cStep
		p.cut(&p.isa.outer3, p.isa.outer3Rows, from, m/3)
		return
	}
	p.cut(&p.isa.outer[p.panel.nv], p.isa.rows[p.panel.nv], from, m)
}

// cut makes m rows of the sums.
func (p *product) cut(kernels *[maxRows + 1]func(*tile), most, from, m int) {
	t := &p.w.tile
	t.aOff, t.cOff, t.c = 0, 0, &p.sums[from*p.panel.nv*p.isa.lanes]
	tiles := ceil(m, most)
	rows, higher := m/tiles, m%tiles
	if higher > 0 {
		t.tiles = higher
		kernels[rows+1](t)
	}
	t.tiles = tiles - higher
	kernels[rows](t)
	p.w.lookAhead()
}

// outerAdd adds the slabs to the first one, addFloats a unit.
type outerAdd outer

const addFloats = 8192

func (a *outerAdd) do(_ *worker, unit int) {
	o := (*outer)(a)
	from := unit * addFloats
	part := o.sums(0)[from:min(from+addFloats, o.floats)]
	for s := 1; s < o.slabs; s++ {
		o.isa.add(&part[0], &o.sums(s)[from], len(part)/o.isa.lanes)
	}
}
