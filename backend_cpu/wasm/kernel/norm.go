package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// Norm is the shapes of an instance norm over x [N V C]. It is made in three
// steps: moments of a chunk, the statistics of all chunks, and the result. Their
// memory, parts, is
//
//	moments f32 [N units 3 C'] mean, Σ (x − mean), Σ (x − mean)²   of a chunk
//	columns f32 [N 3 C'] mean, scale, shift                        C' = C rounded up to a vector
//
// The mean of a chunk is rounded, so that both sums are kept. A chunk is read
// twice, the second time from the cache.
type Norm struct {
	N, V, C int
}

// unitFloats is about how many elements a chunk has, unitVoxels how many voxels
// at most: sums of so many f32 are near enough.
const (
	unitFloats = 8192
	unitVoxels = 512
)

// group is the vectors of a voxel that are summed together: each has its own
// chain of additions.
const group = 4

func (n Norm) per() int         { return min(max(1, unitFloats/n.C), unitVoxels) }
func (n Norm) units() int       { return ceil(n.V, n.per()) }
func (n Norm) row() int         { return ceil(n.C, lanes) * vectorBytes }
func (n Norm) columnsAt() int   { return n.N * n.units() * 3 * n.row() }
func (n Norm) vectors() int64   { return int64(n.N*n.V) * int64(ceil(n.C, lanes)) }
func (n Norm) parallelism() int { return n.N * n.units() }

// Parts is the bytes of parts.
func (n Norm) Parts() int { return n.columnsAt() + n.N*3*n.row() }

// voxels is a chunk: its sample, its unit, where its voxels lie and how many
// they are.
func (n Norm) voxels(f *wasm.Func, x wasm.X) (sample, unit, at, count wasm.X) {
	g := digits(f, chunk(f), 0, n.units())
	first := f.Let(wasm.I32, wasm.Mul(g[1], wasm.I(n.per())))
	count = f.Let(wasm.I32, wasm.Min(wasm.I(n.per()), wasm.Sub(wasm.I(n.V), first)))
	at = f.Let(wasm.I32, linear(x, linear(first, g[0], n.V), n.C*floatBytes))
	return g[0], g[1], at, count
}

// NormMoments is the first step. Arguments: x, parts.
type NormMoments struct{ Norm }

// Chunks is the number of pieces.
func (n NormMoments) Chunks() int { return n.parallelism() }

// Work counts about as many multiply-adds of vectors as take as long.
func (n NormMoments) Work() int64 { return 4 * n.vectors() }

// Emit writes the function.
func (n NormMoments) Emit(f *wasm.Func) {
	a := args(f, 2)
	sample, unit, at, count := n.voxels(f, a[0])
	out := f.Let(wasm.I32, linear(a[1], linear(unit, sample, n.units()), 3*n.row()))
	share := f.Let(wasm.V128, wasm.SplatF(wasm.DivF(wasm.F(1), wasm.ToF(count))))
	p, i, d := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.V128)
	sum, mean, square := f.Locals(group, wasm.V128), f.Locals(group, wasm.V128), f.Locals(group, wasm.V128)
	groups(f, n.C, group, func(off wasm.X, widths []int) {
		sweep := func(body func(k int)) {
			f.Set(p, wasm.Add(at, off))
			f.For(i, wasm.I(0), count, func() {
				for k := range widths {
					body(k)
				}
				f.Set(p, wasm.Add(p, wasm.I(n.C*floatBytes)))
			})
		}
		for k := range widths {
			f.Set(sum[k], wasm.ZeroV())
		}
		sweep(func(k int) { f.Set(sum[k], wasm.AddV(sum[k], wasm.LoadV(p, k*vectorBytes))) })
		for k := range widths {
			f.Set(mean[k], wasm.MulV(sum[k], share))
			f.Set(sum[k], wasm.ZeroV())
			f.Set(square[k], wasm.ZeroV())
		}
		sweep(func(k int) {
			f.Set(d, wasm.SubV(wasm.LoadV(p, k*vectorBytes), mean[k]))
			f.Set(sum[k], wasm.AddV(sum[k], d))
			f.Set(square[k], wasm.AddV(square[k], wasm.MulV(d, d)))
		})
		to := f.Let(wasm.I32, wasm.Add(out, off))
		for k := range widths {
			for part, v := range []wasm.X{mean[k], sum[k], square[k]} {
				f.Do(wasm.StoreV(to, part*n.row()+k*vectorBytes, v, lanes))
			}
		}
	})
}

// NormStatistics is the second step, in f64 (Chan, Golub and LeVeque 1983). With
// Given, stats are there already. Arguments: gamma, beta, stats, parts.
type NormStatistics struct {
	Norm
	Eps   float32
	Given bool
}

// Chunks is one a channel.
func (n NormStatistics) Chunks() int { return n.N * n.C }

// Work counts about as many multiply-adds of vectors as take as long.
func (n NormStatistics) Work() int64 { return int64(n.N*n.C) * int64(20*n.units()) }

