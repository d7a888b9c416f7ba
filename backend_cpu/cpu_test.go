package cpu

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

func TestConformance(t *testing.T) {
	for _, name := range ISAs() {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(testing.TB) backend.Device { return Open(Options{Workers: 3, ISA: name}) })
		})
	}
}

// network has every op of a training step at least once, on values that need
// several units of work, and hands out all that it writes.
func network(b *graph.Builder) []graph.Value {
	one, two := [3]int{1, 1, 1}, [3]int{2, 2, 2}
	source := b.Declare("source", graph.IO, graph.F32, 2, 20, 30, 28, 2)
	labels := b.Declare("labels", graph.IO, graph.U8, 2, 20, 30, 28)
	ctl := b.Declare("ctl", graph.IO, graph.F32, 512)
	warped := b.Apply("warp", graph.Warp{Patch: [3]int{16, 24, 24}, Ctl: 16}, source, labels, ctl)
	x, y := warped[0], warped[1]
	for a := range 3 {
		x = b.Apply("blur", graph.Blur{Axis: a, Radius: 3, Ctl: 40}, x, ctl)[0]
	}
	x = b.Apply("low", graph.LowRes{Ctl: 44}, x, ctl)[0]
	for k := graph.Noise; k <= graph.GammaInvert; k++ {
		x = b.Apply(k.String(), graph.Intensity{Kind: k, Ctl: 48 + 4*int(k), Seed: 100}, x, ctl)[0]
	}
	x = b.Apply("median", graph.Median{Most: 3, Ctl: 44}, x, ctl)[0]
	x = b.Apply("sharpen", graph.Sharpen{Ctl: 44}, x, ctl)[0]
	x = b.Apply("blank", graph.Blank{Boxes: 1, Ctl: 128}, x, ctl)[0]
	for _, gamma := range []bool{false, true} {
		x = b.Apply(map[bool]string{true: "gamma"}[gamma]+"local", graph.Local{Gamma: gamma, Ctl: 128}, x, ctl)[0]
	}
	var params []graph.Value
	conv := func(name string, co int, stride [3]int, x ...graph.Value) graph.Value {
		ci := 0
		for _, v := range x {
			ci += b.Type(v).Shape[4]
		}
		w, bias := b.Param(name+".w", 3, 3, 3, ci, co), b.Param(name+".b", co)
		params = append(params, w, bias)
		return b.Apply(name, graph.Conv3D{Stride: stride}, append([]graph.Value{x[0], w, bias}, x[1:]...)...)[0]
	}
	norm := func(name string, x graph.Value) graph.Value {
		c := b.Type(x).Shape[4]
		gamma, beta := b.Param(name+".gamma", c), b.Param(name+".beta", c)
		params = append(params, gamma, beta)
		return b.Apply(name, graph.NormAct{Eps: 1e-5, Slope: 0.01}, x, gamma, beta)[0]
	}
	full := norm("n0", conv("c0", 8, one, x))
	half := norm("n1", conv("c1", 11, two, full))
	skip := conv("c2", 11, one, b.Apply("pool", graph.AvgPool{Stride: two}, full)[0])
	half = b.Apply("join", graph.AddAct{Slope: 0.01}, half, skip)[0]
	w, bias := b.Param("up.w", 2, 2, 2, 11, 8), b.Param("up.b", 8)
	params = append(params, w, bias)
	up := b.Apply("up", graph.UpConv3D{}, half, w, bias)[0]
	z := conv("head", 3, one, norm("n2", conv("c3", 8, one, up, full)))
	var loss graph.Value
	for i, act := range []graph.Act{graph.Softmax, graph.Sigmoid} {
		head, stride := z, one
		if i > 0 {
			head, stride = conv("low head", 3, one, half), two
		}
		sums := b.Apply("sums", graph.SegSums{Stride: stride, Act: act, Ignore: 2}, head, y)[0]
		loss = b.Apply("loss", graph.SegLoss{Weight: 1, CE: 1, Dice: 1, Smooth: 1e-5, Mean: 1, First: 1}, sums, loss, ctl)[0]
	}
	hard := b.Apply("hard", graph.SegSums{Stride: one, Act: graph.Hard, Ignore: -1}, z, y)[0]
	grads := b.Backward(loss, params)
	b.Apply("norm", graph.GradNorm{Growth: 2}, append([]graph.Value{ctl}, grads...)...)
	in := append(append([]graph.Value{ctl}, params...), grads...)
	for slot := range 2 {
		for _, p := range params {
			in = append(in, b.State(p, slot))
		}
	}
	b.Apply("step", graph.Step{Rule: graph.AdamW, N: len(params), Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Decay: 0.01}, in...)
	b.Place(loss, graph.IO)
	b.Place(hard, graph.IO)
	return []graph.Value{loss, hard}
}

