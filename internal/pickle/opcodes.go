package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

const opStop = '.'

type opcode struct {
	name string
	run  func(*machine) error
}

// opcodes are those of binary pickles, protocols 1 to 5, except for buffers out
// of band, sets, extension codes and old-style instances, none of which
// torch.save writes.
var opcodes = [256]opcode{
	'N':  {"NONE", constant(nil)},
	0x88: {"NEWTRUE", constant(true)},
	0x89: {"NEWFALSE", constant(false)},
	'K':  {"BININT1", number(1)},
	'M':  {"BININT2", number(2)},
	'J':  {"BININT", runBinInt},
	'G':  {"BINFLOAT", runBinFloat},
	0x8a: {"LONG1", long(1)},
	0x8b: {"LONG4", long(4)},
	'U':  {"SHORT_BINSTRING", text(1)},
	'T':  {"BINSTRING", text(4)},
	0x8c: {"SHORT_BINUNICODE", text(1)},
	'X':  {"BINUNICODE", text(4)},
	0x8d: {"BINUNICODE8", text(8)},
	'C':  {"SHORT_BINBYTES", binaryString(1)},
	'B':  {"BINBYTES", binaryString(4)},
	0x8e: {"BINBYTES8", binaryString(8)},
	0x96: {"BYTEARRAY8", binaryString(8)},

	']':  {"EMPTY_LIST", func(m *machine) error { return m.sequence(nil, false) }},
	')':  {"EMPTY_TUPLE", func(m *machine) error { return m.sequence(nil, true) }},
	'}':  {"EMPTY_DICT", (*machine).dict},
	'l':  {"LIST", marked(func(m *machine, v []any) error { return m.sequence(v, false) })},
	't':  {"TUPLE", marked(func(m *machine, v []any) error { return m.sequence(v, true) })},
	'd':  {"DICT", marked(runDict)},
	0x85: {"TUPLE1", tuple(1)},
	0x86: {"TUPLE2", tuple(2)},
	0x87: {"TUPLE3", tuple(3)},
	'a':  {"APPEND", counted(1, (*machine).appendItems)},
	'e':  {"APPENDS", marked((*machine).appendItems)},
	's':  {"SETITEM", counted(2, (*machine).setItems)},
	'u':  {"SETITEMS", marked((*machine).setItems)},

	'(':  {"MARK", runMark},
	'0':  {"POP", runPop},
	'1':  {"POP_MARK", marked(func(*machine, []any) error { return nil })},
	'2':  {"DUP", runDup},
	'h':  {"BINGET", func(m *machine) error { return m.get(m.src.uint(1)) }},
	'j':  {"LONG_BINGET", func(m *machine) error { return m.get(m.src.uint(4)) }},
	'q':  {"BINPUT", func(m *machine) error { return m.put(m.src.uint(1)) }},
	'r':  {"LONG_BINPUT", func(m *machine) error { return m.put(m.src.uint(4)) }},
	0x94: {"MEMOIZE", func(m *machine) error { return m.put(uint64(len(m.memo)), nil) }},

	'c':  {"GLOBAL", runGlobal},
	0x93: {"STACK_GLOBAL", runStackGlobal},
	'R':  {"REDUCE", (*machine).call},
	0x81: {"NEWOBJ", (*machine).call},
	'b':  {"BUILD", (*machine).build},
	'Q':  {"BINPERSID", runPersistent},
	0x80: {"PROTO", runProto},
	0x95: {"FRAME", func(m *machine) error { _, err := m.src.uint(8); return err }},
}

func constant(v any) func(*machine) error {
	return func(m *machine) error { return m.push(v) }
}

func number(bytes int) func(*machine) error {
	return func(m *machine) error {
		v, err := m.src.uint(bytes)
		if err != nil {
			return err
		}
		return m.push(int64(v))
	}
}

func runBinInt(m *machine) error {
	v, err := m.src.uint(4)
	if err != nil {
		return err
	}
	return m.push(int64(int32(v)))
}

