// Package kernel makes the WebAssembly functions that compute ops on vectors of
// four f32, with all shapes as constants, and the loop with which several
// threads share them. It writes code and runs none.
//
// A kernel is func(rec, chunk, scratch): it does one chunk of an op. rec is the
// address of a record of a node, which says where its operands lie; scratch is
// memory of the thread. An output belongs to one chunk and partial sums are kept
// a chunk, so that results have the same bits for any number of threads.
//
// Vectors of a row may read up to 12 bytes behind it; what they find there never
// reaches an output. Stores end where the row ends.
package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// Kernel is an op with its shapes. Equal kernels are the same function.
type Kernel interface {
	Emit(f *wasm.Func)
	// Chunks is the number of pieces; Work is about how many multiply-adds of
	// vectors all of them take.
	Chunks() int
	Work() int64
}

// Scratcher is a kernel that needs bytes of memory a thread.
type Scratcher interface{ Scratch() int }

// Params of a kernel's function.
const Params = 3

// Record offsets in bytes; the arguments follow.
const (
	RecSlot  = 0  // of the kernel in the table
	RecFirst = 4  // chunk
	RecEnd   = 8  // the chunk behind the last
	RecNext  = 12 // the chunk that is taken next: RecFirst between runs
	recArgs  = 16
	// RecArgs is how many arguments there may be.
	RecArgs = 12
	RecSize = recArgs + 4*RecArgs
)

// RecArg is the offset of argument i.
func RecArg(i int) int { return recArgs + 4*i }

// lanes of a vector, and the bytes of one and of a float.
const (
	lanes       = 4
	vectorBytes = 16
	floatBytes  = 4
)

// args loads the first n arguments.
func args(f *wasm.Func, n int) []wasm.X {
	xs := make([]wasm.X, n)
	for i := range xs {
		xs[i] = f.Let(wasm.I32, wasm.LoadI(f.Param(0), RecArg(i)))
	}
	return xs
}

// chunk is the chunk that a kernel does, scratch the memory of its thread.
func chunk(f *wasm.Func) wasm.X   { return f.Param(1) }
func scratch(f *wasm.Func) wasm.X { return f.Param(2) }

// digits are the digits of i in a mixed base, the last counting units:
// i = (d₀·base₁ + d₁)·base₂ + d₂ …; base₀ is not needed.
func digits(f *wasm.Func, i wasm.X, base ...int) []wasm.X {
	ds := make([]wasm.X, len(base))
	rest := f.Let(wasm.I32, i)
	for k := len(base) - 1; k > 0; k-- {
		ds[k] = f.Let(wasm.I32, wasm.RemU(rest, wasm.I(base[k])))
		f.Set(rest, wasm.DivU(rest, wasm.I(base[k])))
	}
	ds[0] = rest
	return ds
}

// linear is i₀·by₀ + i₁·by₁ + … with alternating arguments i, by.
func linear(base wasm.X, terms ...any) wasm.X {
	for k := 0; k < len(terms); k += 2 {
		base = wasm.Add(base, wasm.Mul(terms[k].(wasm.X), wasm.I(terms[k+1].(int))))
	}
	return base
}

// ceil is ⌈a/b⌉.
func ceil(a, b int) int { return (a + b - 1) / b }

// groups runs body for the vectors of a row of c channels, at most most at a
// time: off is the byte in the row where the first lies, widths the lanes of
// each that belong to the row. Whole groups are one loop.
func groups(f *wasm.Func, c, most int, body func(off wasm.X, widths []int)) {
	widths := func(c int) (ws []int) {
		for ; c > 0; c -= lanes {
			ws = append(ws, min(c, lanes))
		}
		return ws
	}
	whole := c / (most * lanes)
	off := f.Local(wasm.I32)
	f.Set(off, wasm.I(0))
	if whole > 0 {
		g := f.Local(wasm.I32)
		f.Count(g, whole, func() {
			body(off, widths(most*lanes))
			f.Set(off, wasm.Add(off, wasm.I(most*vectorBytes)))
		})
	}
	if rest := c - whole*most*lanes; rest > 0 {
		body(off, widths(rest))
	}
}

// leaky is v where v is at least 0, else slope·v; v is a variable.
func leaky(v, slope wasm.X, factor float32) wasm.X {
	switch {
	case factor == 1:
		return v
	case factor >= 0 && factor < 1:
		return wasm.PMaxV(v, wasm.MulV(v, slope))
	}
	return wasm.ChooseV(wasm.GeV(v, wasm.ZeroV()), v, wasm.MulV(v, slope))
}
