// Package codec turns compressed pixels of DICOM files into numbers: RLE, JPEG
// (baseline, extended and lossless), JPEG-LS and JPEG 2000, for one to four
// components of up to 16 bits. It knows no DICOM elements and makes no pictures:
// colour components come as they are coded, but for JPEG 2000's own transform.
//
// Every decoder takes whole code streams and a limit of samples that it holds
// against the stream's header before it takes memory. Lossless streams decode
// exactly; lossy ones as the reference implementations round (libjpeg's integer
// transform, OpenJPEG's float32 lifting).
package codec

import (
	"errors"
	"fmt"
)

// Picture is a decoded frame.
type Picture struct {
	Width, Height int
	Components    int
	Bits          int     // precision of the code stream
	Signed        bool    // JPEG 2000 only; else samples are unsigned
	Cut           bool    // JPEG 2000 only: packets are missing, so that values are approximate
	Samples       []int32 // [Height Width Components]
}

// Scratch is memory that decoders use again from frame to frame. Pictures are valid
// until the next frame. nil has none; it belongs to one goroutine at a time.
type Scratch struct {
	samples []int32
	ints    []int32
	floats  []float32
	blocks  blockCoder
}

// reuse is memory for n values, of which none are zero for sure.
func reuse[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	return (*s)[:n]
}

// errEnd is what decoders say of a stream that ends early.
var errEnd = errors.New("the code stream ends early")

// orNew is s, or fresh scratch.
func orNew(s *Scratch) *Scratch {
	if s == nil {
		return &Scratch{}
	}
	return s
}

// newPicture checks the size that a header declares and takes memory for it.
func newPicture(width, height, components, bits, limit int, s *Scratch) (*Picture, error) {
	if width < 1 || height < 1 || components < 1 || components > 4 {
		return nil, fmt.Errorf("%d×%d pixels of %d components, 1 to 4 components are read", width, height, components)
	}
	if width > limit/height || width*height > limit/components {
		return nil, fmt.Errorf("%d×%d×%d samples are declared, at most %d were expected", width, height, components, limit)
	}
	return &Picture{
		Width: width, Height: height, Components: components, Bits: bits,
		Samples: reuse(&s.samples, width*height*components),
	}, nil
}

func be16(b []byte) int { return int(b[0])<<8 | int(b[1]) }

func be32(b []byte) int64 { return int64(b[0])<<24 | int64(b[1])<<16 | int64(b[2])<<8 | int64(b[3]) }

func abs(v int) int {
	if v < 0 {
		return -v
	}
	return v
}
