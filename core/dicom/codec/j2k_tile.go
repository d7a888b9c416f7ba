package codec

import (
	"errors"
	"math"
)

// rect is half open.
type rect struct{ x0, y0, x1, y1 int }

func (r rect) w() int      { return r.x1 - r.x0 }
func (r rect) h() int      { return r.y1 - r.y0 }
func (r rect) empty() bool { return r.x0 >= r.x1 || r.y0 >= r.y1 }

// j2kPlane is a component of a tile.
type j2kPlane struct {
	rect
	coding      *j2kCoding
	resolutions []j2kResolution
	ints        []int32   // coefficients, then samples; reversible
	floats      []float32 // the same; irreversible
}

type j2kResolution struct {
	rect
	nx, ny    int // precincts
	px, py    int // log2 of their size
	bands     []j2kBand
	precincts []j2kPrecinct
}

type j2kBand struct {
	rect
	kind      int     // 0 LL, 1 HL, 2 LH, 3 HH
	planes    int     // bit planes of magnitude
	step      float32 // irreversible: size of a quantisation step
	offset    int     // of its first coefficient in the plane, LL left above
	precincts []j2kPrecinctBand
}

// j2kPrecinct is a place in the order of packets.
type j2kPrecinct struct{ x, y int } // on the reference grid

type j2kPrecinctBand struct {
	nx, ny    int
	blocks    []j2kBlock
	inclusion tagTree
	zeroBits  tagTree
}

type j2kBlock struct {
	rect
	included bool
	zero     int // bit planes without a bit
	lblock   int
	passes   int
	segments []j2kSegment
}

// j2kSegment is bytes that one run of the arithmetic coder, or of raw bits, reads.
type j2kSegment struct {
	data   []byte
	own    bool // data is a copy
	passes int
	most   int // passes that it can have
}

// j2kBudget bounds what a header can make of a small stream. Every precinct takes a
// byte at least; many blocks may be left out with a bit.
type j2kBudget struct{ precincts, blocks int }

// tile decodes tile i into the picture.
func (j *j2k) tile(i int) error {
	t := j.tiles[i]
	p, q := i%j.tilesX, i/j.tilesX
	area := rect{
		max(j.tx0+p*j.tw, j.x0), max(j.ty0+q*j.th, j.y0),
		min(j.tx0+(p+1)*j.tw, j.x1), min(j.ty0+(q+1)*j.th, j.y1),
	}
	if t.style.layers == 0 {
		return errors.New("JPEG 2000 coding style is missing")
	}
	budget := j2kBudget{precincts: len(t.data) + 1<<12, blocks: 16*len(t.data) + 1<<16}
	var planes []*j2kPlane
	for k := range j.components {
		pl, err := j.plane(area, &t.coding[k], &t.quant[k], k, &budget)
		if err != nil {
			return err
		}
		planes = append(planes, pl)
	}
	cut, err := readPackets(t, planes)
	if err != nil {
		return err
	}
	j.picture.Cut = j.picture.Cut || cut
	for _, pl := range planes {
		if err := pl.decode(&j.scratch.blocks); err != nil {
			return err
		}
	}
	return j.store(t, planes, area)
}

