package codec

import (
	"errors"
	"fmt"
)

// huffman is a table of T.81 annex C: short codes by look-up, long ones by range.
type huffman struct {
	short  [256]uint16 // length<<8 | value of the code that the next eight bits start with; 0 for longer ones
	last   [17]int32   // largest code of a length, −1 if there is none
	offset [17]int32   // index of a length's first value minus its first code
	values []byte
}

// huffmanTables reads DHT.
func (d *jpeg) huffmanTables(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 {
			return errEnd
		}
		class, id := s[0]>>4, s[0]&15
		if class > 1 || id > 3 {
			return fmt.Errorf("JPEG Huffman table %d of class %d", id, class)
		}
		t, n, err := newHuffman(s[1:17], s[17:])
		if err != nil {
			return err
		}
		if class == 0 {
			d.dc[id] = t
		} else {
			d.ac[id] = t
		}
		s = s[17+n:]
	}
	return nil
}

// newHuffman makes a table of the counts of code lengths 1 to 16 and the values in
// order of their codes; it returns how many values there were.
func newHuffman(counts, values []byte) (*huffman, int, error) {
	n := 0
	for _, c := range counts {
		n += int(c)
	}
	if n > 256 || n > len(values) {
		return nil, 0, fmt.Errorf("JPEG Huffman table of %d codes: %w", n, errEnd)
	}
	t := &huffman{values: values[:n]}
	code, at := int32(0), 0
	for length := 1; length <= 16; length++ {
		count := int(counts[length-1])
		t.offset[length] = int32(at) - code
		t.last[length] = -1
		if int(code)+count > 1<<length {
			return nil, 0, errors.New("JPEG Huffman table has more codes than fit their lengths")
		}
		for range count {
			if length <= 8 {
				first := int(code) << (8 - length)
				for i := range 1 << (8 - length) {
					t.short[first+i] = uint16(length)<<8 | uint16(values[at])
				}
			}
			t.last[length] = code
			code++
			at++
		}
		code <<= 1
	}
	return t, n, nil
}

// quantTables reads DQT.
func (d *jpeg) quantTables(s []byte) error {
	for len(s) > 0 {
		wide, id := int(s[0]>>4), int(s[0]&15)
		size := 64 * (wide + 1)
		if wide > 1 || id > 3 || len(s) < 1+size {
			return fmt.Errorf("JPEG quantisation table %d: %w", id, errEnd)
		}
		for i := range 64 {
			if wide == 1 {
				d.quant[id][zigzag[i]] = int32(be16(s[1+2*i:]))
			} else {
				d.quant[id][zigzag[i]] = int32(s[1+i])
			}
		}
		d.quantSet[id] = true
		s = s[1+size:]
	}
	return nil
}

// jpegBits reads entropy-coded data: a zero byte after 0xFF is stuffing, anything
// else a marker, at which zeros follow until the scan is done.
type jpegBits struct {
	data  []byte
	at    int
	acc   uint64
	n     int // bits in acc
	extra int // zero bits that were made up
}

func (r *jpegBits) fill() {
	for r.n <= 48 {
		if r.at < len(r.data) {
			b := r.data[r.at]
			if b != 0xff {
				r.at++
				r.acc = r.acc<<8 | uint64(b)
				r.n += 8
				continue
			}
			if r.at+1 < len(r.data) && r.data[r.at+1] == 0 {
				r.at += 2
				r.acc = r.acc<<8 | 0xff
				r.n += 8
				continue
			}
		}
		r.acc <<= 8
		r.n += 8
		r.extra += 8
	}
}

// ended says whether bits were used that the data does not have.
func (r *jpegBits) ended() bool { return r.extra > r.n }

// bits reads n ≤ 16 bits.
func (r *jpegBits) bits(n int) int32 {
	if r.n < n {
		r.fill()
	}
	r.n -= n
	return int32(r.acc>>r.n) & (1<<n - 1)
}

// decode reads a Huffman code; −1 if the bits are none.
func (r *jpegBits) decode(t *huffman) int {
	if r.n < 16 {
		r.fill()
	}
	if v := t.short[byte(r.acc>>(r.n-8))]; v != 0 {
		r.n -= int(v >> 8)
		return int(v & 0xff)
	}
	for length := 9; length <= 16; length++ {
		code := int32(r.acc>>(r.n-length)) & (1<<length - 1)
		if code <= t.last[length] {
			r.n -= length
			return int(t.values[code+t.offset[length]])
		}
	}
	return -1
}

// extend reads the n bits that follow a category: T.81 figure F.12.
func (r *jpegBits) extend(n int) int32 {
	v := r.bits(n)
	if n > 0 && v < 1<<(n-1) {
		v += -1<<n + 1
	}
	return v
}

// restart passes over the next RST marker and drops the bits in front of it.
func (r *jpegBits) restart() error {
	r.acc, r.n, r.extra = 0, 0, 0
	for r.at+1 < len(r.data) {
		if r.data[r.at] == 0xff && r.data[r.at+1]&0xf8 == 0xd0 {
			r.at += 2
			return nil
		}
		if r.data[r.at] == 0xff && r.data[r.at+1] != 0 && r.data[r.at+1] != 0xff {
			break
		}
		r.at++
	}
	return errors.New("a JPEG restart marker is missing")
}

// used is where the next marker is looked for. Whole bytes may wait in acc, but none
// of them is a marker.
func (r *jpegBits) used() int { return r.at }
