package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/half"
)

// Tensor is a tensor to be written. Its elements are in one of two fields.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // slowest axis first; empty for a scalar
	// Float32s are the elements of an F32, F16 or BF16 tensor; the 16-bit types
	// are rounded to nearest even on the way.
	Float32s []float32
	// Bytes are the elements of any type, little-endian, where Float32s is nil.
	Bytes []byte
}

// Save replaces the file at path with the tensors, as Write does it. The file
// holds the old content or the new, whatever happens.
func Save(path string, meta map[string]string, tensors []Tensor) error {
	return atomicfile.Write(path, func(w io.Writer) error { return Write(w, meta, tensors) })
}

// Write writes the tensors and the free strings meta to w. The order in the
// file is by element size, largest first, so that each is aligned, and then by
// name: the order of the argument does not matter. Nothing is written if a
// tensor is wrong.
func Write(w io.Writer, meta map[string]string, tensors []Tensor) error {
	order := slices.Clone(tensors)
	slices.SortStableFunc(order, func(a, b Tensor) int {
		return cmp.Or(b.DType.Size()-a.DType.Size(), cmp.Compare(a.Name, b.Name))
	})
	header, err := makeHeader(meta, order)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	buffer := make([]byte, 0, chunkBytes)
	for _, t := range order {
		if err := t.writeData(w, buffer); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// makeHeader is the length and the JSON, padded with spaces to a multiple of 8.
func makeHeader(meta map[string]string, order []Tensor) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, prefixBytes))
	b.WriteByte('{')
	if len(meta) > 0 {
		for key, value := range meta {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				return nil, fmt.Errorf("metadata %q: %q is not UTF-8", key, value)
			}
		}
		if err := writeMember(b, metadataKey, meta); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{metadataKey: true}
	offset := int64(0)
	for _, t := range order {
		if seen[t.Name] || !utf8.ValidString(t.Name) {
			return nil, fmt.Errorf("tensor %q: the name comes twice, is reserved or not UTF-8", t.Name)
		}
		seen[t.Name] = true
		size, err := t.bytes()
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		shape := make([]int64, len(t.Shape))
		for i, n := range t.Shape {
			shape[i] = int64(n)
		}
		e := entry{DType: t.DType, Shape: &shape, Offsets: []int64{offset, offset + size}}
		if err := writeMember(b, t.Name, e); err != nil {
			return nil, err
		}
		offset += size
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	length := b.Len() - prefixBytes
	if length > maxHeaderBytes {
		return nil, fmt.Errorf("a header of %d bytes: the format allows %d", length, maxHeaderBytes)
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(length))
	return b.Bytes(), nil
}

// writeMember appends a member to the JSON object that b holds so far.
func writeMember(b *bytes.Buffer, name string, value any) error {
	if b.Bytes()[b.Len()-1] != '{' {
		b.WriteByte(',')
	}
	key, err := json.Marshal(name)
	if err != nil {
		return err
	}
	v, err := json.Marshal(value)
	if err != nil {
		return err
	}
	b.Write(key)
	b.WriteByte(':')
	b.Write(v)
	return nil
}

// bytes is the size of the data, once the fields agree with each other.
func (t Tensor) bytes() (int64, error) {
	size := int64(t.DType.Size())
	if size == 0 {
		return 0, fmt.Errorf("element type %q is unknown", t.DType)
	}
	elements := int64(1)
	for _, n := range t.Shape {
		if n < 0 || n > 0 && elements > math.MaxInt64/8/int64(n) {
			return 0, fmt.Errorf("shape %v is negative or too large", t.Shape)
		}
		elements *= int64(n)
	}
	if t.Float32s == nil {
		if int64(len(t.Bytes)) != elements*size {
			return 0, fmt.Errorf("%s %v needs %d bytes, there are %d", t.DType, t.Shape, elements*size, len(t.Bytes))
		}
		return elements * size, nil
	}
	if _, ok := floatEncoders[t.DType]; !ok {
		return 0, fmt.Errorf("float32 elements cannot be written as %s", t.DType)
	}
	if t.Bytes != nil {
		return 0, errors.New("both Float32s and Bytes are set")
	}
	if int64(len(t.Float32s)) != elements {
		return 0, fmt.Errorf("%v needs %d elements, there are %d", t.Shape, elements, len(t.Float32s))
	}
	return elements * size, nil
}

// writeData streams the elements through buffer, which is empty.
func (t Tensor) writeData(w io.Writer, buffer []byte) error {
	if t.Float32s == nil {
		_, err := w.Write(t.Bytes)
		return err
	}
	encode := floatEncoders[t.DType]
	for chunk := range slices.Chunk(t.Float32s, cap(buffer)/t.DType.Size()) {
		if _, err := w.Write(encode(buffer, chunk)); err != nil {
			return err
		}
	}
	return nil
}

// floatEncoders append the elements of src to dst.
var floatEncoders = map[DType]func(dst []byte, src []float32) []byte{
	F32: func(dst []byte, src []float32) []byte {
		for _, x := range src {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
		}
		return dst
	},
	F16: func(dst []byte, src []float32) []byte {
		for _, x := range src {
			dst = binary.LittleEndian.AppendUint16(dst, half.ToF16(x))
		}
		return dst
	},
	BF16: func(dst []byte, src []float32) []byte {
		for _, x := range src {
			dst = binary.LittleEndian.AppendUint16(dst, half.ToBF16(x))
		}
		return dst
	},
}
