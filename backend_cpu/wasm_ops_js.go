package cpu

import (
	"math"
	"slices"

	"github.com/gounet/gounet/backend_cpu/wasm/kernel"
	"github.com/gounet/gounet/core/graph"
)

// kernels adds the kernels of n; false if it has none.
func (s *wasmScope) kernels(n graph.Node) bool {
	for _, v := range operands(n) {
		if d := s.Type(v).DType; d != graph.F32 && d != graph.U8 {
			return false // 16 bits
		}
	}
	switch op := n.Op.(type) {
	case graph.Conv3D:
		if s.before(n) > firstByte {
			return false
		}
		s.conv3D(op, n)
	case graph.UpConv3D:
		s.upConv3D(n)
	case graph.NormAct:
		if op.Shared() {
			return false
		}
		s.norm(n, kernel.NormStatistics{Eps: op.Eps}, op.Slope, n.Out[1])
	case graph.NormApply:
		s.norm(n, kernel.NormStatistics{Given: true}, op.Slope, n.In[3])
	case graph.Add:
		s.sum(n, 1)
	case graph.AddAct:
		s.sum(n, op.Slope)
	case graph.AvgPool:
		y := s.Type(n.Out[0]).Shape
		s.add(kernel.AvgPool{N: y[0], Out: [3]int(y[1:4]), C: y[4], Stride: op.Stride}, s.value(n.In[0]), s.value(n.Out[0]))
	case graph.TileLoad:
		s.tileLoad(op, n)
	case graph.TileBlend:
		s.tileBlend(op, n)
	case graph.Labels:
		s.labels(op, n)
	default:
		return false
	}
	return true
}

// before is how far a tile of a convolution may begin before x, in bytes: by the
// padding of a row.
func (s *wasmScope) before(n graph.Node) int {
	c := s.Type(n.In[0]).Shape[4]
	if x2 := input(n, 3); x2 > 0 {
		c = max(c, s.Type(x2).Shape[4])
	}
	return s.Type(n.In[1]).Shape[2] / 2 * c * graph.F32.Size()
}

func (s *wasmScope) fused() bool { return s.isa == isaWasmFused }

func (s *wasmScope) conv3D(op graph.Conv3D, n graph.Node) {
	x, w, b, x2 := n.In[0], n.In[1], input(n, 2), input(n, 3)
	xs, ws := s.Type(x).Shape, s.Type(w).Shape
	k := kernel.Conv{
		N: xs[0], In: [3]int(xs[1:4]), C1: xs[4], Co: ws[4], Kernel: [3]int(ws[:3]), Stride: op.Stride,
		Bias: b > 0, Fused: s.fused(),
	}
	if x2 > 0 {
		k.C2 = s.Type(x2).Shape[4]
	}
	s.add(k, s.value(x), s.value(x2), s.packed(w, k.Pack()), s.value(b), s.value(n.Out[0]))
}

func (s *wasmScope) upConv3D(n graph.Node) {
	x, w, b := n.In[0], n.In[1], input(n, 2)
	xs, ws := s.Type(x).Shape, s.Type(w).Shape
	k := kernel.UpConv{
		N: xs[0], In: [3]int(xs[1:4]), Ci: xs[4], Co: ws[4], Stride: [3]int(ws[:3]),
		Bias: b > 0, Fused: s.fused(),
	}
	s.add(k, s.value(x), s.packed(w, k.Pack()), s.value(b), s.value(n.Out[0]))
}

// packed is where the weights w are packed: before the first run after they were
// written, or, if the program may write them itself, by each run.
func (s *wasmScope) packed(w graph.Value, k kernel.Pack) place {
	key := weights{w, k}
	if p, ok := s.kept[key]; ok {
		return p
	}
	p := s.reserve(int64(k.Bytes()))
	r := record{s.node, k, []place{s.value(w), p}}
	if s.own || s.Info(w).Region != graph.Weights {
		s.records = append(s.records, r)
		return p
	}
	s.packs = append(s.packs, r)
	s.kept[key] = p
	return p
}