// tiles is a prediction of two tiles of a small volume.
func tiles(b *graph.Builder) []graph.Value {
	volume := b.Declare("volume", graph.Data, graph.F32, 1, 20, 40, 30, 1)
	ctl := b.Declare("ctl", graph.IO, graph.F32, 128)
	weights := b.Declare("weights", graph.Data, graph.F32, 16, 24, 24)
	acc, norm := b.Declare("acc", graph.Data, graph.F32, 20, 40, 30, 3), b.Declare("norm", graph.Data, graph.F32, 20, 40, 30)
	x := b.Apply("load", graph.TileLoad{N: 2, Tile: [3]int{16, 24, 24}, Ctl: 80}, volume, ctl)[0]
	z := b.Apply("conv", graph.Conv3D{Stride: [3]int{1, 1, 1}}, x, b.Param("w", 3, 3, 3, 1, 3), b.Param("b", 3))[0]
	b.Apply("blend", graph.TileBlend{Depth: 20, Ctl: 80}, z, weights, ctl, acc, norm)
	labels := b.Apply("labels", graph.Labels{Depth: 20, Out: [3]int{25, 50, 37}, Planes: 25, Ctl: 110}, acc, norm, ctl)[0]
	b.Place(labels, graph.IO)
	return []graph.Value{labels}
}

// session opens a program on dev with numbers in all that the host may write.
func session(t testing.TB, dev backend.Device, storage graph.DType, f func(b *graph.Builder) []graph.Value) *backend.Session {
	g, err := graph.Build(f)
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{Storage: storage})
	require.NoError(t, err)
	s, err := backend.NewSession(dev, p, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	r := rand.New(rand.NewPCG(1, 2))
	for i, info := range p.Values {
		v := graph.Value(i + 1)
		values := make([]float32, info.Type.Shape.Elems())
		for j := range values {
			values[j] = 0.1 + 0.2*r.Float32()
		}
		if _, ok := p.Place(v); !ok {
			continue
		}
		switch {
		case info.Region == graph.Weights:
			for j := range values {
				values[j] = float32(r.NormFloat64()) / 8
			}
			require.NoError(t, s.WriteWeight(t.Context(), v, values))
		case info.Type.DType == graph.U8 && info.Region == graph.IO:
			labels := make([]byte, len(values))
			for j := range labels {
				labels[j] = byte(j / 700 % 4)
			}
			require.NoError(t, s.Write(t.Context(), v, labels))
		case info.Name == "ctl":
			values[graph.CtlRate], values[graph.CtlLossScale], values[graph.CtlClip] = 0.01, 8, 1
			values[graph.CtlGood], values[graph.CtlSteps], values[graph.CtlSkipped] = 0, 0, 0
			for n := range 2 {
				copy(values[16+12*n:], []float32{0.9, 0.1, 0, -0.1, 0.9, 0.1, 0, 0.1, 0.9, 9, 14, 13})
			}
			values[44] = 0.5
			copy(values[70:], []float32{12345, 678})
			copy(values[80:], []float32{0, 0, 0, 0, 0, 0, 0, 1, 2, 12, 4, 2, 12, 4, 5, 0.5})
			values[110] = 0
			require.NoError(t, s.WriteF32(t.Context(), v, values))
		case info.Region == graph.IO || info.Region == graph.Data:
			require.NoError(t, s.WriteF32(t.Context(), v, values))
		}
	}
	return s
}

// memoryOf reads every region but the scratch.
func memoryOf(t testing.TB, s *backend.Session) (out [][]byte) {
	for i, info := range s.Program.Values {
		v := graph.Value(i + 1)
		at, ok := s.Program.Place(v)
		if !ok || info.Region == graph.Scratch {
			continue
		}
		b := make([]byte, at.Bytes)
		require.NoError(t, s.Read(t.Context(), v, b))
		out = append(out, b)
	}
	return out
}

// requireNumbers requires that f32 values are finite, lest bits agree that mean
// nothing.
func requireNumbers(t testing.TB, s *backend.Session) {
	for i, info := range s.Program.Values {
		if _, ok := s.Program.Place(graph.Value(i + 1)); !ok || info.Region == graph.Scratch || info.Type.DType != graph.F32 {
			continue
		}
		values := make([]float32, info.Type.Shape.Elems())
		require.NoError(t, s.ReadF32(t.Context(), graph.Value(i+1), values))
		for _, x := range values {
			require.False(t, math.IsNaN(float64(x)) || math.IsInf(float64(x), 0), info.Name)
		}
	}
}

func programs() map[string]func(b *graph.Builder) []graph.Value {
	return map[string]func(b *graph.Builder) []graph.Value{"training": network, "prediction": tiles}
}

