// Package metaimage reads and writes scans and label maps as ITK's MetaImage: .mha,
// and .mhd with its files; raw, zlib and text, both byte orders, all types of
// numbers, several channels. It reads images only, none of the format's other
// objects.
//
// Places are those of ITK: rows of TransformMatrix are the directions of the axes,
// in left-posterior-superior coordinates; Offset is the centre of the first voxel.
// CenterOfRotation and AnatomicalOrientation move nothing, as in ITK; they are kept
// for results. Source: https://itk.org/Wiki/ITK/MetaIO/Documentation, and MetaIO
// itself where the two differ.
package metaimage

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gounet/gounet/core/voxel"
)

// Header is what a file says of its voxels. Data reads them.
type Header struct {
	Sizes      []int // x, y, z, …
	Compressed bool
	Detached   bool // the voxels are in other files
	Data       *voxel.Data
	Fields     []Field // all, in the order of the file

	values map[string]string
}

// Field is a line of a header, "Name = Value".
type Field struct{ Name, Value string }

// Is says whether a file that starts with b is a MetaImage: its first field names
// the object or the number of axes.
func Is(b []byte) bool {
	line, _, _ := strings.Cut(string(b[:min(len(b), 256)]), "\n")
	name, value, ok := strings.Cut(line, "=")
	switch name = strings.TrimSpace(name); {
	case !ok:
		return false
	case name == "ObjectType":
		return strings.TrimSpace(value) == "Image"
	}
	return name == "NDims" || name == "Comment" && !strings.ContainsRune(value, 0)
}

// Limits of a header, which is text that people wrote.
const (
	maxFiles = 1 << 16
	maxAxes  = 10 // METAIO_MAX_DIMS
)

// Open reads and checks the header in f and finds the voxels; it reads none.
func Open(f voxel.File) (*Header, error) {
	h, err := open(f)
	if err != nil {
		return nil, fmt.Errorf("metaimage: %s: %w", f.Name, err)
	}
	return h, nil
}

func open(f voxel.File) (*Header, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read from
	h := &Header{values: map[string]string{}}
	lines := voxel.NewLines(r)
	if err := h.parse(lines); err != nil {
		return nil, err
	}
	var list []string
	if strings.HasPrefix(h.get("ElementDataFile"), "LIST") {
		if list, err = readList(lines); err != nil {
			return nil, err
		}
	}
	if err := h.interpret(f, lines.At, list); err != nil {
		return nil, err
	}
	return h, nil
}

// get is the value of the first of the names that the header has.
func (h *Header) get(names ...string) string {
	for _, n := range names {
		if v, ok := h.values[n]; ok {
			return v
		}
	}
	return ""
}

// parse reads the fields up to ElementDataFile, which is the last.
func (h *Header) parse(lines *voxel.Lines) error {
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: the header ends without the field ElementDataFile: the file is truncated, fetch it again", lines.Line)
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return fmt.Errorf("line %d is %q, wanted Name = Value", lines.Line, voxel.Printable(line, 60))
		}
		if _, twice := h.values[name]; twice {
			return fmt.Errorf("line %d: field %q is there twice", lines.Line, voxel.Printable(name, 60))
		}
		h.values[name] = strings.TrimSpace(value)
		h.Fields = append(h.Fields, Field{name, h.values[name]})
		if name == "ElementDataFile" {
			return nil
		}
	}
}

// readList reads the names behind "ElementDataFile = LIST".
func readList(lines *voxel.Lines) (names []string, err error) {
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(names) == maxFiles {
			return nil, fmt.Errorf("line %d: more than %d files", lines.Line, maxFiles)
		}
		if line = strings.TrimSpace(line); line != "" {
			names = append(names, line)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("field ElementDataFile is LIST, but no names follow it")
	}
	return names, nil
}
