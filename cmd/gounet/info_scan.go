package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/gounet/gounet/core/nifti"
)

// scanInfo is what `gounet info SCAN --json` prints.
type scanInfo struct {
	Kind       string       `json:"kind"` // scan
	Path       string       `json:"path"`
	Format     string       `json:"format"`     // NIfTI-1, NIfTI-2
	Files      int          `json:"files"`      // 2 for a pair .hdr + .img
	ByteOrder  string       `json:"byte_order"` // little, big
	Shape      []int        `json:"shape"`      // x y z …, as in the file
	SpacingMM  []number     `json:"spacing_mm"` // of x y z
	Affine     [4][4]number `json:"affine"`     // voxel x y z to space, RAS+, as in the file
	DType      string       `json:"dtype"`      // on disk
	Slope      number       `json:"slope"`
	Inter      number       `json:"inter"`
	Min        number       `json:"min"` // of the scaled values; null if all are NaN
	Max        number       `json:"max"`
	Mean       number       `json:"mean"`
	NaN        int64        `json:"nan"` // voxels that are not a number
	Extensions int          `json:"extensions"`
}

// readScan passes once over the values of the file at path.
func readScan(path string) (*scanInfo, error) {
	statistics, h, err := nifti.ReadStatistics(path)
	if err != nil {
		return nil, err
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

func (s *scanInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	files := ""
	if s.Files == 2 {
		files = ", header and voxels in two files"
	}
	fmt.Fprintf(t, "scan\t%s\n", s.Path)
	fmt.Fprintf(t, "format\t%s, %s endian%s\n", s.Format, s.ByteOrder, files)
	fmt.Fprintf(t, "shape\t%s voxels (x y z …)\n", join(s.Shape, " × "))
	fmt.Fprintf(t, "spacing\t%s mm\n", join(s.SpacingMM, " × "))
	fmt.Fprintf(t, "type\t%s\n", s.DType)
	if s.Slope != 1 || s.Inter != 0 {
		fmt.Fprintf(t, "scaling\tvalue = raw × %g + %g\n", s.Slope, s.Inter)
	}
	fmt.Fprintf(t, "values\t%.6g to %.6g, mean %.6g\n", s.Min, s.Max, s.Mean)
	if s.NaN > 0 {
		fmt.Fprintf(t, "not a number\t%d voxels\n", s.NaN)
	}
	for i, row := range s.Affine[:3] {
		label := ""
		if i == 0 {
			label = "affine"
		}
		fmt.Fprintf(t, "%s\t%9.4g %9.4g %9.4g %9.4g\n", label, row[0], row[1], row[2], row[3])
	}
	return t.Flush()
}

// join writes values with sep between them.
func join[T any](values []T, sep string) string {
	text := make([]string, len(values))
	for i, v := range values {
		text[i] = fmt.Sprint(v)
	}
	return strings.Join(text, sep)
}
