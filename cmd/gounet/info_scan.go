package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/scan"
)

// scanInfo is what `gounet info SCAN --json` prints.
type scanInfo struct {
	Kind       string       `json:"kind"` // scan
	Path       string       `json:"path"`
	Format     string       `json:"format"`               // NIfTI-1, NIfTI-2, NRRD …
	Files      int          `json:"files"`                // 2 for a pair .hdr + .img
	ByteOrder  string       `json:"byte_order,omitempty"` // little, big
	Shape      []int        `json:"shape"`                // x y z …, as in the file
	SpacingMM  []number     `json:"spacing_mm"`           // of x y z
	Affine     [4][4]number `json:"affine"`               // voxel x y z to space, RAS+, as in the file
	DType      string       `json:"dtype"`                // on disk
	Slope      number       `json:"slope"`
	Inter      number       `json:"inter"`
	Min        number       `json:"min"` // of the scaled values; null if all are NaN
	Max        number       `json:"max"`
	Mean       number       `json:"mean"`
	NaN        int64        `json:"nan"` // voxels that are not a number
	Extensions int          `json:"extensions"`

	Segments []segmentInfo `json:"segments,omitempty"` // that the file names
	Warnings []string      `json:"warnings,omitempty"` // what was mended

	details []scan.Detail // of other formats than NIfTI, for people
}

// segmentInfo is a structure that a label map or structure set names.
type segmentInfo struct {
	Label  uint8  `json:"label"`
	Name   string `json:"name"`
	Colour string `json:"colour,omitempty"` // #rrggbb
}

func segmentsInfo(list []scan.Segment) (out []segmentInfo) {
	for _, s := range list {
		out = append(out, segmentInfo{s.Label, s.Name, shownColour(s.Color.R, s.Color.G, s.Color.B)})
	}
	return out
}

// readScan passes once over the values of the file at path.
func readScan(path string) (*scanInfo, error) {
	statistics, h, err := nifti.ReadStatistics(path)
	var warnings []string
	if err != nil {
		// Colours and complex values are no scan, but have a shape and a place.
		header, e := nifti.ReadHeader(path)
		if e != nil || header.Refused() == "" {
			return nil, err
		}
		nothing := math.NaN()
		statistics, h = &nifti.Statistics{Min: nothing, Max: nothing, Mean: nothing}, header
		warnings = []string{"its voxels are not read: " + h.Refused()}
	}
	s := &scanInfo{
		Kind:       "scan",
		Path:       path,
		Format:     fmt.Sprintf("NIfTI-%d", h.Version),
		Files:      1,
		ByteOrder:  "little",
		Shape:      h.Shape,
		DType:      h.DType,
		Slope:      number(h.Slope),
		Inter:      number(h.Inter),
		Min:        number(statistics.Min),
		Max:        number(statistics.Max),
		Mean:       number(statistics.Mean),
		NaN:        statistics.NaN,
		Extensions: len(h.Extensions),
		Warnings:   warnings,
	}
	if h.Pair {
		s.Files = 2
	}
	if h.BigEndian {
		s.ByteOrder = "big"
	}
	spacing := h.Grid().Spacing // z y x
	for i := range min(3, len(h.Shape)) {
		s.SpacingMM = append(s.SpacingMM, number(spacing[2-i]))
	}
	for i, row := range h.Affine {
		copy(s.Affine[i][:], numbers(row[:]))
	}
	return s, nil
}

