package cpu

import "unsafe"

// gather computes every voxel of a grid from a neighbourhood of the input: the
// forward pass of a convolution, or the gradient of its input, whose parities
// are classes with grids and taps of their own:
//
//	out[g*mul+off] = init + sum over taps t: in[g*step+first+t] * weights[t]
type gather struct {
	isa  *isa
	pool *pool
	n    int
	src  source
	step size // of the grid, in rows of src
	// first and taps span the taps of all classes; with a fold, H counts rows
	// of the copy.
	first, taps size
	out         [2]tensor
	outC        [2]int // channels of the outputs
	outSize     size
	mul         size
	classes     []class
	inits       int // f32 of the shared memory that hold the first rows; weights follow

	bd, bh, nd, nh int // planes and rows of a block, blocks along D and H
	chunk, nc      int // blocks along D that share a window, and such chunks
	ring           int // f32 of a worker that hold the window; sums follow
}

// class is the part of the outputs that sees the same taps.
type class struct {
	first, taps size
	grid, off   size
	panels      []panel
	weights     int // where its weights begin in shared memory: [panel][taps][Cin][nv*lanes]
}

// weightBytes is how much of a panel's weights are used before moving on: they
// stay in the second level of the cache, and the sums go through memory.
const weightBytes = 128 << 10

// sumBytes bounds the sums of a block and panel that are kept apart from the
// output.
const sumBytes = 128 << 10

// plan lays out classes, blocks and memory. columns are the output channels
// that panels cover, for each output.
func (g *gather) plan(columns []int) need {
	if g.isa.paired {
		g.src.pairs = channelPairs
	}
	cin := g.src.cin()
	grid := g.classes[0].grid // the largest
	g.src.w0, g.src.w = g.first[2], (grid[2]-1)*g.step[2]+g.taps[2]
	weights := 0
	for i := range g.classes {
		c := &g.classes[i]
		var floats int
		c.weights = weights
		c.panels, floats, g.inits = g.isa.panels(columns, c.taps.volume()*cin)
		weights += floats
	}
	for i := range g.classes {
		g.classes[i].weights += g.inits
	}
	nr := g.isa.vectors * g.isa.lanes
	limit := min(max(inputBytes, weights*4/16), 2*inputBytes) // many weights are not read often
	g.bd, g.bh = block(grid, g.step, g.taps, g.src.stride()*4, limit, max(1, sumBytes/(grid[2]*nr*4)))
	g.nd, g.nh = ceil(grid[0], g.bd), ceil(grid[1], g.bh)
	g.chunk = ceil(g.nd, max(1, ceil(8*len(g.pool.workers), g.n*g.nh)))
	g.nc = ceil(g.nd, g.chunk)
	planes, rows := (g.bd-1)*g.step[0]+g.taps[0], (g.bh-1)*g.step[1]+g.taps[1]
	g.ring = planes * rows * g.src.stride()
	return need{
		shared: g.inits + weights,
		worker: g.ring + g.bd*g.bh*grid[2]*nr,
		segs:   g.taps[0] * g.taps[1] * maxParts,
		rows:   planes * rows,
		planes: planes,
	}
}

// run computes all outputs.
func (g *gather) run() { g.pool.run(g.n*g.nh*g.nc, g) }

// place is what a unit of work begins with: rows h0 … of sample n, blocks c0 …
// along D.
func (g *gather) place(unit int) (n, h0, c0 int) {
	return unit / (g.nh * g.nc), unit / g.nc % g.nh * g.bh, unit % g.nc * g.chunk
}

// windowRows is the first row of the copy that rows h0 … of the grid need, and
// how many they need.
func (g *gather) windowRows(h0 int) (first, rows int) {
	h1 := min(h0+g.bh, g.classes[0].grid[1])
	return h0*g.step[1]*g.src.rowStep + g.first[1], (h1-h0-1)*g.step[1] + g.taps[1]
}

// windowPlanes is the first plane that block b along D needs, and how many it
// needs.
func (g *gather) windowPlanes(b int) (first, planes int) {
	d0, d1 := b*g.bd, min(b*g.bd+g.bd, g.classes[0].grid[0])
	return d0*g.step[0] + g.first[0], (d1-d0-1)*g.step[0] + g.taps[0]
}

