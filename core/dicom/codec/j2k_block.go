package codec

// blockCoder decodes code blocks (T.800 annex D). It is reused from block to block.
//
// Coefficients are in halves, so that those of a stream that was cut lie in the
// middle of what they may be. Each has a word of flags that knows which of its
// neighbours are significant, so that a context is a look-up.
type blockCoder struct {
	m      mq
	w, h   int
	values []int32
	flags  []uint16 // of w+2 by h+2
	raw    bool
	causal bool
}

// Flags: the low byte says which neighbours are significant.
const (
	flagN uint16 = 1 << iota
	flagE
	flagS
	flagW
	flagNE
	flagSE
	flagSW
	flagNW
	flagNegN // signs of significant neighbours
	flagNegE
	flagNegS
	flagNegW
	flagSignificant
	flagVisited // in this bit plane
	flagRefined
)

const flagsAround uint16 = 0xff

// Contexts (T.800 table D.7).
const (
	contextSign    = 9
	contextRefine  = 14
	contextRun     = 17
	contextUniform = 18
)

// decode returns the coefficients of b, row by row; they are valid until the next
// call.
func (c *blockCoder) decode(b *j2kBlock, band *j2kBand, style int) ([]int32, error) {
	c.w, c.h = b.w(), b.h()
	n, padded := c.w*c.h, (c.w+2)*(c.h+2)
	if cap(c.values) < n || cap(c.flags) < padded {
		c.values, c.flags = make([]int32, n), make([]uint16, padded)
	}
	c.values, c.flags = c.values[:n], c.flags[:padded]
	clear(c.values)
	clear(c.flags)
	c.causal = style&styleCausal != 0
	c.resetContexts()
	zero := &zeroContexts[band.kind]
	done := 0
	for _, s := range b.segments {
		c.raw = style&styleBypass != 0 && done >= 10 && (done+2)%3 < 2
		if c.raw {
			c.m.startRaw(s.data)
		} else {
			c.m.start(s.data)
		}
		for range s.passes {
			// The first pass is a cleanup of the highest plane; planes count in halves.
			plane := uint(band.planes - b.zero - (done+2)/3)
			switch (done + 2) % 3 {
			case 0:
				c.significance(plane, zero)
			case 1:
				c.refine(plane)
			default:
				c.cleanup(plane, zero)
				if style&styleSegmentEnd != 0 {
					for range 4 {
						c.m.decode(contextUniform)
					}
				}
			}
			if style&styleReset != 0 {
				c.resetContexts()
			}
			done++
		}
	}
	return c.values, nil
}

func (c *blockCoder) resetContexts() {
	c.m.state, c.m.mps = [19]uint8{}, [19]uint8{}
	c.m.state[0], c.m.state[contextRun], c.m.state[contextUniform] = 4, 3, 46
}

// around are the flags of the neighbours of the sample at f; below a stripe there
// are none in causal blocks.
func (c *blockCoder) around(f uint16, lastOfStripe bool) uint16 {
	if c.causal && lastOfStripe {
		f &^= flagS | flagSE | flagSW | flagNegS
	}
	return f
}

// becomes makes the sample at f significant.
func (c *blockCoder) becomes(f int, negative bool) {
	s := c.w + 2
	fl := c.flags
	fl[f] |= flagSignificant
	fl[f-s-1] |= flagSE
	fl[f-s+1] |= flagSW
	fl[f+s-1] |= flagNE
	fl[f+s+1] |= flagNW
	var n uint16
	if negative {
		n = flagNegN // shifted to the direction
	}
	fl[f+s] |= flagN | n
	fl[f-1] |= flagE | n<<1
	fl[f-s] |= flagS | n<<2
	fl[f+1] |= flagW | n<<3
}

// sign reads the sign of a sample whose neighbours are f.
func (c *blockCoder) sign(f uint16) bool {
	if c.raw {
		return c.m.raw() == 1
	}
	s := signContexts[f&15|f>>4&0xf0]
	return c.m.decode(s&31)^uint32(s>>5) == 1
}

// set gives the sample at i the value of a first bit in the plane, in its middle.
func (c *blockCoder) set(i, f int, plane uint, around uint16) {
	v := int32(1)<<plane | int32(1)<<plane>>1
	negative := c.sign(around)
	if negative {
		v = -v
	}
	c.values[i] = v
	c.becomes(f, negative)
}

func (c *blockCoder) significance(plane uint, zero *[256]uint8) {
	for y0 := 0; y0 < c.h; y0 += 4 {
		for x := range c.w {
			for y := y0; y < min(y0+4, c.h); y++ {
				f := (y+1)*(c.w+2) + x + 1
				around := c.around(c.flags[f], y == y0+3)
				if around&flagSignificant != 0 || around&flagsAround == 0 {
					continue
				}
				var bit uint32
				if c.raw {
					bit = c.m.raw()
				} else {
					bit = c.m.decode(zero[around&flagsAround])
				}
				if bit == 1 {
					c.set(y*c.w+x, f, plane, around)
				}
				c.flags[f] |= flagVisited
			}
		}
	}
}

