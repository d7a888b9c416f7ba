package nrrd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/atomicfile"
)

// WriteLabels writes l as unsigned char to path, .nrrd, or .seg.nrrd with segments
// as 3D Slicer has them. Place and space are those of like, the header of the scan
// that l belongs to, as it says them; without like they are those of l.Grid. The
// file appears whole or not at all.
func WriteLabels(path string, l *volume.Labels, segments []Segment, like *Header) error {
	return atomicfile.Write(path, func(w io.Writer) error { return EncodeLabels(w, path, l, segments, like) })
}

// WriteImage writes im as float to path, .nrrd; several channels become a first
// axis of kind list. The place is as in WriteLabels.
func WriteImage(path string, im *volume.Image, like *Header) error {
	return atomicfile.Write(path, func(w io.Writer) error { return EncodeImage(w, path, im, like) })
}

// EncodeLabels writes to w what WriteLabels writes to the file name.
func EncodeLabels(w io.Writer, name string, l *volume.Labels, segments []Segment, like *Header) error {
	err := func() error {
		if len(l.Data) != l.Voxels() {
			return fmt.Errorf("%d labels for a grid of %v", len(l.Data), l.Shape)
		}
		head, err := head(name, l.Grid, 1, "unsigned char", like)
		if err != nil {
			return err
		}
		if voxel.Ending(name) == ".seg.nrrd" {
			writeSegments(head, l, segments)
		}
		return encode(w, head, len(l.Data), func(w io.Writer) error {
			_, err := w.Write(l.Data) // [D H W] is the order of the file
			return err
		})
	}()
	return named(name, err)
}

// EncodeImage writes to w what WriteImage writes to the file name.
func EncodeImage(w io.Writer, name string, im *volume.Image, like *Header) error {
	err := func() error {
		if im.C < 1 || len(im.Data) != im.Voxels()*im.C {
			return fmt.Errorf("%d values for a grid of %v with %d channels", len(im.Data), im.Shape, im.C)
		}
		if voxel.Ending(name) == ".seg.nrrd" {
			return errors.New("a .seg.nrrd holds labels: name the image .nrrd")
		}
		head, err := head(name, im.Grid, im.C, "float", like)
		if err != nil {
			return err
		}
		return encode(w, head, 4*len(im.Data), func(w io.Writer) error { return writeFloats(w, im.Data) })
	}()
	return named(name, err)
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("nrrd: %s: %w", name, err)
}

