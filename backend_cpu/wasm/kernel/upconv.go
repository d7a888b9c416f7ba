package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// UpConv is a transposed convolution whose kernel is its stride:
//
//	x [N D H W Ci]   w packed by Pack   b [Co] if Bias → y [N D·sD H·sH W·sW Co]
//
// A chunk is rows of x, all places of y that they become, and a few channels.
//
// Arguments: x, w, b, y.
type UpConv struct {
	N      int
	In     [3]int
	Ci, Co int
	Stride [3]int
	Bias   bool
	Fused  bool
}

func (c UpConv) cut() cut {
	return cutOf(c.N*c.In[0], c.In[1], c.In[2]*c.Ci*floatBytes, 0, c.Co)
}

// Chunks is the number of pieces.
func (c UpConv) Chunks() int { return c.cut().chunks() }

func (c UpConv) places() int { return c.Stride[0] * c.Stride[1] * c.Stride[2] }

// Work counts multiply-adds of vectors.
func (c UpConv) Work() int64 {
	return int64(c.N*c.In[0]*c.In[1]*c.In[2]) * int64(c.places()*c.Ci*ceil(c.Co, lanes))
}

// Pack is the kernel that orders the weights of c.
func (c UpConv) Pack() Pack { return Pack{Outer: c.places(), Taps: 1, C1: c.Ci, Co: c.Co} }

// Emit writes the function.
func (c UpConv) Emit(f *wasm.Func) {
	a := args(f, 4)
	x, w, y := a[0], a[1], a[3]
	k, s := c.cut(), c.Stride
	g := digits(f, chunk(f), 0, k.bands, k.groups)
	plane := g[0]
	t := newTiler(f, c.Co, c.Bias, c.Fused, a[2])
	h0 := f.Let(wasm.I32, wasm.Mul(g[1], wasm.I(k.band)))
	h1 := f.Let(wasm.I32, wasm.Min(wasm.Add(h0, wasm.I(k.band)), wasm.I(c.In[1])))
	h, place, back := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	wide := s[2] * c.Co * floatBytes // from voxel to voxel in y
	t.channels(k, g[2], func(ct wasm.X) {
		f.For(h, h0, h1, func() {
			f.Count(place, c.places(), func() {
				p := digits(f, place, 0, s[1], s[2])
				row := linear(wasm.Mul(linear(p[0], plane, s[0]), wasm.I(c.In[1]*s[1])), h, s[1], p[1], 1)
				f.Set(t.y, linear(y, row, c.In[2]*wide, p[2], c.Co*floatBytes, ct, tileChannels*floatBytes))
				for _, r := range (Conv{In: c.In, Kernel: [3]int{1, 1, 1}, Stride: [3]int{1, 1, 1}}).tiles(t.most()) {
					f.Set(back, wasm.I(0))
					f.Count(f.Local(wasm.I32), r.count, func() {
						t.begin(r.n)
						f.Set(t.pw, linear(w, ct, c.places()*c.Ci*tileChannels*floatBytes, place, c.Ci*t.lanes*floatBytes))
						voxel := linear(wasm.I(r.first), linear(h, plane, c.In[1]), c.In[2], back, 1)
						f.Set(t.px, linear(x, voxel, c.Ci*floatBytes))
						t.segment(c.Ci, 0, r.n, c.Ci*floatBytes)
						t.end(r.n, wide)
						f.Set(t.y, wasm.Add(t.y, wasm.I(r.n*wide)))
						f.Set(back, wasm.Add(back, wasm.I(r.n)))
					})
				}
			})
		})
	})
}

// Pack orders weights for Conv and UpConv:
//
//	w [Outer Taps C1+C2 Co] → [⌈Co/8⌉ Outer (Taps C1, Taps C2) 8]
//
// What stands behind the last channel is not defined.
//
// Arguments: w, packed.
type Pack struct{ Outer, Taps, C1, C2, Co int }

// Bytes of the packed weights.
func (p Pack) Bytes() int {
	return p.Outer * p.Taps * (p.C1 + p.C2) * ceil(p.Co, lanes) * vectorBytes
}

// Chunks is the tiles of channels times the outer taps.
func (p Pack) Chunks() int { return ceil(p.Co, tileChannels) * p.Outer }

// Work counts vectors.
func (p Pack) Work() int64 { return int64(p.Bytes() / vectorBytes) }

// Emit writes the function.
func (p Pack) Emit(f *wasm.Func) {
	a := args(f, 2)
	g := digits(f, chunk(f), 0, p.Outer)
	ct, outer := g[0], g[1]
	c := p.C1 + p.C2
	run := func(width int) {
		vectors := ceil(width, lanes)
		dst := f.Let(wasm.I32, linear(a[1], ct, p.Outer*p.Taps*c*tileChannels*floatBytes, outer, p.Taps*c*vectors*vectorBytes))
		tap, i, src := f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
		for _, in := range [][2]int{{0, p.C1}, {p.C1, p.C2}} {
			if in[1] == 0 {
				continue
			}
			f.Count(tap, p.Taps, func() {
				row := linear(wasm.I(in[0]), linear(tap, outer, p.Taps), c)
				f.Set(src, linear(a[0], row, p.Co*floatBytes, ct, tileChannels*floatBytes))
				f.Count(i, in[1], func() {
					for j := range vectors {
						f.Do(wasm.StoreV(dst, j*vectorBytes, wasm.LoadV(src, j*vectorBytes), lanes))
					}
					f.Set(dst, wasm.Add(dst, wasm.I(vectors*vectorBytes)))
					f.Set(src, wasm.Add(src, wasm.I(p.Co*floatBytes)))
				})
			})
		}
	}
	wide, rest := p.Co/tileChannels, p.Co%tileChannels
	switch {
	case rest == 0:
		run(tileChannels)
	case wide == 0:
		run(rest)
	default:
		f.If(wasm.LtU(ct, wasm.I(wide)), func() { run(tileChannels) }, func() { run(rest) })
	}
}