func runBinFloat(m *machine) error {
	b, err := m.src.bytes(8)
	if err != nil {
		return err
	}
	return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
}

// long reads an integer in two's complement, little-endian, after its length.
// It is an int64 where it fits, else a Long.
func long(lengthBytes int) func(*machine) error {
	return func(m *machine) error {
		b, err := m.prefixed(lengthBytes)
		if err != nil {
			return err
		}
		sign := byte(0)
		if n := len(b); n > 0 && b[n-1] >= 0x80 {
			sign = 0xff
		}
		for n := len(b); n > 1 && b[n-1] == sign && b[n-2]>>7 == sign>>7; n = len(b) {
			b = b[:n-1] // it repeats the sign
		}
		if len(b) > 8 {
			return m.push(Long(b))
		}
		whole := [8]byte{sign, sign, sign, sign, sign, sign, sign, sign}
		copy(whole[:], b)
		return m.push(int64(binary.LittleEndian.Uint64(whole[:])))
	}
}

// prefixed reads a length of so many bytes and then that many bytes.
func (m *machine) prefixed(lengthBytes int) ([]byte, error) {
	n, err := m.src.uint(lengthBytes)
	if err != nil {
		return nil, err
	}
	return m.src.bytes(n)
}

func text(lengthBytes int) func(*machine) error {
	return func(m *machine) error {
		b, err := m.prefixed(lengthBytes)
		if err != nil {
			return err
		}
		return m.push(string(b))
	}
}

func binaryString(lengthBytes int) func(*machine) error {
	return func(m *machine) error {
		b, err := m.prefixed(lengthBytes)
		if err != nil {
			return err
		}
		return m.push(b)
	}
}

// marked runs use with the values above the last mark.
func marked(use func(*machine, []any) error) func(*machine) error {
	return func(m *machine) error {
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return use(m, items)
	}
}

// counted runs use with the n values on top.
func counted(n int, use func(*machine, []any) error) func(*machine) error {
	return func(m *machine) error {
		items, err := m.popN(n)
		if err != nil {
			return err
		}
		return use(m, items)
	}
}

func tuple(n int) func(*machine) error {
	return counted(n, func(m *machine, v []any) error { return m.sequence(v, true) })
}

func runDict(m *machine, items []any) error {
	if err := m.dict(); err != nil {
		return err
	}
	return m.setItems(items)
}

func runMark(m *machine) error {
	if len(m.marks) >= mostMarks {
		return fmt.Errorf("more than %d marks are open", mostMarks)
	}
	m.marks = append(m.marks, len(m.stack))
	return nil
}

func runPop(m *machine) error {
	if len(m.marks) > 0 && len(m.stack) == m.floor() {
		m.marks = m.marks[:len(m.marks)-1]
		return nil
	}
	_, err := m.pop()
	return err
}

func runDup(m *machine) error {
	top, err := m.top()
	if err != nil {
		return err
	}
	return m.push(top)
}

func runGlobal(m *machine) error {
	module, err := m.src.line()
	if err != nil {
		return err
	}
	name, err := m.src.line()
	if err != nil {
		return err
	}
	return m.global(module, name)
}

func runStackGlobal(m *machine) error {
	v, err := m.popN(2)
	if err != nil {
		return err
	}
	module, isText := v[0].(string)
	name, isTextToo := v[1].(string)
	if !isText || !isTextToo {
		return fmt.Errorf("a class is named by a %T and a %T", v[0], v[1])
	}
	return m.global(module, name)
}

func runPersistent(m *machine) error {
	id, err := m.pop()
	if err != nil {
		return err
	}
	tuple, ok := id.(*sequence)
	if !ok || m.persistent == nil {
		return errors.New("a persistent id was not expected here")
	}
	v, err := m.persistent(tuple.items)
	if err != nil {
		return err
	}
	return m.push(v)
}

func runProto(m *machine) error {
	v, err := m.src.uint(1)
	if err == nil && v > 5 {
		err = fmt.Errorf("protocol %d is unknown, 5 is the last known", v)
	}
	return err
}
