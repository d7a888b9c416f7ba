// Package nrrd reads and writes scans, label maps and 3D Slicer's segmentations in
// the NRRD format: versions 1 to 5, .nrrd and .nhdr with its files, raw, gzip, bzip2
// and text, both byte orders, all types of numbers. It reads no hex encoding and
// writes gzip only.
//
// Places follow ITK: what the field "space" calls right-anterior-superior,
// left-anterior-superior or left-posterior-superior is turned to RAS+; any other
// space, or none, counts as left-posterior-superior. Axes with a direction (without
// any, those of kind domain or space) are x, y, z; axes in front of them or behind
// are channels. Sources: http://teem.sourceforge.net/nrrd/format.html, and for
// .seg.nrrd the files of 3D Slicer 5.
package nrrd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// Header is what a file says of its voxels. Data reads them.
type Header struct {
	Version  int
	Sizes    []int // of all axes, fastest first
	Space    string
	Encoding string
	Detached bool // the voxels are in other files
	Data     *voxel.Data
	Segments []Segment // of a .seg.nrrd, in its order
	Fields   []Field   // all, in the order of the file

	values map[string]string // of the fields that are no keys
}

// Field is a line of a header: "name: value", or "name:=value" for a Key.
type Field struct {
	Name, Value string
	Key         bool
}

// Is says whether a file that starts with b is a NRRD.
func Is(b []byte) bool { return strings.HasPrefix(string(b), "NRRD00") }

// Segment is a structure of a segmentation.
type Segment struct {
	ID, Name  string
	Label     int        // its value in its layer
	Layer     int        // the channel that it is in; structures of one layer do not overlap
	Color     [3]float64 // red, green, blue, 0 to 1
	Extent    [6]int     // first and last voxel along x, y, z; the last before the first if there is none
	Tags      string     // as 3D Slicer has them: name:value|name:value|
	NameAuto  bool       // named and coloured by the program, not by a user
	ColorAuto bool
}

// get is the value of a field, "" without it. Old spellings have no space.
func (h *Header) get(name string) string {
	if v, ok := h.values[name]; ok {
		return v
	}
	return h.values[strings.ReplaceAll(name, " ", "")]
}

// Key is the value of a key ("name:=value"), and whether it is there.
func (h *Header) Key(name string) (string, bool) {
	i := slices.IndexFunc(h.Fields, func(f Field) bool { return f.Key && f.Name == name })
	if i < 0 {
		return "", false
	}
	return h.Fields[i].Value, true
}

// Labels reads a label map with the segments it has. The layers of a segmentation
// become one map, in which segment i has the label i+1; those that overlap cannot
// be in one map and are an error.
func (h *Header) Labels() (*volume.Labels, []Segment, error) {
	if h.Data.Channels() == 1 {
		l, err := h.Data.Labels()
		return l, h.Segments, err
	}
	if len(h.Segments) == 0 {
		_, err := h.Data.Labels()
		return nil, nil, err // that there are several values a voxel
	}
	im, err := h.Data.Image()
	if err != nil {
		return nil, nil, err
	}
	l := volume.NewLabels(im.Grid)
	segments := slices.Clone(h.Segments)
	if len(segments) > volume.MaxLabel {
		return nil, nil, fmt.Errorf("%s: %d segments, at most %d are read", h.Data.Of, len(segments), volume.MaxLabel)
	}
	for i := range segments {
		s := &segments[i]
		for v := range l.Data {
			if im.Data[v*im.C+s.Layer] != float32(s.Label) {
				continue
			}
			if other := l.Data[v]; other != 0 {
				w, n := l.Shape[2], l.Shape[1]
				return nil, nil, fmt.Errorf("%s: segments %q and %q overlap at voxel (x %d, y %d, z %d), a label map has one label a voxel: export them one by one",
					h.Data.Of, segments[other-1].Name, s.Name, v%w, v/w%n, v/(w*n))
			}
			l.Data[v] = uint8(i + 1)
		}
		s.Label, s.Layer = i+1, 0
	}
	return l, segments, nil
}
