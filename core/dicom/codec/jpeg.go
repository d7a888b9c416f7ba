package codec

import (
	"errors"
	"fmt"
)

// jpeg is the state of a JPEG decoder (ITU-T T.81).
type jpeg struct {
	picture    *Picture
	limit      int
	scratch    *Scratch
	process    byte // SOF marker: 0xC0, 0xC1 or 0xC3
	components []jpegComponent
	quant      [4][64]int32
	quantSet   [4]bool
	dc, ac     [4]*huffman
	restart    int
	scanned    int // components that a scan has delivered
}

type jpegComponent struct {
	id, h, v, quant int
	dc, ac          *huffman
	predictor       int32
	width, height   int     // of the samples kept: whole blocks
	samples         []int32 // DCT processes only
	seen            bool
}

// JPEG decodes a frame of the sequential Huffman processes: baseline and extended of
// 8 and 12 bits (1, 2 and 4 in DICOM's counting) and lossless with any of the seven
// predictors (14, and 14 with selection value 1). Chroma that is stored at less
// resolution is repeated.
func JPEG(data []byte, limit int, scratch *Scratch) (*Picture, error) {
	d := &jpeg{limit: limit, scratch: orNew(scratch)}
	for {
		marker, segment, rest, err := jpegSegment(data)
		if err != nil {
			return nil, err
		}
		data = rest
		switch {
		case marker == 0xd9: // EOI
			return d.finish()
		case marker == 0xc0 || marker == 0xc1 || marker == 0xc3:
			err = d.frame(marker, segment)
		case marker == 0xc4:
			err = d.huffmanTables(segment)
		case marker == 0xdb:
			err = d.quantTables(segment)
		case marker == 0xdd:
			if len(segment) < 2 {
				return nil, errEnd
			}
			d.restart = be16(segment)
		case marker == 0xda:
			var n int
			n, err = d.scan(segment, data)
			if err == nil {
				data = data[n:]
				if d.scanned == len(d.components) {
					return d.finish() // what follows has no pixels, and may be missing
				}
			}
		case marker == 0xc2:
			err = errors.New("progressive JPEG is not a DICOM process that is read")
		case marker > 0xc4 && marker < 0xd0 && marker != 0xc8 && marker != 0xcc:
			err = fmt.Errorf("JPEG process SOF%d is not read: convert to a sequential one", marker-0xc0)
		}
		if err != nil {
			return nil, err
		}
	}
}

// jpegSegment reads the next marker and its segment; data[0] may be fill or garbage
// in front of it.
func jpegSegment(data []byte) (marker byte, segment, rest []byte, err error) {
	for i := 0; i+1 < len(data); i++ {
		m := data[i+1]
		if data[i] != 0xff || m == 0 || m == 0xff {
			continue
		}
		if m == 0xd8 || m == 0xd9 || m == 0x01 || m&0xf8 == 0xd0 {
			return m, nil, data[i+2:], nil
		}
		if i+4 > len(data) {
			return 0, nil, nil, errEnd
		}
		n := be16(data[i+2:])
		if n < 2 || i+2+n > len(data) {
			return 0, nil, nil, fmt.Errorf("JPEG segment %#x of %d bytes, %d are left: %w", m, n, len(data)-i-2, errEnd)
		}
		return m, data[i+4 : i+2+n], data[i+2+n:], nil
	}
	return 0, nil, nil, errEnd
}

// frame reads SOF.
func (d *jpeg) frame(marker byte, s []byte) error {
	if d.picture != nil {
		return errors.New("two frames in one JPEG stream")
	}
	if len(s) < 6 || len(s) < 6+3*int(s[5]) {
		return errEnd
	}
	bits, height, width, n := int(s[0]), be16(s[1:]), be16(s[3:]), int(s[5])
	if height == 0 {
		return errors.New("JPEG height is given after the scan (DNL), which is not read")
	}
	switch {
	case marker == 0xc3 && bits >= 2 && bits <= 16:
	case bits == 8, marker == 0xc1 && bits == 12:
	default:
		return fmt.Errorf("JPEG process SOF%d with %d bits a sample", marker-0xc0, bits)
	}
	p, err := newPicture(width, height, n, bits, d.limit, d.scratch)
	if err != nil {
		return err
	}
	d.picture, d.process = p, marker
	hMax, vMax := 1, 1
	for i := range n {
		c := jpegComponent{id: int(s[6+3*i]), h: int(s[7+3*i] >> 4), v: int(s[7+3*i] & 15), quant: int(s[8+3*i])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3 {
			return fmt.Errorf("JPEG component %d has sampling %d×%d and table %d", i, c.h, c.v, c.quant)
		}
		if n == 1 {
			c.h, c.v = 1, 1 // a single component is not interleaved, whatever its factors say
		}
		hMax, vMax = max(hMax, c.h), max(vMax, c.v)
		d.components = append(d.components, c)
	}
	if marker == 0xc3 {
		if hMax != 1 || vMax != 1 {
			return errors.New("lossless JPEG with subsampled components is not read")
		}
		return nil
	}
	mcusX, mcusY := (width+8*hMax-1)/(8*hMax), (height+8*vMax-1)/(8*vMax)
	for i := range d.components {
		c := &d.components[i]
		c.width, c.height = mcusX*c.h*8, mcusY*c.v*8
		c.samples = make([]int32, c.width*c.height)
	}
	return nil
}

// scan decodes the entropy-coded data after SOS and returns how many bytes it took.
func (d *jpeg) scan(s, data []byte) (int, error) {
	if d.picture == nil {
		return 0, errors.New("JPEG scan without a frame header")
	}
	if len(s) < 1 || s[0] < 1 || s[0] > 4 || len(s) < 4+2*int(s[0]) {
		return 0, errEnd
	}
	n := int(s[0])
	var list []*jpegComponent
	for i := range n {
		id, tables := int(s[1+2*i]), s[2+2*i]
		var c *jpegComponent
		for k := range d.components {
			if d.components[k].id == id && !d.components[k].seen {
				c = &d.components[k]
				break
			}
		}
		if c == nil || tables>>4 > 3 || tables&15 > 3 {
			return 0, fmt.Errorf("JPEG scan names component %d, which is not in the frame or was scanned", id)
		}
		c.seen = true
		c.dc, c.ac = d.dc[tables>>4], d.ac[tables&15]
		if c.dc == nil || c.ac == nil && d.process != 0xc3 {
			return 0, fmt.Errorf("JPEG scan uses a Huffman table that is not defined")
		}
		list = append(list, c)
	}
	d.scanned += n
	r := &jpegBits{data: data}
	var err error
	if d.process == 0xc3 {
		err = d.losslessScan(r, list, int(s[1+2*n]), int(s[3+2*n]&15))
	} else {
		err = d.dctScan(r, list)
	}
	return r.used(), err
}

// finish puts the components side by side.
func (d *jpeg) finish() (*Picture, error) {
	if d.picture == nil || d.scanned < len(d.components) {
		return nil, fmt.Errorf("%d of %d JPEG components have a scan: %w", d.scanned, len(d.components), errEnd)
	}
	if d.process == 0xc3 {
		return d.picture, nil
	}
	p := d.picture
	hMax, vMax := 1, 1
	for _, c := range d.components {
		hMax, vMax = max(hMax, c.h), max(vMax, c.v)
	}
	for k, c := range d.components {
		for y := range p.Height {
			row := c.samples[y*c.v/vMax*c.width:]
			for x := range p.Width {
				p.Samples[(y*p.Width+x)*p.Components+k] = row[x*c.h/hMax]
			}
		}
	}
	return p, nil
}