// plane lays out component k of a tile: resolutions, subbands, precincts, blocks.
func (j *j2k) plane(area rect, c *j2kCoding, q *j2kQuant, k int, budget *j2kBudget) (*j2kPlane, error) {
	if len(q.steps) == 0 || c.blockW == 0 {
		return nil, errors.New("JPEG 2000 coding style or quantisation is missing")
	}
	pl := &j2kPlane{rect: area, coding: c}
	for r := range c.levels + 1 {
		n := c.levels - r
		res := j2kResolution{px: c.precincts[r][0], py: c.precincts[r][1]}
		res.rect = rect{ceilShift(area.x0, n), ceilShift(area.y0, n), ceilShift(area.x1, n), ceilShift(area.y1, n)}
		if !res.empty() {
			res.nx = ceilShift(res.x1, res.px) - res.x0>>res.px
			res.ny = ceilShift(res.y1, res.py) - res.y0>>res.py
		}
		if budget.precincts -= res.nx * res.ny; budget.precincts < 0 {
			return nil, errors.New("JPEG 2000 precincts are more than its bytes")
		}
		for y := range res.ny {
			for x := range res.nx {
				res.precincts = append(res.precincts, j2kPrecinct{
					x: max(area.x0, (res.x0>>res.px+x)<<(res.px+n)),
					y: max(area.y0, (res.y0>>res.py+y)<<(res.py+n)),
				})
			}
		}
		kinds := []int{1, 2, 3}
		if r == 0 {
			kinds = []int{0}
		}
		for _, kind := range kinds {
			b, err := j.band(pl, &res, r, kind, q, j.components[k].bits, budget)
			if err != nil {
				return nil, err
			}
			res.bands = append(res.bands, b)
		}
		pl.resolutions = append(pl.resolutions, res)
	}
	if c.reversible {
		pl.ints = zeros(&j.scratch.ints, k, pl.w()*pl.h())
	} else {
		pl.floats = zeros(&j.scratch.floats, k, pl.w()*pl.h())
	}
	return pl, nil
}

// zeros is memory for a component: that of the first is used again.
func zeros[T any](s *[]T, component, n int) []T {
	if component > 0 {
		return make([]T, n)
	}
	v := reuse(s, n)
	clear(v)
	return v
}

// band lays out a subband of resolution r (T.800 B.5 to B.7).
func (j *j2k) band(pl *j2kPlane, res *j2kResolution, r, kind int, q *j2kQuant, precision int, budget *j2kBudget) (j2kBand, error) {
	c := pl.coding
	b := j2kBand{kind: kind}
	n := c.levels
	index := 0
	if r > 0 {
		n = c.levels - r + 1
		index = 3*(r-1) + kind
	}
	dx, dy := 0, 0
	if n > 0 {
		dx, dy = (kind&1)<<(n-1), (kind>>1)<<(n-1)
	}
	b.rect = rect{
		ceilShift(pl.x0-dx, n), ceilShift(pl.y0-dy, n),
		ceilShift(pl.x1-dx, n), ceilShift(pl.y1-dy, n),
	}
	exponent, mantissa, err := q.step(index)
	if err != nil {
		return b, err
	}
	if b.planes = q.guard + exponent - 1; b.planes > 30 {
		return b, errors.New("JPEG 2000 with more than 30 bit planes")
	}
	if !c.reversible {
		// The gain of a band is left to the wavelet, as in OpenJPEG.
		b.step = float32((1 + float64(mantissa)/2048) * math.Ldexp(1, precision-exponent))
	}
	if r > 0 {
		lower := pl.resolutions[r-1]
		if kind&1 != 0 {
			b.offset += lower.w()
		}
		if kind>>1 != 0 {
			b.offset += lower.h() * pl.w()
		}
	}
	px, py := res.px, res.py
	if r > 0 {
		px, py = px-1, py-1
	}
	bw, bh := min(c.blockW, px), min(c.blockH, py)
	firstX, firstY := res.x0>>res.px, res.y0>>res.py
	for y := range res.ny {
		for x := range res.nx {
			area := rect{
				max(b.x0, (firstX+x)<<px), max(b.y0, (firstY+y)<<py),
				min(b.x1, (firstX+x+1)<<px), min(b.y1, (firstY+y+1)<<py),
			}
			var pb j2kPrecinctBand
			if !area.empty() {
				cx, cy := area.x0>>bw, area.y0>>bh
				pb.nx, pb.ny = ceilShift(area.x1, bw)-cx, ceilShift(area.y1, bh)-cy
				if budget.blocks -= pb.nx * pb.ny; budget.blocks < 0 {
					return b, errors.New("JPEG 2000 code blocks are more than its bits")
				}
				pb.blocks = make([]j2kBlock, pb.nx*pb.ny)
				for i := range pb.blocks {
					bx, by := cx+i%pb.nx, cy+i/pb.nx
					pb.blocks[i] = j2kBlock{lblock: 3, rect: rect{
						max(area.x0, bx<<bw), max(area.y0, by<<bh),
						min(area.x1, (bx+1)<<bw), min(area.y1, (by+1)<<bh),
					}}
				}
				pb.inclusion, pb.zeroBits = newTagTree(pb.nx, pb.ny), newTagTree(pb.nx, pb.ny)
			}
			b.precincts = append(b.precincts, pb)
		}
	}
	return b, nil
}