func writeFloats(w io.Writer, data []float32) error {
	const values = 1 << 14
	b := make([]byte, 0, 4*values)
	for len(data) > 0 {
		n := min(values, len(data))
		b = b[:0]
		for _, v := range data[:n] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// head is the header of c channels on g, without the empty line that ends it.
func head(name string, g volume.Grid, c int, kind string, like *Header) (*strings.Builder, error) {
	if e := voxel.Ending(name); e != ".nrrd" && e != ".seg.nrrd" {
		return nil, errors.New("the name of a file to write ends in .nrrd or .seg.nrrd")
	}
	space, origin, directions, err := placeOf(g, like)
	if err != nil {
		return nil, err
	}
	b := &strings.Builder{}
	sizes, kinds := fmt.Sprintf("%d %d %d", g.Shape[2], g.Shape[1], g.Shape[0]), "domain domain domain"
	dimension := 3
	if c > 1 {
		dimension, sizes, kinds, directions = 4, fmt.Sprintf("%d %s", c, sizes), "list "+kinds, "none "+directions
	}
	fmt.Fprintf(b, "NRRD0004\ntype: %s\ndimension: %d\n", kind, dimension)
	if space != "" {
		fmt.Fprintf(b, "space: %s\n", space)
	} else {
		fmt.Fprintf(b, "space dimension: 3\n")
	}
	fmt.Fprintf(b, "sizes: %s\nspace directions: %s\nkinds: %s\n", sizes, directions, kinds)
	if kind != "unsigned char" {
		b.WriteString("endian: little\n")
	}
	fmt.Fprintf(b, "encoding: gzip\nspace origin: %s\n", origin)
	return b, nil
}

// placeOf is the place of g as fields. The header of a scan of three axes in space
// keeps its own words, so that nothing is rounded or turned.
func placeOf(g volume.Grid, like *Header) (space, origin, directions string, err error) {
	if like != nil {
		if like.Data.Grid.Shape != g.Shape {
			return "", "", "", fmt.Errorf("shape %v (D H W), the header to write it with has %v: resample to the scan's grid first", g.Shape, like.Data.Grid.Shape)
		}
		g = like.Data.Grid
		kept := like.get("space units") == "" && !strings.HasSuffix(strings.ToLower(like.Space), "time") && strings.Count(like.Space, "-") != 0
		var own []string
		for _, v := range strings.SplitAfter(like.get("space directions"), ")") {
			if i := strings.Index(v, "("); i >= 0 {
				own = append(own, v[i:])
			}
		}
		if kept && len(own) == 3 && like.get("space origin") != "" {
			return like.Space, like.get("space origin"), strings.Join(own, " "), nil
		}
	}
	a := g.Affine
	if a == ([4][4]float64{}) {
		a = [4][4]float64{{g.Spacing[2]}, {0, g.Spacing[1]}, {0, 0, g.Spacing[0]}, {0, 0, 0, 1}}
	}
	vector := func(column int) string { // RAS+ to LPS; adding 0 makes −0 0
		return fmt.Sprintf("(%v,%v,%v)", 0-a[0][column], 0-a[1][column], a[2][column]+0)
	}
	return "left-posterior-superior", vector(3), vector(0) + " " + vector(1) + " " + vector(2), nil
}

// encode writes header and voxels, which have so many bytes.
func encode(w io.Writer, head *strings.Builder, bytes int, voxels func(io.Writer) error) error {
	if _, err := io.WriteString(w, head.String()+"\n"); err != nil {
		return err
	}
	zip := voxel.NewGzip(w, bytes)
	err := voxels(zip)
	if e := zip.Close(); err == nil { // also on failure: it ends the writer's goroutines
		err = e
	}
	return err
}

// writeSegments writes the keys of 3D Slicer. Labels that occur without a segment
// become one; extents are measured.
func writeSegments(b *strings.Builder, l *volume.Labels, segments []Segment) {
	extents := extentsOf(l)
	has := map[int]bool{}
	for _, s := range segments {
		has[s.Label] = true
	}
	for v := 1; v <= volume.MaxLabel; v++ {
		if extents[v][1] >= extents[v][0] && !has[v] {
			segments = append(segments[:len(segments):len(segments)], Segment{Label: v, NameAuto: true, ColorAuto: true})
		}
	}
	for i, s := range segments {
		if s.ID == "" {
			s.ID = fmt.Sprintf("Segment_%d", s.Label)
		}
		if s.Name == "" {
			s.Name = s.ID
		}
		if s.ColorAuto && s.Color == [3]float64{} {
			s.Color = colorOf(s.Label)
		}
		extent := [6]int{0, -1, 0, -1, 0, -1}
		if s.Label > 0 && s.Label < len(extents) {
			extent = extents[s.Label]
		}
		key := func(name, format string, a ...any) {
			fmt.Fprintf(b, "Segment%d_%s:=%s\n", i, name, escape(fmt.Sprintf(format, a...)))
		}
		key("Color", "%.6g %.6g %.6g", s.Color[0], s.Color[1], s.Color[2])
		key("ColorAutoGenerated", "%d", bit(s.ColorAuto))
		key("Extent", "%s", strings.Trim(fmt.Sprint(extent), "[]"))
		key("ID", "%s", s.ID)
		key("LabelValue", "%d", s.Label)
		key("Layer", "0")
		key("Name", "%s", s.Name)
		key("NameAutoGenerated", "%d", bit(s.NameAuto))
		key("Tags", "%s", s.Tags)
	}
	b.WriteString("Segmentation_ContainedRepresentationNames:=Binary labelmap|\n" +
		"Segmentation_MasterRepresentation:=Binary labelmap\n" +
		"Segmentation_ReferenceImageExtentOffset:=0 0 0\n")
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// colorOf spreads colours by the golden angle, for segments that have none.
func colorOf(label int) (c [3]float64) {
	const golden = 2.39996322972865332 // radians
	for i := range c {
		c[i] = 0.5 + 0.33*math.Cos(float64(label)*golden-float64(i)*2*math.Pi/3)
	}
	return c
}

// extentsOf are the first and last voxel along x, y, z of each label.
func extentsOf(l *volume.Labels) (out [256][6]int) {
	for v := range out {
		out[v] = [6]int{l.Shape[2], -1, l.Shape[1], -1, l.Shape[0], -1}
	}
	i := 0
	for d := range l.Shape[0] {
		for h := range l.Shape[1] {
			for w := range l.Shape[2] {
				e := &out[l.Data[i]]
				e[0], e[1] = min(e[0], w), max(e[1], w)
				e[2], e[3] = min(e[2], h), max(e[3], h)
				e[4], e[5] = min(e[4], d), max(e[5], d)
				i++
			}
		}
	}
	for v := range out {
		if out[v][1] < 0 {
			out[v] = [6]int{0, -1, 0, -1, 0, -1}
		}
	}
	return out
}
