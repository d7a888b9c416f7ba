package kernel

import "github.com/gounet/gounet/backend_cpu/wasm"

// tileChannels is the channels of y that a tile has, but for the last of a row.
const tileChannels = 8

// input is an operand and its channels.
type input struct {
	x wasm.X
	c int
}

// tiler emits tiles of sums: voxels along W by channels of y, in registers. V8
// hands out 15 vector registers on x86-64, for the sums, the weights of a step
// and a number of x.
type tiler struct {
	f     *wasm.Func
	co    int
	bias  bool
	fused bool
	b     wasm.X

	px, pw, y wasm.X // where the next step reads, where the tile goes
	stop      wasm.X
	bTile     wasm.X
	lanes     int // of a tile: 8, or those of the last one
	width     int // channels of a tile
	acc       [][]wasm.X
	weights   []wasm.X
	splat     wasm.X
}

func newTiler(f *wasm.Func, co int, bias, fused bool, b wasm.X) *tiler {
	t := &tiler{f: f, co: co, bias: bias, fused: fused, b: b, lanes: min(tileChannels, ceil(co, lanes)*lanes)}
	t.px, t.pw, t.y = f.Local(wasm.I32), f.Local(wasm.I32), f.Local(wasm.I32)
	t.stop, t.bTile = f.Local(wasm.I32), f.Local(wasm.I32)
	t.weights, t.splat = f.Locals(2, wasm.V128), f.Local(wasm.V128)
	return t
}

// most is the voxels of a tile, by its vectors: 12 and 10 sums with fused
// multiply-adds, else 8, for a product needs a register as well.
func (t *tiler) most() int {
	switch {
	case t.lanes == lanes && t.fused:
		return 10
	case t.lanes == lanes:
		return 8
	case t.fused:
		return 6
	}
	return 4
}

// channels runs body for the channel tiles of a group; the last tile of y may be
// narrower, and its code is apart.
func (t *tiler) channels(k cut, group wasm.X, body func(ct wasm.X)) {
	f := t.f
	first := f.Let(wasm.I32, wasm.Mul(group, wasm.I(k.perGroup)))
	end := f.Let(wasm.I32, wasm.Min(wasm.Add(first, wasm.I(k.perGroup)), wasm.I(k.tiles)))
	wide, rest := t.co/tileChannels, t.co%tileChannels
	as := func(width int, ct wasm.X) {
		t.width, t.lanes = width, ceil(width, lanes)*lanes
		f.Set(t.bTile, linear(t.b, ct, tileChannels*floatBytes))
		body(ct)
	}
	ct := f.Local(wasm.I32)
	f.For(ct, first, end, func() {
		switch {
		case rest == 0:
			as(tileChannels, ct)
		case wide == 0:
			as(rest, ct)
		default:
			f.If(wasm.LtU(ct, wasm.I(wide)), func() { as(tileChannels, ct) }, func() { as(rest, ct) })
		}
	})
}

// begin starts the sums of n voxels.
func (t *tiler) begin(n int) {
	for len(t.acc) < n {
		t.acc = append(t.acc, t.f.Locals(2, wasm.V128))
	}
	for j := range t.lanes / lanes {
		start := wasm.ZeroV()
		if t.bias {
			t.f.Set(t.weights[0], wasm.LoadV(t.bTile, j*vectorBytes))
			start = t.weights[0]
		}
		for v := range n {
			t.f.Set(t.acc[v][j], start)
		}
	}
}

// end stores n voxels, step bytes apart, at y.
func (t *tiler) end(n, step int) {
	for v := range n {
		for j := range t.lanes / lanes {
			width := min(lanes, t.width-j*lanes)
			t.f.Do(wasm.StoreV(t.y, v*step+j*vectorBytes, t.acc[v][j], width))
		}
	}
}

// segment adds n numbers of x, beginning at px, to the voxels [from, to) of a
// tile, which are step bytes apart; px and pw move on.
func (t *tiler) segment(n, from, to, step int) {
	f := t.f
	u := n
	if from == to {
		u = 0
	} else if n > unroll {
		for u = unroll; n%u != 0; u-- {
		}
	}
	body := func() {
		for k := range u {
			t.step(k, from, to, step)
		}
	}
	forth := func(k int) {
		f.Set(t.pw, wasm.Add(t.pw, wasm.I(k*t.lanes*floatBytes)))
		f.Set(t.px, wasm.Add(t.px, wasm.I(k*floatBytes)))
	}
	if u == n || u == 0 {
		body()
		forth(n)
		return
	}
	f.Set(t.stop, wasm.Add(t.px, wasm.I(n*floatBytes)))
	f.Loop(func() {
		body()
		forth(u)
		f.BreakIf(0, wasm.Ne(t.px, t.stop))
	})
}

// step is the k-th number behind px.
func (t *tiler) step(k, from, to, step int) {
	f, vectors := t.f, t.lanes/lanes
	for j := range vectors {
		f.Set(t.weights[j], wasm.LoadV(t.pw, (k*vectors+j)*vectorBytes))
	}
	for v := from; v < to; v++ {
		f.Set(t.splat, wasm.LoadSplat(t.px, v*step+k*floatBytes))
		for j := range vectors {
			acc := t.acc[v][j]
			if t.fused {
				f.Set(acc, wasm.MaddV(t.splat, t.weights[j], acc))
			} else {
				f.Set(acc, wasm.AddV(acc, wasm.MulV(t.splat, t.weights[j])))
			}
		}
	}
}
