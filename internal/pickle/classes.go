package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gounet/gounet/internal/half"
)

// class is an entry of the white list.
type class struct {
	name    string
	element DType // of a storage class
	call    func(m *machine, args []any) (any, error)
}

// classes is the white list: whatever is not here is an error. A call makes a
// value of this package out of its arguments and has no other effect.
var classes = func() map[string]*class {
	calls := map[string]func(*machine, []any) (any, error){
		"collections.OrderedDict":         callOrderedDict,
		"argparse.Namespace":              callNamespace,
		"_codecs.encode":                  callEncode,
		"builtins.bytes":                  callEmptyBytes,
		"__builtin__.bytes":               callEmptyBytes,
		"numpy.dtype":                     callDtype,
		"numpy.core.multiarray.scalar":    callScalar,
		"numpy._core.multiarray.scalar":   callScalar,
		"torch.device":                    callDevice,
		"torch.Size":                      callSize,
		"torch._utils._rebuild_tensor_v2": callRebuildTensor,
		"torch._utils._rebuild_parameter": callRebuildParameter,
	}
	table := map[string]*class{}
	for name, call := range calls {
		table[name] = &class{name: name, call: call}
	}
	for name, element := range storageClasses {
		name = "torch." + name
		table[name] = &class{name: name, element: element}
	}
	return table
}()

var storageClasses = map[string]DType{
	"DoubleStorage":   Float64,
	"FloatStorage":    Float32,
	"HalfStorage":     Float16,
	"BFloat16Storage": BFloat16,
	"LongStorage":     Int64,
	"IntStorage":      Int32,
	"ShortStorage":    Int16,
	"CharStorage":     Int8,
	"ByteStorage":     UInt8,
	"BoolStorage":     Bool,
}

func callNamespace(_ *machine, args []any) (any, error) {
	if len(args) != 0 {
		return nil, fmt.Errorf("%d arguments, none were wanted", len(args))
	}
	return &Object{Class: "argparse.Namespace"}, nil
}

func callEmptyBytes(_ *machine, args []any) (any, error) {
	if len(args) != 0 {
		return nil, fmt.Errorf("%d arguments, none were wanted", len(args))
	}
	return []byte{}, nil
}

// callOrderedDict takes nothing or, as Python 2 wrote it, a list of pairs.
func callOrderedDict(m *machine, args []any) (any, error) {
	d := &Dict{}
	if len(args) == 0 {
		return d, nil
	}
	pairs, ok := args[0].(*sequence)
	if !ok || len(args) != 1 {
		return nil, errors.New("one list of pairs was wanted")
	}
	if err := m.spend(64 * len(pairs.items)); err != nil {
		return nil, err
	}
	for _, p := range pairs.items {
		pair, ok := p.(*sequence)
		if !ok || len(pair.items) != 2 {
			return nil, errors.New("one list of pairs was wanted")
		}
		if err := d.set(pair.items[0], pair.items[1]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// callEncode makes bytes of a text whose characters are bytes: how Python 3
// writes bytes in protocol 2.
func callEncode(m *machine, args []any) (any, error) {
	if len(args) != 2 || args[1] != "latin1" {
		return nil, errors.New("a text and \"latin1\" were wanted")
	}
	s, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("a text was wanted, not a %T", args[0])
	}
	if err := m.spend(len(s)); err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return nil, fmt.Errorf("character %q is not in latin1", r)
		}
		b = append(b, byte(r))
	}
	return b, nil
}

func callDevice(_ *machine, args []any) (any, error) {
	if len(args) == 1 || len(args) == 2 {
		kind, ok := args[0].(string)
		if ok && len(args) == 1 {
			return kind, nil
		}
		index, okIndex := args[1].(int64)
		if ok && okIndex && len(kind) < 32 {
			return fmt.Sprintf("%s:%d", kind, index), nil
		}
	}
	return nil, errors.New("a name and perhaps a number were wanted")
}

func callSize(_ *machine, args []any) (any, error) {
	if len(args) == 1 {
		if s, ok := args[0].(*sequence); ok && s.tuple {
			return s, nil
		}
	}
	return nil, errors.New("a tuple was wanted")
}

// dtype is numpy's description of an element.
type dtype struct {
	code string // kind and bytes: "f8"
	big  bool
}

func (d *dtype) String() string { return d.code }

func callDtype(_ *machine, args []any) (any, error) {
	if len(args) >= 1 && len(args) <= 3 {
		code, ok := args[0].(string)
		if _, known := scalars[code]; ok && known {
			return &dtype{code: code}, nil
		}
	}
	return nil, fmt.Errorf("%.100v is not the code of a number", args)
}

