package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Mapping is a dict to be written, in this order.
type Mapping []Member

// Member is an entry of a Mapping.
type Member struct {
	Key   string
	Value any // nil, bool, int, float64, string, []any (a tuple), Mapping, Global or *Array
}

// Global is a function or class of Python to be written, by its name alone.
type Global struct{ Module, Name string }

// Array is a tensor to be written, dense, of float32 or of int64. The same pointer in
// two places is one tensor with two names.
type Array struct {
	Shape  []int
	Data   []float32
	Int64s []int64 // instead of Data
}

// storage is torch's class for the elements of a, their number, and their bytes.
func (a *Array) storage() (class string, elements int, data func() []byte) {
	if a.Int64s != nil {
		return "LongStorage", len(a.Int64s), func() []byte { return littleEndian(a.Int64s) }
	}
	return "FloatStorage", len(a.Data), func() []byte { return littleEndian(a.Data) }
}

// Write writes m as torch.save does since 1.6: a zip of stored entries whose names
// begin with root. The same m gives the same bytes.
func Write(w io.Writer, root string, m Mapping) error {
	p := &pickler{keys: map[*Array]int{}}
	p.b = append(p.b, opProto, 2)
	if err := p.value(m); err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	p.b = append(p.b, opStop)
	z := &zipWriter{out: &counter{w: w}}
	z.zip = zip.NewWriter(z.out)
	if err := z.entry(root+"/"+pickleName, p.b); err != nil {
		return err
	}
	if err := z.entry(root+"/byteorder", []byte("little")); err != nil {
		return err
	}
	for i, a := range p.arrays {
		_, _, data := a.storage()
		if err := z.entry(fmt.Sprintf("%s/data/%d", root, i), data()); err != nil {
			return err
		}
	}
	if err := z.entry(root+"/version", []byte("3\n")); err != nil {
		return err
	}
	return z.zip.Close()
}

// WritePlain writes v, a value as in Member but no Array, as pickle.dump does.
func WritePlain(w io.Writer, v any) error {
	p := &pickler{keys: map[*Array]int{}}
	p.op(opProto, 2)
	if err := p.value(v); err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	if len(p.arrays) > 0 {
		return errors.New("pickle: a plain pickle has no place for tensors")
	}
	p.op(opStop)
	_, err := w.Write(p.b)
	return err
}

// littleEndian are the bytes of data.
func littleEndian[T float32 | int64](data []T) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, data) // it knows the size of both
	return b
}

// Opcodes of protocol 2 that are written.
const (
	opProto      = 0x80
	opMark       = '('
	opTuple      = 't'
	opEmptyTuple = ')'
	opEmptyDict  = '}'
	opSetItems   = 'u'
	opNone       = 'N'
	opTrue       = 0x88
	opFalse      = 0x89
	opLong1      = 0x8a
	opFloat      = 'G'
	opUnicode    = 'X'
	opGlobal     = 'c'
	opReduce     = 'R'
	opPersID     = 'Q'
)

// pickler makes the pickle, without memo: values are small or tensors.
type pickler struct {
	b      []byte
	arrays []*Array
	keys   map[*Array]int
}

func (p *pickler) op(ops ...byte) { p.b = append(p.b, ops...) }

func (p *pickler) value(v any) error {
	switch v := v.(type) {
	case nil:
		p.op(opNone)
	case bool:
		if v {
			p.op(opTrue)
		} else {
			p.op(opFalse)
		}
	case int:
		p.op(opLong1, 8)
		p.b = binary.LittleEndian.AppendUint64(p.b, uint64(v))
	case float64:
		p.op(opFloat)
		p.b = binary.BigEndian.AppendUint64(p.b, math.Float64bits(v))
	case string:
		p.op(opUnicode)
		p.b = binary.LittleEndian.AppendUint32(p.b, uint32(len(v)))
		p.b = append(p.b, v...)
	case []any:
		return p.tuple(v...)
	case Mapping:
		return p.dict(v)
	case Global:
		p.global(v.Module, v.Name)
	case *Array:
		return p.array(v)
	default:
		return fmt.Errorf("a %T cannot be written", v)
	}
	return nil
}

func (p *pickler) tuple(values ...any) error {
	p.op(opMark)
	for _, v := range values {
		if err := p.value(v); err != nil {
			return err
		}
	}
	p.op(opTuple)
	return nil
}

func (p *pickler) dict(m Mapping) error {
	p.op(opEmptyDict, opMark)
	for _, e := range m {
		if err := errors.Join(p.value(e.Key), p.value(e.Value)); err != nil {
			return fmt.Errorf("%s: %w", e.Key, err)
		}
	}
	p.op(opSetItems)
	return nil
}

func (p *pickler) global(module, name string) {
	p.b = append(p.b, fmt.Sprintf("%c%s\n%s\n", opGlobal, module, name)...)
}

// array is torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict()).
func (p *pickler) array(a *Array) error {
	elements, strides := 1, make([]any, len(a.Shape))
	shape := make([]any, len(a.Shape))
	for i := len(a.Shape) - 1; i >= 0; i-- {
		shape[i], strides[i] = a.Shape[i], elements
		elements *= a.Shape[i]
	}
	class, have, _ := a.storage()
	if elements != have {
		return fmt.Errorf("%d elements for the shape %v", have, a.Shape)
	}
	key, ok := p.keys[a]
	if !ok {
		key = len(p.arrays)
		p.keys[a], p.arrays = key, append(p.arrays, a)
	}
	p.global("torch._utils", "_rebuild_tensor_v2")
	p.op(opMark, opMark)
	err := p.value("storage")
	p.global("torch", class)
	err = errors.Join(err, p.value(fmt.Sprint(key)), p.value("cpu"), p.value(elements))
	p.op(opTuple, opPersID)
	err = errors.Join(err, p.value(0), p.tuple(shape...), p.tuple(strides...), p.value(false))
	p.global("collections", "OrderedDict")
	p.op(opEmptyTuple, opReduce, opTuple, opReduce)
	return err
}

// zipWriter writes stored entries whose data begin at multiples of 64 bytes, where
// torch maps them.
type zipWriter struct {
	out *counter
	zip *zip.Writer
}

const (
	zipAlign  = 64
	zipHeader = 30 // bytes of a local header before the name
)

func (z *zipWriter) entry(name string, data []byte) error {
	if err := z.zip.Flush(); err != nil {
		return err
	}
	at := z.out.n + zipHeader + int64(len(name)) + 4 // 4: the head of the extra field that fills up
	pad := (zipAlign - at%zipAlign) % zipAlign
	extra := binary.LittleEndian.AppendUint16([]byte("FB"), uint16(pad)) // torch's own padding field
	extra = append(extra, bytes.Repeat([]byte("Z"), int(pad))...)
	w, err := z.zip.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, Extra: extra, CRC32: crc32.ChecksumIEEE(data),
		CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data)),
	})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
