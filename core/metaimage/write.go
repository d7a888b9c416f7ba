package metaimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/klauspost/compress/zlib"
)

// WriteLabels writes l as MET_UCHAR, compressed, to path: one file .mha, or .mhd with
// the voxels in a .zraw beside it. Place and orientation are those of like, the
// header of the scan that l belongs to, as it says them; without like they are those
// of l.Grid. A file appears whole or not at all, the header last.
func WriteLabels(path string, l *volume.Labels, like *Header) error {
	if voxel.Ending(path) != ".mhd" {
		return atomicfile.Write(path, func(w io.Writer) error { return EncodeLabels(w, path, l, like) })
	}
	data := strings.TrimSuffix(path, filepath.Ext(path)) + ".zraw"
	head, body, err := labels(l, like, filepath.Base(data))
	if err == nil {
		err = atomicfile.Write(data, func(w io.Writer) error { return write(w, body) })
	}
	if err == nil {
		err = atomicfile.Write(path, func(w io.Writer) error { return write(w, []byte(head)) })
	}
	return named(path, err)
}

// WriteImage writes im as MET_FLOAT, not compressed, to path, .mha, with its channels
// as ElementNumberOfChannels. The place is as in WriteLabels.
func WriteImage(path string, im *volume.Image, like *Header) error {
	return atomicfile.Write(path, func(w io.Writer) error { return EncodeImage(w, path, im, like) })
}

// EncodeLabels writes to w what WriteLabels writes to the file name, .mha.
func EncodeLabels(w io.Writer, name string, l *volume.Labels, like *Header) error {
	err := checkName(name)
	if err == nil {
		var head string
		var body []byte
		if head, body, err = labels(l, like, "LOCAL"); err == nil {
			err = write(w, []byte(head), body)
		}
	}
	return named(name, err)
}

// EncodeImage writes to w what WriteImage writes to the file name.
func EncodeImage(w io.Writer, name string, im *volume.Image, like *Header) error {
	err := func() error {
		if err := checkName(name); err != nil {
			return err
		}
		if im.C < 1 || len(im.Data) != im.Voxels()*im.C {
			return fmt.Errorf("%d values for a grid of %v with %d channels", len(im.Data), im.Shape, im.C)
		}
		place, err := placeOf(im.Grid, like)
		if err != nil {
			return err
		}
		head := fmt.Sprintf("%sCompressedData = False\n%s", first, place)
		if im.C > 1 {
			head += fmt.Sprintf("ElementNumberOfChannels = %d\n", im.C)
		}
		if _, err := io.WriteString(w, head+"ElementType = MET_FLOAT\nElementDataFile = LOCAL\n"); err != nil {
			return err
		}
		return writeFloats(w, im.Data)
	}()
	return named(name, err)
}

func checkName(name string) error {
	if voxel.Ending(name) != ".mha" {
		return errors.New("the name of a file to write ends in .mha")
	}
	return nil
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("metaimage: %s: %w", name, err)
}

func write(w io.Writer, parts ...[]byte) error {
	for _, b := range parts {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
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

// first are the lines of every file; MetaIO wants NDims before what depends on it.
const first = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"

// labels are header and compressed voxels; the header has the size of the latter.
func labels(l *volume.Labels, like *Header, file string) (head string, body []byte, err error) {
	if len(l.Data) != l.Voxels() {
		return "", nil, fmt.Errorf("%d labels for a grid of %v", len(l.Data), l.Shape)
	}
	place, err := placeOf(l.Grid, like)
	if err != nil {
		return "", nil, err
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(l.Data); err != nil { // [D H W] is the order of the file
		return "", nil, err
	}
	if err := z.Close(); err != nil {
		return "", nil, err
	}
	head = fmt.Sprintf("%sCompressedData = True\nCompressedDataSize = %d\n%sElementType = MET_UCHAR\nElementDataFile = %s\n", first, b.Len(), place, file)
	return head, b.Bytes(), nil
}

// placeOf is the place of g as lines. The header of a scan of three axes keeps its
// own words, so that nothing is rounded or turned.
func placeOf(g volume.Grid, like *Header) (string, error) {
	size := fmt.Sprintf("DimSize = %d %d %d\n", g.Shape[2], g.Shape[1], g.Shape[0])
	if like != nil {
		if like.Data.Grid.Shape != g.Shape {
			return "", fmt.Errorf("shape %v (D H W), the header to write it with has %v: resample to the scan's grid first", g.Shape, like.Data.Grid.Shape)
		}
		g = like.Data.Grid
		if len(like.Sizes) == 3 {
			return like.ownPlace() + size, nil
		}
	}
	a := g.Affine
	if a == ([4][4]float64{}) {
		a = [4][4]float64{{g.Spacing[2]}, {0, g.Spacing[1]}, {0, 0, g.Spacing[0]}, {0, 0, 0, 1}}
	}
	var matrix []string
	for column := range 3 { // RAS+ to LPS; adding 0 makes −0 0
		step := g.Spacing[2-column]
		matrix = append(matrix, fmt.Sprintf("%v %v %v", 0-a[0][column]/step, 0-a[1][column]/step, a[2][column]/step+0))
	}
	return fmt.Sprintf("TransformMatrix = %s\nOffset = %v %v %v\nCenterOfRotation = 0 0 0\nElementSpacing = %v %v %v\n%s",
		strings.Join(matrix, " "), 0-a[0][3], 0-a[1][3], a[2][3]+0, g.Spacing[2], g.Spacing[1], g.Spacing[0], size), nil
}

// ownPlace are the lines of h that say where the voxels are.
func (h *Header) ownPlace() string {
	var b strings.Builder
	for _, names := range [][]string{
		{"TransformMatrix", "Rotation", "Orientation"},
		{"Offset", "Position", "Origin"},
		{"CenterOfRotation"},
		{"AnatomicalOrientation"},
		{"ElementSpacing", "ElementSize"},
	} {
		if v := h.get(names...); v != "" {
			fmt.Fprintf(&b, "%s = %s\n", names[0], v)
		}
	}
	return b.String()
}
