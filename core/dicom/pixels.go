package dicom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gounet/gounet/core/dicom/codec"
)

// pixelFormat says how numbers are stored in the pixels of a file (PS3.3 C.7.6.3).
type pixelFormat struct {
	rows, columns, samples, frames int
	allocated, stored, high        int // bits
	signed, planar                 bool
	photometric                    string
	float                          bool // float32 or float64 instead of integers
	swapped                        bool // bytes of 8 bits in words of the other order
	order                          binary.ByteOrder
}

// newPixelFormat reads and checks the format of p's pixels. A count of bits or
// samples that is missing has the value that all known writers mean by that.
func newPixelFormat(p *parsed) (pixelFormat, error) {
	f := pixelFormat{
		rows: p.integer(tagRows, 0), columns: p.integer(tagColumns, 0), samples: p.integer(tagSamples, 1),
		frames: p.integer(tagFrames, 1), allocated: p.integer(tagBitsAllocated, 16),
		signed: p.integer(tagSigned, 0) == 1, planar: p.integer(tagPlanar, 0) == 1,
		photometric: p.text(tagPhotometric), order: p.order,
	}
	switch p.pixels.tag {
	case tagFloatPixels:
		f.allocated, f.float = 32, true
	case tagDoublePixels:
		f.allocated, f.float = 64, true
	}
	f.swapped = f.allocated == 8 && p.order == binary.BigEndian && p.pixels.vr == "OW"
	f.stored = p.integer(tagBitsStored, f.allocated)
	f.high = p.integer(tagHighBit, f.stored-1)
	f.frames = max(f.frames, 1) // 0 is written by systems that mean one
	switch {
	case f.rows < 1 || f.columns < 1 || f.rows > maxSide || f.columns > maxSide || f.rows*f.columns > maxPixels:
		return f, fmt.Errorf("%v rows and %v columns are %d × %d", tagRows, tagColumns, f.rows, f.columns)
	case f.samples < 1 || f.samples > 4:
		return f, fmt.Errorf("%v samples a pixel are %d, 1 to 4 are known", tagSamples, f.samples)
	case f.frames > maxFrames:
		return f, fmt.Errorf("%v frames are %d, at most %d are read", tagFrames, f.frames, maxFrames)
	}
	switch f.allocated {
	case 1, 8, 16, 32:
	case 64:
		if !f.float {
			return f, fmt.Errorf("%v bits allocated are 64, 1, 8, 16 and 32 are read", tagBitsAllocated)
		}
	default:
		return f, fmt.Errorf("%v bits allocated are %d, 1, 8, 16 and 32 are read", tagBitsAllocated, f.allocated)
	}
	if f.stored < 1 || f.stored > f.allocated || f.high < f.stored-1 || f.high >= f.allocated {
		return f, fmt.Errorf("%v bits stored are %d with high bit %d, of %d", tagBitsStored, f.stored, f.high, f.allocated)
	}
	return f, nil
}

// count is the number of samples of a frame.
func (f *pixelFormat) count() int { return f.rows * f.columns * f.samples }

// frameBytes is the size of a native frame.
func (f *pixelFormat) frameBytes() int64 {
	return (int64(f.count())*int64(f.allocated) + 7) / 8
}

// frame holds the numbers of a frame as they are stored: integers, two's complement
// where they are unsigned of 32 bits, or floats.
type frame struct {
	ints   []int32
	floats []float64
	raw    []byte // decoded from RLE
	bytes  []byte // of the file
	codec  codec.Scratch
	own    []int32 // memory of ints that belongs to no codec
}