func (g *gather) do(w *worker, unit int) {
	grid := g.classes[0].grid
	n, h0, c0 := g.place(unit)
	c1 := min(c0+g.chunk, g.nd)
	h1 := min(h0+g.bh, grid[1])
	win := &w.window
	first, rows := g.windowRows(h0)
	win.open(&g.src, w.scratch[:g.ring], (g.bd-1)*g.step[0]+g.taps[0], n, first, rows)
	for b := c0; b < c1; b++ {
		d0, d1 := b*g.bd, min(b*g.bd+g.bd, grid[0])
		win.load(g.windowPlanes(b))
		if g.src.c[0]+g.src.c[1] > fewChannels { // else little is read
			g.lookAhead(w, unit, b+1, c1)
		} else {
			w.idle()
		}
		for i := range g.classes {
			c := &g.classes[i]
			for j := range c.panels {
				p := pass{g, w, c, &c.panels[j], d0, min(d1, c.grid[0]), h0, min(h1, c.grid[1]), false, 0}
				p.all()
			}
		}
	}
}

// lookAhead plans reading what block b needs, or, if the unit ends there, what
// the unit needs that this worker may do next.
func (g *gather) lookAhead(w *worker, unit, b, end int) {
	w.ahead.reset()
	if b == end {
		unit += len(g.pool.workers)
	}
	if unit < g.n*g.nh*g.nc {
		n, h0, c0 := g.place(unit)
		if b == end {
			b = c0
		}
		first, rows := g.windowRows(h0)
		p0, planes := g.windowPlanes(b)
		w.ahead.addRows(&w.window, n, first, rows, p0, planes)
	}
	w.begin()
}

// pass makes one panel of the voxels d0 … d1, h0 … h1 of a class.
type pass struct {
	*gather
	w              *worker
	class          *class
	panel          *panel
	d0, d1, h0, h1 int
	three          bool // it uses the kernels for three taps
	more           int  // rows that are made with the one at hand
}

// maxParts bounds the parts that a run of weights is cut into.
const maxParts = 64

// parts cuts a run of k rows of rowBytes into equal parts that fit weightBytes
// as far as k has the divisors.
func parts(k, rowBytes int) int {
	best := 1
	for p := 1; p <= min(k, maxParts); p++ {
		if k%p == 0 {
			best = p
			if k/p*rowBytes <= weightBytes {
				break
			}
		}
	}
	return best
}

// all makes the panel group by group: as many weights as the cache likes for
// all voxels, then the next ones.
func (p *pass) all() {
	c, t := p.class, &p.w.tile
	if c.grid.volume() == 0 {
		return
	}
	nr := p.panel.nv * p.isa.lanes
	k := c.taps[2] * p.src.cin() // one (kd, kh)
	p.three = p.isa.outer3Rows > 0 && c.taps[2] == 3 && p.step[2] == 1 && p.panel.nv == 1
	if p.three {
		k = p.src.cin() // at three places
		t.bStep = k * nr * 4
	}
	cut := parts(k, nr*4) // parts of a run
	t.k, t.aStep = k/cut, p.step[2]*p.src.cin()*4
	segs := c.taps[0] * c.taps[1] * cut
	if k == 0 {
		segs = 0 // no tap reaches these voxels: they become init
	}
	perSeg := t.k * nr * 4
	if p.three {
		perSeg *= 3
	}
	groups := max(1, ceil(segs, max(1, weightBytes/max(1, perSeg))))
	group := ceil(segs, groups)
	direct := p.out[p.panel.out].f32 != nil && p.panel.width == nr
	for i := range groups {
		for d := p.d0; d < p.d1; d++ {
			for h := p.h0; h < p.h1; h += 1 + p.more {
				p.alike(d, h, direct)
				p.segments(d, h, i*group, min(i*group+group, segs), cut)
				t.init = nil
				if i == 0 {
					t.init = &p.pool.shared[p.panel.init]
				}
				if direct {
					p.inPlace(d, h)
				} else {
					p.apart(d, h, groups > 1, i == groups-1)
				}
			}
		}
	}
}

// fewChannels of the input make rows so short that calls of their own would take longer
// than a tenth of them.
const fewChannels = 2

// apartFloats of sums stay in the first level of the cache until they are moved.
const apartFloats = 4096

// alike chooses how many of the rows of the grid after (d, h) are made with it, where they
// are short: those for which the same rows of the input are there.
func (p *pass) alike(d, h int, direct bool) {
	p.more = 0
	win, c := &p.w.window, p.class
	if p.src.c[0]+p.src.c[1] > fewChannels || win.buf == nil || p.mul != (size{1, 1, 1}) {
		return
	}
	end := p.h1
	if !direct {
		end = min(end, h+max(1, apartFloats/(c.grid[2]*p.panel.nv*p.isa.lanes)))
	}
	row0 := (h-p.h0)*p.step[1] + c.first[1] - p.first[1]
	for ; h+p.more+1 < end; p.more++ {
		next := row0 + (p.more+1)*p.step[1]
		for kd := range c.taps[0] {
			rows := win.plane(d*p.step[0] + c.first[0] + kd)
			for kh := range c.taps[1] {
				if (rows[row0+kh] == nil) != (rows[next+kh] == nil) {
					return
				}
			}
		}
	}
}

