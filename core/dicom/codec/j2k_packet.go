package codec

import (
	"cmp"
	"errors"
	"math/bits"
	"slices"
)

// readPackets hands the bytes of a tile to its code blocks, in the order of the
// progression (T.800 B.12). A stream that ends early leaves blocks with fewer
// passes, which is one way to cut JPEG 2000 to a rate; cut says so.
func readPackets(t *j2kTile, planes []*j2kPlane) (cut bool, err error) {
	type place struct{ layer, res, comp, x, y, index int }
	var order []place
	for c, pl := range planes {
		for r, res := range pl.resolutions {
			for i, pr := range res.precincts {
				order = append(order, place{res: r, comp: c, x: pr.x, y: pr.y, index: i})
			}
		}
	}
	keys := [5][]func(p place) int{
		{func(p place) int { return p.layer }, func(p place) int { return p.res }, func(p place) int { return p.comp }, func(p place) int { return p.index }},
		{func(p place) int { return p.res }, func(p place) int { return p.layer }, func(p place) int { return p.comp }, func(p place) int { return p.index }},
		{func(p place) int { return p.res }, func(p place) int { return p.y }, func(p place) int { return p.x }, func(p place) int { return p.comp }, func(p place) int { return p.index }},
		{func(p place) int { return p.y }, func(p place) int { return p.x }, func(p place) int { return p.comp }, func(p place) int { return p.res }, func(p place) int { return p.index }},
		{func(p place) int { return p.comp }, func(p place) int { return p.y }, func(p place) int { return p.x }, func(p place) int { return p.res }, func(p place) int { return p.index }},
	}[t.style.progression]
	slices.SortStableFunc(order, func(a, b place) int {
		for _, key := range keys {
			if c := cmp.Compare(key(a), key(b)); c != 0 {
				return c
			}
		}
		return 0
	})
	r := &packetReader{data: t.data, style: t.style}
	packet := func(p place, layer int) (bool, error) {
		if len(r.data) == 0 {
			r.ended = true
			return false, nil
		}
		pl := planes[p.comp]
		return true, r.packet(pl.resolutions[p.res].bands, p.index, layer, pl.coding.blockStyle)
	}
	// Layers are the outermost loop, the one after resolutions, or the innermost.
	groups := [][]place{order}
	if t.style.progression == 1 {
		groups = slices.Collect(func(yield func([]place) bool) {
			for i := 0; i < len(order); {
				k := i
				for k < len(order) && order[k].res == order[i].res {
					k++
				}
				if !yield(order[i:k]) {
					return
				}
				i = k
			}
		})
	}
	if t.style.progression > 1 {
		for _, p := range order {
			for layer := range t.style.layers {
				if more, err := packet(p, layer); err != nil || !more {
					return r.ended, err
				}
			}
		}
		return r.ended, nil
	}
	for _, group := range groups {
		for layer := range t.style.layers {
			for _, p := range group {
				if more, err := packet(p, layer); err != nil || !more {
					return r.ended, err
				}
			}
		}
	}
	return r.ended, nil
}

// packetReader reads packets; bits of headers are stuffed after 0xFF.
type packetReader struct {
	data  []byte
	style j2kStyle
	acc   byte
	n     int
	ended bool
}

func (r *packetReader) bit() int {
	if r.n == 0 {
		r.n = 8
		if r.acc == 0xff {
			r.n = 7
		}
		if len(r.data) == 0 {
			r.ended = true
			r.acc = 0
		} else {
			r.acc = r.data[0]
			r.data = r.data[1:]
		}
	}
	r.n--
	return int(r.acc>>r.n) & 1
}

