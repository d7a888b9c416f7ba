// Package unettest judges a backend by networks that PyTorch computed: outputs,
// losses, every gradient, and weights after three steps of nnU-Net's optimizer.
package unettest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/internal/safetensors"
)

// Cases are the networks of nnU-Net v2 in golden/networks.
var Cases = []string{"a_plain3d", "b_plain2d", "c_resenc3d", "d_plain3d_aniso"}

// Golden runs all cases on a device. dir is the folder golden/networks.
func Golden(t *testing.T, open func(t testing.TB) backend.Device, dir string) {
	for _, name := range Cases {
		t.Run(name, func(t *testing.T) {
			dev := open(t)
			defer func() { assert.NoError(t, dev.Close()) }()
			c := load(t, filepath.Join(dir, name))
			for loss := range c.Losses {
				t.Run(loss, func(t *testing.T) { c.gradients(t, dev, loss) })
			}
			for _, loss := range c.Steps {
				for opt := range c.optimizers(loss) {
					t.Run(opt+"_"+loss, func(t *testing.T) { c.steps(t, dev, loss, opt) })
				}
			}
			for _, s := range []graph.DType{graph.F16, graph.BF16} {
				t.Run(s.String(), func(t *testing.T) { c.half(t, dev, s) })
			}
		})
	}
}

// golden is a case.json with its tensors.
type golden struct {
	Dim         int       `json:"dim"`
	InChannels  int       `json:"in_channels"`
	OutChannels int       `json:"out_channels"`
	NLabels     int       `json:"n_labels"`
	Features    []int     `json:"features"`
	Kernels     [][]int   `json:"kernels"`
	Strides     [][]int   `json:"strides"`
	ConvEncoder []int     `json:"n_conv_encoder"`
	Blocks      []int     `json:"n_blocks"`
	ConvDecoder []int     `json:"n_conv_decoder"`
	InputShape  []int     `json:"input_shape"`
	Weights     []float64 `json:"ds_weights"`
	Steps       []string  `json:"steps"`
	Losses      map[string]lossCase
	dir         string
	weights, io map[string]tensor
}

type lossCase struct {
	Loss       float64  `json:"loss"`
	NoGradient []string `json:"no_gradient"`
	Noise      struct {
		NearZero []string `json:"near_zero_gradients"`
	} `json:"f32_vs_f64"`
	SGD     *steps `json:"sgd3"`
	Clipped *steps `json:"sgd3_clip0.05"`
}

type steps struct {
	ClipNorm float64   `json:"clip_norm"`
	Losses   []float64 `json:"losses"`
	Norms    []float64 `json:"grad_norms_before_clip"`
	Error    struct {
		WeightMaxAbs float64 `json:"weight_max_abs"`
	} `json:"-"`
	WeightError float64 `json:"f32_vs_f64_weight_max_abs"`
}

func (g *golden) optimizers(loss string) map[string]*steps {
	m := map[string]*steps{}
	if s := g.Losses[loss].SGD; s != nil {
		m[""] = s
	}
	if s := g.Losses[loss].Clipped; s != nil {
		m["_clip0.05"] = s
	}
	return m
}

func load(t *testing.T, dir string) *golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	g := &golden{dir: dir}
	require.NoError(t, json.Unmarshal(b, g))
	g.weights = read(t, filepath.Join(dir, "weights.safetensors"))
	g.io = read(t, filepath.Join(dir, "io.safetensors"))
	return g
}

type tensor struct {
	shape []int
	data  []float32
}

func read(t *testing.T, path string) map[string]tensor {
	t.Helper()
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	m := map[string]tensor{}
	for _, n := range f.Names() {
		if info, _ := f.Info(n); info.DType == "F32" || info.DType == "F16" || info.DType == "BF16" {
			x, s, err := f.Float32s(n)
			require.NoError(t, err)
			m[n] = tensor{s, x}
			continue
		}
		ints, s, err := f.Ints(n)
		require.NoError(t, err)
		x := make([]float32, len(ints))
		for i, v := range ints {
			x[i] = float32(v)
		}
		m[n] = tensor{s, x}
	}
	return m
}

