package nrrd

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gounet/gounet/core/voxel"
)

// Limits of a header, which is text that people wrote.
const (
	maxAxes  = 16      // NRRD_DIM_MAX of teem
	maxFiles = 1 << 16 // of voxels
)

// Open reads and checks the header in f and finds the voxels; it reads none.
func Open(f voxel.File) (*Header, error) {
	h, err := open(f)
	if err != nil {
		return nil, fmt.Errorf("nrrd: %s: %w", f.Name, err)
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
	rest, err := h.parse(lines)
	if err != nil {
		return nil, err
	}
	if err := h.interpret(f, lines.At, rest); err != nil {
		return nil, err
	}
	if err := h.readSegments(); err != nil {
		return nil, err
	}
	return h, nil
}

// parse reads the lines up to the empty one. rest are the file names that end a
// header with "data file: LIST".
func (h *Header) parse(lines *voxel.Lines) (rest []string, err error) {
	magic, err := lines.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n := len("NRRD000"); len(magic) != n+1 || magic[:n] != "NRRD000" || magic[n] < '1' || magic[n] > '5' {
		return nil, fmt.Errorf("line 1 is %q, wanted NRRD0001 to NRRD0005", voxel.Printable(magic, 16))
	}
	h.Version = int(magic[len(magic)-1] - '0')
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) || err == nil && line == "" {
			return rest, nil // a header alone may end with its file
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(h.get("data file"), "LIST") {
			if len(rest) == maxFiles {
				return nil, fmt.Errorf("line %d: more than %d files", lines.Line, maxFiles)
			}
			rest = append(rest, strings.TrimSpace(line))
			continue
		}
		if err := h.parseLine(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", lines.Line, err)
		}
	}
}

func (h *Header) parseLine(line string) error {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	colon := strings.Index(line, ":")
	if colon < 0 || colon+1 >= len(line) {
		return fmt.Errorf("%q is neither \"field: value\" nor \"key:=value\"", voxel.Printable(line, 60))
	}
	name, value := line[:colon], line[colon+1:]
	if strings.HasPrefix(value, "=") {
		h.Fields = append(h.Fields, Field{Name: name, Value: unescape(value[1:]), Key: true})
		return nil
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if _, ok := h.values[name]; ok {
		return fmt.Errorf("field %q is there twice", voxel.Printable(name, 60))
	}
	h.values[name] = strings.TrimSpace(value)
	h.Fields = append(h.Fields, Field{Name: name, Value: h.values[name]})
	return nil
}

// unescape undoes what keys and their values have for a line feed and a backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(s)
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
}