func (r *packetReader) bits(n int) int {
	v := 0
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// align ends the bits of a header; a last byte of 0xFF has a stuffed one after it.
func (r *packetReader) align() {
	if r.acc == 0xff && len(r.data) > 0 {
		r.data = r.data[1:]
	}
	r.acc, r.n = 0, 0
}

// contribution is what a packet adds to a block.
type contribution struct {
	block   *j2kBlock
	lengths []int
	passes  []int
}

// packet reads the header and body of precinct index of the bands for a layer.
func (r *packetReader) packet(bands []j2kBand, index, layer, style int) error {
	if r.style.sop && len(r.data) >= 6 && r.data[0] == 0xff && r.data[1] == 0x91 {
		r.data = r.data[6:]
	}
	var list []contribution
	r.acc, r.n = 0, 0
	if r.bit() == 1 {
		for i := range bands {
			p := &bands[i].precincts[index]
			for n := range p.blocks {
				c, err := r.block(p, n, layer, style, bands[i].planes)
				if err != nil {
					return err
				}
				if c.block != nil {
					list = append(list, c)
				}
				if r.ended {
					return nil // cut within a header: nothing of this packet counts
				}
			}
		}
	}
	r.align()
	if r.style.eph && len(r.data) >= 2 && r.data[0] == 0xff && r.data[1] == 0x92 {
		r.data = r.data[2:]
	}
	for _, c := range list {
		for i, n := range c.lengths {
			if n > len(r.data) {
				r.data, r.ended = nil, true
				return nil // cut within a body: blocks keep the passes they have
			}
			c.block.add(r.data[:n], c.passes[i], style)
			r.data = r.data[n:]
		}
	}
	return nil
}

// block reads what a packet's header says of a block (T.800 B.10).
func (r *packetReader) block(p *j2kPrecinctBand, n, layer, style, planes int) (contribution, error) {
	b := &p.blocks[n]
	x, y := n%p.nx, n/p.nx
	if b.included {
		if r.bit() == 0 {
			return contribution{}, nil
		}
	} else {
		if !p.inclusion.atMost(r, x, y, layer) {
			return contribution{}, nil
		}
		zero := 0
		for !p.zeroBits.atMost(r, x, y, zero) {
			if zero++; zero > planes || r.ended {
				break
			}
		}
		if zero > planes {
			return contribution{}, errors.New("JPEG 2000 block with more empty bit planes than it has")
		}
		b.included, b.zero = true, zero
	}
	passes := r.passes()
	for r.bit() == 1 {
		if b.lblock++; b.lblock > 31 {
			return contribution{}, errors.New("JPEG 2000 block of more than 2^31 bytes")
		}
	}
	c := contribution{block: b}
	done := b.passes
	for passes > 0 {
		take := min(passes, segmentPasses(done, style))
		c.lengths = append(c.lengths, r.bits(b.lblock+bits.Len(uint(take))-1))
		c.passes = append(c.passes, take)
		passes -= take
		done += take
	}
	b.passes = done
	if most := 3*(planes-b.zero) - 2; done > max(most, 0) {
		return contribution{}, errors.New("JPEG 2000 block with more passes than bit planes")
	}
	return c, nil
}

// passes reads a number of coding passes (T.800 table B.4).
func (r *packetReader) passes() int {
	if r.bit() == 0 {
		return 1
	}
	if r.bit() == 0 {
		return 2
	}
	if n := r.bits(2); n < 3 {
		return 3 + n
	}
	if n := r.bits(5); n < 31 {
		return 6 + n
	}
	return 37 + r.bits(7)
}

// Styles of code blocks (T.800 table A.19).
const (
	styleBypass     = 1
	styleReset      = 2
	styleTerminate  = 4
	styleCausal     = 8
	styleSegmentEnd = 32
)

// segmentPasses is how many passes, from pass done on, the segment still takes.
func segmentPasses(done, style int) int {
	switch {
	case style&styleTerminate != 0:
		return 1
	case style&styleBypass == 0:
		return 1 << 30
	case done < 10: // up to and with the fourth cleanup
		return 10 - done
	}
	switch (done - 10) % 3 {
	case 0:
		return 2
	case 1:
		return 1
	}
	return 1
}

// add appends bytes and passes to the open segment, or opens the next.
func (b *j2kBlock) add(data []byte, passes, style int) {
	done := 0
	for _, s := range b.segments {
		done += s.passes
	}
	if k := len(b.segments); k > 0 && b.segments[k-1].passes < b.segments[k-1].most {
		s := &b.segments[k-1]
		if !s.own { // so far it is a part of the stream
			s.data, s.own = append([]byte(nil), s.data...), true
		}
		s.data = append(s.data, data...)
		s.passes += passes
		return
	}
	b.segments = append(b.segments, j2kSegment{data: data, passes: passes, most: segmentPasses(done, style)})
}

// tagTree is a quad tree of minima (T.800 B.10.2), level by level from the leaves.
type tagTree struct {
	levels []tagLevel
}

type tagLevel struct {
	w     int
	nodes []tagNode
}

type tagNode struct {
	low   int // the value is at least this
	known bool
}

func newTagTree(w, h int) tagTree {
	var t tagTree
	for {
		t.levels = append(t.levels, tagLevel{w: w, nodes: make([]tagNode, w*h)})
		if w*h <= 1 {
			return t
		}
		w, h = (w+1)/2, (h+1)/2
	}
}

// atMost says whether the leaf is ≤ threshold, reading the bits that it takes.
func (t *tagTree) atMost(r *packetReader, x, y, threshold int) bool {
	low := 0
	for l := len(t.levels) - 1; l >= 0; l-- {
		level := &t.levels[l]
		n := &level.nodes[y>>l*level.w+x>>l]
		n.low = max(n.low, low)
		for !n.known && n.low <= threshold {
			if r.bit() == 1 {
				n.known = true
			} else {
				n.low++
			}
			if r.ended {
				return false
			}
		}
		low = n.low
		if !n.known || low > threshold {
			return false
		}
	}
	return true
}
