package wasm

import "slices"

// Opcodes of control.
const (
	opBlock, opLoop, opIf, opElse, opEnd = 0x02, 0x03, 0x04, 0x05, 0x0B
	opBr, opBrIf, opReturn               = 0x0C, 0x0D, 0x0F
	opCall, opCallIndirect, opDrop       = 0x10, 0x11, 0x1A
	opGet, opSet                         = 0x20, 0x21
	noResult                             = 0x40
)

// Func is a function under construction: its methods append statements.
type Func struct {
	name               string
	typ, index, params int
	locals             []Type
	code               []byte
}

// body is the locals and the code.
func (f *Func) body() []byte {
	b := uleb(nil, len(f.locals))
	for _, t := range f.locals {
		b = append(b, 1, byte(t))
	}
	return append(append(b, f.code...), opEnd)
}

// Param is parameter i.
func (f *Func) Param(i int) X { return uleb([]byte{opGet}, i) }

// Local is a new variable; it is 0.
func (f *Func) Local(t Type) X {
	f.locals = append(f.locals, t)
	return uleb([]byte{opGet}, f.params+len(f.locals)-1)
}

// Locals are n new variables.
func (f *Func) Locals(n int, t Type) []X {
	xs := make([]X, n)
	for i := range xs {
		xs[i] = f.Local(t)
	}
	return xs
}

// Let is a new variable with a value.
func (f *Func) Let(t Type, x X) X {
	v := f.Local(t)
	f.Set(v, x)
	return v
}

// Set gives a variable or a parameter a value.
func (f *Func) Set(v, x X) {
	if len(v) < 2 || v[0] != opGet {
		panic("wasm: Set of what is not a variable")
	}
	f.code = append(append(append(f.code, x...), opSet), v[1:]...)
}

// Do appends statements: expressions without a value.
func (f *Func) Do(xs ...X) {
	for _, x := range xs {
		f.code = append(f.code, x...)
	}
}

// Drop evaluates x for its effect.
func (f *Func) Drop(x X) { f.code = append(append(f.code, x...), opDrop) }

// Block is left by a Break in it, a Loop begins again by one.
func (f *Func) Block(body func()) { f.nest(opBlock, body) }
func (f *Func) Loop(body func())  { f.nest(opLoop, body) }

// If does body where cond is not 0, or other, which may be nil.
func (f *Func) If(cond X, body, other func()) {
	f.Do(cond)
	f.nest(opIf, func() {
		body()
		if other != nil {
			f.code = append(f.code, opElse)
			other()
		}
	})
}

// Break leaves the nesting that is depth levels out, or repeats it if it is a
// Loop; an If is a level. BreakIf does so where cond is not 0.
func (f *Func) Break(depth int) { f.code = uleb(append(f.code, opBr), depth) }

func (f *Func) BreakIf(depth int, cond X) {
	f.code = uleb(append(append(f.code, cond...), opBrIf), depth)
}

// Return ends the function.
func (f *Func) Return() { f.code = append(f.code, opReturn) }

func (f *Func) nest(op byte, body func()) {
	f.code = append(f.code, op, noResult)
	body()
	f.code = append(f.code, opEnd)
}

// For does body for i = from, from + 1, … below to, signed; to is evaluated anew
// each time.
func (f *Func) For(i, from, to X, body func()) {
	f.Set(i, from)
	f.While(func() X { return LtS(i, to) }, func() {
		body()
		f.Set(i, Add(i, I(1)))
	})
}

// While does body as long as cond is not 0.
func (f *Func) While(cond func() X, body func()) {
	f.Block(func() {
		f.Loop(func() {
			f.BreakIf(1, Eqz(cond()))
			body()
			f.Break(0)
		})
	})
}

// Count does body for i = 0 … n-1, n at least 1; for 1 there is no loop.
func (f *Func) Count(i X, n int, body func()) {
	f.Set(i, I(0))
	if n == 1 {
		body()
		return
	}
	f.Loop(func() {
		body()
		f.Set(i, Add(i, I(1)))
		f.BreakIf(0, Ne(i, I(n)))
	})
}

// Call calls a function of the module, CallSlot the one in a slot of the table,
// which must have as many parameters as there are arguments.
func (f *Func) Call(g *Func, args ...X) {
	f.Do(args...)
	f.code = uleb(append(f.code, opCall), g.index)
}

func (f *Func) CallSlot(m *Module, slot X, args ...X) {
	f.Do(args...)
	f.Do(slot)
	f.code = append(uleb(append(f.code, opCallIndirect), m.kind(len(args))), 0)
}

// Same tells whether x and y are the same code.
func Same(x, y X) bool { return slices.Equal(x, y) }
