package nifti

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/klauspost/pgzip"
)

// WriteLabels writes l as uint8 to path, .nii or .nii.gz, with the geometry and
// the extensions of like, the header of the scan that l belongs to; without like
// the geometry is that of l.Grid. The file appears whole or not at all.
func WriteLabels(path string, l *volume.Labels, like *Header) error {
	return named(path, atomicfile.Write(path, func(w io.Writer) error { return encodeLabels(w, path, l, like) }))
}

// WriteImage writes im as float32 to path, .nii or .nii.gz; channels become the
// fourth axis, or the axes of like where their product is im.C. Geometry and
// atomicity are those of WriteLabels.
func WriteImage(path string, im *volume.Image, like *Header) error {
	return named(path, atomicfile.Write(path, func(w io.Writer) error { return encodeImage(w, path, im, like) }))
}

// EncodeLabels writes to w what WriteLabels writes to the file name; the ending
// of the name says whether it is gzipped.
func EncodeLabels(w io.Writer, name string, l *volume.Labels, like *Header) error {
	return named(name, encodeLabels(w, name, l, like))
}

// EncodeImage writes to w what WriteImage writes to the file name; the ending of
// the name says whether it is gzipped.
func EncodeImage(w io.Writer, name string, im *volume.Image, like *Header) error {
	return named(name, encodeImage(w, name, im, like))
}

// named says which file an error is about.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("nifti: %s: %w", name, err)
}

func encodeLabels(w io.Writer, name string, l *volume.Labels, like *Header) error {
	if len(l.Data) != l.Voxels() {
		return fmt.Errorf("%d labels for a grid of %v", len(l.Data), l.Shape)
	}
	h, err := headerFor(l.Grid, 1, like)
	if err != nil {
		return err
	}
	h.raw.Datatype = codeUint8
	// What described the values of the scan does not describe labels.
	h.raw.IntentCode, h.raw.IntentP, h.raw.IntentName = 0, [3]float64{}, [16]byte{}
	h.raw.AuxFile = [24]byte{}
	return encode(w, name, h, func(w io.Writer) error {
		_, err := w.Write(l.Data) // [D H W] is the order of the file
		return err
	})
}

func encodeImage(w io.Writer, name string, im *volume.Image, like *Header) error {
	if len(im.Data) != im.Voxels()*im.C || im.C < 1 {
		return fmt.Errorf("%d values for a grid of %v with %d channels", len(im.Data), im.Shape, im.C)
	}
	h, err := headerFor(im.Grid, im.C, like)
	if err != nil {
		return err
	}
	h.raw.Datatype = codeFloat32
	return encode(w, name, h, func(w io.Writer) error { return writeChannels(w, im) })
}

// writeChannels writes the channels one after the other.
func writeChannels(w io.Writer, im *volume.Image) error {
	b := make([]byte, 0, 4*chunk)
	for c := range im.C {
		for i := c; i < len(im.Data); i += im.C {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(im.Data[i]))
			if len(b) == cap(b) {
				if _, err := w.Write(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
	}
	_, err := w.Write(b)
	return err
}

// headerFor is a header for c channels on g, geometry and extensions from like or,
// without it, from g. The type of the voxels is left to the caller.
func headerFor(g volume.Grid, c int, like *Header) (*Header, error) {
	h := &Header{Version: 1}
	if like != nil {
		if like.raw.Dim[0] == 0 {
			return nil, errors.New("the header to write it with was not read from a file: pass none, and the grid is used")
		}
		if have := like.Grid().Shape; have != g.Shape {
			return nil, fmt.Errorf("shape %v (D H W), the header to write it with has %v: resample to the scan's grid first", g.Shape, have)
		}
		h = like.clone()
	} else {
		for i, s := range g.Spacing {
			if !(s > 0) || !finite(s) {
				return nil, fmt.Errorf("spacing %v mm (D H W), wanted positive numbers: axis %d", g.Spacing, i)
			}
		}
		h.Shape = []int{g.Shape[2], g.Shape[1], g.Shape[0]}
		setAffine(&h.raw, g)
		copy(h.raw.Descrip[:], "gounet")
	}
	if h.Channels() != c {
		h.Shape = h.Shape[:min(3, len(h.Shape))]
		for c > 1 && len(h.Shape) < 3 {
			h.Shape = append(h.Shape, 1)
		}
		if c > 1 {
			h.Shape = append(h.Shape, c)
		}
	}
	h.raw.Dim = [8]int64{int64(len(h.Shape)), 1, 1, 1, 1, 1, 1, 1}
	for i, n := range h.Shape {
		h.raw.Dim[1+i] = int64(n)
		if n > math.MaxInt16 {
			h.Version = 2
		}
	}
	h.raw.SclSlope, h.raw.SclInter = 1, 0
	h.raw.CalMin, h.raw.CalMax = 0, 0 // a viewer's window for values that may have gone
	return h, nil
}

// newGzip is voxel.NewGzip, on which this package, a leaf, does not stand.
func newGzip(w io.Writer, bytes int) io.WriteCloser {
	const wholeBlock, smallBlock = 1 << 20, 1 << 16
	z := pgzip.NewWriter(w)
	if bytes < wholeBlock {
		_ = z.SetConcurrency(max(bytes, smallBlock), 1) // fails for blocks of less than 16 KiB
	}
	return z
}

// encode writes header, extensions and voxels as a single little-endian file.
func encode(w io.Writer, name string, h *Header, voxels func(io.Writer) error) error {
	lower := strings.ToLower(name)
	var zip io.WriteCloser
	switch {
	case strings.HasSuffix(lower, ".nii.gz"):
		bytes := dtypes[h.raw.Datatype].bytes
		for _, n := range h.Shape {
			bytes *= n
		}
		zip = newGzip(w, bytes)
		w = zip
	case !strings.HasSuffix(lower, ".nii"):
		return errors.New("the name of a file to write ends in .nii or .nii.gz")
	}
	err := func() error {
		head, err := h.encode()
		if err != nil {
			return err
		}
		if _, err := w.Write(head); err != nil {
			return err
		}
		return voxels(w)
	}()
	if zip != nil {
		if e := zip.Close(); err == nil { // also on failure: it ends the writer's goroutines
			err = e
		}
	}
	return err
}

// encode is all that stands before the voxels.
func (h *Header) encode() ([]byte, error) {
	ext := []byte{0, 0, 0, 0}
	for _, e := range h.Extensions {
		size := (8 + len(e.Data) + 15) &^ 15 // a multiple of 16, nifti1.h
		ext[0] = 1
		ext = binary.LittleEndian.AppendUint32(ext, uint32(size))
		ext = binary.LittleEndian.AppendUint32(ext, uint32(e.Code))
		ext = append(ext, e.Data...)
		ext = append(ext, make([]byte, size-8-len(e.Data))...)
	}
	r := h.raw
	r.Bitpix = int16(8 * dtypes[r.Datatype].bytes)
	r.VoxOffset = h.size() + int64(len(ext))
	if h.Version == 2 {
		r.SizeofHdr = size2
		copy(r.Magic[:], single2)
		b, err := binary.Append(nil, binary.LittleEndian, &r)
		return slices.Concat(b, ext), err
	}
	a := r.narrow()
	b, err := binary.Append(nil, binary.LittleEndian, &a)
	return slices.Concat(b, ext), err
}