// plan is the plan of the case with the loss of that name: ce_sample, bce_batch_ignore …
func (g *golden) plan(loss string) (*plan.Plan, *plan.Configuration) {
	regions := strings.HasPrefix(loss, "bce")
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(g.Dim)}
	p.Recipe.Augmentation = nil
	for range g.InChannels {
		p.Channels = append(p.Channels, plan.Channel{Name: "x"})
	}
	for k := range g.OutChannels {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	if regions {
		p.Recipe.Loss.Voxel = plan.BinaryCrossEntropy
		p.Labels = []plan.Label{{Values: []int{0}}}
		for k := range g.OutChannels { // labels are bit sets: bit k is region k
			var vs []int
			for v := range 1 << g.OutChannels {
				if v>>k&1 == 1 {
					vs = append(vs, v)
				}
			}
			p.Labels = append(p.Labels, plan.Label{Values: vs})
		}
	}
	if strings.HasSuffix(loss, "_ignore") {
		p.Ignore = g.OutChannels
		if regions {
			p.Ignore = 200
		}
	}
	c := plan.Configuration{
		Name: g.dir, Dim: g.Dim, Batch: g.InputShape[0], BatchDice: strings.Contains(loss, "batch"),
		Network: plan.Network{
			Kind: plan.Plain, Features: g.Features, Kernels: three(g.Kernels), Strides: three(g.Strides),
			Convs: g.ConvEncoder, DecoderConvs: g.ConvDecoder, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		},
	}
	if g.Blocks != nil {
		c.Network.Kind, c.Network.Convs = plan.Residual, g.Blocks
	}
	c.Patch = [3]int{1, 1, 1}
	copy(c.Patch[3-g.Dim:], g.InputShape[2:])
	return p, &c
}

func three(v [][]int) (out [][3]int) {
	for _, k := range v {
		x := [3]int{1, 1, 1}
		copy(x[3-len(k):], k)
		out = append(out, x)
	}
	return out
}

// labels of the full resolution for a loss.
func (g *golden) labels(loss string, p *plan.Plan) []byte {
	x := g.io["target."+loss+".0"]
	n, c := x.shape[0], x.shape[1]
	v := len(x.data) / n / c
	out := make([]byte, n*v)
	for i := range n {
		for j := range v {
			if !p.HasRegions() {
				out[i*v+j] = byte(x.data[i*v+j])
				continue
			}
			var bits byte
			for k := range g.OutChannels {
				bits |= byte(x.data[(i*c+k)*v+j]) << k
			}
			if c > g.OutChannels && x.data[(i*c+g.OutChannels)*v+j] != 0 { // the ignore mask
				bits = 200
			}
			out[i*v+j] = bits
		}
	}
	return out
}

// toGraph reorders a PyTorch tensor to the axes of the graph.
func toGraph(name string, x tensor) []float32 {
	if len(x.shape) < 4 {
		return x.data
	}
	a, b := x.shape[0], x.shape[1]
	k := len(x.data) / a / b
	out := make([]float32, len(x.data))
	for i := range a {
		for j := range b {
			for q := range k {
				v := x.data[(i*b+j)*k+q]
				if strings.Contains(name, "transpconvs") { // [Ci Co k]
					out[(q*a+i)*b+j] = v
				} else { // [Co Ci k]
					out[(q*b+j)*a+i] = v
				}
			}
		}
	}
	return out
}

// channelsLast turns N C … into N … C.
func channelsLast(x tensor) []float32 {
	n, c := x.shape[0], x.shape[1]
	v := len(x.data) / n / c
	out := make([]float32, len(x.data))
	for i := range n {
		for k := range c {
			for j := range v {
				out[(i*v+j)*c+k] = x.data[(i*c+k)*v+j]
			}
		}
	}
	return out
}

func maxAbs(x []float32) (m float64) {
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

func maxDiff(a, b []float32) (m float64) {
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if d > m || math.IsNaN(d) {
			m = d
		}
	}
	return m
}

