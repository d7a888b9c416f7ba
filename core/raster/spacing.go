package raster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/atomicfile"
)

// ErrNoSpacing is in the chain of the error of a file that says no spacing.
var ErrNoSpacing = errors.New("it says no spacing")

// spacingFile is what nnU-Net's Tiff3DIO keeps beside a TIFF.
type spacingFile struct {
	Spacing []float64 `json:"spacing"` // mm, D H W
}

// ReadSpacing reads the spacing (mm, D H W) of a TIFF in the file f beside it,
// {"spacing": [5, 0.7, 0.7]}.
func ReadSpacing(f voxel.File) (s [3]float64, err error) {
	const most = 1 << 20 // bytes
	if f.Size > most {
		return s, fmt.Errorf("raster: %s: %d bytes: %w", f.Name, f.Size, ErrNoSpacing)
	}
	var of spacingFile
	if err := read(f, func(r io.Reader) error { return json.NewDecoder(io.LimitReader(r, most)).Decode(&of) }); err != nil {
		return s, fmt.Errorf("raster: %s: %w: %w", f.Name, ErrNoSpacing, err)
	}
	if len(of.Spacing) != len(s) {
		return s, fmt.Errorf(`raster: %s: spacing has %d numbers, wanted {"spacing": [D, H, W]} in mm: %w`, f.Name, len(of.Spacing), ErrNoSpacing)
	}
	copy(s[:], of.Spacing)
	for _, v := range s {
		if !(v > 0) {
			return s, fmt.Errorf("raster: %s: spacing %v, wanted positive numbers (mm, D H W): %w", f.Name, s, ErrNoSpacing)
		}
	}
	return s, nil
}

// IsTIFF says whether a file is called as a TIFF is.
func IsTIFF(name string) bool {
	ending := voxel.Ending(name)
	return ending == ".tif" || ending == ".tiff"
}

// writeSpacing writes the file beside a TIFF, unless the spacing is that
// which pictures have.
func writeSpacing(path string, s [3]float64) error {
	if s == [3]float64{flatSpacing, 1, 1} {
		return nil
	}
	return atomicfile.Write(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(spacingFile{s[:]}) })
}
