// Package safetensors reads and writes the safetensors format of tensors: eight
// bytes with the length of a header, the header in JSON (for each name its
// element type, shape and place, and a map of free strings), and the elements,
// little-endian, C order, without gaps.
//
// A file is read where it lies: opening takes the header only, and each tensor
// is read when it is asked for. Nothing is allocated before its size has been
// checked against the size of the file. Files are written so that the same
// tensors give the same bytes.
//
// Format: https://github.com/huggingface/safetensors, "Format".
package safetensors

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// DType is the type of a tensor's elements, as the header spells it.
type DType string

// The element types that are read and written.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U8   DType = "U8"
	Bool DType = "BOOL" // one byte, 0 or 1
)

// Size is the number of bytes of an element, 0 for an unknown type.
func (d DType) Size() int {
	switch d {
	case F64, I64:
		return 8
	case F32, I32:
		return 4
	case F16, BF16, I16:
		return 2
	case I8, U8, Bool:
		return 1
	}
	return 0
}

// Info says what a tensor is and where it lies.
type Info struct {
	DType  DType
	Shape  []int // slowest axis first; empty for a scalar
	Offset int64 // of the first byte in the file
	Bytes  int64
}

// Elements is the number of elements, the product of the shape.
func (i Info) Elements() int { return int(i.Bytes) / i.DType.Size() }

// File is an open safetensors file. Its methods may be called from several
// goroutines at once.
type File struct {
	name  string
	r     io.ReaderAt
	close func() error
	names []string
	infos map[string]Info
	meta  map[string]string
}

// Open opens the file at path. The caller closes it.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	s, err := New(f, stat.Size(), path)
	if err != nil {
		f.Close()
		return nil, err
	}
	s.close = f.Close
	return s, nil
}

// New reads the header of the size bytes of r. Errors call it name.
func New(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{name: name, r: r, close: func() error { return nil }}
	if err := f.readHeader(size); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// Close closes a file that was opened with Open.
func (f *File) Close() error { return f.close() }

// Names are the names of the tensors, sorted.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Metadata is a copy of the header's free strings.
func (f *File) Metadata() map[string]string { return maps.Clone(f.meta) }

// Info says what the tensor name is; false if there is none.
func (f *File) Info(name string) (Info, bool) {
	i, ok := f.infos[name]
	i.Shape = slices.Clone(i.Shape)
	return i, ok
}

func (f *File) find(name string) (Info, error) {
	i, ok := f.Info(name)
	if !ok {
		return i, fmt.Errorf("%s: there is no tensor %q among its %d", f.name, name, len(f.names))
	}
	return i, nil
}

// Bytes reads the elements of the tensor name as they are in the file.
func (f *File) Bytes(name string) ([]byte, error) {
	i, err := f.find(name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, i.Bytes)
	if err := f.readAt(b, i.Offset, name); err != nil {
		return nil, err
	}
	return b, nil
}

// Float32s reads the floating-point tensor name. F16 and BF16 are widened, F64
// is rounded.
func (f *File) Float32s(name string) (data []float32, shape []int, err error) {
	i, err := f.find(name)
	if err != nil {
		return nil, nil, err
	}
	decode, ok := floatDecoders[i.DType]
	if !ok {
		return nil, nil, fmt.Errorf("%s: tensor %q is %s, a floating-point type was wanted", f.name, name, i.DType)
	}
	data = make([]float32, i.Elements())
	err = f.readChunks(i, name, func(at int, b []byte) { decode(data[at:], b) })
	if err != nil {
		return nil, nil, err
	}
	return data, i.Shape, nil
}

// Ints reads the integer or BOOL tensor name.
func (f *File) Ints(name string) (data []int, shape []int, err error) {
	i, err := f.find(name)
	if err != nil {
		return nil, nil, err
	}
	decode, ok := intDecoders[i.DType]
	if !ok {
		return nil, nil, fmt.Errorf("%s: tensor %q is %s, an integer type was wanted", f.name, name, i.DType)
	}
	data = make([]int, i.Elements())
	err = f.readChunks(i, name, func(at int, b []byte) { decode(data[at:], b) })
	if err != nil {
		return nil, nil, err
	}
	return data, i.Shape, nil
}

const chunkBytes = 1 << 16 // a multiple of every element's size

// readChunks hands the bytes of a tensor to use, each time with the index of
// the first element that they hold.
func (f *File) readChunks(i Info, name string, use func(at int, b []byte)) error {
	buffer := make([]byte, min(i.Bytes, chunkBytes))
	for done := int64(0); done < i.Bytes; done += int64(len(buffer)) {
		buffer = buffer[:min(i.Bytes-done, chunkBytes)]
		if err := f.readAt(buffer, i.Offset+done, name); err != nil {
			return err
		}
		use(int(done)/i.DType.Size(), buffer)
	}
	return nil
}

func (f *File) readAt(b []byte, offset int64, name string) error {
	n, err := f.r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: tensor %q: %d bytes at %d: %w", f.name, name, len(b), offset, err)
}
