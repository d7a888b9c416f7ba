package codec

import "fmt"

// zigzag is the place of the k-th coded coefficient in a block of 8 rows (T.81
// figure A.6).
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

// dctScan decodes a sequential scan: blocks of 8×8 coefficients, interleaved in
// units of the sampling factors where a scan has several components.
func (d *jpeg) dctScan(r *jpegBits, list []*jpegComponent) error {
	p := d.picture
	hMax, vMax := 1, 1
	for _, c := range d.components {
		hMax, vMax = max(hMax, c.h), max(vMax, c.v)
	}
	mcusX, mcusY := (p.Width+8*hMax-1)/(8*hMax), (p.Height+8*vMax-1)/(8*vMax)
	single := len(list) == 1
	if single { // blocks of one component follow each other, those at the edge once
		c := list[0]
		mcusX = ((p.Width*c.h+hMax-1)/hMax + 7) / 8
		mcusY = ((p.Height*c.v+vMax-1)/vMax + 7) / 8
	}
	for _, c := range list {
		c.predictor = 0
		if !d.quantSet[c.quant] {
			return fmt.Errorf("JPEG quantisation table %d is not defined", c.quant)
		}
	}
	for m := range mcusX * mcusY {
		if d.restart > 0 && m > 0 && m%d.restart == 0 {
			if err := r.restart(); err != nil {
				return err
			}
			for _, c := range list {
				c.predictor = 0
			}
		}
		for _, c := range list {
			h, v := c.h, c.v
			if single {
				h, v = 1, 1
			}
			for b := range h * v {
				x, y := m%mcusX*h+b%h, m/mcusX*v+b/h
				if err := d.block(r, c, c.samples[y*8*c.width+x*8:]); err != nil {
					return fmt.Errorf("block %d: %w", m, err)
				}
			}
		}
		if r.ended() {
			return fmt.Errorf("block %d of %d: %w", m, mcusX*mcusY, errEnd)
		}
	}
	return nil
}

// block decodes one block and writes its samples to dst, rows of c.width apart.
func (d *jpeg) block(r *jpegBits, c *jpegComponent, dst []int32) error {
	var co [64]int32
	q := &d.quant[c.quant]
	category := r.decode(c.dc)
	if category < 0 || category > 16 {
		return fmt.Errorf("bits are no Huffman code of the table")
	}
	c.predictor += r.extend(min(category, 15))
	co[0] = c.predictor * q[0]
	for k := 1; k < 64; k++ {
		v := r.decode(c.ac)
		if v < 0 {
			return fmt.Errorf("bits are no Huffman code of the table")
		}
		run, size := v>>4, v&15
		if size == 0 {
			if run != 15 {
				break
			}
			k += 15
			continue
		}
		if k += run; k > 63 {
			return fmt.Errorf("more than 64 coefficients")
		}
		z := zigzag[k]
		co[z] = r.extend(size) * q[z]
	}
	inverseDCT(&co, d.picture.Bits)
	half, top := int32(1)<<(d.picture.Bits-1), int32(1)<<d.picture.Bits-1
	for y := range 8 {
		for x := range 8 {
			dst[y*c.width+x] = min(max(co[y*8+x]+half, 0), top)
		}
	}
	return nil
}

// Constants of the inverse transform, times 2^13.
const (
	c0298 = 2446
	c0390 = 3196
	c0541 = 4433
	c0765 = 6270
	c0899 = 7373
	c1175 = 9633
	c1501 = 12299
	c1847 = 15137
	c1961 = 16069
	c2053 = 16819
	c2562 = 20995
	c3072 = 25172
)

// inverseDCT transforms b in place: columns, then rows, by the algorithm of
// Loeffler, Ligtenberg and Moschytz (ICASSP 1989) in integers of 13 bits, with as
// many guard bits between the passes as libjpeg keeps, so that results equal its.
func inverseDCT(b *[64]int32, bits int) {
	guard := 2
	if bits > 8 {
		guard = 1
	}
	for x := range 8 {
		inverseDCT8(b[x:], 8, 13-guard)
	}
	for y := range 8 {
		inverseDCT8(b[y*8:y*8+8], 1, 13+guard+3)
	}
}

// inverseDCT8 transforms eight values, step apart, and divides by 2^shift, rounded.
func inverseDCT8(b []int32, step, shift int) {
	in := func(i int) int64 { return int64(b[i*step]) }
	// even coefficients
	z := (in(2) + in(6)) * c0541
	t2, t3 := z-in(6)*c1847, z+in(2)*c0765
	t0, t1 := (in(0)+in(4))<<13, (in(0)-in(4))<<13
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
	// odd coefficients
	o0, o1, o2, o3 := in(7), in(5), in(3), in(1)
	z1, z2, z3, z4 := o0+o3, o1+o2, o0+o2, o1+o3
	z5 := (z3 + z4) * c1175
	z1, z2 = -z1*c0899, -z2*c2562
	z3, z4 = z5-z3*c1961, z5-z4*c0390
	o0 = o0*c0298 + z1 + z3
	o1 = o1*c2053 + z2 + z4
	o2 = o2*c3072 + z2 + z3
	o3 = o3*c1501 + z1 + z4
	half := int64(1) << (shift - 1)
	out := func(i int, v int64) { b[i*step] = int32((v + half) >> shift) }
	out(0, e0+o3)
	out(7, e0-o3)
	out(1, e1+o2)
	out(6, e1-o2)
	out(2, e2+o1)
	out(5, e2-o1)
	out(3, e3+o0)
	out(4, e3-o0)
}