func (c *blockCoder) refine(plane uint) {
	for y0 := 0; y0 < c.h; y0 += 4 {
		for x := range c.w {
			for y := y0; y < min(y0+4, c.h); y++ {
				f := (y+1)*(c.w+2) + x + 1
				if c.flags[f]&(flagSignificant|flagVisited) != flagSignificant {
					continue
				}
				around := c.around(c.flags[f], y == y0+3)
				var bit uint32
				switch {
				case c.raw:
					bit = c.m.raw()
				case around&flagRefined != 0:
					bit = c.m.decode(contextRefine + 2)
				case around&flagsAround != 0:
					bit = c.m.decode(contextRefine + 1)
				default:
					bit = c.m.decode(contextRefine)
				}
				delta := int32(1) << plane >> 1
				if bit == 0 {
					delta = -delta
				}
				if v := &c.values[y*c.w+x]; *v < 0 {
					*v -= delta
				} else {
					*v += delta
				}
				c.flags[f] |= flagRefined
			}
		}
	}
}

func (c *blockCoder) cleanup(plane uint, zero *[256]uint8) {
	s := c.w + 2
	for y0 := 0; y0 < c.h; y0 += 4 {
		for x := range c.w {
			y := y0
			f := (y0+1)*s + x + 1
			first := false // the sample at y is known to be significant
			if y0+4 <= c.h && c.runs(f) {
				if c.m.decode(contextRun) == 0 {
					continue
				}
				y += int(c.m.decode(contextUniform)<<1 | c.m.decode(contextUniform))
				first = true
			}
			for ; y < min(y0+4, c.h); y++ {
				f = (y+1)*s + x + 1
				around := c.around(c.flags[f], y == y0+3)
				if first || around&(flagSignificant|flagVisited) == 0 {
					if first || c.m.decode(zero[around&flagsAround]) == 1 {
						c.set(y*c.w+x, f, plane, around)
					}
					first = false
				}
			}
			for y := y0; y < min(y0+4, c.h); y++ {
				c.flags[(y+1)*s+x+1] &^= flagVisited
			}
		}
	}
}

// runs says whether the four samples from f down have no flag at all.
func (c *blockCoder) runs(f int) bool {
	s := c.w + 2
	const any = flagsAround | flagSignificant | flagVisited
	return (c.flags[f]|c.flags[f+s]|c.flags[f+2*s]|c.around(c.flags[f+3*s], true))&any == 0
}

// zeroContexts has the contexts of insignificant samples by kind of band and flags
// of neighbours (T.800 table D.1).
var zeroContexts = func() (t [4][256]uint8) {
	for f := range uint16(256) {
		count := func(flags ...uint16) (n int) {
			for _, v := range flags {
				if f&v != 0 {
					n++
				}
			}
			return n
		}
		h, v, d := count(flagE, flagW), count(flagN, flagS), count(flagNE, flagSE, flagSW, flagNW)
		t[0][f] = zeroContext(h, v, d)
		t[1][f] = zeroContext(v, h, d)
		t[2][f] = zeroContext(h, v, d)
		switch hv := h + v; {
		case d >= 3:
			t[3][f] = 8
		case d == 2:
			t[3][f] = 6 + uint8(min(hv, 1))
		case d == 1:
			t[3][f] = 3 + uint8(min(hv, 2))
		default:
			t[3][f] = uint8(min(hv, 2))
		}
	}
	return t
}()

func zeroContext(h, v, d int) uint8 {
	switch {
	case h == 2:
		return 8
	case h == 1 && v >= 1:
		return 7
	case h == 1:
		return 5 + uint8(min(d, 1))
	case v > 0:
		return 2 + uint8(v)
	}
	return uint8(min(d, 2))
}

// signContexts has the context of a sign, and in bit 5 what it is flipped with, by
// the four direct neighbours (low bits) and their signs (high bits): T.800 tables
// D.2 and D.3.
var signContexts = func() (t [256]uint8) {
	for f := range uint16(256) {
		side := func(flag uint16) int {
			if f&flag == 0 {
				return 0
			}
			if f&(flag<<4) != 0 {
				return -1
			}
			return 1
		}
		h := min(max(side(flagE)+side(flagW), -1), 1)
		v := min(max(side(flagN)+side(flagS), -1), 1)
		flip := uint8(0)
		if h < 0 || h == 0 && v < 0 {
			h, v, flip = -h, -v, 1<<5
		}
		c := contextSign + uint8(v) // h == 0
		if h == 1 {
			c = uint8(contextSign + 3 + v)
		}
		t[f] = c | flip
	}
	return t
}()
