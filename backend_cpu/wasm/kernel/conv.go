package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// Conv is a convolution with odd kernel, zero padding and a stride over one or
// two inputs:
//
//	x [N D H W C1]   x2 [N D H W C2]   w packed by Pack   b [Co] if Bias → y [N ⌈D/sD⌉ ⌈H/sH⌉ ⌈W/sW⌉ Co]
//
// For one tap along D and H, x is contiguous over the taps along W and the
// channels: one loop, whose step loads the weights of 8 outputs, and spreads a
// number of x for each voxel of a tile. Rows of padding are left out, and so are
// the voxels of a tile whose tap is outside; nothing is copied.
//
// Arguments: x, x2, w, b, y.
type Conv struct {
	N              int
	In             [3]int
	C1, C2, Co     int
	Kernel, Stride [3]int
	Bias           bool
	Fused          bool // multiply-adds that may round once
}

// Sizes of the cache that a chunk is cut for.
const (
	chunkBytes = 192 << 10 // of x that a chunk reads: it stays in the second level
	chunkRows  = 16        // at most
	fewChunks  = 32        // with fewer, channels are shared out too
)

// unroll is the most steps of a loop's body.
const unroll = 4

// out is the size of y.
func (c Conv) out() (o [3]int) {
	for a := range o {
		o[a] = ceil(c.In[a], c.Stride[a])
	}
	return o
}

// cut is how a convolution is cut into chunks: planes, bands of rows, and groups
// of channel tiles.
type cut struct{ planes, rows, band, bands, tiles, perGroup, groups int }

// cutOf cuts planes of rows whose rows read rowBytes each.
func cutOf(planes, rows, rowBytes, halo, co int) cut {
	k := cut{planes: planes, rows: rows, tiles: ceil(co, tileChannels)}
	k.band = max(2, min(chunkBytes/max(1, rowBytes)-halo, rows, chunkRows))
	k.bands = ceil(rows, k.band)
	k.groups = max(1, min(k.tiles, fewChunks/(planes*k.bands)))
	k.perGroup = ceil(k.tiles, k.groups)
	k.groups = ceil(k.tiles, k.perGroup)
	return k
}

func (k cut) chunks() int { return k.planes * k.bands * k.groups }

func (c Conv) cut() cut {
	o := c.out()
	row := c.Kernel[0] * c.Stride[1] * c.In[2] * (c.C1 + c.C2) * floatBytes
	return cutOf(c.N*o[0], o[1], row, c.Kernel[1]-1, c.Co)
}

// Chunks is the number of pieces.
func (c Conv) Chunks() int { return c.cut().chunks() }

// Work counts multiply-adds of vectors.
func (c Conv) Work() int64 {
	o := c.out()
	n := int64(c.N*o[0]*o[1]*o[2]) * int64(ceil(c.Co, lanes))
	return n * int64(c.Kernel[0]*c.Kernel[1]*c.Kernel[2]*(c.C1+c.C2))
}

// Pack is the kernel that orders the weights of c.
func (c Conv) Pack() Pack {
	return Pack{Outer: c.Kernel[0] * c.Kernel[1], Taps: c.Kernel[2], C1: c.C1, C2: c.C2, Co: c.Co}
}

// convRun is a Conv on its way into a function.
type convRun struct {
	Conv
	*tiler
	in   []input
	size [3]int // of y
	sums wasm.X // the base of y
	n, d wasm.X
	h    wasm.X
	w    wasm.X // weights of a channel tile
	back wasm.X // how far a repeated tile is behind its first, in voxels of x
}

// Emit writes the function.
func (c Conv) Emit(f *wasm.Func) {
	a := args(f, 5)
	k, o := c.cut(), c.out()
	g := digits(f, chunk(f), 0, k.bands, k.groups)
	nd := digits(f, g[0], 0, o[0])
	r := &convRun{
		Conv: c, tiler: newTiler(f, c.Co, c.Bias, c.Fused, a[3]), in: []input{{a[0], c.C1}}, size: o,
		sums: a[4], n: nd[0], d: nd[1], h: f.Local(wasm.I32), w: f.Local(wasm.I32), back: f.Local(wasm.I32),
	}
	if c.C2 > 0 {
		r.in = append(r.in, input{a[1], c.C2})
	}
	h0 := f.Let(wasm.I32, wasm.Mul(g[1], wasm.I(k.band)))
	h1 := f.Let(wasm.I32, wasm.Min(wasm.Add(h0, wasm.I(k.band)), wasm.I(o[1])))
	tileBytes := c.Kernel[0] * c.Kernel[1] * c.Kernel[2] * (c.C1 + c.C2) * tileChannels * floatBytes
	r.channels(k, g[2], func(ct wasm.X) {
		f.Set(r.w, linear(a[2], ct, tileBytes))
		f.For(r.h, h0, h1, func() { r.row(ct) })
	})
}

