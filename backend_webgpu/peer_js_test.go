package webgpu

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// peer is onnxruntime-web in the worker of this program.
type peer struct{ js.Value }

// openPeer loads onnxruntime-web with its WebGPU provider from the folder dist of
// its npm package.
func openPeer(t *testing.T, dist string) peer {
	url := func(name, kind string) string {
		b, err := os.ReadFile(filepath.Join(dist, name))
		require.NoError(t, err)
		blob := js.Global().Get("Blob").New([]any{bytesOf(b)}, map[string]any{"type": kind})
		return js.Global().Get("URL").Call("createObjectURL", blob).String()
	}
	load := js.Global().Get("Function").New("u", "return import(u)")
	api, err := await(load.Invoke(url("ort.webgpu.min.mjs", "text/javascript")))
	require.NoError(t, err)
	wasm := api.Get("env").Get("wasm")
	wasm.Set("numThreads", 1)
	wasm.Set("wasmPaths", map[string]any{
		"mjs":  url("ort-wasm-simd-threaded.asyncify.mjs", "text/javascript"),
		"wasm": url("ort-wasm-simd-threaded.asyncify.wasm", "application/wasm"),
	})
	return peer{api}
}

func bytesOf(b []byte) js.Value {
	a := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(a, b)
	return a
}

// session of a model on WebGPU but for the nodes on the CPU.
func (p peer) session(t *testing.T, model []byte, onCPU []any) js.Value {
	provider := map[string]any{"name": "webgpu"}
	if len(onCPU) > 0 {
		provider["forceCpuNodeNames"] = onCPU
	}
	s, err := await(p.Get("InferenceSession").Call("create", bytesOf(model), map[string]any{"executionProviders": []any{provider}}))
	require.NoError(t, err)
	return s
}

// tensor is one of the CPU.
func (p peer) tensor(shape []int, values []float32) js.Value {
	list := make([]any, len(shape))
	for i, n := range shape {
		list[i] = n
	}
	data := js.Global().Get("Float32Array").New(bytesOf(raw(values)).Get("buffer"))
	return p.Get("Tensor").New("float32", data, list)
}

// run runs a session and returns its output, which it reads back.
func (p peer) run(session js.Value, feeds map[string]any, output string) (js.Value, error) {
	out, err := await(session.Call("run", feeds))
	if err != nil {
		return js.Value{}, err
	}
	return out.Get(output).Get("data"), nil
}

// floats are those of a Float32Array.
func floats(a js.Value) []float32 {
	view := js.Global().Get("Uint8Array").New(a.Get("buffer"), a.Get("byteOffset"), a.Get("byteLength"))
	b := make([]byte, view.Length())
	js.CopyBytesToGo(b, view)
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(uint32(b[4*i]) | uint32(b[4*i+1])<<8 | uint32(b[4*i+2])<<16 | uint32(b[4*i+3])<<24)
	}
	return out
}

// axesMoved is x [N D H W C], channels first.
func axesMoved(x []float32, s graph.Shape) []float32 {
	out := make([]float32, len(x))
	voxels, c := s[1]*s[2]*s[3], s[4]
	for i, v := range x {
		n, rest := i/(voxels*c), i%(voxels*c)
		out[(n*c+rest%c)*voxels+rest/c] = v
	}
	return out
}

// beside runs both by turns, writing inputs and reading outputs back, says what
// the best runs took, and that the results agree.
func beside(t *testing.T, name string, rounds int, own func() []float32, shape graph.Shape, other func() []float32) {
	times := [2]time.Duration{time.Hour, time.Hour}
	var got, want []float32
	for range rounds {
		for i, run := range []func(){func() { got = own() }, func() { want = other() }} {
			before := time.Now()
			run()
			times[i] = min(times[i], time.Since(before))
		}
	}
	got = axesMoved(got, shape)
	require.Len(t, got, len(want))
	var off, most float64
	for i, v := range want {
		off, most = max(off, math.Abs(float64(v-got[i]))), max(most, math.Abs(float64(v)))
	}
	assert.LessOrEqual(t, off, 1e-4*most, "the results agree")
	ms := func(d time.Duration) float64 { return 1000 * d.Seconds() }
	fmt.Printf("%-28s %10.1f %12.1f %8.1f× %10.1e\n", name, ms(times[0]), ms(times[1]), times[1].Seconds()/times[0].Seconds(), off/most)
}

const besideHeader = "\nlayer                        gounet, ms      ORT, ms    ratio   max|Δ|/max|y|\n"

// random are n normal numbers.
func random(r *rand.Rand, n int, deviation float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(deviation * r.NormFloat64())
	}
	return v
}

// TestBesideONNXRuntime times layers and a whole network beside onnxruntime-web on
// one adapter in one page: see bench/peers/ort_webgpu.
func TestBesideONNXRuntime(t *testing.T) {
	dist := os.Getenv("GOUNET_ORT")
	if dist == "" {
		t.Skip("GOUNET_ORT is not set: bench/peers/ort_webgpu/run.sh sets it")
	}
	p := openPeer(t, dist)
	d := opened(t)
	fmt.Print(d.Name(), besideHeader)
	for _, l := range layers {
		if _, ok := l.op.(graph.Conv3D); ok {
			t.Run(l.name, func(t *testing.T) { l.beside(t, d, p) })
		}
	}
	t.Run("network", func(t *testing.T) { networkBeside(t, d, p) })
}