// build takes the state (version, byte order, …): "<", ">", or "|" where it
// does not matter.
func (d *dtype) build(state any) error {
	tuple, ok := state.(*sequence)
	if !ok || len(tuple.items) < 2 {
		return fmt.Errorf("numpy.dtype gets a %T as its state", state)
	}
	switch order := tuple.items[1]; order {
	case "<", "|":
		d.big = false
	case ">":
		d.big = true
	default:
		return fmt.Errorf("numpy.dtype gets the byte order %v", order)
	}
	return nil
}

// scalars read one element; bytes are little-endian.
var scalars = map[string]struct {
	bytes int
	value func(b []byte) any
}{
	"f2": {2, func(b []byte) any { return float64(half.FromF16(binary.LittleEndian.Uint16(b))) }},
	"f4": {4, func(b []byte) any { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }},
	"f8": {8, func(b []byte) any { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }},
	"i1": {1, func(b []byte) any { return int64(int8(b[0])) }},
	"i2": {2, func(b []byte) any { return int64(int16(binary.LittleEndian.Uint16(b))) }},
	"i4": {4, func(b []byte) any { return int64(int32(binary.LittleEndian.Uint32(b))) }},
	"i8": {8, func(b []byte) any { return int64(binary.LittleEndian.Uint64(b)) }},
	"u1": {1, func(b []byte) any { return int64(b[0]) }},
	"u2": {2, func(b []byte) any { return int64(binary.LittleEndian.Uint16(b)) }},
	"u4": {4, func(b []byte) any { return int64(binary.LittleEndian.Uint32(b)) }},
	"b1": {1, func(b []byte) any { return b[0] != 0 }},
}

// callScalar makes a float64, int64 or bool of a numpy scalar.
func callScalar(_ *machine, args []any) (any, error) {
	if len(args) != 2 {
		return nil, errors.New("a dtype and bytes were wanted")
	}
	d, isDtype := args[0].(*dtype)
	raw, isBytes := args[1].([]byte)
	if !isDtype || !isBytes {
		return nil, fmt.Errorf("a dtype and bytes were wanted, not a %T and a %T", args[0], args[1])
	}
	s := scalars[d.code]
	if len(raw) != s.bytes {
		return nil, fmt.Errorf("%s needs %d bytes, there are %d", d.code, s.bytes, len(raw))
	}
	var b [8]byte
	copy(b[:], raw)
	if d.big {
		for i := range raw {
			b[len(raw)-1-i] = raw[i]
		}
	}
	return s.value(b[:]), nil
}

// maxRank is torch's own bound of a tensor's axes.
const maxRank = 64

// callRebuildTensor takes (storage, offset, size, stride, requires_grad, hooks).
func callRebuildTensor(_ *machine, args []any) (any, error) {
	if len(args) < 4 || len(args) > 7 {
		return nil, fmt.Errorf("%d arguments, 6 or 7 were wanted", len(args))
	}
	s, isStorage := args[0].(*storage)
	offset, isInt := args[1].(int64)
	if !isStorage || !isInt {
		return nil, fmt.Errorf("a storage and an offset were wanted, not a %T and a %T", args[0], args[1])
	}
	shape, err := intsOf(args[2])
	if err != nil {
		return nil, fmt.Errorf("size: %w", err)
	}
	stride, err := intsOf(args[3])
	if err != nil {
		return nil, fmt.Errorf("stride: %w", err)
	}
	return newTensor(s, offset, shape, stride)
}

func intsOf(v any) ([]int, error) {
	tuple, ok := v.(*sequence)
	if !ok || len(tuple.items) > maxRank {
		return nil, fmt.Errorf("a tuple of at most %d numbers was wanted", maxRank)
	}
	ints := make([]int, len(tuple.items))
	for i, item := range tuple.items {
		n, ok := item.(int64)
		if !ok || n < 0 || int64(int(n)) != n {
			return nil, fmt.Errorf("%v is not a length", item)
		}
		ints[i] = int(n)
	}
	return ints, nil
}

// callRebuildParameter takes (tensor, requires_grad, hooks).
func callRebuildParameter(_ *machine, args []any) (any, error) {
	if len(args) >= 1 && len(args) <= 3 {
		if t, ok := args[0].(*Tensor); ok {
			return t, nil
		}
	}
	return nil, errors.New("a tensor was wanted")
}
