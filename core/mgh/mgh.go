// Package mgh reads and writes scans and label maps as FreeSurfer has them, .mgh and
// .mgz: big endian, one file. What stands behind the voxels (scan parameters, tags)
// is not read.
//
// The header gives the directions of the axes and the place of the centre, in RAS+;
// voxel (x, y, z) lies at centre + directions · spacing · ((x, y, z) − shape/2), as
// nibabel and FreeSurfer compute it. A file without a place ("goodRASFlag" 0) lies
// as FreeSurfer says: x to the left, y to the feet, z to the front. Source:
// https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat.
package mgh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/atomicfile"
)

// layout is the header as it lies on disk.
type layout struct {
	Version, Width, Height, Depth, Frames, Type, DOF int32
	GoodRAS                                          int16
	Spacing                                          [3]float32    // x y z, mm
	Directions                                       [3][3]float32 // of the axes x, y, z, each in R A S
	Centre                                           [3]float32    // R A S, mm
}

const headerSize = 284 // the voxels start here

// types has the numbers of FreeSurfer's mri.h.
var types = map[int32]voxel.Type{0: voxel.Uint8, 1: voxel.Int32, 3: voxel.Float32, 4: voxel.Int16, 10: voxel.Uint16}

// Header is what a file says of its voxels. Data reads them.
type Header struct {
	Frames int
	Zipped bool
	Placed bool // the file says where it lies
	Data   *voxel.Data

	raw layout
}

// Is says whether a file that starts with b, unzipped, is an MGH: its version is 1
// and its type one of few.
func Is(b []byte) bool {
	var l layout
	if _, err := binary.Decode(b, binary.BigEndian, &l); err != nil {
		return false
	}
	_, known := types[l.Type]
	return l.Version == 1 && known && l.Width > 0 && l.Height > 0 && l.Depth > 0 && l.Frames > 0
}

// Open reads and checks the header in f; it reads no voxels.
func Open(f voxel.File) (*Header, error) {
	h, err := open(f)
	if err != nil {
		return nil, fmt.Errorf("mgh: %s: %w", f.Name, err)
	}
	return h, nil
}

func open(f voxel.File) (*Header, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read from
	b := make([]byte, 2)
	if n, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("header ends after %d of %d bytes: %w", n, headerSize, io.ErrUnexpectedEOF)
	}
	h := &Header{}
	whole := io.MultiReader(bytes.NewReader(b), r)
	if h.Zipped = b[0] == 0x1f && b[1] == 0x8b; h.Zipped {
		if whole, err = gzip.NewReader(whole); err != nil {
			return nil, fmt.Errorf("gzip header: %w", err)
		}
	}
	head := make([]byte, headerSize)
	if n, err := io.ReadFull(whole, head); err != nil {
		return nil, fmt.Errorf("header ends after %d of %d bytes: %w", n, headerSize, io.ErrUnexpectedEOF)
	}
	if _, err := binary.Decode(head, binary.BigEndian, &h.raw); err != nil {
		return nil, err
	}
	part := voxel.Part{File: f, Encoding: voxel.Raw, Offset: headerSize}
	if h.Zipped {
		part = voxel.Part{File: f, Encoding: voxel.Gzip, Skip: headerSize}
	}
	h.Data = &voxel.Data{Of: "mgh: " + f.Name, Lead: 1, BigEndian: true, Parts: []voxel.Part{part}}
	if err := h.interpret(); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Header) interpret() error {
	l, d := &h.raw, h.Data
	if l.Version != 1 {
		return fmt.Errorf("byte 0: version %d, wanted 1: not an MGH file", l.Version)
	}
	var ok bool
	if d.Type, ok = types[l.Type]; !ok {
		return fmt.Errorf("byte 20: type %d, wanted 0 (uchar), 1 (int), 3 (float), 4 (short) or 10 (ushort)", l.Type)
	}
	if _, err := voxel.Product(int64(l.Width), int64(l.Height), int64(l.Depth), int64(l.Frames)); err != nil {
		return fmt.Errorf("byte 4: %w", err)
	}
	d.Grid.Shape = [3]int{int(l.Depth), int(l.Height), int(l.Width)}
	h.Frames, d.Trail = int(l.Frames), int(l.Frames)
	h.Placed = l.GoodRAS > 0
	spacing, directions, centre := l.Spacing, l.Directions, l.Centre
	if !h.Placed { // FreeSurfer's rule: 1 mm, coronal
		spacing, centre = [3]float32{1, 1, 1}, [3]float32{}
		directions = [3][3]float32{{-1, 0, 0}, {0, 0, -1}, {0, 1, 0}}
	}
	g := &d.Grid
	half := [3]float64{float64(l.Width) / 2, float64(l.Height) / 2, float64(l.Depth) / 2}
	for row := range 3 {
		for axis := range 3 {
			g.Affine[row][axis] = float64(directions[axis][row]) * float64(spacing[axis])
		}
		g.Affine[row][3] = float64(centre[row])
		for axis := range 3 {
			g.Affine[row][3] -= g.Affine[row][axis] * half[axis]
		}
	}
	g.Affine[3][3] = 1
	for axis, s := range spacing {
		g.Spacing[2-axis] = float64(s)
	}
	return d.Check()
}