// gradients compares outputs, loss and the gradient of every parameter and of
// the input with those of PyTorch.
func (g *golden) gradients(t *testing.T, dev backend.Device, lossName string) {
	ctx := context.Background()
	p, c := g.plan(lossName)
	var x, ctl, labels, loss graph.Value
	var logits, params, grads []graph.Value
	gr, err := graph.Build(func(b *graph.Builder) []graph.Value {
		n, s := c.Batch, c.Patch
		ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
		labels = b.Declare("labels", graph.IO, graph.U8, n, s[0], s[1], s[2])
		x = b.Param("input", n, s[0], s[1], s[2], g.InChannels)
		logits, params = unet.Forward(b, c.Network, x, g.OutChannels, len(g.Weights))
		for _, z := range logits {
			b.Place(z, graph.IO)
		}
		loss = unet.Loss(b, p, c, logits, labels, ctl, g.Weights)
		b.Place(loss, graph.IO)
		params = append(params, x)
		grads = b.Backward(loss, params)
		return []graph.Value{loss}
	})
	require.NoError(t, err)
	s := g.session(t, dev, gr, compile.Options{}, params[:len(params)-1])
	defer s.Close()
	require.NoError(t, s.WriteF32(ctx, x, channelsLast(g.io["input"])))
	require.NoError(t, s.Write(ctx, labels, g.labels(lossName, p)))
	require.NoError(t, s.WriteF32(ctx, ctl, []float32{graph.CtlLossScale: 1}))
	require.NoError(t, s.Run(ctx))

	for i, z := range logits {
		want := channelsLast(g.io[fmt.Sprintf("output.%d", i)])
		got := g.read(t, s, z)
		assert.LessOrEqual(t, maxDiff(got, want), 2e-5*maxAbs(want), "output %d", i)
	}
	lc := g.Losses[lossName]
	assert.InDelta(t, lc.Loss, g.read(t, s, loss)[0], 5e-6, "loss")

	want := read(t, filepath.Join(g.dir, "grads_"+lossName+".safetensors"))
	largest := 0.0
	for _, w := range want {
		largest = max(largest, maxAbs(w.data))
	}
	for i, v := range params {
		name := gr.Info(v).Name
		if slices.Contains(lc.NoGradient, name) {
			assert.Zero(t, grads[i], "%s has no gradient in PyTorch", name)
			continue
		}
		require.Contains(t, want, name)
		require.NotZero(t, grads[i], name)
		got, ref := g.read(t, s, grads[i]), toGraph(name, want[name])
		if name == "input" {
			ref = channelsLast(want[name])
		}
		if slices.Contains(lc.Noise.NearZero, name) {
			assert.Less(t, maxAbs(got), 1e-5*largest, name)
			continue
		}
		assert.LessOrEqual(t, maxDiff(got, ref), 3e-4*maxAbs(ref), name)
	}
}

// session writes the case's weights into a new session.
func (g *golden) session(t *testing.T, dev backend.Device, gr *graph.Graph, o compile.Options, params []graph.Value) *backend.Session {
	t.Helper()
	ctx := context.Background()
	prog, err := compile.Compile(gr, o)
	require.NoError(t, err)
	s, err := backend.NewSession(dev, prog, nil)
	require.NoError(t, err)
	for _, v := range params {
		name := gr.Info(v).Name
		require.Contains(t, g.weights, name)
		require.NoError(t, s.WriteWeight(ctx, v, toGraph(name, g.weights[name])), name)
	}
	return s
}

func (g *golden) read(t *testing.T, s *backend.Session, v graph.Value) []float32 {
	t.Helper()
	x := make([]float32, s.Program.Type(v).Shape.Elems())
	require.NoError(t, s.ReadF32(context.Background(), v, x))
	return x
}

