package codec

import (
	"errors"
	"fmt"
	"math/bits"
)

// jpegLSFrame is what the markers of a JPEG-LS stream say (ITU-T T.87 annex C).
type jpegLSFrame struct {
	picture *Picture
	ids     []byte
	preset  [5]int // MAXVAL, T1, T2, T3, RESET; 0 for the default
	done    int    // components that a scan has delivered
}

// JPEGLS decodes a frame of JPEG-LS, lossless or near-lossless, its components
// apart, by line or by sample.
func JPEGLS(data []byte, limit int, scratch *Scratch) (*Picture, error) {
	var f jpegLSFrame
	for {
		marker, segment, rest, err := jpegSegment(data)
		if err != nil {
			return nil, err
		}
		data = rest
		switch marker {
		case 0xd9:
			return nil, fmt.Errorf("%d of %d JPEG-LS components have a scan: %w", f.done, len(f.ids), errEnd)
		case 0xf7:
			err = f.frame(segment, limit, orNew(scratch))
		case 0xf8:
			err = f.presets(segment)
		case 0xe8:
			if len(segment) >= 5 && string(segment[:4]) == "mrfx" && segment[4] != 0 {
				err = errors.New("JPEG-LS with HP's colour transform is not read")
			}
		case 0xdd:
			err = errors.New("JPEG-LS with restart intervals is not read")
		case 0xda:
			var n int
			if n, err = f.scan(segment, data); err == nil {
				if f.done == len(f.ids) {
					return f.picture, nil
				}
				data = data[n:]
			}
		case 0xc0, 0xc1, 0xc2, 0xc3:
			return nil, errors.New("a JPEG stream where JPEG-LS was declared")
		}
		if err != nil {
			return nil, err
		}
	}
}

func (f *jpegLSFrame) frame(s []byte, limit int, scratch *Scratch) error {
	if f.picture != nil {
		return errors.New("two frames in one JPEG-LS stream")
	}
	if len(s) < 6 || len(s) < 6+3*int(s[5]) {
		return errEnd
	}
	if s[0] < 2 || s[0] > 16 {
		return fmt.Errorf("JPEG-LS of %d bits, 2 to 16 are read", s[0])
	}
	p, err := newPicture(be16(s[3:]), be16(s[1:]), int(s[5]), int(s[0]), limit, scratch)
	if err != nil {
		return err
	}
	for i := range p.Components {
		if s[7+3*i] != 0x11 {
			return errors.New("JPEG-LS with subsampled components is not read")
		}
		f.ids = append(f.ids, s[6+3*i])
	}
	f.picture = p
	return nil
}

// presets reads LSE; only type 1, coding parameters, occurs in DICOM.
func (f *jpegLSFrame) presets(s []byte) error {
	if len(s) < 1 || s[0] != 1 || len(s) < 11 {
		return errors.New("JPEG-LS mapping tables and oversize parameters are not read")
	}
	for i := range f.preset {
		f.preset[i] = be16(s[1+2*i:])
	}
	return nil
}

// scan decodes one scan and returns the bytes that it took.
func (f *jpegLSFrame) scan(s, data []byte) (int, error) {
	p := f.picture
	if p == nil {
		return 0, errors.New("JPEG-LS scan without a frame header")
	}
	if len(s) < 1 || s[0] < 1 || len(s) < 4+2*int(s[0]) {
		return 0, errEnd
	}
	n := int(s[0])
	near, interleave, shift := int(s[1+2*n]), int(s[2+2*n]), int(s[3+2*n]&15)
	if f.done+n > len(f.ids) || n > 1 && interleave == 0 || interleave > 2 || shift != 0 {
		return 0, fmt.Errorf("JPEG-LS scan of %d components, interleave %d, point transform %d", n, interleave, shift)
	}
	for i := range n {
		if s[1+2*i] != f.ids[f.done+i] || s[2+2*i] != 0 {
			return 0, fmt.Errorf("JPEG-LS scan names component %d with table %d", s[1+2*i], s[2+2*i])
		}
	}
	c, err := newLSCoder(p.Bits, near, f.preset)
	if err != nil {
		return 0, err
	}
	c.r.data = data
	if err := c.scan(p, f.done, n, interleave == 2); err != nil {
		return 0, err
	}
	f.done += n
	return min(c.r.at, len(data)), nil
}

// lsContext is the statistics of a context: names as in T.87.
type lsContext struct{ A, B, C, N int }

// lsCoder is the state of a scan.
type lsCoder struct {
	r                  lsBits
	maxVal, near, step int // step = 2·near + 1
	rng, qbpp, limit   int
	t1, t2, t3, reset  int
	contexts           [365]lsContext
	runA, runN, runNn  [2]int
	quantised          []int8 // of gradients −maxVal…maxVal
	runIndex           []int  // of each component
	lines              [][]int
	previous           [][]int
}