// readOther reads a scan of another format than NIfTI, its values as they are scaled.
func readOther(path string) (*scanInfo, error) {
	ctx := context.Background()
	f, err := scan.Open(ctx, scan.Options{Alone: true}, path)
	if err != nil {
		return nil, err
	}
	g := f.Grid
	s := &scanInfo{
		Kind: "scan", Path: path, Format: string(f.Kind), Files: len(f.Files), Slope: 1, DType: f.Type,
		Shape:     []int{g.Shape[2], g.Shape[1], g.Shape[0]},
		SpacingMM: numbers([]float64{g.Spacing[2], g.Spacing[1], g.Spacing[0]}),
		Segments:  segmentsInfo(f.Segments()),
		Warnings:  f.Warnings,
		details:   f.Details,
	}
	if f.Channels > 1 {
		s.Shape = append(s.Shape, f.Channels)
	}
	for i, row := range g.Affine {
		copy(s.Affine[i][:], numbers(row[:]))
	}
	im, err := f.Image(ctx)
	overlap := &scan.OverlapError{}
	switch {
	case errors.As(err, &overlap): // which has no values, but all else
		s.details = append(s.details, scan.Detail{Name: "overlap", Value: fmt.Sprintf("%d voxels belong to more than one segment", overlap.Voxels)})
		s.Min, s.Max, s.Mean = number(math.NaN()), number(math.NaN()), number(math.NaN())
	case err == nil:
		s.measure(im.Data)
	}
	if err := errors.Join(err, f.Close()); err != nil && overlap.Voxels == 0 {
		return nil, err
	}
	return s, nil
}

// measure finds range and mean of the values.
func (s *scanInfo) measure(values []float32) {
	low, high, sum := math.Inf(1), math.Inf(-1), 0.0
	for _, v := range values {
		x := float64(v)
		if math.IsNaN(x) {
			s.NaN++
			continue
		}
		low, high, sum = min(low, x), max(high, x), sum+x
	}
	s.Min, s.Max, s.Mean = number(low), number(high), number(sum/float64(int64(len(values))-s.NaN))
}

func (s *scanInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	files := ""
	if s.Files == 2 {
		files = ", header and voxels in two files"
	}
	fmt.Fprintf(t, "scan\t%s\n", s.Path)
	if s.ByteOrder != "" {
		files = ", " + s.ByteOrder + " endian" + files
	}
	fmt.Fprintf(t, "format\t%s%s\n", s.Format, files)
	for _, d := range s.details {
		fmt.Fprintf(t, "%s\t%s\n", d.Name, d.Value)
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(t, "warning\t%s\n", w)
	}
	fmt.Fprintf(t, "shape\t%s voxels (x y z …)\n", join(s.Shape, " × "))
	fmt.Fprintf(t, "spacing\t%s mm\n", join(s.SpacingMM, " × "))
	fmt.Fprintf(t, "type\t%s\n", s.DType)
	if s.Slope != 1 || s.Inter != 0 {
		fmt.Fprintf(t, "scaling\tvalue = raw × %g + %g\n", s.Slope, s.Inter)
	}
	if !math.IsNaN(float64(s.Mean)) {
		fmt.Fprintf(t, "values\t%.6g to %.6g, mean %.6g\n", s.Min, s.Max, s.Mean)
	}
	if s.NaN > 0 {
		fmt.Fprintf(t, "not a number\t%d voxels\n", s.NaN)
	}
	if s.Affine == [4][4]number{} {
		fmt.Fprintf(t, "affine\tnone: a picture has no place\n")
		return t.Flush()
	}
	for i, row := range s.Affine[:3] {
		label := ""
		if i == 0 {
			label = "affine"
		}
		fmt.Fprintf(t, "%s\t%9.4g %9.4g %9.4g %9.4g\n", label, row[0], row[1], row[2], row[3])
	}
	printSegments(t, s.Segments)
	return t.Flush()
}

// shownColour is a colour as #rrggbb; "" of black, which is what files without one
// have.
func shownColour(r, g, b uint8) string {
	if r|g|b == 0 {
		return ""
	}
	return fmt.Sprintf("#%02x%02x%02x", r, g, b)
}

func printSegments(w io.Writer, list []segmentInfo) {
	title := "segments"
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%d %s %s\n", title, s.Label, s.Name, s.Colour)
		title = ""
	}
}

// join writes values with sep between them.
func join[T any](values []T, sep string) string {
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = fmt.Sprint(v)
	}
	return strings.Join(text, sep)
}
