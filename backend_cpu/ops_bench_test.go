package cpu

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// opCase is one op on inputs of given types, which lie in Data.
type opCase struct {
	name string
	op   graph.Op
	in   []graph.Type // the zero Type is "none"
}

func act(n, d, h, w, c int) graph.Type {
	return graph.Type{DType: graph.T, Shape: graph.Shape{n, d, h, w, c}}
}

func f32(shape ...int) graph.Type { return graph.Type{DType: graph.F32, Shape: shape} }

func u8(shape ...int) graph.Type { return graph.Type{DType: graph.U8, Shape: shape} }

// program is the op alone.
func (c opCase) program(storage graph.DType) (*compile.Program, error) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		in := make([]graph.Value, len(c.in))
		for i, t := range c.in {
			if t.Shape != nil {
				in[i] = b.Declare("in", graph.Data, t.DType, t.Shape...)
			}
		}
		return b.Apply("op", c.op, in...)
	})
	if err != nil {
		return nil, err
	}
	return compile.Compile(g, compile.Options{Storage: storage})
}

// opCases are the ops that wait for memory, at the full resolution of the
// hippocampus plan (patch 40×56×40, batch 2), of whose values the last level of
// a cache may hold a part.
func opCases() []opCase {
	x, vector, stats := act(2, 40, 56, 40, 32), f32(32), f32(2, 32, 2)
	z, l := act(2, 40, 56, 40, 3), u8(2, 40, 56, 40)
	seg := graph.SegSums{Stride: [3]int{1, 1, 1}, Ignore: -1}
	weights := f32(8 << 20)
	ctl := f32(64)
	row := 16 + graph.RowLen
	return []opCase{
		{"NormAct", graph.NormAct{Eps: 1e-5, Slope: 0.01}, []graph.Type{x, vector, vector}},
		{"NormApply", graph.NormApply{Slope: 0.01}, []graph.Type{x, vector, vector, stats}},
		{"NormActGrad", graph.NormActGrad{Slope: 0.01}, []graph.Type{x, x, vector, vector, stats}},
		{"Add", graph.Add{}, []graph.Type{x, x}},
		{"AddAct", graph.AddAct{Slope: 0.01}, []graph.Type{x, x}},
		{"ActGrad", graph.ActGrad{Slope: 0.01}, []graph.Type{x, x}},
		{"AvgPool", graph.AvgPool{Stride: [3]int{2, 2, 2}}, []graph.Type{x}},
		{"AvgPoolGrad", graph.AvgPoolGrad{Stride: [3]int{2, 2, 2}}, []graph.Type{act(2, 20, 28, 20, 32)}},
		{"SegSums", seg, []graph.Type{z, l}},
		{"SegGrad", graph.SegGrad{SegSums: seg}, []graph.Type{z, l, f32(2, 3, graph.SumsLen)}},
		{"SegSumsSigmoid", graph.SegSums{Stride: [3]int{1, 1, 1}, Ignore: -1, Act: graph.Sigmoid}, []graph.Type{z, l}},
		{"SegSumsHard", graph.SegSums{Stride: [3]int{1, 1, 1}, Ignore: -1, Act: graph.Hard}, []graph.Type{z, l}},
		{"GradNorm", graph.GradNorm{}, []graph.Type{ctl, weights}},
		{"StepSGD", graph.Step{Rule: graph.SGD, N: 1, Momentum: 0.99, Nesterov: true}, []graph.Type{ctl, weights, weights, weights}},
		{"StepAdam", graph.Step{Rule: graph.Adam, N: 1, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}, []graph.Type{ctl, weights, weights, weights, weights}},
		{"TileLoad", graph.TileLoad{N: 1, Tile: [3]int{128, 128, 128}, Ctl: 16}, []graph.Type{f32(1, 128, 128, 128, 1), f32(row)}},
		{"TileBlend", graph.TileBlend{Depth: 96, Ctl: 16}, []graph.Type{act(1, 96, 96, 96, 3), f32(96, 96, 96), f32(row), f32(96, 96, 96, 3), f32(96, 96, 96)}},
		{"Labels", graph.Labels{Depth: 96, Out: [3]int{96, 96, 96}, Planes: 96, Ctl: 16}, []graph.Type{f32(96, 96, 96, 3), f32(96, 96, 96), f32(17)}},
		{"LabelsUp", graph.Labels{Depth: 48, Out: [3]int{96, 96, 96}, Planes: 96, Ctl: 16}, []graph.Type{f32(48, 48, 48, 3), f32(48, 48, 48), f32(17)}},
		{"Warp", graph.Warp{Patch: [3]int{40, 56, 40}, Ctl: 16}, []graph.Type{f32(2, 56, 64, 56, 1), u8(2, 56, 64, 56), ctl}},
		{"Blur", graph.Blur{Axis: 0, Radius: 3, Ctl: 16}, []graph.Type{act(2, 40, 56, 40, 1), ctl}},
		{"Noise", graph.Intensity{Kind: graph.Noise, Ctl: 16, Seed: 32}, []graph.Type{act(2, 40, 56, 40, 1), ctl}},
		{"Gamma", graph.Intensity{Kind: graph.Gamma, Ctl: 16}, []graph.Type{act(2, 40, 56, 40, 1), ctl}},
		{"LowRes", graph.LowRes{Ctl: 16}, []graph.Type{act(2, 40, 56, 40, 1), ctl}},
	}
}

