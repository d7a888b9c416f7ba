package pickle

import (
	"bufio"
	"fmt"
	"io"
)

// source reads a pickle and counts its bytes. It refuses to read beyond its
// size before it makes room for what was asked.
type source struct {
	r    *bufio.Reader
	at   int64 // bytes read
	size int64
}

func newSource(r io.Reader, size int64) *source {
	return &source{r: bufio.NewReaderSize(r, 1<<15), size: size}
}

func (s *source) byte() (byte, error) {
	b, err := s.r.ReadByte()
	if err != nil {
		return 0, cutOff(err)
	}
	s.at++
	return b, nil
}

// bytes reads n bytes into new memory.
func (s *source) bytes(n uint64) ([]byte, error) {
	if n > uint64(max(0, s.size-s.at)) {
		return nil, fmt.Errorf("%d bytes are announced, %d are left", n, s.size-s.at)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, cutOff(err)
	}
	s.at += int64(n)
	return b, nil
}

// maxLine bounds the names of classes.
const maxLine = 1000

func (s *source) line() (string, error) {
	var line []byte
	for len(line) < maxLine {
		b, err := s.byte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		line = append(line, b)
	}
	return "", fmt.Errorf("a name has more than %d bytes", maxLine)
}

// uint reads a little-endian number of n bytes.
func (s *source) uint(n int) (uint64, error) {
	var v uint64
	for i := range n {
		b, err := s.byte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b) << (8 * i)
	}
	return v, nil
}

func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
