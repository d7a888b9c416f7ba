package voxel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a header of text, which people may have written.
const (
	MaxHeader      = 4 << 20 // bytes
	MaxHeaderLines = 1 << 17 // lines
)

// Lines reads the lines of a header of text and counts.
type Lines struct {
	Line int   // lines that were read
	At   int64 // bytes that were read
	r    *bufio.Reader
}

// NewLines reads the lines of r.
func NewLines(r io.Reader) *Lines { return &Lines{r: bufio.NewReaderSize(r, 1<<14)} }

// Next is the next line, without its end; io.EOF where there is none.
func (l *Lines) Next() (string, error) {
	var b []byte
	for {
		part, err := l.r.ReadSlice('\n')
		b = append(b, part...)
		l.At += int64(len(part))
		if l.Line == MaxHeaderLines || l.At > MaxHeader {
			return "", fmt.Errorf("line %d: the header has more than %d lines or %d bytes: it is damaged", l.Line+1, MaxHeaderLines, MaxHeader)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (len(b) == 0 || !errors.Is(err, io.EOF)) {
			return "", err
		}
		l.Line++
		return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
	}
}