func (l layer) beside(t *testing.T, d backend.Device, p peer) {
	g, y := l.graph(t)
	c, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	s, err := backend.NewSession(d, c, nil)
	require.NoError(t, err)
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	feeds := map[string]any{}
	values := map[graph.Value][]float32{}
	var w, b []float32
	for i, info := range g.Values {
		v, n := graph.Value(i+1), info.Type.Shape.Elems()
		switch info.Name {
		case "w":
			w = random(r, n, 0.05)
			require.NoError(t, s.WriteWeight(t.Context(), v, w))
		case "b":
			b = random(r, n, 1)
			require.NoError(t, s.WriteWeight(t.Context(), v, b))
		case "x", "x2":
			values[v] = random(r, n, 1)
			feeds[info.Name] = p.tensor(channelsFirst(info.Type.Shape), axesMoved(values[v], info.Type.Shape))
		}
	}
	shape := g.Type(y).Shape
	session := p.session(t, l.model(w, b, shape), nil)
	own := func() []float32 {
		for v, x := range values {
			require.NoError(t, s.WriteF32(t.Context(), v, x))
		}
		return ran(t.Context(), t, s, y)
	}
	beside(t, l.name, 3, own, shape, func() []float32 {
		out, err := p.run(session, feeds, "y")
		require.NoError(t, err)
		return floats(out)
	})
}

// ran runs a session and reads a value.
func ran(ctx context.Context, t *testing.T, s *backend.Session, y graph.Value) []float32 {
	require.NoError(t, s.Run(ctx))
	out := make([]float32, s.Program.Type(y).Shape.Elems())
	require.NoError(t, s.ReadF32(ctx, y, out))
	return out
}

// networkBeside is nnU-Net's small network of golden/onnx on a tile. The peer has
// no transposed convolution on WebGPU: those run on its CPU.
func networkBeside(t *testing.T, d backend.Device, p peer) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: the network lies there")
	}
	model, err := os.ReadFile(filepath.Join(dir, "golden", "onnx", "small3d.onnx"))
	require.NoError(t, err)
	weights, transposed := initializers(model, "ConvTranspose")
	k, two := [3]int{3, 3, 3}, [3]int{2, 2, 2}
	network := plan.Network{
		Kind: plan.Plain, Features: []int{8, 16, 32, 64}, Kernels: [][3]int{k, k, k, k}, Strides: [][3]int{stride1, two, two, two},
		Convs: []int{2, 2, 2, 2}, DecoderConvs: []int{2, 2, 2}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
	}
	var x, y graph.Value
	var params []graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x = b.Declare("x", graph.IO, graph.T, 1, 40, 56, 40, 1)
		var logits []graph.Value
		logits, params = unet.Forward(b, network, x, 3, 1)
		y = logits[0]
		b.Place(y, graph.IO)
		return logits
	})
	require.NoError(t, err)
	c, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	s, err := backend.NewSession(d, c, nil)
	require.NoError(t, err)
	defer s.Close()
	named := strings.NewReplacer(".conv.", ".all_modules.0.", ".norm.", ".all_modules.1.")
	for _, v := range params {
		info := g.Info(v)
		name := named.Replace(info.Name)
		if strings.HasPrefix(name, "encoder.") {
			name = "decoder." + name
		}
		values, ok := weights[name]
		if !ok {
			continue // of a head that is not asked for
		}
		if len(info.Type.Shape) == 5 {
			values = tapsFirst(values, info.Type.Shape, strings.Contains(name, "transpconvs"))
		}
		require.NoError(t, s.WriteWeight(t.Context(), v, values))
	}
	r := rand.New(rand.NewPCG(1, 2))
	shape := g.Type(x).Shape
	in := random(r, shape.Elems(), 1)
	session := p.session(t, model, transposed)
	input, output := session.Get("inputNames").Index(0).String(), session.Get("outputNames").Index(0).String()
	feeds := map[string]any{input: p.tensor(channelsFirst(shape), axesMoved(in, shape))}
	own := func() []float32 {
		require.NoError(t, s.WriteF32(t.Context(), x, in))
		return ran(t.Context(), t, s, y)
	}
	beside(t, "small network, a tile", 2, own, g.Type(y).Shape, func() []float32 {
		out, err := p.run(session, feeds, output)
		require.NoError(t, err)
		return floats(out)
	})
}

// tapsFirst is a kernel of PyTorch [Co Ci k…], transposed [Ci Co k…], as s [k… Ci Co].
func tapsFirst(w []float32, s graph.Shape, transposed bool) []float32 {
	out := make([]float32, len(w))
	taps, ci, co := s[0]*s[1]*s[2], s[3], s[4]
	for i := range out {
		k, c, o := i/(ci*co), i/co%ci, i%co
		if transposed {
			out[i] = w[(c*co+o)*taps+k]
		} else {
			out[i] = w[(o*ci+c)*taps+k]
		}
	}
	return out
}
