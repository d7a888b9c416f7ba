package main

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"io"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
)

// labelFormats are all formats in which labels are written: those that need no more
// than the grid of the scan, surfaces, and the objects of DICOM.
func labelFormats(o dicom.WriteOptions) []scan.Format {
	return append(scan.Formats(),
		scan.Format{Name: "seg", Endings: []string{".seg.dcm"}, Write: writeDICOM(o, (*dicom.Volume).WriteSEG), Fits: ofSeries},
		scan.Format{Name: "labelmap", Endings: []string{".labelmap.dcm"}, Write: writeDICOM(o, (*dicom.Volume).WriteLabelMap), Fits: ofSeries},
		scan.Format{Name: "rtstruct", Endings: []string{".rtstruct.dcm"}, Write: writeDICOM(o, (*dicom.Volume).WriteRTSTRUCT), Fits: ofSeries},
		scan.Format{Name: "mesh", Endings: []string{".glb"}, Write: writeMesh},
		scan.Format{Name: "stl", Endings: []string{".stl"}, Write: writeMesh},
		scan.Format{Name: "obj", Endings: []string{".obj"}, Write: writeMesh},
	)
}

// formatNames are the names of formats, for help texts.
func formatNames(formats []scan.Format) string {
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

var errNoSeries = errors.New("refers to the images of a DICOM series")

// ofSeries is what fits objects of DICOM.
func ofSeries(s *scan.Scan) error {
	if s.Series() == nil {
		return fmt.Errorf("%w, and the scan is %s: choose nifti, nrrd or mesh", errNoSeries, s.Kind)
	}
	return nil
}

// writeDICOM is a format whose objects refer to the instances of a DICOM scan.
func writeDICOM(o dicom.WriteOptions, write func(*dicom.Volume, context.Context, io.Writer, *volume.Labels, dicom.WriteOptions) error) func(string, *scan.Scan, *volume.Labels, []scan.Segment) error {
	return func(path string, s *scan.Scan, l *volume.Labels, segments []scan.Segment) error {
		if err := ofSeries(s); err != nil {
			return fmt.Errorf("%s %w", path, err)
		}
		o := o
		o.Segments = dicomSegments(l, segments)
		return atomicfile.Write(path, func(w io.Writer) error {
			return write(s.Series().Volumes[0], context.Background(), w, l, o)
		})
	}
}

// dicomSegments are segments as DICOM writes them: one for each that is named, and
// one for each other label that voxels have.
func dicomSegments(l *volume.Labels, segments []scan.Segment) (out []dicom.Segment) {
	for _, s := range complete(l, segments) {
		out = append(out, dicom.Segment{Label: s.Label, Name: s.Name, Colour: [3]uint8{s.Color.R, s.Color.G, s.Color.B}})
	}
	return out
}

// complete adds a segment for each label of l that has none.
func complete(l *volume.Labels, segments []scan.Segment) []scan.Segment {
	seen := l.Counts()
	out := slices.Clone(segments)
	for v := 1; v <= volume.MaxLabel; v++ {
		if seen[v] > 0 && !slices.ContainsFunc(segments, func(s scan.Segment) bool { return int(s.Label) == v }) {
			out = append(out, scan.Segment{Label: uint8(v), Name: fmt.Sprintf("label %d", v)})
		}
	}
	return out
}

// writeMesh writes a smoothed surface of each label that voxels have.
func writeMesh(path string, _ *scan.Scan, l *volume.Labels, segments []scan.Segment) error {
	all, err := mesh.FromAll(l, mesh.DefaultSmoothing())
	if err != nil {
		return err
	}
	var parts []mesh.Part
	for i, s := range complete(l, segments) {
		m := all[s.Label]
		if m == nil {
			continue
		}
		if s.Color == (color.NRGBA{}) {
			s.Color = preview.Hue(i)
		}
		parts = append(parts, mesh.Part{Name: s.Name, Color: s.Color, Mesh: m})
	}
	return mesh.Write(path, parts)
}

// namesOf are the names of segments by their labels.
func namesOf(segments []scan.Segment) map[uint8]string {
	names := map[uint8]string{}
	for _, s := range segments {
		names[s.Label] = s.Name
	}
	return names
}