// lsRun is J of T.87 A.2.1: log2 of run lengths.
var lsRun = [32]int{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func newLSCoder(precision, near int, preset [5]int) (*lsCoder, error) {
	c := &lsCoder{maxVal: preset[0], near: near, step: 2*near + 1, reset: preset[4]}
	if c.maxVal == 0 {
		c.maxVal = 1<<precision - 1
	}
	if c.reset == 0 {
		c.reset = 64
	}
	if c.maxVal >= 1<<precision || near > min(255, c.maxVal/2) || c.reset < 3 {
		return nil, fmt.Errorf("JPEG-LS parameters MAXVAL %d, NEAR %d, RESET %d for %d bits", c.maxVal, near, c.reset, precision)
	}
	d1, d2, d3 := lsThresholds(c.maxVal, near)
	if c.t1 = preset[1]; c.t1 == 0 {
		c.t1 = d1
	}
	if c.t2 = preset[2]; c.t2 == 0 {
		c.t2 = d2
	}
	if c.t3 = preset[3]; c.t3 == 0 {
		c.t3 = d3
	}
	if c.t1 <= near || c.t2 < c.t1 || c.t3 < c.t2 || c.t3 > c.maxVal {
		return nil, fmt.Errorf("JPEG-LS thresholds %d, %d, %d", c.t1, c.t2, c.t3)
	}
	c.rng = (c.maxVal+2*near)/c.step + 1
	c.qbpp = bits.Len(uint(c.rng - 1))
	bpp := max(2, bits.Len(uint(c.maxVal)))
	c.limit = 2 * (bpp + max(8, bpp))
	a := max(2, (c.rng+32)/64)
	for i := range c.contexts {
		c.contexts[i] = lsContext{A: a, N: 1}
	}
	c.runA, c.runN = [2]int{a, a}, [2]int{1, 1}
	c.quantised = make([]int8, 2*c.maxVal+1)
	for i := range c.quantised {
		c.quantised[i] = c.quantise(i - c.maxVal)
	}
	return c, nil
}

// lsThresholds are the defaults of T.87 C.2.4.1.1.
func lsThresholds(maxVal, near int) (t1, t2, t3 int) {
	clamp := func(v, low int) int {
		if v > maxVal || v < low {
			return low
		}
		return v
	}
	if maxVal >= 128 {
		f := (min(maxVal, 4095) + 128) / 256
		t1 = clamp(f+2+3*near, near+1)
		t2 = clamp(f*4+3+5*near, t1)
		t3 = clamp(f*17+4+7*near, t2)
		return t1, t2, t3
	}
	f := 256 / (maxVal + 1)
	t1 = clamp(max(2, 3/f+3*near), near+1)
	t2 = clamp(max(3, 7/f+5*near), t1)
	t3 = clamp(max(4, 21/f+7*near), t2)
	return t1, t2, t3
}

// quantise puts a gradient into one of nine regions.
func (c *lsCoder) quantise(d int) int8 {
	sign := int8(1)
	if d < 0 {
		d, sign = -d, -1
	}
	switch {
	case d <= c.near:
		return 0
	case d < c.t1:
		return sign
	case d < c.t2:
		return 2 * sign
	case d < c.t3:
		return 3 * sign
	}
	return 4 * sign
}

// lsBits reads bits; the byte after 0xFF has seven.
type lsBits struct {
	data []byte
	at   int
	acc  uint64
	n    int
	last byte
	over int // bytes read after the end or a marker
}

func (r *lsBits) fill() {
	for r.n <= 48 {
		b := byte(0)
		if r.at < len(r.data) && !(r.last == 0xff && r.data[r.at] >= 0x80) {
			b = r.data[r.at]
			r.at++
		} else {
			r.over++
			r.acc <<= 8
			r.n += 8
			continue
		}
		if r.last == 0xff {
			r.acc = r.acc<<7 | uint64(b)
			r.n += 7
		} else {
			r.acc = r.acc<<8 | uint64(b)
			r.n += 8
		}
		r.last = b
	}
}

func (r *lsBits) bits(n int) int {
	if r.n < n {
		r.fill()
	}
	r.n -= n
	return int(r.acc>>r.n) & (1<<n - 1)
}

// zeros counts zero bits up to the next one bit, which is taken, or up to most.
func (r *lsBits) zeros(most int) int {
	count := 0
	for {
		if r.n == 0 {
			r.fill()
		}
		lead := bits.LeadingZeros64(r.acc << (64 - r.n))
		if lead < r.n {
			r.n -= lead + 1
			return count + lead
		}
		count += r.n
		r.n = 0
		if count > most {
			return count
		}
	}
}

// ended says whether bits were used that the data does not have.
func (r *lsBits) ended() bool { return 8*r.over > r.n+7 }
