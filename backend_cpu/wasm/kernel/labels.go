package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// Labels resamples blended logits and decides:
//
//	acc [S H W K]   norm [S H W] → labels u8 [Planes H' W']
//
// The position of an output on each axis comes from a table: {i0 i32, i1 i32,
// f f32} is a share f of voxel i1, the rest of i0. Plane o of the volume is plane
// o mod S of acc; result plane i is plane ctl[Slot] + i of Out, and 0 beyond.
// A chunk is a few rows of a plane; its thread keeps the logits acc/norm of two
// rows of the accumulator, and the row between them.
//
// Arguments: acc, norm, ctl, tables of D, H and W, regions (K bytes), labels.
type Labels struct {
	Size    [3]int // S H W
	K       int
	Out     [3]int // D' H' W'
	Planes  int
	Slot    int
	Regions bool // the label is that of the last region above 0, not the first largest
	Whole   bool // along W, all positions are voxels
}

// Offsets of a table's entry.
const (
	posLow, posHigh, posShare = 0, 4, 8
	// PosBytes is the size of an entry.
	PosBytes = 12
)

// labelRows is the rows of a chunk.
const labelRows = 8

func (k Labels) rowBytes() int { return ceil(k.Size[2]*k.K, lanes)*vectorBytes + vectorBytes }

// Scratch is three rows.
func (k Labels) Scratch() int { return 3 * k.rowBytes() }

// Chunks is the number of pieces.
func (k Labels) Chunks() int { return k.Planes * ceil(k.Out[1], labelRows) }

// Work counts about as many multiply-adds of vectors as take as long.
func (k Labels) Work() int64 { return 8 * int64(k.Planes*k.Out[1]*k.Out[2]*k.K) }

// labelRun is a Labels on its way into a function.
type labelRun struct {
	Labels
	f         *wasm.Func
	acc, norm wasm.X
	d         wasm.X // the entry of the plane
	table     wasm.X // of W
	regions   wasm.X
	labels    wasm.X // where the next one goes
}

// Emit writes the function.
func (k Labels) Emit(f *wasm.Func) {
	a := args(f, 8)
	bands, width := ceil(k.Out[1], labelRows), k.Out[2]
	g := digits(f, chunk(f), 0, bands)
	h0 := f.Let(wasm.I32, wasm.Mul(g[1], wasm.I(labelRows)))
	h1 := f.Let(wasm.I32, wasm.Min(wasm.Add(h0, wasm.I(labelRows)), wasm.I(k.Out[1])))
	out := f.Let(wasm.I32, linear(a[7], linear(h0, g[0], k.Out[1]), width))
	d := f.Let(wasm.I32, wasm.Add(whole(a[2], k.Slot), g[0]))
	f.If(wasm.GeU(d, wasm.I(k.Out[0])), func() {
		f.Do(wasm.Clear(out, wasm.Mul(wasm.Sub(h1, h0), wasm.I(width))))
		f.Return()
	}, nil)
	f.Set(d, linear(a[3], d, PosBytes))
	r := &labelRun{Labels: k, f: f, acc: a[0], norm: a[1], d: d, table: a[5], regions: a[6], labels: out}

	rows, holds, spare := f.Locals(2, wasm.I32), f.Locals(2, wasm.I32), f.Local(wasm.I32)
	for i := range rows {
		f.Set(rows[i], wasm.Add(scratch(f), wasm.I(i*k.rowBytes())))
		f.Set(holds[i], wasm.I(-1))
	}
	sum := f.Let(wasm.I32, wasm.Add(scratch(f), wasm.I(2*k.rowBytes())))
	h, at, values := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	low, high := wasm.LoadI(at, posLow), wasm.LoadI(at, posHigh)
	fill := func(i int, row wasm.X) {
		f.If(wasm.Ne(holds[i], row), func() {
			r.row(rows[i], row)
			f.Set(holds[i], row)
		}, nil)
	}
	resampled := func() {
		f.If(wasm.And(wasm.Ne(holds[0], low), wasm.Eq(holds[1], low)), func() {
			for _, pair := range [][]wasm.X{rows, holds} {
				f.Set(spare, pair[0])
				f.Set(pair[0], pair[1])
				f.Set(pair[1], spare)
			}
		}, nil)
		fill(0, low)
		f.Set(values, rows[0])
		f.If(wasm.GtF(wasm.LoadF(at, posShare), wasm.F(0)), func() {
			fill(1, high)
			r.mix(sum, rows[0], rows[1], wasm.LoadF(at, posShare))
			f.Set(values, sum)
		}, nil)
	}
	f.For(h, h0, h1, func() {
		f.Set(at, linear(a[4], h, PosBytes))
		if k.Whole { // norm does not change which logit is the largest, nor its sign
			exact := wasm.And(wasm.EqF(wasm.LoadF(d, posShare), wasm.F(0)), wasm.EqF(wasm.LoadF(at, posShare), wasm.F(0)))
			f.If(exact, func() {
				f.Set(values, linear(r.acc, r.at(wasm.LoadI(d, posLow), low), k.K*floatBytes))
			}, resampled)
		} else {
			resampled()
		}
		r.decide(values)
	})
}

// at is the first voxel of row h of plane d of the volume.
func (r *labelRun) at(d, h wasm.X) wasm.X {
	return wasm.Mul(linear(h, wasm.RemU(d, wasm.I(r.Size[0])), r.Size[1]), wasm.I(r.Size[2]))
}