func TestProgramsHaveTheSameBitsForAnyNumberOfWorkers(t *testing.T) {
	for name, f := range programs() {
		for _, isa := range ISAs() {
			for _, storage := range []graph.DType{graph.F32, graph.BF16, graph.F16} {
				if isa == "go" && storage != graph.F32 {
					continue // slow, and not different
				}
				t.Run(name+"/"+isa+"/"+storage.String(), func(t *testing.T) {
					var want [][]byte
					for _, workers := range []int{1, 2, 5} {
						dev := Open(Options{Workers: workers, ISA: isa})
						s := session(t, dev, storage, f)
						for range 2 {
							require.NoError(t, s.Run(t.Context()))
						}
						got := memoryOf(t, s)
						if want == nil {
							want = got
							requireNumbers(t, s)
						}
						require.Equal(t, want, got, "%d workers", workers)
						require.NoError(t, dev.Close())
					}
				})
			}
		}
	}
}

// ofGo is a device whose memory is Go's, also where WebAssembly has others.
func ofGo(workers int) *device {
	return Open(Options{Workers: workers, ISA: isas()[0].name}).(*device)
}

func TestRunsAllocateNothing(t *testing.T) {
	for name, f := range programs() {
		for _, storage := range []graph.DType{graph.F32, graph.BF16} {
			t.Run(name+"/"+storage.String(), func(t *testing.T) {
				dev := ofGo(2)
				s := session(t, dev, storage, f)
				assert.Zero(t, testing.AllocsPerRun(3, func() { require.NoError(t, s.Run(t.Context())) }))
				require.NoError(t, dev.Close())
			})
		}
	}
}

func TestAnEndedContextStopsBetweenNodes(t *testing.T) {
	dev := Open(Options{Workers: 1})
	s := session(t, dev, graph.F32, tiles)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "before node load")
	require.NoError(t, s.Run(t.Context()), "the program can go on")
}

func TestProfileTimesEveryNode(t *testing.T) {
	s := session(t, Open(Options{Workers: 1}), graph.F32, tiles)
	seconds, err := s.Profile(t.Context())
	require.NoError(t, err)
	require.Len(t, seconds, len(s.Program.Nodes))
	for i, x := range seconds {
		assert.Positive(t, x, s.Program.Nodes[i].Name)
	}
}

func TestBuffersBeyondTheMachineAreRefused(t *testing.T) {
	dev := ofGo(1)
	for _, n := range []int64{-1, 1 << 44, 1<<63 - 1} {
		_, err := dev.NewBuffer(n)
		assert.ErrorContains(t, err, "a buffer of", n)
		assert.Equal(t, n > 0, errors.Is(err, backend.ErrMemory), n)
	}
	b, err := dev.NewBuffer(100)
	require.NoError(t, err)
	for _, off := range []int64{-1, 97, 1<<63 - 2} {
		assert.Error(t, b.Write(t.Context(), off, make([]byte, 4)), off)
		assert.Error(t, b.Read(t.Context(), off, make([]byte, 4)), off)
	}
	back := []byte{1, 2, 3, 4}
	require.NoError(t, b.Read(t.Context(), 96, back))
	assert.Equal(t, make([]byte, 4), back, "memory is zeroed")
	b.Free()
	b.Free()
	assert.Zero(t, dev.live)
}

func TestCompileWantsItsOwnBuffersInFullSize(t *testing.T) {
	dev := Open(Options{Workers: 1})
	p, err := opCase{"", graph.Add{}, []graph.Type{act(1, 2, 2, 2, 8), act(1, 2, 2, 2, 8)}}.program(graph.F32)
	require.NoError(t, err)
	_, err = dev.Compile(p, nil)
	require.ErrorContains(t, err, "0 buffers are bound")
	small, err := dev.NewBuffer(16)
	require.NoError(t, err)
	bind := map[graph.Region][]backend.Buffer{graph.Data: {small}, graph.Scratch: {small}}
	_, err = dev.Compile(p, bind)
	require.ErrorContains(t, err, "needs a buffer of")
}

func TestAllReduceGoesThroughTheHook(t *testing.T) {
	build := func(b *graph.Builder) []graph.Value {
		v := b.Declare("v", graph.IO, graph.F32, 3)
		b.Apply("reduce", graph.AllReduce{Mean: true}, v)
		return nil
	}
	g, err := graph.Build(build)
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{World: 2})
	require.NoError(t, err)
	lost := errors.New("no peer")
	run := func(reduce func(context.Context, [][]float32) error) ([]float32, error) {
		s, err := backend.NewSession(Open(Options{Workers: 1, World: 2, Reduce: reduce}), p, nil)
		if err != nil {
			return nil, err
		}
		v := p.Find(graph.IO, "v")
		require.NoError(t, s.WriteF32(t.Context(), v, []float32{1, 2, 3}))
		err = s.Run(t.Context())
		got := make([]float32, 3)
		require.NoError(t, s.ReadF32(t.Context(), v, got))
		return got, err
	}
	_, err = run(nil)
	require.ErrorContains(t, err, "without a Reduce")
	_, err = run(func(context.Context, [][]float32) error { return lost })
	require.ErrorIs(t, err, lost)
	got, err := run(func(_ context.Context, values [][]float32) error {
		for i := range values[0] {
			values[0][i] += 10 // the other device's
		}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, []float32{5.5, 6, 6.5}, got)
}
