package metaimage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// types has the names of MetaIO; its long has four bytes.
var types = map[string]voxel.Type{
	"MET_CHAR": voxel.Int8, "MET_UCHAR": voxel.Uint8, "MET_ASCII_CHAR": voxel.Int8,
	"MET_SHORT": voxel.Int16, "MET_USHORT": voxel.Uint16,
	"MET_INT": voxel.Int32, "MET_UINT": voxel.Uint32, "MET_LONG": voxel.Int32, "MET_ULONG": voxel.Uint32,
	"MET_LONG_LONG": voxel.Int64, "MET_ULONG_LONG": voxel.Uint64,
	"MET_FLOAT": voxel.Float32, "MET_DOUBLE": voxel.Float64,
}

// interpret makes h.Data of the fields. at is where the header ends.
func (h *Header) interpret(f voxel.File, at int64, list []string) error {
	if o := h.get("ObjectType"); o != "" && o != "Image" {
		return fmt.Errorf("field ObjectType is %q, wanted Image", voxel.Printable(o, 40))
	}
	d := &voxel.Data{Of: "metaimage: " + f.Name, Lead: 1, Trail: 1}
	h.Data = d
	name := h.get("ElementType")
	var ok bool
	if d.Type, ok = types[strings.TrimSuffix(name, "_ARRAY")]; !ok {
		return fmt.Errorf("field ElementType is %q, wanted a type of numbers such as MET_SHORT", voxel.Printable(name, 40))
	}
	msb, err := h.truth("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
	if err != nil {
		return err
	}
	d.BigEndian = msb
	if err := h.readSizes(); err != nil {
		return err
	}
	if err := h.readGeometry(); err != nil {
		return err
	}
	if err := h.findParts(f, at, list); err != nil {
		return err
	}
	return d.Check()
}

// truth reads a field that is true or false; absent is false.
func (h *Header) truth(names ...string) (bool, error) {
	switch v := strings.ToLower(h.get(names...)); v {
	case "true", "t", "yes", "1":
		return true, nil
	case "false", "f", "no", "0", "":
		return false, nil
	default:
		return false, fmt.Errorf("field %s is %q, wanted True or False", names[0], voxel.Printable(v, 40))
	}
}

// whole reads a field that is a whole number, or takes another value without it.
func (h *Header) whole(name string, otherwise, least, most int64) (int64, error) {
	s := h.get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("field %s is %q, wanted a whole number from %d to %d", name, voxel.Printable(s, 40), least, most)
	}
	return n, nil
}

func (h *Header) readSizes() error {
	n, err := h.whole("NDims", 0, 1, maxAxes)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("field NDims is missing")
	}
	channels, err := h.whole("ElementNumberOfChannels", 1, 1, 1<<16)
	if err != nil {
		return err
	}
	sizes, err := h.numbers(int(n), "DimSize")
	if err != nil {
		return err
	}
	if sizes == nil {
		return errors.New("field DimSize is missing")
	}
	all := make([]int64, n, n+1)
	for i, s := range sizes {
		if s != math.Trunc(s) || s < 1 || s > 1<<40 {
			return fmt.Errorf("field DimSize: axis %d has %v elements, wanted 1 or more", i, s)
		}
		all[i] = int64(s)
	}
	if _, err := voxel.Product(append(all, channels)...); err != nil {
		return fmt.Errorf("field DimSize: %w", err)
	}
	for _, s := range all {
		h.Sizes = append(h.Sizes, int(s))
	}
	h.Data.Lead = int(channels)
	for _, s := range h.Sizes[min(3, len(h.Sizes)):] {
		h.Data.Trail *= s
	}
	return nil
}

// numbers reads a field of n finite numbers; nil without it.
func (h *Header) numbers(n int, names ...string) ([]float64, error) {
	for _, name := range names {
		s, ok := h.values[name]
		if !ok {
			continue
		}
		words := strings.Fields(s)
		if len(words) != n {
			return nil, fmt.Errorf("field %s has %d numbers, wanted %d", name, len(words), n)
		}
		out := make([]float64, n)
		for i, w := range words {
			v, err := strconv.ParseFloat(w, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("field %s: %q is no number", name, voxel.Printable(w, 40))
			}
			out[i] = v
		}
		return out, nil
	}
	return nil, nil
}

