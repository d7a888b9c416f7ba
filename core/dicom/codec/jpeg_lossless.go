package codec

import (
	"errors"
	"fmt"
)

// losslessScan decodes a scan of SOF3 (T.81 annex H): each sample is a predictor of
// its neighbours a (left), b (above) and c (above left), plus a coded difference,
// modulo 2^16. shift is the point transform.
func (d *jpeg) losslessScan(r *jpegBits, list []*jpegComponent, predictor, shift int) error {
	p := d.picture
	if predictor < 1 || predictor > 7 {
		return fmt.Errorf("lossless JPEG predictor %d, want 1 to 7", predictor)
	}
	if shift >= p.Bits {
		return fmt.Errorf("lossless JPEG point transform %d of %d bits", shift, p.Bits)
	}
	rowsPerRestart := p.Height
	if d.restart > 0 {
		if d.restart%p.Width != 0 {
			return errors.New("lossless JPEG restarts within a row")
		}
		rowsPerRestart = d.restart / p.Width
	}
	offsets := make([]int, len(list))
	for i, c := range list {
		for k := range d.components {
			if c == &d.components[k] {
				offsets[i] = k
			}
		}
	}
	n, stride := p.Components, p.Width*p.Components
	initial := int32(1) << (p.Bits - shift - 1)
	for y := range p.Height {
		first := y%rowsPerRestart == 0
		if first && y > 0 {
			if err := r.restart(); err != nil {
				return err
			}
		}
		row := p.Samples[y*stride : (y+1)*stride]
		above := row
		if !first {
			above = p.Samples[(y-1)*stride : y*stride]
		}
		for x := range p.Width {
			for i, c := range list {
				category := r.decode(c.dc)
				if category < 0 || category > 16 {
					return fmt.Errorf("row %d column %d: bits are no Huffman code of the table", y, x)
				}
				diff := int32(32768) // category 16 has no bits
				if category < 16 {
					diff = r.extend(category)
				}
				at := x*n + offsets[i]
				var predicted int32
				switch {
				case first && x == 0:
					predicted = initial
				case first:
					predicted = row[at-n]
				case x == 0:
					predicted = above[at]
				default:
					predicted = predict(predictor, row[at-n], above[at], above[at-n])
				}
				row[at] = (predicted + diff) & 0xffff
			}
		}
		if r.ended() {
			return fmt.Errorf("row %d of %d: %w", y, p.Height, errEnd)
		}
	}
	if shift > 0 {
		for y := range p.Height {
			for x := range p.Width {
				for _, k := range offsets {
					p.Samples[(y*p.Width+x)*n+k] <<= shift
				}
			}
		}
	}
	return nil
}

// predict is table H.1 of T.81.
func predict(predictor int, a, b, c int32) int32 {
	switch predictor {
	case 1:
		return a
	case 2:
		return b
	case 3:
		return c
	case 4:
		return a + b - c
	case 5:
		return a + (b-c)>>1
	case 6:
		return b + (a-c)>>1
	}
	return (a + b) >> 1
}
