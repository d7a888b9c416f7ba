// Package nifti reads and writes scans and label maps in the NIfTI-1 and NIfTI-2
// formats: .nii, .nii.gz and the pairs .hdr + .img, each perhaps gzipped, in
// either byte order. It does not resample, reorient or read other formats.
//
// The one idea: voxels are streamed. A header is read and checked first; what it
// declares is held against fixed limits and against the size of the file before
// memory is taken; then values pass through a small buffer to wherever they go
// (an image, a label map, statistics).
//
// Rules of geometry and scaling are those of nibabel (sform before qform before
// neither; slope 0 or not finite means raw values), so that affines and values
// equal its. Sources: nifti1.h and nifti2.h of the NIfTI Data Format Working
// Group, https://nifti.nimh.nih.gov.
//
// ReadX take a path, DecodeX a reader with the name that errors show and whose
// ending says what it is; WriteX write a file in one atomic step, EncodeX to a writer.
package nifti

import (
	"math"
	"slices"

	"github.com/gounet/gounet/core/volume"
)

// Header is what a file says of its voxels. The exported fields are what readers
// need; the rest of the header goes along unseen, so that a file which is written
// "like" another keeps its geometry bit for bit, and its extensions.
type Header struct {
	Version   int           // 1 or 2
	BigEndian bool          // byte order on disk
	Pair      bool          // .hdr + .img instead of one file
	Shape     []int         // axes of the file: x, y, z, t, …; at least one, at most seven
	Spacing   []float64     // pixdim of Shape's axes, in the file's units (see Grid for mm)
	NoSpacing []int         // axes x, y, z (0, 1, 2) whose spacing on disk is 0 or not finite; Spacing has 1 there
	Affine    [4][4]float64 // voxel (x, y, z) to space, RAS+, in the file's units
	DType     string        // on disk: int8 … uint64, float32, float64, or one that has no reader here (complex64, rgb24, …)
	Slope     float64       // value = raw*Slope + Inter; 1 and 0 where the file has no scaling
	Inter     float64

	Extensions []Extension

	raw      header2 // all fields, as NIfTI-2 holds them
	noOffset float64 // what NIfTI-1 has in the place of an offset, if it is none
}

// Extension is a header extension: Code says who reads it (2 DICOM, 4 AFNI, 6
// comment, …), Data is kept as it is, padding included.
type Extension struct {
	Code int
	Data []byte
}

// Channels is the number of values a voxel: the product of the axes after z.
func (h *Header) Channels() int {
	c := 1
	for _, n := range h.Shape[min(3, len(h.Shape)):] {
		c *= n
	}
	return c
}

// Grid is the place of the voxels in D H W = z y x, in mm: lengths of files in
// metres or micrometres (xyzt_units) are converted. Absent axes count 1, and 1 mm.
func (h *Header) Grid() volume.Grid {
	g := volume.Grid{Shape: [3]int{1, 1, 1}, Spacing: [3]float64{1, 1, 1}, Affine: h.Affine}
	mm := millimetres(h.raw.XYZTUnits)
	for i, n := range h.Shape[:min(3, len(h.Shape))] {
		g.Shape[2-i] = n
		g.Spacing[2-i] = h.Spacing[i] * mm
	}
	for i := range 3 {
		for j := range 4 {
			g.Affine[i][j] *= mm
		}
	}
	return g
}

// Refused says why voxels of this type are not read; "" if they are.
func (h *Header) Refused() string { return dtypes[h.raw.Datatype].why }

// Scaled says whether values differ from the raw ones on disk.
func (h *Header) Scaled() bool { return h.Slope != 1 || h.Inter != 0 }

// values is the number of values in the file, already known to fit an int.
func (h *Header) values() int {
	n := 1
	for _, s := range h.Shape {
		n *= s
	}
	return n
}

// clone is a deep copy.
func (h *Header) clone() *Header {
	c := *h
	c.Shape = slices.Clone(h.Shape)
	c.Spacing = slices.Clone(h.Spacing)
	c.NoSpacing = slices.Clone(h.NoSpacing)
	c.Extensions = slices.Clone(h.Extensions)
	return &c
}

// millimetres is the length of the unit in the low three bits of xyzt_units; an
// unknown unit counts as mm, as every reader takes it.
func millimetres(units int32) float64 {
	switch units & 7 {
	case 1: // NIFTI_UNITS_METER
		return 1000
	case 3: // NIFTI_UNITS_MICRON
		return 1e-3
	}
	return 1
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
