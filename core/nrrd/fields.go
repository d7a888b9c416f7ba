package nrrd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/voxel"
)

// typeLists has the names that the definition of the format allows for each type.
var typeLists = map[voxel.Type]string{
	voxel.Int8:    "signed char,int8,int8_t",
	voxel.Uint8:   "uchar,unsigned char,uint8,uint8_t",
	voxel.Int16:   "short,short int,signed short,signed short int,int16,int16_t",
	voxel.Uint16:  "ushort,unsigned short,unsigned short int,uint16,uint16_t",
	voxel.Int32:   "int,signed int,int32,int32_t",
	voxel.Uint32:  "uint,unsigned int,uint32,uint32_t",
	voxel.Int64:   "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
	voxel.Uint64:  "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
	voxel.Float32: "float",
	voxel.Float64: "double",
}

// typeOf is the type of a name.
func typeOf(name string) (voxel.Type, error) {
	for t, list := range typeLists {
		for _, n := range strings.Split(list, ",") {
			if n == name {
				return t, nil
			}
		}
	}
	if name == "block" {
		return 0, errors.New("field type is block: blocks of bytes are no scan")
	}
	return 0, fmt.Errorf("field type is %q, wanted a type of the format, such as short", voxel.Printable(name, 40))
}

var encodings = map[string]voxel.Encoding{
	"raw": voxel.Raw, "txt": voxel.Text, "text": voxel.Text, "ascii": voxel.Text,
	"gz": voxel.Gzip, "gzip": voxel.Gzip, "bz2": voxel.Bzip2, "bzip2": voxel.Bzip2,
	"hex": voxel.Hex,
}

// interpret makes h.Data of the fields. at is where the header ends.
func (h *Header) interpret(f voxel.File, at int64, list []string) error {
	d := &voxel.Data{Of: "nrrd: " + f.Name}
	h.Data = d
	var err error
	if d.Type, err = typeOf(h.get("type")); err != nil {
		return err
	}
	h.Encoding = strings.ToLower(h.get("encoding"))
	encoding, ok := encodings[h.Encoding]
	if !ok {
		return fmt.Errorf("field encoding is %q, wanted raw, text, hex, gzip or bzip2: write the file again with one of them", voxel.Printable(h.Encoding, 40))
	}
	switch e := strings.ToLower(h.get("endian")); {
	case e == "big":
		d.BigEndian = true
	case e != "little" && (e != "" || d.Type.Bytes() > 1 && encoding != voxel.Text):
		return fmt.Errorf("field endian is %q, wanted little or big", voxel.Printable(e, 40))
	}
	if err := h.readSizes(); err != nil {
		return err
	}
	if err := h.readGeometry(); err != nil {
		return err
	}
	if err := h.findParts(f, at, list, encoding); err != nil {
		return err
	}
	return d.Check()
}

func (h *Header) readSizes() error {
	n, err := strconv.Atoi(h.get("dimension"))
	if err != nil || n < 1 || n > maxAxes {
		return fmt.Errorf("field dimension is %q, wanted 1 to %d", voxel.Printable(h.get("dimension"), 40), maxAxes)
	}
	words := strings.Fields(h.get("sizes"))
	if len(words) != n {
		return fmt.Errorf("field sizes has %d numbers, dimension says %d", len(words), n)
	}
	sizes := make([]int64, n)
	for i, w := range words {
		if sizes[i], err = strconv.ParseInt(w, 10, 64); err != nil {
			return fmt.Errorf("field sizes: %q is no number", voxel.Printable(w, 40))
		}
	}
	if _, err := voxel.Product(sizes...); err != nil {
		return fmt.Errorf("field sizes: %w", err)
	}
	for _, s := range sizes {
		h.Sizes = append(h.Sizes, int(s))
	}
	return nil
}

// findParts says where the voxels are.
func (h *Header) findParts(f voxel.File, at int64, list []string, encoding voxel.Encoding) error {
	lines, err := h.whole("line skip", 0)
	if err != nil {
		return err
	}
	bytes, err := h.whole("byte skip", -1)
	if err != nil {
		return err
	}
	names, err := h.dataFiles(list)
	if err != nil {
		return err
	}
	h.Detached = len(names) > 0
	parts := []voxel.Part{{File: f, Offset: at}}
	if h.Detached {
		parts = parts[:0]
		for _, name := range names {
			other, err := f.Beside(strings.TrimPrefix(name, "./"))
			if err != nil {
				return fmt.Errorf("field data file: %w", err)
			}
			parts = append(parts, voxel.Part{File: other})
		}
	}
	total := h.Data.Type.Bytes()
	for _, s := range h.Sizes {
		total *= s
	}
	for i := range parts {
		p := &parts[i]
		p.Encoding, p.Lines = encoding, int(lines)
		switch {
		case bytes >= 0:
			p.Skip = bytes
		case encoding != voxel.Raw:
			return fmt.Errorf("field byte skip is −1 with encoding %s, which only raw may have", encoding)
		default: // the voxels are the end of the file
			p.Offset, p.Lines = p.File.Size-int64(total/len(parts)), 0
		}
	}
	h.Data.Parts = parts
	return nil
}

// whole is the value of a field that is a whole number, 0 without it.
func (h *Header) whole(name string, least int64) (int64, error) {
	s := h.get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > math.MaxInt32 {
		return 0, fmt.Errorf("field %s is %q, wanted a whole number of at least %d", name, voxel.Printable(s, 40), least)
	}
	return n, nil
}

// dataFiles are the names of the files with the voxels: none, one, a list of one a
// line, or a pattern with a range of numbers.
func (h *Header) dataFiles(list []string) ([]string, error) {
	value := h.get("data file")
	words := strings.Fields(value)
	switch {
	case value == "":
		return nil, nil
	case words[0] == "LIST":
		if len(list) == 0 {
			return nil, errors.New("field data file is LIST, but no names follow it")
		}
		return list, nil
	case strings.Contains(value, "%") && (len(words) == 4 || len(words) == 5):
		return numbered(words)
	}
	return []string{value}, nil
}

// numbered are the names of a pattern such as "slice%03d.raw 1 40 1".
func numbered(words []string) ([]string, error) {
	var n [3]int // first, last, step
	for i := range n {
		v, err := strconv.Atoi(words[1+i])
		if err != nil || v > 1<<24 || v < -1<<24 {
			return nil, fmt.Errorf("field data file: %q is no number", voxel.Printable(words[1+i], 40))
		}
		n[i] = v
	}
	before, verb, _ := strings.Cut(words[0], "%")
	width, after, ok := strings.Cut(verb, "d")
	digits, err := strconv.Atoi("0" + width)
	if !ok || err != nil || digits > 20 || strings.Contains(after, "%") {
		return nil, fmt.Errorf("field data file: pattern %q, wanted one number such as %%03d", voxel.Printable(words[0], 60))
	}
	if n[2] == 0 || (n[1]-n[0])/n[2] < 0 || (n[1]-n[0])/n[2] >= maxFiles {
		return nil, fmt.Errorf("field data file: %d to %d in steps of %d, wanted 1 to %d files", n[0], n[1], n[2], maxFiles)
	}
	format := "%" + width + "d"
	var names []string
	for i := range (n[1]-n[0])/n[2] + 1 {
		names = append(names, before+fmt.Sprintf(format, n[0]+i*n[2])+after)
	}
	return names, nil
}
