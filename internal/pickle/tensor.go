package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/gounet/gounet/internal/half"
)

// DType is the type of a tensor's elements, as torch names it.
type DType string

// The element types that are read.
const (
	Float64  DType = "float64"
	Float32  DType = "float32"
	Float16  DType = "float16"
	BFloat16 DType = "bfloat16"
	Int64    DType = "int64"
	Int32    DType = "int32"
	Int16    DType = "int16"
	Int8     DType = "int8"
	UInt8    DType = "uint8"
	Bool     DType = "bool"
)

// elements say how an element of each type is read, little-endian.
var elements = map[DType]struct {
	bytes int
	float bool
	value func(b []byte) float64 // of a floating-point type
	int   func(b []byte) int64   // of the others
}{
	Float64:  {8, true, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }, nil},
	Float32:  {4, true, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }, nil},
	Float16:  {2, true, func(b []byte) float64 { return float64(half.FromF16(binary.LittleEndian.Uint16(b))) }, nil},
	BFloat16: {2, true, func(b []byte) float64 { return float64(half.FromBF16(binary.LittleEndian.Uint16(b))) }, nil},
	Int64:    {8, false, nil, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }},
	Int32:    {4, false, nil, func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) }},
	Int16:    {2, false, nil, func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) }},
	Int8:     {1, false, nil, func(b []byte) int64 { return int64(int8(b[0])) }},
	UInt8:    {1, false, nil, func(b []byte) int64 { return int64(b[0]) }},
	Bool:     {1, false, nil, func(b []byte) int64 { return int64(b[0]) }},
}

// storage is a run of elements in the file, which tensors look into.
type storage struct {
	element DType
	numel   int64
	place   io.ReaderAt // of its bytes
	sum     *uint32     // CRC-32 of the bytes, nil where the file has none
}

// Tensor is a view of a storage in the file. Its elements are read when they
// are asked for.
type Tensor struct {
	DType   DType
	Shape   []int // slowest axis first; empty for a scalar
	stride  []int // in elements of the storage
	offset  int64
	storage *storage
}

// newTensor checks that the view stays inside the storage and has no more
// elements than it, so that reading takes no more memory than the file.
func newTensor(s *storage, offset int64, shape, stride []int) (*Tensor, error) {
	t := &Tensor{DType: s.element, Shape: shape, stride: stride, offset: offset, storage: s}
	if len(shape) != len(stride) {
		return nil, fmt.Errorf("shape %v and stride %v differ in length", shape, stride)
	}
	if offset < 0 || offset > s.numel {
		return nil, fmt.Errorf("offset %d is outside the storage of %d elements", offset, s.numel)
	}
	if slices.Contains(shape, 0) {
		return t, nil
	}
	count, last := int64(1), offset
	for i, n := range shape {
		if count > s.numel/int64(n) {
			return nil, fmt.Errorf("shape %v has more elements than the storage, which has %d", shape, s.numel)
		}
		count *= int64(n)
		if n > 1 && int64(stride[i]) > (s.numel-last)/int64(n-1) {
			return nil, fmt.Errorf("shape %v with stride %v from %d leaves the storage of %d elements", shape, stride, offset, s.numel)
		}
		last += int64(n-1) * int64(stride[i])
	}
	if last >= s.numel {
		return nil, fmt.Errorf("shape %v with stride %v from %d leaves the storage of %d elements", shape, stride, offset, s.numel)
	}
	return t, nil
}

// Elements is the number of elements, the product of the shape.
func (t *Tensor) Elements() int {
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	return n
}

// Float32s reads a floating-point tensor in C order. Narrower types are
// widened, float64 is rounded.
func (t *Tensor) Float32s() ([]float32, error) {
	e := elements[t.DType]
	if !e.float {
		return nil, fmt.Errorf("the tensor is %s, a floating-point type was wanted", t.DType)
	}
	return read(t, e.bytes, func(b []byte) float32 { return float32(e.value(b)) })
}

// Int64s reads an integer or bool tensor in C order.
func (t *Tensor) Int64s() ([]int64, error) {
	e := elements[t.DType]
	if e.float {
		return nil, fmt.Errorf("the tensor is %s, an integer type was wanted", t.DType)
	}
	return read(t, e.bytes, e.int)
}

// read gathers the elements of t, row by row of its fastest axis.
func read[T any](t *Tensor, size int, value func([]byte) T) ([]T, error) {
	out := make([]T, t.Elements())
	if len(out) == 0 {
		return out, nil
	}
	raw, err := t.span(int64(size))
	if err != nil {
		return nil, err
	}
	shape, stride := t.Shape, t.stride
	if t.contiguous() {
		shape, stride = []int{len(out)}, []int{1}
	}
	index := make([]int, len(shape))
	for i, at := 0, 0; i < len(out); i++ {
		out[i] = value(raw[at*size:])
		for axis := len(shape) - 1; axis >= 0; axis-- {
			index[axis]++
			at += stride[axis]
			if index[axis] < shape[axis] {
				break
			}
			at -= stride[axis] * shape[axis]
			index[axis] = 0
		}
	}
	return out, nil
}

// span reads the bytes from the first element of t to its last. Where that is
// the whole storage, as it is for parameters, their checksum must be right.
func (t *Tensor) span(size int64) ([]byte, error) {
	n := int64(1)
	for i, s := range t.Shape {
		n += int64(s-1) * int64(t.stride[i])
	}
	raw := make([]byte, n*size)
	read, err := t.storage.place.ReadAt(raw, t.offset*size)
	if read < len(raw) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%d bytes of a storage: %w", len(raw), err)
	}
	if s := t.storage; s.sum != nil && n == s.numel {
		if err := checkSum(crc32.ChecksumIEEE(raw), *s.sum); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

func (t *Tensor) contiguous() bool {
	want := 1
	for axis := len(t.Shape) - 1; axis >= 0; axis-- {
		if t.Shape[axis] != 1 && t.stride[axis] != want {
			return false
		}
		want *= t.Shape[axis]
	}
	return true
}

// Bytes is the size of the elements as they are stored.
func (t *Tensor) Bytes() int64 { return int64(t.Elements()) * int64(elements[t.DType].bytes) }
