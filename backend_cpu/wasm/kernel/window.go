package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// Row is where the slots of a row of ctl stand, in floats.
type Row struct {
	Length       int
	Load, Blend  int // three each, for D H W
	Mirror       int // a bit an axis
	Weight       int
	First, Count int // rows, the first at slot First
}

// row is the address of row i of ctl.
func (r Row) row(ctl, i wasm.X) wasm.X {
	return linear(wasm.Add(ctl, wasm.I(r.First*floatBytes)), i, r.Length*floatBytes)
}

// whole is slot i of the row at p, without its fraction.
func whole(p wasm.X, i int) wasm.X { return wasm.Trunc(wasm.LoadF(p, i*floatBytes)) }

// mirrored is i, or n-1-i where bit axis of bits is set.
func mirrored(i wasm.X, n int, bits wasm.X, axis int) wasm.X {
	return wasm.Select(wasm.And(bits, wasm.I(1<<axis)), wasm.Sub(wasm.I(n-1), i), i)
}

// TileLoad cuts tiles out of a volume, mirrored as their rows of ctl say:
//
//	volume [D H W C] → x [N d h w C]
//
// A chunk is a plane of a tile. Arguments: volume, ctl, x.
type TileLoad struct {
	Rows Row
	Size [3]int // D H W
	Tile [3]int
	C    int
}

// Chunks is the number of pieces.
func (k TileLoad) Chunks() int { return k.Rows.Count * k.Tile[0] }

// Work counts about as many multiply-adds of vectors as take as long.
func (k TileLoad) Work() int64 { return int64(k.Chunks() * k.Tile[1] * k.Tile[2] * k.C) }

// Emit writes the function.
func (k TileLoad) Emit(f *wasm.Func) {
	a := args(f, 3)
	g := digits(f, chunk(f), 0, k.Tile[0])
	row := f.Let(wasm.I32, k.Rows.row(a[1], g[0]))
	bits := f.Let(wasm.I32, whole(row, k.Rows.Mirror))
	voxel, width := k.C*floatBytes, k.Tile[2]
	d := f.Let(wasm.I32, wasm.Add(whole(row, k.Rows.Load), mirrored(g[1], k.Tile[0], bits, 0)))
	w := f.Let(wasm.I32, whole(row, k.Rows.Load+2))
	// Columns from … to of the tile, not mirrored, lie in the volume.
	from := f.Let(wasm.I32, wasm.Min(wasm.I(width), wasm.Max(wasm.I(0), wasm.Sub(wasm.I(0), w))))
	to := f.Let(wasm.I32, wasm.Max(from, wasm.Min(wasm.I(width), wasm.Sub(wasm.I(k.Size[2]), w))))
	i, h, out, src := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	dst, n := f.Local(wasm.I32), f.Local(wasm.I32)
	f.Set(out, linear(a[2], chunk(f), k.Tile[1]*width*voxel))
	f.For(i, wasm.I(0), wasm.I(k.Tile[1]), func() {
		f.Set(h, wasm.Add(whole(row, k.Rows.Load+1), mirrored(i, k.Tile[1], bits, 1)))
		inside := wasm.And(wasm.And(wasm.LtU(d, wasm.I(k.Size[0])), wasm.LtU(h, wasm.I(k.Size[1]))), wasm.LtS(from, to))
		f.If(inside, func() {
			f.Set(src, wasm.Add(linear(h, d, k.Size[1])))
			f.Set(src, linear(a[0], wasm.Add(linear(w, src, k.Size[2]), from), voxel))
			f.Set(n, wasm.Mul(wasm.Sub(to, from), wasm.I(voxel)))
			f.If(wasm.And(bits, wasm.I(4)), func() {
				f.Set(dst, wasm.Mul(wasm.Sub(wasm.I(width), to), wasm.I(voxel)))
				f.Do(wasm.Clear(out, dst))
				f.Set(dst, wasm.Add(out, dst))
				k.reverse(f, dst, wasm.Sub(wasm.Add(src, n), wasm.I(voxel)), n)
				f.Do(wasm.Clear(wasm.Add(dst, n), wasm.Mul(from, wasm.I(voxel))))
			}, func() {
				f.Set(dst, wasm.Mul(from, wasm.I(voxel)))
				f.Do(wasm.Clear(out, dst), wasm.Copy(wasm.Add(out, dst), src, n))
				f.Do(wasm.Clear(wasm.Add(wasm.Add(out, dst), n), wasm.Mul(wasm.Sub(wasm.I(width), to), wasm.I(voxel))))
			})
		}, func() { f.Do(wasm.Clear(out, wasm.I(width*voxel))) })
		f.Set(out, wasm.Add(out, wasm.I(width*voxel)))
	})
}

// reverse moves n bytes of voxels to dst, from the one at last to the first.
func (k TileLoad) reverse(f *wasm.Func, dst, last, n wasm.X) {
	p, q := f.Let(wasm.I32, dst), f.Let(wasm.I32, last)
	end, c := f.Let(wasm.I32, wasm.Add(dst, n)), f.Local(wasm.I32)
	f.Set(p, dst)
	f.Set(q, last)
	f.While(func() wasm.X { return wasm.Ne(p, end) }, func() {
		f.Count(c, k.C, func() {
			f.Do(wasm.StoreF(p, 0, wasm.LoadF(linear(q, c, floatBytes), 0)))
			f.Set(p, wasm.Add(p, wasm.I(floatBytes)))
		})
		f.Set(q, wasm.Add(q, wasm.I(-k.C*floatBytes)))
	})
}