// segments finds the rows and weights of segments s0 … s1 of row (d, h) of the
// grid; each of the taps (kd, kh) has cut segments.
func (p *pass) segments(d, h, s0, s1, cut int) {
	c, t, win := p.class, &p.w.tile, &p.w.window
	nr := p.panel.nv * p.isa.lanes
	perTap, part := c.taps[2]*p.src.cin()*nr, t.k*nr
	plane := d*p.step[0] + c.first[0]
	row0 := (h-p.h0)*p.step[1] + c.first[1] - p.first[1]
	weights := unsafe.Pointer(unsafe.SliceData(p.pool.shared[c.weights+p.panel.weights:]))
	segs := p.w.segs[:0]
	s := 0
	for kd := range c.taps[0] {
		rows := win.plane(plane + kd)[row0:][:c.taps[1]]
		for kh, row := range rows {
			if row == nil || s+cut <= s0 || s >= s1 {
				s += cut
				continue
			}
			from := (kd*c.taps[1] + kh) * perTap
			for i := range cut {
				if s >= s0 && s < s1 {
					segs = append(segs, segment{unsafe.Add(row, i*t.k*4), unsafe.Add(weights, (from+i*part)*4)})
				}
				s++
			}
		}
	}
	t.seg, t.n = unsafe.SliceData(segs), len(segs)
}

// inPlace makes row (d, h) of the grid, and more, in the output.
func (p *pass) inPlace(d, h int) {
	t := &p.w.tile
	if t.n == 0 && t.init == nil {
		return
	}
	c := p.outC[p.panel.out]
	t.c, t.cStep = &p.out[p.panel.out].f32[p.base(d, h)*c+p.panel.c0], p.mul[2]*c*4
	t.cAhead = p.mul[1] * p.outSize[2] * c * 4
	p.tiles(t.cAhead)
}

// apart makes row (d, h) of the grid, and more, beside the output, which wants narrower
// rows or another type, and moves it there after the last group.
func (p *pass) apart(d, h int, groups, last bool) {
	t, width := &p.w.tile, p.class.grid[2]
	nr := p.panel.nv * p.isa.lanes
	sums := p.w.scratch[p.ring:]
	if groups {
		sums = sums[((d-p.d0)*p.bh+h-p.h0)*width*nr:]
	}
	rows := 1 + p.more
	sums = sums[:rows*width*nr]
	if t.n > 0 || t.init != nil {
		t.c, t.cStep, t.cAhead = &sums[0], nr*4, 0
		p.tiles(width * nr * 4)
	}
	if last {
		c := p.outC[p.panel.out]
		p.isa.put(p.out[p.panel.out], p.base(d, h)*c+p.panel.c0, p.mul[2]*c, sums, nr, rows*width, p.panel.width)
	}
}

// base is the index of the first output voxel of row (d, h) of the grid.
func (p *pass) base(d, h int) int {
	o, m, off := p.outSize, p.mul, p.class.off
	return ((p.w.window.n*o[0]+d*m[0]+off[0])*o[1]+h*m[1]+off[1])*o[2] + off[2]
}

// tiles cuts the row that the tile is set up for into tiles of nearly equal
// height, and more rows like it, cRow bytes from one to the next.
func (p *pass) tiles(cRow int) {
	t, c := &p.w.tile, p.class
	kernels := &p.isa.gather[p.panel.nv]
	if p.three {
		kernels = &p.isa.gather3
	}
	tiles := ceil(c.grid[2], p.isa.rows[p.panel.nv])
	rows, higher := c.grid[2]/tiles, c.grid[2]%tiles
	done := 0
	for i, n := range [2]int{higher, tiles - higher} {
		if n == 0 {
			continue
		}
		high := rows + 1 - i
		t.aOff, t.cOff = (c.first[2]-p.first[2])*p.src.cin()*4+done*t.aStep, done*t.cStep
		t.tiles, t.each, t.more = n, n, p.more
		t.aNext = p.step[1]*p.src.stride()*4 - n*high*t.aStep
		t.cNext = cRow - n*high*t.cStep
		kernels[high](t)
		done += n * high
	}
	p.w.lookAhead()
}