// Emit writes the function.
func (n NormStatistics) Emit(f *wasm.Func) {
	a := args(f, 4)
	gamma, beta, parts := a[0], a[1], a[3]
	g := digits(f, chunk(f), 0, n.C)
	sample, c := g[0], g[1]
	stats := f.Let(wasm.I32, linear(a[2], chunk(f), 2*floatBytes))
	if !n.Given {
		n.combine(f, f.Let(wasm.I32, linear(parts, sample, n.units()*3*n.row(), c, floatBytes)), stats)
	}
	at := f.Let(wasm.I32, linear(parts, sample, 3*n.row(), c, floatBytes))
	factor := wasm.LoadF(linear(gamma, c, floatBytes), 0)
	f.Do(wasm.StoreF(at, n.columnsAt(), wasm.LoadF(stats, 0)),
		wasm.StoreF(at, n.columnsAt()+n.row(), wasm.MulF(wasm.LoadF(stats, floatBytes), factor)),
		wasm.StoreF(at, n.columnsAt()+2*n.row(), wasm.LoadF(linear(beta, c, floatBytes), 0)))
}

// combine makes the statistics of a channel of all moments; first is those of
// the first unit.
func (n NormStatistics) combine(f *wasm.Func, first, stats wasm.X) {
	u, at := f.Local(wasm.I32), f.Local(wasm.I32)
	count, total, square := f.Local(wasm.F64), f.Local(wasm.F64), f.Local(wasm.F64)
	d, own := f.Local(wasm.F64), f.Local(wasm.F64)
	part := func(i int) wasm.X { return wasm.Widen(wasm.LoadF(at, i*n.row())) }
	units := func(body func()) {
		f.Set(at, first)
		f.Count(u, n.units(), func() {
			voxels := wasm.Min(wasm.I(n.per()), wasm.Sub(wasm.I(n.V), wasm.Mul(u, wasm.I(n.per()))))
			f.Set(count, wasm.ToD(voxels))
			body()
			f.Set(at, wasm.Add(at, wasm.I(3*n.row())))
		})
	}
	voxels := wasm.D(float64(n.V))
	units(func() { f.Set(total, wasm.AddD(total, wasm.AddD(wasm.MulD(part(0), count), part(1)))) })
	mean := f.Let(wasm.F64, wasm.DivD(total, voxels))
	units(func() {
		f.Set(own, wasm.DivD(part(1), count)) // what the mean of the unit was rounded by
		f.Set(d, wasm.SubD(wasm.AddD(part(0), own), mean))
		inner := wasm.SubD(part(2), wasm.MulD(part(1), own))
		f.Set(square, wasm.AddD(square, wasm.AddD(inner, wasm.MulD(count, wasm.MulD(d, d)))))
	})
	variance := wasm.MaxD(wasm.D(0), wasm.DivD(square, voxels))
	rstd := wasm.DivD(wasm.D(1), wasm.SqrtD(wasm.AddD(variance, wasm.D(float64(n.Eps)))))
	f.Do(wasm.StoreF(stats, 0, wasm.Narrow(mean)), wasm.StoreF(stats, floatBytes, wasm.Narrow(rstd)))
}

// NormApply is the third step: y = leaky((x − mean)·scale + shift). Arguments:
// x, parts, y.
type NormApply struct {
	Norm
	Slope float32
}

// Chunks is the number of pieces.
func (n NormApply) Chunks() int { return n.parallelism() }

// Work counts about as many multiply-adds of vectors as take as long.
func (n NormApply) Work() int64 { return 4 * n.vectors() }

// Emit writes the function.
func (n NormApply) Emit(f *wasm.Func) {
	a := args(f, 3)
	sample, _, at, count := n.voxels(f, a[0])
	columns := f.Let(wasm.I32, linear(wasm.Add(a[1], wasm.I(n.columnsAt())), sample, 3*n.row()))
	y := f.Let(wasm.I32, wasm.Add(a[2], wasm.Sub(at, a[0])))
	slope := f.Let(wasm.V128, wasm.SplatF(wasm.F(n.Slope)))
	p, q, i, v := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.V128)
	column := [3][]wasm.X{f.Locals(group, wasm.V128), f.Locals(group, wasm.V128), f.Locals(group, wasm.V128)}
	groups(f, n.C, group, func(off wasm.X, widths []int) {
		from := f.Let(wasm.I32, wasm.Add(columns, off))
		for k := range widths {
			for part := range column {
				f.Set(column[part][k], wasm.LoadV(from, part*n.row()+k*vectorBytes))
			}
		}
		f.Set(p, wasm.Add(at, off))
		f.Set(q, wasm.Add(y, off))
		f.For(i, wasm.I(0), count, func() {
			for k, width := range widths {
				f.Set(v, wasm.SubV(wasm.LoadV(p, k*vectorBytes), column[0][k]))
				f.Set(v, wasm.AddV(wasm.MulV(v, column[1][k]), column[2][k]))
				f.Set(v, leaky(v, slope, n.Slope))
				f.Do(wasm.StoreV(q, k*vectorBytes, v, width))
			}
			f.Set(p, wasm.Add(p, wasm.I(n.C*floatBytes)))
			f.Set(q, wasm.Add(q, wasm.I(n.C*floatBytes)))
		})
	})
}