// readGeometry fills the grid of h.Data.
func (h *Header) readGeometry() error {
	n := len(h.Sizes)
	matrix, err := h.numbers(n*n, "TransformMatrix", "Rotation", "Orientation")
	if err != nil {
		return err
	}
	offset, err := h.numbers(n, "Offset", "Position", "Origin")
	if err != nil {
		return err
	}
	spacing, err := h.numbers(n, "ElementSpacing", "ElementSize")
	if err != nil {
		return err
	}
	g := volume.Grid{Shape: [3]int{1, 1, 1}, Spacing: [3]float64{1, 1, 1}}
	g.Affine = [4][4]float64{{-1}, {0, -1}, {0, 0, 1}, {0, 0, 0, 1}} // LPS to RAS+
	sign := [3]float64{-1, -1, 1}
	for i := range min(n, 3) {
		g.Shape[2-i] = h.Sizes[i]
		step := 1.0
		if spacing != nil && spacing[i] != 0 {
			step = math.Abs(spacing[i])
		}
		g.Spacing[2-i] = step
		if offset != nil {
			g.Affine[i][3] = sign[i] * offset[i]
		}
		for j := range 3 {
			v := 0.0
			switch {
			case matrix != nil && j < n:
				v = matrix[i*n+j]
			case i == j:
				v = 1
			}
			g.Affine[j][i] = sign[j] * v * step
		}
		length := math.Hypot(math.Hypot(g.Affine[0][i], g.Affine[1][i]), g.Affine[2][i])
		g.Spacing[2-i] = length // of what the affine has, should a row not be of length 1
	}
	h.Data.Grid = g
	return nil
}

// findParts says where the voxels are.
func (h *Header) findParts(f voxel.File, at int64, list []string) error {
	names := list
	value := h.get("ElementDataFile")
	words := strings.Fields(value)
	switch {
	case value == "":
		return errors.New("field ElementDataFile has no value")
	case value == "LOCAL" || value == "Local" || value == "local" || list != nil:
	case strings.Contains(value, "%") && len(words) >= 2:
		var err error
		if names, err = numbered(words); err != nil {
			return err
		}
	default:
		names = []string{value}
	}
	h.Detached = len(names) > 0
	parts := []voxel.Part{{File: f, Offset: at}}
	if h.Detached {
		parts = parts[:0]
		for _, name := range names {
			other, err := f.Beside(strings.TrimPrefix(name, "./"))
			if err != nil {
				return fmt.Errorf("field ElementDataFile: %w", err)
			}
			parts = append(parts, voxel.Part{File: other})
		}
	}
	return h.encode(parts)
}

// encode says how the parts are written.
func (h *Header) encode(parts []voxel.Part) error {
	compressed, err := h.truth("CompressedData")
	if err != nil {
		return err
	}
	binary := true
	if h.get("BinaryData") != "" {
		if binary, err = h.truth("BinaryData"); err != nil {
			return err
		}
	}
	header, err := h.whole("HeaderSize", 0, -1, math.MaxInt32)
	if err != nil {
		return err
	}
	h.Compressed = compressed
	share := h.Data.Grid.Voxels() * h.Data.Channels() / len(parts) * h.Data.Type.Bytes()
	for i := range parts {
		p := &parts[i]
		switch {
		case compressed && header < 0, !binary && header < 0:
			return errors.New("field HeaderSize is −1 of data that are not raw")
		case header < 0: // the voxels are the end of the file
			p.Offset = p.File.Size - int64(share)
		case header > 0:
			p.Offset = header
		}
		switch {
		case compressed:
			if p.Encoding, err = inflated(*p); err != nil {
				return err
			}
		case !binary:
			p.Encoding = voxel.Text
		}
	}
	h.Data.Parts = parts
	return nil
}

// inflated tells gzip from zlib by its magic; MetaIO reads both.
func inflated(p voxel.Part) (voxel.Encoding, error) {
	r, err := p.File.Open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }() // only read from
	var magic [2]byte
	if _, err := io.CopyN(io.Discard, r, p.Offset); err == nil {
		if _, err := io.ReadFull(r, magic[:]); err == nil && bytes.Equal(magic[:], []byte{0x1f, 0x8b}) {
			return voxel.Gzip, nil
		}
	}
	return voxel.Zlib, nil // what is too short is told when it is read
}

// numbered are the names of a pattern such as "slice%03d.raw 1 40 1"; the last two
// numbers may be absent, and mean the last slice and 1.
func numbered(words []string) ([]string, error) {
	n := [3]int{1, 0, 1} // first, last, step
	if len(words) > 4 {
		return nil, fmt.Errorf("field ElementDataFile has %d words, wanted a pattern and three numbers", len(words))
	}
	for i, w := range words[1:] {
		v, err := strconv.Atoi(w)
		if err != nil || v > 1<<24 || v < 0 {
			return nil, fmt.Errorf("field ElementDataFile: %q is no number of a file", voxel.Printable(w, 40))
		}
		n[i] = v
	}
	before, verb, _ := strings.Cut(words[0], "%")
	width, after, ok := strings.Cut(verb, "d")
	digits, err := strconv.Atoi("0" + width)
	if !ok || err != nil || digits > 20 || strings.Contains(after, "%") {
		return nil, fmt.Errorf("field ElementDataFile: pattern %q, wanted one number such as %%03d", voxel.Printable(words[0], 60))
	}
	if n[2] < 1 || n[1] < n[0] || (n[1]-n[0])/n[2] >= maxFiles {
		return nil, fmt.Errorf("field ElementDataFile: %d to %d in steps of %d, wanted 1 to %d files", n[0], n[1], n[2], maxFiles)
	}
	var names []string
	for i := n[0]; i <= n[1]; i += n[2] {
		names = append(names, before+fmt.Sprintf("%"+width+"d", i)+after)
	}
	return names, nil
}
