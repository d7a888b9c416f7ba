package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// flatFloats is the elements of a chunk of an elementwise op.
const flatFloats = 16384

// Add is y = leaky(a + b), elementwise. Arguments: a, b, y.
type Add struct {
	Elems int
	Slope float32 // 1: no activation
}

// Chunks is the number of pieces.
func (k Add) Chunks() int { return ceil(k.Elems, flatFloats) }

// Work counts about as many multiply-adds of vectors as take as long.
func (k Add) Work() int64 { return int64(k.Elems) }

// Emit writes the function.
func (k Add) Emit(f *wasm.Func) {
	a := args(f, 3)
	first := f.Let(wasm.I32, wasm.Mul(chunk(f), wasm.I(flatFloats)))
	end := f.Let(wasm.I32, wasm.Min(wasm.I(k.Elems), wasm.Add(first, wasm.I(flatFloats))))
	for _, p := range a {
		f.Set(p, linear(p, first, floatBytes))
	}
	slope := f.Let(wasm.V128, wasm.SplatF(wasm.F(k.Slope)))
	v := f.Local(wasm.V128)
	body := func(width int) {
		f.Set(v, wasm.AddV(wasm.LoadV(a[0], 0), wasm.LoadV(a[1], 0)))
		f.Set(v, leaky(v, slope, k.Slope))
		f.Do(wasm.StoreV(a[2], 0, v, width))
	}
	f.While(func() wasm.X { return wasm.LtS(wasm.Add(first, wasm.I(lanes-1)), end) }, func() {
		body(lanes)
		for _, p := range a {
			f.Set(p, wasm.Add(p, wasm.I(vectorBytes)))
		}
		f.Set(first, wasm.Add(first, wasm.I(lanes)))
	})
	if rest := k.Elems % lanes; rest > 0 { // chunks are whole vectors, but for the last
		f.If(wasm.LtS(first, end), func() { body(rest) }, nil)
	}
}

// AvgPool is the mean over windows of the size of their stride:
//
//	x [N D·sD H·sH W·sW C] → y [N D H W C]
//
// A chunk is a row of y. Arguments: x, y.
type AvgPool struct {
	N      int
	Out    [3]int // D H W
	C      int
	Stride [3]int
}

// Chunks is the number of pieces.
func (k AvgPool) Chunks() int { return k.N * k.Out[0] * k.Out[1] }

func (k AvgPool) window() int { return k.Stride[0] * k.Stride[1] * k.Stride[2] }

// Work counts about as many multiply-adds of vectors as take as long.
func (k AvgPool) Work() int64 {
	return 2 * int64(k.Chunks()*k.Out[2]*k.window()) * int64(ceil(k.C, lanes))
}

// Emit writes the function.
func (k AvgPool) Emit(f *wasm.Func) {
	a := args(f, 2)
	g := digits(f, chunk(f), 0, k.Out[1])
	s, voxel := k.Stride, k.C*floatBytes
	row := k.Out[2] * s[2] * voxel // of x
	first := linear(wasm.Mul(g[0], wasm.I(s[0]*k.Out[1]*s[1])), g[1], s[1])
	x := f.Let(wasm.I32, linear(a[0], first, row))
	y := f.Let(wasm.I32, linear(a[1], chunk(f), k.Out[2]*voxel))
	share := f.Let(wasm.V128, wasm.SplatF(wasm.F(1/float32(k.window()))))
	i, p, q := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	kd, kh, kw := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	sum := f.Locals(group, wasm.V128)
	f.Count(i, k.Out[2], func() {
		groups(f, k.C, group, func(off wasm.X, widths []int) {
			for j := range widths {
				f.Set(sum[j], wasm.ZeroV())
			}
			f.Count(kd, s[0], func() {
				f.Count(kh, s[1], func() {
					f.Count(kw, s[2], func() {
						at := linear(wasm.Add(x, off), kd, k.Out[1]*s[1]*row, kh, row, kw, voxel, i, s[2]*voxel)
						f.Set(p, at)
						for j := range widths {
							f.Set(sum[j], wasm.AddV(sum[j], wasm.LoadV(p, j*vectorBytes)))
						}
					})
				})
			})
			f.Set(q, linear(wasm.Add(y, off), i, voxel))
			for j, width := range widths {
				f.Set(sum[j], wasm.MulV(sum[j], share))
				f.Do(wasm.StoreV(q, j*vectorBytes, sum[j], width))
			}
		})
	})
}