// open makes the session of a case with inputs that are small numbers.
func (c opCase) open(t testing.TB, dev backend.Device, storage graph.DType) *backend.Session {
	p, err := c.program(storage)
	require.NoError(t, err)
	s, err := backend.NewSession(dev, p, nil)
	require.NoError(t, err)
	for _, v := range p.Nodes[0].In {
		if v == 0 {
			continue
		}
		typ := p.Type(v)
		if typ.DType == graph.U8 {
			labels := make([]byte, typ.Bytes())
			for i := range labels {
				labels[i] = byte(i / 40000 % 3)
			}
			require.NoError(t, s.Write(t.Context(), v, labels))
			continue
		}
		values := random(typ.Shape.Elems())
		for i := range values.f32 { // smooth, as logits and scans are
			values.f32[i] = 0.6 + 0.1*values.f32[i] + 0.4*float32(math.Sin(float64(i)/3000+float64(i%3)))
		}
		if len(typ.Shape) == 1 && typ.Shape[0] < 100 {
			for i := range graph.CtlRows {
				values.f32[i%len(values.f32)] = 1
			}
		}
		if _, ok := c.op.(graph.Warp); ok && len(typ.Shape) == 1 {
			for n := range 2 {
				copy(values.f32[16+12*n:], []float32{0.9, 0.1, 0, -0.1, 0.9, 0.1, 0, 0.1, 0.9, 28, 32, 28})
			}
		}
		if _, ok := c.op.(graph.TileBlend); ok && len(typ.Shape) == 1 {
			copy(values.f32[16:], []float32{0, 0, 0, 0, 0, 0, 0, 1})
		}
		if storage != graph.F32 && typ.DType == storage {
			half := make([]byte, typ.Bytes())
			t16 := tensor{dtype: storage, u16: view[uint16](half)}
			plainGo.put(t16, 0, len(values.f32), values.f32, len(values.f32), 1, len(values.f32))
			require.NoError(t, s.Write(t.Context(), v, half))
			continue
		}
		require.NoError(t, s.WriteF32(t.Context(), v, values.f32))
	}
	return s
}

// clockOf is the CPU time of one worker, or the time of day for several.
func clockOf(workers int) func() time.Duration {
	if workers == 1 {
		return threadTime
	}
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// BenchmarkOps reports the best of b.N runs of each op: bytes that it has to
// move at least per second, and their share of what a triad moves.
func BenchmarkOps(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, s := range isas() {
		name := s.name
		for _, workers := range workerCounts() {
			dev := Open(Options{Workers: workers, ISA: name})
			triad := bandwidth(dev.(*device), clockOf(workers))
			for _, storage := range []graph.DType{graph.F32, graph.BF16} {
				for _, c := range opCases() {
					b.Run(c.name+"/"+name+"/"+storage.String()+"/"+dev.Name()[len(dev.Name())-10:], func(b *testing.B) {
						runtime.LockOSThread()
						defer runtime.UnlockOSThread()
						s := c.open(b, dev, storage)
						defer s.Close()
						require.NoError(b, s.Run(b.Context()))
						best, clock := time.Hour, clockOf(workers)
						for b.Loop() {
							start := clock()
							_ = s.Run(b.Context())
							best = min(best, clock()-start)
						}
						rate := float64(s.Program.Cost(s.Program.Nodes[0]).Bytes) / best.Seconds() / 1e9
						b.ReportMetric(0, "ns/op")
						b.ReportMetric(best.Seconds()*1e3, "ms")
						b.ReportMetric(rate, "GB/s")
						b.ReportMetric(100*rate/triad, "%memory")
					})
				}
			}
			require.NoError(b, dev.Close())
		}
	}
}

// bandwidth is what all workers move with dst = a + 3b on arrays beyond the
// caches, in GB/s.
func bandwidth(d *device, clock func() time.Duration) float64 {
	const n, parts = 32 << 20, 64
	x, y, z := written(n), written(n), written(n)
	best := time.Hour
	for range 5 {
		start := clock()
		d.pool.run(parts, unitFunc(func(_ *worker, u int) {
			i := u * (n / parts)
			d.isa.triad(&z[i], &x[i], &y[i], n/parts/d.isa.lanes)
		}))
		best = min(best, clock()-start)
	}
	return 12 * n / best.Seconds() / 1e9
}