// decode makes coefficients of the blocks and samples of the coefficients.
func (pl *j2kPlane) decode(coder *blockCoder) error {
	stride := pl.w()
	for r := range pl.resolutions {
		for i := range pl.resolutions[r].bands {
			b := &pl.resolutions[r].bands[i]
			for k := range b.precincts {
				for n := range b.precincts[k].blocks {
					block := &b.precincts[k].blocks[n]
					if len(block.segments) == 0 {
						continue
					}
					values, err := coder.decode(block, b, pl.coding.blockStyle)
					if err != nil {
						return err
					}
					at := b.offset + (block.y0-b.y0)*stride + block.x0 - b.x0
					pl.place(values, block.w(), at, b.step)
				}
			}
		}
	}
	for r := 1; r < len(pl.resolutions); r++ {
		lower, res := pl.resolutions[r-1].rect, pl.resolutions[r].rect
		if pl.coding.reversible {
			lift(pl.ints, stride, lower, res, lift53)
		} else {
			lift(pl.floats, stride, lower, res, lift97)
		}
	}
	return nil
}

// place writes the coefficients of a block, which are in halves, into the plane.
func (pl *j2kPlane) place(values []int32, w, at int, step float32) {
	half := 0.5 * step
	for len(values) > 0 {
		for x, v := range values[:w] {
			if pl.coding.reversible {
				pl.ints[at+x] = v / 2
			} else {
				pl.floats[at+x] = float32(v) * half
			}
		}
		values = values[w:]
		at += pl.w()
	}
}

// store undoes the component transform and the level shift, and writes the tile
// into the picture.
func (j *j2k) store(t *j2kTile, planes []*j2kPlane, area rect) error {
	if t.style.colour {
		if len(planes) < 3 || planes[0].coding.reversible != planes[1].coding.reversible ||
			planes[0].coding.reversible != planes[2].coding.reversible {
			return errors.New("JPEG 2000 component transform of components that differ")
		}
		inverseColour(planes)
	}
	p := j.picture
	for k, pl := range planes {
		low, high := int64(0), int64(1)<<p.Bits-1
		shift := int64(1) << (p.Bits - 1)
		if j.components[k].signed {
			low, high, shift = -shift, shift-1, 0
		}
		for y := range pl.h() {
			dst := p.Samples[((area.y0-j.y0+y)*p.Width+area.x0-j.x0)*p.Components+k:]
			for x := range pl.w() {
				var v int64
				if pl.ints != nil {
					v = int64(pl.ints[y*pl.w()+x])
				} else {
					v = int64(math.RoundToEven(min(max(float64(pl.floats[y*pl.w()+x]), -1<<30), 1<<30)))
				}
				dst[x*p.Components] = int32(min(max(v+shift, low), high))
			}
		}
	}
	return nil
}

// inverseColour is RCT or ICT (T.800 annex G).
func inverseColour(planes []*j2kPlane) {
	if planes[0].ints != nil {
		a, b, c := planes[0].ints, planes[1].ints, planes[2].ints
		for i := range a {
			g := a[i] - (b[i]+c[i])>>2
			a[i], b[i], c[i] = c[i]+g, g, b[i]+g
		}
		return
	}
	a, b, c := planes[0].floats, planes[1].floats, planes[2].floats
	for i := range a {
		y, cb, cr := a[i], b[i], c[i]
		a[i] = y + cr*1.402
		b[i] = y - cb*0.34413 - cr*0.71414
		c[i] = y + cb*1.772
	}
}
