package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/voxel"
)

// structuresInfo is what `gounet info FILE --json` prints of a DICOM structure set.
type structuresInfo struct {
	Kind     string        `json:"kind"` // structures
	Path     string        `json:"path"`
	Format   string        `json:"format"` // DICOM structure set
	Segments []segmentInfo `json:"segments"`
	Source   []string      `json:"source_series"` // UIDs
	Skipped  int           `json:"skipped"`       // contours without an area: points and open lines
}

// readStructureSet reads the structure set at path; nil if it is something else.
func readStructureSet(path string) (report, error) {
	f, err := voxel.OnDisk(path)
	if err != nil {
		return nil, err
	}
	set, err := dicom.OpenRTSTRUCT(dicom.File{Name: f.Name, Size: f.Size, Open: f.Open})
	if errors.Is(err, dicom.ErrNotStructureSet) {
		return nil, nil //nolint:nilnil // the caller knows what else it may be
	}
	if err != nil {
		return nil, err
	}
	s := &structuresInfo{
		Kind: "structures", Path: path, Format: "DICOM structure set", Source: set.SourceSeries, Skipped: set.Skipped,
	}
	for _, g := range set.Segments {
		s.Segments = append(s.Segments, segmentInfo{g.Label, g.Name, shownColour(g.Colour[0], g.Colour[1], g.Colour[2])})
	}
	return s, nil
}

func (s *structuresInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "structures\t%s\n", s.Path)
	fmt.Fprintf(t, "format\t%s\n", s.Format)
	for _, uid := range s.Source {
		fmt.Fprintf(t, "drawn on\tseries %s\n", uid)
	}
	printSegments(t, s.Segments)
	if s.Skipped > 0 {
		fmt.Fprintf(t, "skipped\t%s without an area\n", count(s.Skipped, "contour"))
	}
	return t.Flush()
}