// norm makes the statistics, unless they are given, and the result.
func (s *wasmScope) norm(n graph.Node, statistics kernel.NormStatistics, slope float32, stats graph.Value) {
	t := s.Type(n.In[0]).Shape
	k := kernel.Norm{N: t[0], V: t[1] * t[2] * t[3], C: t[4]}
	statistics.Norm = k
	s.parts = max(s.parts, int64(k.Parts()))
	x := s.value(n.In[0])
	if !statistics.Given {
		s.normStep(kernel.NormMoments{Norm: k}, 1, x, place{})
	}
	s.normStep(statistics, 3, s.value(n.In[1]), s.value(n.In[2]), s.value(stats), place{})
	s.normStep(kernel.NormApply{Norm: k, Slope: slope}, 1, x, place{}, s.value(n.Out[0]))
}

// normStep adds a step of a norm; argument i is the memory that all norms share.
func (s *wasmScope) normStep(k kernel.Kernel, i int, args ...place) {
	s.norms = append(s.norms, &args[i])
	s.records = append(s.records, record{s.node, k, args})
}

func (s *wasmScope) sum(n graph.Node, slope float32) {
	k := kernel.Add{Elems: s.Type(n.Out[0]).Shape.Elems(), Slope: slope}
	s.add(k, s.value(n.In[0]), s.value(n.In[1]), s.value(n.Out[0]))
}

// rows are those of a batch of tiles, the first at slot first.
func rows(first, count int) kernel.Row {
	return kernel.Row{
		Length: graph.RowLen, Load: graph.RowLoad, Blend: graph.RowBlend, Mirror: graph.RowMirror, Weight: graph.RowWeight,
		First: first, Count: count,
	}
}

func (s *wasmScope) tileLoad(op graph.TileLoad, n graph.Node) {
	v := s.Type(n.In[0]).Shape
	k := kernel.TileLoad{Rows: rows(op.Ctl, op.N), Size: [3]int(v[1:4]), Tile: op.Tile, C: v[4]}
	s.add(k, s.value(n.In[0]), s.value(n.In[1]), s.value(n.Out[0]))
}

func (s *wasmScope) tileBlend(op graph.TileBlend, n graph.Node) {
	z, a := s.Type(n.In[0]).Shape, s.Type(n.In[3]).Shape
	k := kernel.TileBlend{Rows: rows(op.Ctl, z[0]), Depth: op.Depth, Size: [3]int(a[:3]), Tile: [3]int(z[1:4]), K: z[4]}
	args := []place{}
	for _, v := range n.In {
		args = append(args, s.value(v))
	}
	s.add(k, args...)
}

func (s *wasmScope) labels(op graph.Labels, n graph.Node) {
	a := s.Type(n.In[0]).Shape
	k := kernel.Labels{
		Size: [3]int(a[:3]), K: a[3], Out: op.Out, Planes: op.Planes, Slot: op.Ctl,
		Regions: op.Regions != nil, Whole: true,
	}
	args := []place{s.value(n.In[0]), s.value(n.In[1]), s.value(n.In[2])}
	for i, size := range [3]int{op.Depth, a[1], a[2]} {
		list := axis(size, op.Out[i], op.Nearest[i])
		if i == 2 {
			k.Whole = !slices.ContainsFunc(list, func(b between) bool { return b.f != 0 })
		}
		args = append(args, s.constant(positions(list)))
	}
	args = append(args, s.constant(op.Regions), s.value(n.Out[0]))
	s.add(k, args...)
}

// positions is the table of an axis.
func positions(list []between) (b []byte) {
	for _, p := range list {
		b = le32(b, int64(p.i0), int64(p.i1), int64(math.Float32bits(p.f)))
	}
	return b
}
