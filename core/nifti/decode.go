package nifti

import (
	"fmt"
	"io"
	"math"

	"github.com/gounet/gounet/core/volume"
)

// ReadHeader reads the header of the file at path, or of the pair of which path is
// either file; the voxels are not looked at.
func ReadHeader(path string) (*Header, error) {
	s, err := open(path, false)
	if err != nil {
		return nil, err
	}
	s.close()
	return s.h, nil
}

// ReadImage reads a scan of two to five axes as float32 [D H W C], scaled. The
// fourth axis (time, or MSD's modalities) and the fifth (vectors) are channels,
// the fourth faster.
func ReadImage(path string) (*volume.Image, *Header, error) {
	s, err := open(path, true)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	return s.image()
}

// ReadLabels reads a label map [D H W]. Its values, whatever their type on disk,
// must be whole numbers from 0 to volume.MaxLabel; else the error names the first
// that is not, and its voxel.
func ReadLabels(path string) (*volume.Labels, *Header, error) {
	s, err := open(path, true)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	return s.labels()
}

// ReadStatistics passes once over the values of the file at path, keeping none.
func ReadStatistics(path string) (*Statistics, *Header, error) {
	s, err := open(path, true)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	return s.statistics()
}

// DecodeHeader reads the header of the single file in r; name is for errors, and
// one ending in .hdr says that r is that part of a pair.
func DecodeHeader(r io.Reader, name string) (*Header, error) {
	start := openHeader
	if hdr, _, pair := PairNames(name); !pair || hdr != name {
		start = func(r io.Reader, name string) (*stream, error) { return openSingle(r, name, false) }
	}
	s, err := start(r, name)
	if err != nil {
		return nil, err
	}
	return s.h, nil
}

// DecodeImage is ReadImage for the single file in r.
func DecodeImage(r io.Reader, name string) (*volume.Image, *Header, error) {
	s, err := openSingle(r, name, true)
	if err != nil {
		return nil, nil, err
	}
	return s.image()
}

// DecodeLabels is ReadLabels for the single file in r.
func DecodeLabels(r io.Reader, name string) (*volume.Labels, *Header, error) {
	s, err := openSingle(r, name, true)
	if err != nil {
		return nil, nil, err
	}
	return s.labels()
}

// DecodeStatistics is ReadStatistics for the single file in r.
func DecodeStatistics(r io.Reader, name string) (*Statistics, *Header, error) {
	s, err := openSingle(r, name, true)
	if err != nil {
		return nil, nil, err
	}
	return s.statistics()
}

// DecodeImagePair is ReadImage for an .hdr and the .img that it describes, whose name
// is for errors.
func DecodeImagePair(hdr, img io.Reader, name string) (*volume.Image, *Header, error) {
	s, err := openPair(hdr, img, name)
	if err != nil {
		return nil, nil, err
	}
	return s.image()
}

// DecodeLabelsPair is ReadLabels for an .hdr and its .img.
func DecodeLabelsPair(hdr, img io.Reader, name string) (*volume.Labels, *Header, error) {
	s, err := openPair(hdr, img, name)
	if err != nil {
		return nil, nil, err
	}
	return s.labels()
}

// DecodeStatisticsPair is ReadStatistics for an .hdr and its .img.
func DecodeStatisticsPair(hdr, img io.Reader, name string) (*Statistics, *Header, error) {
	s, err := openPair(hdr, img, name)
	if err != nil {
		return nil, nil, err
	}
	return s.statistics()
}

func openPair(hdr, img io.Reader, name string) (*stream, error) {
	s, err := openHeader(hdr, name)
	if err == nil {
		err = s.attach(img, name)
	}
	return s, err
}

func (s *stream) image() (*volume.Image, *Header, error) {
	im := volume.NewImage(s.h.Grid(), s.h.Channels())
	voxels, c := im.Voxels(), im.C
	err := s.values(func(first int, v []float64) error {
		if c == 1 {
			dst := im.Data[first : first+len(v)]
			for i := range dst {
				if dst[i] = float32(v[i]); tooLarge(dst[i], v[i]) {
					return s.tooLarge(first+i, v[i])
				}
			}
			return nil
		}
		ch, at := first/voxels, first%voxels
		for i, x := range v {
			if im.Data[at*c+ch] = float32(x); tooLarge(im.Data[at*c+ch], x) {
				return s.tooLarge(first+i, x)
			}
			if at++; at == voxels {
				ch, at = ch+1, 0
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return im, s.h, nil
}

// tooLarge says whether x was finite until it became the float32 f.
func tooLarge(f float32, x float64) bool { return f-f != 0 && finite(x) }

func (s *stream) tooLarge(at int, x float64) error {
	g := s.h.Grid()
	at %= g.Voxels()
	w, h := g.Shape[2], g.Shape[1]
	return fmt.Errorf("value %g at voxel (x %d, y %d, z %d) is too large for float32, wanted at most %g: rescale the image",
		x, at%w, at/w%h, at/(w*h), math.MaxFloat32)
}

func (s *stream) labels() (*volume.Labels, *Header, error) {
	if c := s.h.Channels(); c != 1 {
		return nil, nil, fmt.Errorf("nifti: %s: shape %v has %d values a voxel, a label map has one", s.name, s.h.Shape, c)
	}
	l := volume.NewLabels(s.h.Grid())
	err := s.values(func(first int, v []float64) error {
		dst := l.Data[first : first+len(v)]
		for i, x := range v {
			if !(x >= 0 && x <= volume.MaxLabel) || x != math.Trunc(x) {
				w, h := l.Shape[2], l.Shape[1]
				at := first + i
				return fmt.Errorf("value %g at voxel (x %d, y %d, z %d): labels are whole numbers from 0 to %d",
					x, at%w, at/w%h, at/(w*h), volume.MaxLabel)
			}
			dst[i] = uint8(x)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return l, s.h, nil
}

// Statistics describes the scaled values of a file, in float64. NaNs are counted
// and otherwise left out; a file of nothing else has NaN for all three numbers.
type Statistics struct {
	Min, Max, Mean float64
	Values         int64 // all, NaNs included
	NaN            int64
}

func (s *stream) statistics() (*Statistics, *Header, error) {
	st := &Statistics{Min: math.Inf(1), Max: math.Inf(-1), Values: int64(s.h.values())}
	total := 0.0
	err := s.values(func(_ int, v []float64) error {
		sum := 0.0 // a chunk at a time, which keeps rounding as small as pairwise sums
		for _, x := range v {
			if math.IsNaN(x) {
				st.NaN++
				continue
			}
			st.Min = min(st.Min, x)
			st.Max = max(st.Max, x)
			sum += x
		}
		total += sum
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	n := st.Values - st.NaN
	st.Mean = total / float64(n)
	if n == 0 {
		st.Min, st.Max = math.NaN(), math.NaN()
	}
	return st, s.h, nil
}