// row makes a row of y for a tile of channels.
func (r *convRun) row(ct wasm.X) {
	f, c := r.f, r.Conv
	row := linear(wasm.Mul(wasm.Add(wasm.Mul(r.n, wasm.I(r.size[0])), r.d), wasm.I(r.size[1])), r.h, 1)
	f.Set(r.y, linear(r.sums, row, r.size[2]*c.Co*floatBytes, ct, tileChannels*floatBytes))
	step := c.Co * floatBytes
	for _, t := range c.tiles(r.most()) {
		f.Set(r.back, wasm.I(0))
		f.Count(f.Local(wasm.I32), t.count, func() {
			r.begin(t.n)
			r.taps(t)
			r.end(t.n, step)
			f.Set(r.y, wasm.Add(r.y, wasm.I(t.n*step)))
			f.Set(r.back, wasm.Add(r.back, wasm.I(t.n*c.Stride[2])))
		})
	}
}

// taps adds the taps of a tile.
func (r *convRun) taps(t tile) {
	f, c := r.f, r.Conv
	weights := c.Kernel[2] * (c.C1 + c.C2) * r.lanes * floatBytes
	r.along(0, r.d, func(kd, d wasm.X) {
		r.along(1, r.h, func(kh, h wasm.X) {
			f.Set(r.pw, linear(r.w, kd, c.Kernel[1]*weights, kh, weights))
			row := wasm.Add(wasm.Mul(wasm.Add(wasm.Mul(r.n, wasm.I(c.In[0])), d), wasm.I(c.In[1])), h)
			for _, in := range r.in {
				first := t.first*c.Stride[2] - c.Kernel[2]/2
				f.Set(r.px, linear(in.x, row, c.In[2]*in.c*floatBytes, r.back, in.c*floatBytes))
				f.Set(r.px, wasm.Add(r.px, wasm.I(first*in.c*floatBytes)))
				for _, s := range c.segments(t) {
					r.segment(s.taps*in.c, s.from, s.to, c.Stride[2]*in.c*floatBytes)
				}
			}
		})
	})
}

// along runs body for the taps of an axis that are inside x: i is the index in y
// of the output, at that of x.
func (r *convRun) along(axis int, i wasm.X, body func(tap, at wasm.X)) {
	f, k := r.f, r.Kernel[axis]
	if k == 1 {
		body(wasm.I(0), wasm.Mul(i, wasm.I(r.Stride[axis])))
		return
	}
	tap, at := f.Local(wasm.I32), f.Local(wasm.I32)
	f.Count(tap, k, func() {
		f.Set(at, wasm.Add(wasm.Mul(i, wasm.I(r.Stride[axis])), tap, wasm.I(-(k/2))))
		f.If(wasm.LtU(at, wasm.I(r.In[axis])), func() { body(tap, at) }, nil)
	})
}

// tile is count tiles of n voxels of a row of y side by side.
type tile struct{ first, n, count int }

// tiles cuts a row into tiles of nearly equal width, at most most. Tiles that
// touch no padding and are equally wide are one.
func (c Conv) tiles(most int) (ts []tile) {
	width := c.out()[2]
	count := ceil(width, most)
	inner := false
	for i, at := 0, 0; i < count; i++ {
		t := tile{at, width / count, 1}
		if i < width%count {
			t.n++
		}
		at += t.n
		whole := len(c.segments(t)) == 1 && c.segments(t)[0] == segment{c.Kernel[2], 0, t.n}
		if last := len(ts) - 1; whole && inner && ts[last].n == t.n {
			ts[last].count++
		} else {
			ts = append(ts, t)
		}
		inner = whole
	}
	return ts
}

// segment is neighbouring taps along W that are inside x for the voxels
// [from, to) of a tile.
type segment struct{ taps, from, to int }

func (c Conv) segments(t tile) (ss []segment) {
	k := c.Kernel[2]
	for tap := range k {
		s := segment{taps: 1}
		at := func(v int) int { return (t.first+v)*c.Stride[2] + tap - k/2 }
		for s.from < t.n && at(s.from) < 0 {
			s.from++
		}
		for s.to = t.n; s.to > s.from && at(s.to-1) >= c.In[2]; {
			s.to--
		}
		if s.from == s.to {
			s.from, s.to = 0, 0
		}
		if last := len(ss) - 1; last >= 0 && ss[last].from == s.from && ss[last].to == s.to {
			ss[last].taps++
		} else {
			ss = append(ss, s)
		}
	}
	return ss
}