// steps compares losses, norms and weights of three training steps.
func (g *golden) steps(t *testing.T, dev backend.Device, lossName, opt string) {
	ctx := context.Background()
	want := g.optimizers(lossName)[opt]
	p, c := g.plan(lossName)
	tr, err := unet.NewTrain(p, c, unet.TrainOptions{})
	require.NoError(t, err)
	for _, o := range []compile.Options{{}, {Rematerialise: true}} {
		s := g.session(t, dev, tr.Graph, o, tr.Params)
		require.NoError(t, s.WriteF32(ctx, tr.Source, channelsLast(g.io["input"])))
		require.NoError(t, s.Write(ctx, tr.Labels, g.labels(lossName, p)))
		ctl := make([]float32, tr.CtlLen)
		ctl[graph.CtlRate], ctl[graph.CtlLossScale], ctl[graph.CtlClip] = 0.01, 1, float32(want.ClipNorm)
		for n := range c.Batch {
			row := ctl[tr.Slots[0].Ctl+n*graph.WarpLen:]
			for a := range 3 {
				row[graph.RowAffine+4*a], row[graph.RowOffset+a] = 1, float32(c.Patch[a]-1)/2
			}
		}
		require.NoError(t, s.WriteF32(ctx, tr.Ctl, ctl))
		for i := range 3 {
			require.NoError(t, s.Run(ctx))
			assert.InDelta(t, want.Losses[i], g.read(t, s, tr.Loss)[0], 5e-6, "loss of step %d", i)
			assert.InEpsilon(t, want.Norms[i], g.read(t, s, tr.Ctl)[graph.CtlNorm], 1e-4, "norm of step %d", i)
		}
		after := read(t, filepath.Join(g.dir, "after3_sgd_"+lossName+opt+".safetensors"))
		bound := max(2e-6, 4*want.WeightError)
		for _, v := range tr.Params {
			name := tr.Graph.Info(v).Name
			assert.LessOrEqual(t, maxDiff(g.read(t, s, v), toGraph(name, after[name])), bound, name)
		}
		s.Close()
	}
}

// half compares outputs of 16-bit storage with PyTorch's autocast.
func (g *golden) half(t *testing.T, dev backend.Device, storage graph.DType) {
	key, bound := "output_fp16.%d", 3e-3
	if storage == graph.BF16 {
		key, bound = "output_bf16.%d", 2.5e-2
	}
	if l := dev.Limits(); storage == graph.BF16 && !l.BF16 || storage == graph.F16 && !l.F16 {
		t.Skipf("%s does not store %s", dev.Name(), storage)
	}
	if _, ok := g.io[fmt.Sprintf(key, 0)]; !ok {
		t.Skip("PyTorch's values are stored for other cases")
	}
	ctx := context.Background()
	_, c := g.plan("ce_sample")
	var src, lab, ctl graph.Value
	var logits, params []graph.Value
	gr, err := graph.Build(func(b *graph.Builder) []graph.Value {
		n, s := c.Batch, c.Patch
		ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows+n*graph.WarpLen)
		src = b.Declare("source", graph.IO, graph.F32, n, s[0], s[1], s[2], g.InChannels)
		lab = b.Declare("labels", graph.IO, graph.U8, n, s[0], s[1], s[2])
		x := b.Apply("warp", graph.Warp{Patch: s, Ctl: graph.CtlRows}, src, lab, ctl)[0]
		logits, params = unet.Forward(b, c.Network, x, g.OutChannels, len(g.Weights))
		for _, z := range logits {
			b.Place(z, graph.IO)
		}
		return nil
	})
	require.NoError(t, err)
	s := g.session(t, dev, gr, compile.Options{Storage: storage}, params)
	defer s.Close()
	row := make([]float32, graph.CtlRows+c.Batch*graph.WarpLen)
	for n := range c.Batch {
		for a := range 3 {
			at := graph.CtlRows + n*graph.WarpLen
			row[at+graph.RowAffine+4*a], row[at+graph.RowOffset+a] = 1, float32(c.Patch[a]-1)/2
		}
	}
	require.NoError(t, s.WriteF32(ctx, ctl, row))
	require.NoError(t, s.WriteF32(ctx, src, channelsLast(g.io["input"])))
	require.NoError(t, s.Run(ctx))
	for i, z := range logits {
		exact := channelsLast(g.io[fmt.Sprintf("output.%d", i)])
		got := make([]float32, len(exact))
		require.NoError(t, s.ReadFloats(ctx, z, got))
		assert.LessOrEqual(t, maxDiff(got, exact), bound*maxAbs(exact), "output %d against f32", i)
	}
}