// decode turns the bytes of a frame into numbers in fr.
func (f *pixelFormat) decode(fr *frame, c encoding, data []byte) error {
	n := f.count()
	if c != native {
		if err := f.plausible(len(data)); err != nil {
			return err
		}
	}
	switch c {
	case native:
		return f.unpack(fr, data)
	case rle:
		if f.allocated%8 != 0 || f.float {
			return errors.New("RLE of bits or floats")
		}
		size := f.allocated / 8
		fr.raw = grown(fr.raw, n*size)
		if err := codec.RLE(fr.raw, data, f.samples, size); err != nil {
			return err
		}
		g := *f
		g.order, g.planar = binary.LittleEndian, false
		return g.unpack(fr, fr.raw)
	}
	var p *codec.Picture
	var err error
	switch c {
	case jpegDCT, jpegLossless:
		p, err = codec.JPEG(data, n, &fr.codec)
	case jpegLS:
		p, err = codec.JPEGLS(data, n, &fr.codec)
	case jpeg2000, jpeg2000Lossless:
		p, err = codec.JPEG2000(data, n, &fr.codec)
	}
	if err != nil {
		return err
	}
	if p.Cut && c == jpeg2000Lossless {
		return errors.New("the code stream ends early, so that values are not the scan's")
	}
	if p.Width != f.columns || p.Height != f.rows || p.Components != f.samples {
		return fmt.Errorf("the code stream has %d×%d pixels of %d samples, the header %d×%d of %d",
			p.Width, p.Height, p.Components, f.columns, f.rows, f.samples)
	}
	fr.ints, fr.floats = p.Samples, nil
	// The sign is the header's: some encoders leave it out of the code stream. Bits
	// are the fewer of the two, since neither may be beyond the sign.
	f.extend(fr.ints, min(f.stored, p.Bits), p.Signed)
	return nil
}

// plausible holds the size of a compressed frame against its pixels. A frame of 2^22
// is always small enough to be tried; 256 pixels a byte are several times what a
// blank slice compresses to.
func (f *pixelFormat) plausible(bytes int) error {
	if n := f.count(); n > 1<<22 && n/256 > bytes {
		return fmt.Errorf("%d×%d pixels out of %d bytes", f.columns, f.rows, bytes)
	}
	return nil
}

// extend makes the numbers in v, of which some bits count, signed or unsigned.
func (f *pixelFormat) extend(v []int32, bits int, already bool) {
	if bits >= 32 {
		return
	}
	if f.signed {
		if already {
			return
		}
		s := 32 - bits
		for i, x := range v {
			v[i] = x << s >> s
		}
		return
	}
	mask := int32(1)<<bits - 1
	for i, x := range v {
		v[i] = x & mask
	}
}

// unpack reads native numbers. Bits above those stored are dropped: overlays were
// kept there once.
func (f *pixelFormat) unpack(fr *frame, data []byte) error {
	n := f.count()
	if int64(len(data)) < f.frameBytes() {
		return fmt.Errorf("%d bytes of pixels, %d×%d of %d samples need %d: the file is truncated",
			len(data), f.columns, f.rows, f.samples, f.frameBytes())
	}
	if f.float {
		fr.floats = grown(fr.floats, n)
		for i := range fr.floats {
			if f.allocated == 32 {
				fr.floats[i] = float64(math.Float32frombits(f.order.Uint32(data[4*i:])))
			} else {
				fr.floats[i] = math.Float64frombits(f.order.Uint64(data[8*i:]))
			}
		}
		return nil
	}
	fr.own = grown(fr.own, n)
	fr.ints, fr.floats = fr.own, nil
	v := fr.ints
	switch f.allocated {
	case 1:
		for i := range v {
			v[i] = int32(data[i>>3]>>(i&7)) & 1
		}
		return nil
	case 8:
		for i, b := range data[:n] {
			v[i] = int32(b)
		}
		if f.swapped {
			for i := range v {
				if i^1 < len(data) {
					v[i] = int32(data[i^1])
				}
			}
		}
	case 16:
		if f.order == binary.BigEndian {
			for i := range v {
				v[i] = int32(data[2*i])<<8 | int32(data[2*i+1])
			}
		} else {
			for i := range v {
				v[i] = int32(data[2*i+1])<<8 | int32(data[2*i])
			}
		}
	case 32:
		for i := range v {
			v[i] = int32(f.order.Uint32(data[4*i:]))
		}
	}
	if s := f.high + 1 - f.stored; s > 0 {
		for i, x := range v {
			v[i] = int32(uint32(x) >> s)
		}
	}
	if f.stored < f.allocated || f.signed {
		f.extend(v, f.stored, false)
	}
	if f.samples > 1 && f.planar {
		fr.ints = interleaved(v, f.samples)
	}
	return nil
}

// interleaved puts planes of samples side by side.
func interleaved(v []int32, samples int) []int32 {
	out := make([]int32, len(v))
	n := len(v) / samples
	for s := range samples {
		for i, x := range v[s*n : (s+1)*n] {
			out[i*samples+s] = x
		}
	}
	return out
}

// grown is s with n values, of which none are kept.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