// row makes the logits of row h between the two planes of d.
func (r *labelRun) row(dst, h wasm.X) {
	f := r.f
	share := f.Let(wasm.F32, wasm.LoadF(r.d, posShare))
	rest := f.Let(wasm.F32, wasm.SubF(wasm.F(1), share))
	type source struct{ acc, norm wasm.X }
	var from [2]source
	for i, pos := range []int{posLow, posHigh} {
		first := f.Let(wasm.I32, r.at(wasm.LoadI(r.d, pos), h))
		from[i] = source{f.Let(wasm.I32, linear(r.acc, first, r.K*floatBytes)), f.Let(wasm.I32, linear(r.norm, first, floatBytes))}
	}
	to, x, v := f.Let(wasm.I32, dst), f.Local(wasm.I32), f.Local(wasm.V128)
	inverse := f.Locals(2, wasm.V128)
	scaled := func(i int, off wasm.X, at int) wasm.X {
		return wasm.MulV(wasm.LoadV(wasm.Add(from[i].acc, off), at), inverse[i])
	}
	sweep := func(body func(off wasm.X, at int) wasm.X) {
		f.Count(x, r.Size[2], func() {
			for i := range from {
				f.Set(inverse[i], wasm.SplatF(wasm.DivF(wasm.F(1), wasm.LoadF(from[i].norm, 0))))
			}
			groups(f, r.K, group, func(off wasm.X, widths []int) {
				for n, width := range widths {
					f.Set(v, body(off, n*vectorBytes))
					f.Do(wasm.StoreV(wasm.Add(to, off), n*vectorBytes, v, width))
				}
			})
			for i := range from {
				f.Set(from[i].acc, wasm.Add(from[i].acc, wasm.I(r.K*floatBytes)))
				f.Set(from[i].norm, wasm.Add(from[i].norm, wasm.I(floatBytes)))
			}
			f.Set(to, wasm.Add(to, wasm.I(r.K*floatBytes)))
		})
	}
	f.If(wasm.EqF(share, wasm.F(0)), func() {
		sweep(func(off wasm.X, at int) wasm.X { return scaled(0, off, at) })
	}, func() {
		sweep(func(off wasm.X, at int) wasm.X {
			return wasm.AddV(wasm.MulV(wasm.SplatF(rest), scaled(0, off, at)), wasm.MulV(wasm.SplatF(share), scaled(1, off, at)))
		})
	})
}

// mix makes a row (1 − share)·a + share·b.
func (r *labelRun) mix(to, a, b, share wasm.X) {
	f := r.f
	of := f.Let(wasm.V128, wasm.SplatF(share))
	rest := f.Let(wasm.V128, wasm.SplatF(wasm.SubF(wasm.F(1), share)))
	i, v := f.Local(wasm.I32), f.Local(wasm.V128)
	off := f.Local(wasm.I32)
	f.Set(off, wasm.I(0))
	f.Count(i, ceil(r.Size[2]*r.K, lanes), func() {
		f.Set(v, wasm.AddV(wasm.MulV(rest, wasm.LoadV(wasm.Add(a, off), 0)), wasm.MulV(of, wasm.LoadV(wasm.Add(b, off), 0))))
		f.Do(wasm.StoreV(wasm.Add(to, off), 0, v, lanes))
		f.Set(off, wasm.Add(off, wasm.I(vectorBytes)))
	})
}

// decide makes the labels of a row of logits [W K].
func (r *labelRun) decide(values wasm.X) {
	f := r.f
	at, x, c := f.Let(wasm.I32, r.table), f.Local(wasm.I32), f.Local(wasm.I32)
	p, q, label := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	share, rest, v, best := f.Local(wasm.F32), f.Local(wasm.F32), f.Local(wasm.F32), f.Local(wasm.F32)
	value := wasm.AddF(wasm.MulF(rest, wasm.LoadF(p, 0)), wasm.MulF(share, wasm.LoadF(q, 0)))
	f.Count(x, r.Out[2], func() {
		f.Set(share, wasm.LoadF(at, posShare))
		f.Set(rest, wasm.SubF(wasm.F(1), share))
		f.Set(p, linear(values, wasm.LoadI(at, posLow), r.K*floatBytes))
		f.Set(q, linear(values, wasm.LoadI(at, posHigh), r.K*floatBytes))
		f.Set(label, wasm.I(0))
		if !r.Regions {
			f.Set(best, value)
		}
		f.Count(c, r.K, func() {
			f.Set(v, value)
			if r.Regions {
				f.If(wasm.GtF(v, wasm.F(0)), func() { f.Set(label, wasm.LoadU8(wasm.Add(r.regions, c), 0)) }, nil)
			} else {
				f.If(wasm.GtF(v, best), func() { f.Set(best, v); f.Set(label, c) }, nil)
			}
			f.Set(p, wasm.Add(p, wasm.I(floatBytes)))
			f.Set(q, wasm.Add(q, wasm.I(floatBytes)))
		})
		f.Do(wasm.Store8(r.labels, 0, label))
		f.Set(r.labels, wasm.Add(r.labels, wasm.I(1)))
		f.Set(at, wasm.Add(at, wasm.I(PosBytes)))
	})
}