// WriteLabels writes l as uchar to path, .mgh or .mgz, with the place of like, the
// header of the scan that l belongs to, or without like that of l.Grid, which must
// be free of shear. The file appears whole or not at all.
func WriteLabels(path string, l *volume.Labels, like *Header) error {
	return atomicfile.Write(path, func(w io.Writer) error { return EncodeLabels(w, path, l, like) })
}

// EncodeLabels writes to w what WriteLabels writes to the file name.
func EncodeLabels(w io.Writer, name string, l *volume.Labels, like *Header) error {
	if err := encodeLabels(w, name, l, like); err != nil {
		return fmt.Errorf("mgh: %s: %w", name, err)
	}
	return nil
}

func encodeLabels(w io.Writer, name string, l *volume.Labels, like *Header) error {
	if len(l.Data) != l.Voxels() {
		return fmt.Errorf("%d labels for a grid of %v", len(l.Data), l.Shape)
	}
	raw, err := headerFor(l.Grid, like)
	if err != nil {
		return err
	}
	head, err := binary.Append(nil, binary.BigEndian, raw)
	if err != nil {
		return err
	}
	head = append(head, make([]byte, headerSize-len(head))...)
	switch voxel.Ending(name) {
	case ".mgh":
		_, err = w.Write(append(head, l.Data...))
		return err
	case ".mgz":
		z := voxel.NewGzip(w, len(l.Data))
		_, err = z.Write(head)
		if err == nil {
			_, err = z.Write(l.Data) // [D H W] is the order of the file
		}
		return errors.Join(err, z.Close()) // also on failure: it ends the writer's goroutines
	}
	return errors.New("the name of a file to write ends in .mgz or .mgh")
}

// headerFor is a header of one frame of uchar on g.
func headerFor(g volume.Grid, like *Header) (*layout, error) {
	raw := &layout{}
	if like != nil {
		if have := like.Data.Grid.Shape; have != g.Shape {
			return nil, fmt.Errorf("shape %v (D H W), the header to write it with has %v: resample to the scan's grid first", g.Shape, have)
		}
		*raw = like.raw
		raw.Frames, raw.Type = 1, 0
		return raw, nil
	}
	for _, n := range g.Shape {
		if n > math.MaxInt32 {
			return nil, fmt.Errorf("shape %v does not fit the format", g.Shape)
		}
	}
	*raw = layout{
		Version: 1, Width: int32(g.Shape[2]), Height: int32(g.Shape[1]), Depth: int32(g.Shape[0]), Frames: 1,
		Spacing: [3]float32{float32(g.Spacing[2]), float32(g.Spacing[1]), float32(g.Spacing[0])},
	}
	if g.Affine == ([4][4]float64{}) {
		return nil, errors.New("labels without a place cannot be written: choose .nii.gz")
	}
	raw.GoodRAS = 1
	for row := range 3 {
		centre := g.Affine[row][3]
		for axis := range 3 {
			raw.Directions[axis][row] = float32(g.Affine[row][axis] / g.Spacing[2-axis])
			centre += g.Affine[row][axis] * float64(g.Shape[2-axis]) / 2
		}
		raw.Centre[row] = float32(centre)
	}
	return raw, nil
}
