// Package scan is the one door for scans: Open takes a file of any format that is
// read here (NIfTI, NRRD, MetaImage, MGH, Analyze, DICOM, PNG, TIFF), a folder or
// zip of DICOM, or several of these as the channels of one scan, and WriteLabels
// writes a result in the grid of the scan, in its own format or another.
//
// The one idea: what a file is, its first bytes say, never its name. Names decide
// only which files belong together, and how a result is written.
//
// Which is channel 0, in this order:
//
//  1. Several paths: the order in which they were given; each has one channel.
//  2. A file CASE_0000.END, CASE_0001.END, …: nnU-Net's number. All files of the
//     case in that folder are its channels, from 0 on without a gap, whichever of
//     them was named.
//  3. A file of several values a voxel: their order in the file (the fourth axis of
//     NIfTI and MGH, vector components of NRRD and MetaImage, red-green-blue).
//  4. A DICOM series of several volumes (times, echoes, b-values): the order of
//     dicom.Series.Volumes. Of several series none is guessed: Options.Series names
//     them, in the order of the channels.
package scan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/volume"
)

// Kind is a file format of scans.
type Kind string

// The formats that are read.
const (
	NIfTI     Kind = "NIfTI"
	NRRD      Kind = "NRRD"
	MetaImage Kind = "MetaImage"
	MGH       Kind = "MGH"
	Analyze   Kind = "Analyze 7.5"
	DICOM     Kind = "DICOM"
	SEG       Kind = "DICOM segmentation"
	PNG       Kind = "PNG"
	TIFF      Kind = "TIFF"
)

// Options choose among what was found.
type Options struct {
	// Series are DICOM series by their number, or by their UID where two have one
	// number: a channel each, in the order of the channels. Without it there must be one
	// series that is no localizer.
	Series []string
	// Alone opens a file without the other channels of its case that lie beside it.
	Alone bool
}

// Scan is a scan that was found and checked; its voxels are read by Image.
type Scan struct {
	Name     string   // of the case: that of the first file or folder, without ending and channel
	Kind     Kind     // of the first file
	Files    []string // that were named, or found beside those
	Grid     volume.Grid
	Channels int
	Type     string   // of the values on disk
	Details  []Detail // what else the first file says of itself, for people
	Warnings []string // sentences for people: what is not as it should be, and was mended

	sources []*source
	closers []func() error
}

// Detail is a fact with its name: "byte order", "big".
type Detail struct{ Name, Value string }

// source is what one or more channels come from.
type source struct {
	kind     Kind
	name     string // for errors
	files    []string
	grid     volume.Grid
	channels int
	dtype    string
	details  []Detail
	warnings []string
	segments []Segment // that the file names
	image    func(context.Context) (*volume.Image, error)
	labels   func() (*volume.Labels, []Segment, error)
	like     any           // the header that results are written with: *nifti.Header, …
	series   *dicom.Series // of a DICOM series
}

// newScan joins sources to one scan.
func newScan(name string, sources []*source) (*Scan, error) {
	first := sources[0]
	s := &Scan{
		Name: name, Kind: first.kind, Grid: first.grid, Type: first.dtype,
		Details: first.details, sources: sources,
	}
	for _, c := range sources {
		s.Files = append(s.Files, c.files...)
		s.Channels += c.channels
		for _, w := range c.warnings {
			if !slices.Contains(s.Warnings, w) { // channels have the same
				s.Warnings = append(s.Warnings, w)
			}
		}
		if len(sources) > 1 && c.channels != 1 {
			return nil, fmt.Errorf("scan: %s has %d channels, wanted 1: every channel has a file of its own", c.name, c.channels)
		}
		if err := c.grid.Check(); err != nil {
			return nil, fmt.Errorf("scan: %s: %w", c.name, err)
		}
		if why := Differ(first.grid, c.grid); why != "" {
			return nil, fmt.Errorf("scan: %s does not lie on the grid of %s: %s", c.name, first.name, why)
		}
	}
	if n := int64(s.Grid.Voxels()) * int64(s.Channels); n > 1<<33 {
		return nil, fmt.Errorf("scan: %d values, at most %d are read", n, int64(1<<33))
	}
	return s, nil
}

// Image reads all channels: float32 [D H W C], in the order of the file's axes.
func (s *Scan) Image(ctx context.Context) (*volume.Image, error) {
	if len(s.sources) == 1 {
		im, err := s.sources[0].image(ctx)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		return im, nil
	}
	all := volume.NewImage(s.Grid, s.Channels)
	for c, source := range s.sources {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		im, err := source.image(ctx)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		for v, x := range im.Data {
			all.Data[v*all.C+c] = x
		}
	}
	return all, nil
}

// Labels reads a label map, and the names and colours of its structures where the
// file has them.
func (s *Scan) Labels() (*volume.Labels, []Segment, error) {
	if len(s.sources) != 1 || s.sources[0].labels == nil {
		return nil, nil, fmt.Errorf("scan: %s is no label map of one file", s.Name)
	}
	l, segments, err := s.sources[0].labels()
	if err != nil {
		return nil, nil, fmt.Errorf("scan: %w", err)
	}
	return l, segments, nil
}

// Segments are the structures that the file of a label map names.
func (s *Scan) Segments() []Segment { return s.sources[0].segments }

// Series is the DICOM series of the first channel, nil of other formats. Results
// that refer to the instances of a scan are made with it.
func (s *Scan) Series() *dicom.Series { return s.sources[0].series }

// Header is the header of the first file as its package reads it (*nifti.Header,
// *nrrd.Header, *metaimage.Header, *mgh.Header, *analyze.Header), nil of others.
func (s *Scan) Header() any { return s.sources[0].like }

// WithoutHeader is s without what its file says beside the place of the voxels: what
// is written of it has no text of the source.
func (s *Scan) WithoutHeader() *Scan {
	first := *s.sources[0]
	first.like = nil
	bare := *s
	bare.sources = append([]*source{&first}, s.sources[1:]...)
	return &bare
}

// Close closes files that the scan keeps open, such as a zip.
func (s *Scan) Close() error {
	var err error
	for _, c := range s.closers {
		err = errors.Join(err, c())
	}
	s.closers = nil
	return err
}

// Differ says in which way two grids are not the same; "" if they are, up to what
// headers lose when another program writes them again.
func Differ(a, b volume.Grid) string {
	if a.Shape != b.Shape {
		return fmt.Sprintf("shape %v instead of %v (D H W)", b.Shape, a.Shape)
	}
	const near = 1e-3 // mm
	for i := range 3 {
		if math.Abs(a.Spacing[i]-b.Spacing[i]) > near {
			return fmt.Sprintf("spacing %v instead of %v mm (D H W)", b.Spacing, a.Spacing)
		}
	}
	for i := range 3 {
		for j := range 4 {
			if math.Abs(a.Affine[i][j]-b.Affine[i][j]) > near {
				return fmt.Sprintf("affine row %d is %.4v instead of %.4v", i, b.Affine[i], a.Affine[i])
			}
		}
	}
	return ""
}