// TileBlend un-mirrors logits and adds them, weighted, to an accumulator, tile
// by tile in the order of their rows:
//
//	logits [N d h w K]   weights [d h w]   acc [S H W K]   norm [S H W]
//
// Plane o of the volume, below Depth, is plane o mod S of acc. A chunk is rows of
// a plane of acc. Arguments: logits, weights, ctl, acc, norm.
type TileBlend struct {
	Rows  Row
	Depth int
	Size  [3]int // S H W
	Tile  [3]int
	K     int
}

// blendRows is the rows of a chunk.
const blendRows = 16

// Chunks is the number of pieces.
func (k TileBlend) Chunks() int { return k.Size[0] * ceil(k.Size[1], blendRows) }

// Work counts about as many multiply-adds of vectors as take as long.
func (k TileBlend) Work() int64 {
	return 4 * int64(k.Rows.Count*k.Tile[0]*k.Tile[1]*k.Tile[2]) * int64(ceil(k.K, lanes)+1)
}

// Emit writes the function.
func (k TileBlend) Emit(f *wasm.Func) {
	a := args(f, 5)
	bands := ceil(k.Size[1], blendRows)
	g := digits(f, chunk(f), 0, bands)
	plane := g[0]
	h0 := f.Let(wasm.I32, wasm.Mul(g[1], wasm.I(blendRows)))
	h1 := f.Let(wasm.I32, wasm.Min(wasm.Add(h0, wasm.I(blendRows)), wasm.I(k.Size[1])))
	r, i, h := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	row, bits, d, top := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	weight := f.Local(wasm.F32)
	f.For(r, wasm.I(0), wasm.I(k.Rows.Count), func() {
		f.Set(row, k.Rows.row(a[2], r))
		f.Set(weight, wasm.LoadF(row, k.Rows.Weight*floatBytes))
		f.Set(bits, whole(row, k.Rows.Mirror))
		f.Set(top, whole(row, k.Rows.Blend+1))
		f.If(wasm.Eqz(wasm.EqF(weight, wasm.F(0))), func() {
			f.For(i, wasm.I(0), wasm.I(k.Tile[0]), func() {
				f.Set(d, wasm.Add(whole(row, k.Rows.Blend), i))
				mine := wasm.Eq(wasm.RemU(d, wasm.I(k.Size[0])), plane)
				f.If(wasm.And(wasm.LtU(d, wasm.I(k.Depth)), mine), func() {
					end := wasm.Min(h1, wasm.Add(top, wasm.I(k.Tile[1])))
					f.For(h, wasm.Max(h0, top), end, func() {
						k.row(f, a, blendRow{r: r, row: row, bits: bits, plane: plane, h: h, i: i, j: wasm.Sub(h, top), weight: weight})
					})
				}, nil)
			})
		}, nil)
	})
}

// blendRow is row i, j of tile r, not mirrored, on its way to row h of a plane.
type blendRow struct{ r, row, bits, plane, h, i, j, weight wasm.X }

func (k TileBlend) row(f *wasm.Func, a []wasm.X, b blendRow) {
	width, voxel := k.Tile[2], k.K*floatBytes
	w := f.Let(wasm.I32, whole(b.row, k.Rows.Blend+2))
	from := f.Let(wasm.I32, wasm.Max(wasm.I(0), wasm.Sub(wasm.I(0), w)))
	to := f.Let(wasm.I32, wasm.Min(wasm.I(width), wasm.Sub(wasm.I(k.Size[2]), w)))
	weights := f.Let(wasm.I32, linear(a[1], wasm.Add(linear(b.j, b.i, k.Tile[1])), width*floatBytes))
	i, j := f.Let(wasm.I32, mirrored(b.i, k.Tile[0], b.bits, 0)), f.Let(wasm.I32, mirrored(b.j, k.Tile[1], b.bits, 1))
	z := f.Let(wasm.I32, linear(a[0], linear(j, linear(i, b.r, k.Tile[0]), k.Tile[1]), width*voxel))
	at := f.Let(wasm.I32, linear(w, linear(b.h, b.plane, k.Size[1]), k.Size[2]))
	x, p, q, s := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	weight, v, vs := f.Local(wasm.F32), f.Local(wasm.V128), f.Local(wasm.V128)
	f.For(x, from, to, func() {
		f.Set(weight, wasm.MulF(b.weight, wasm.LoadF(linear(weights, x, floatBytes), 0)))
		f.Set(p, linear(a[4], wasm.Add(at, x), floatBytes))
		f.Do(wasm.StoreF(p, 0, wasm.AddF(wasm.LoadF(p, 0), weight)))
		f.Set(q, linear(a[3], wasm.Add(at, x), voxel))
		f.Set(s, linear(z, mirrored(x, width, b.bits, 2), voxel))
		f.Set(vs, wasm.SplatF(weight))
		groups(f, k.K, group, func(off wasm.X, widths []int) {
			to, from := f.Let(wasm.I32, wasm.Add(q, off)), f.Let(wasm.I32, wasm.Add(s, off))
			for n, lanes := range widths {
				product := wasm.MulV(vs, wasm.LoadV(from, n*vectorBytes))
				f.Set(v, wasm.AddV(wasm.LoadV(to, n*vectorBytes), product))
				f.Do(wasm.StoreV(to, n*vectorBytes, v, lanes))
			}
		})
	})
}
