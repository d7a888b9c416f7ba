// Package wasm writes small WebAssembly modules: as much of the binary format as
// kernels on an imported memory need. It is an encoder, knows no kernel, and
// checks nothing that WebAssembly.compile checks anyway.
//
// Expressions are code: an X leaves one value on the stack, so that operands
// come first and instructions follow, and trees of calls are programs:
//
//	f.Set(sum, AddF(sum, MulF(LoadF(p, 0), LoadF(q, 4))))
//
// A module imports env.mem, its memory, and env.table, a table of functions.
package wasm

import "encoding/binary"

// Type is the type of a value.
type Type byte

// Types of values.
const (
	I32  Type = 0x7F
	F32  Type = 0x7D
	F64  Type = 0x7C
	V128 Type = 0x7B
)

// MaxPages is the most that a 32-bit memory can have, of PageBytes each.
const (
	MaxPages  = 65536
	PageBytes = 65536
)

// Module collects functions.
type Module struct {
	Shared bool // the imported memory is shared between threads
	Slot   int  // of the table, where the first function without a name goes
	types  []string
	funcs  []*Func
}

// Func adds a function with a number of i32 parameters and no result. With a
// name it is exported; without, it goes into the next slot of the table.
func (m *Module) Func(name string, params int) *Func {
	f := &Func{name: name, typ: m.kind(params), index: len(m.funcs), params: params}
	m.funcs = append(m.funcs, f)
	return f
}

// kind is the index of the type of functions with that many parameters.
func (m *Module) kind(params int) int {
	t := uleb([]byte{0x60}, params)
	for range params {
		t = append(t, byte(I32))
	}
	t = append(t, 0)
	for i, have := range m.types {
		if have == string(t) {
			return i
		}
	}
	m.types = append(m.types, string(t))
	return len(m.types) - 1
}

// Bytes encodes the module.
func (m *Module) Bytes() []byte {
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	out = section(out, 1, len(m.types), m.typeSection())
	out = section(out, 2, 2, m.importSection())
	var kinds, exports, slots, code []byte
	exported, tabled := 0, 0
	for _, f := range m.funcs {
		kinds = uleb(kinds, f.typ)
		if f.name != "" {
			exported++
			exports = uleb(append(text(exports, f.name), 0x00), f.index)
		} else {
			tabled++
			slots = uleb(slots, f.index)
		}
		body := f.body()
		code = append(uleb(code, len(body)), body...)
	}
	out = section(out, 3, len(m.funcs), kinds)
	out = section(out, 7, exported, exports)
	if tabled > 0 {
		segment := append([]byte{0x00}, I(m.Slot)...)
		segment = uleb(append(segment, opEnd), tabled)
		out = section(out, 9, 1, append(segment, slots...))
	}
	return section(out, 10, len(m.funcs), code)
}

func (m *Module) typeSection() (b []byte) {
	for _, t := range m.types {
		b = append(b, t...)
	}
	return b
}

func (m *Module) importSection() []byte {
	b := append(text(text(nil, "env"), "mem"), 0x02)
	if m.Shared {
		b = uleb(append(b, 0x03, 1), MaxPages)
	} else {
		b = append(b, 0x00, 1)
	}
	b = append(text(text(b, "env"), "table"), 0x01, 0x70)
	return append(b, 0x00, 0)
}

// section appends one of n entries.
func section(out []byte, id byte, n int, body []byte) []byte {
	body = append(uleb(nil, n), body...)
	return append(uleb(append(out, id), len(body)), body...)
}

func text(b []byte, s string) []byte { return append(uleb(b, len(s)), s...) }

// uleb appends v in LEB128 without a sign, sleb with one.
func uleb(b []byte, v int) []byte { return binary.AppendUvarint(b, uint64(v)) }

func sleb(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7F)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
