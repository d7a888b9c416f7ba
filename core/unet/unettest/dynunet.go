package unettest

import (
	"embed"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// DynUNetCases are the networks of MONAI in golden/networks, as NVIDIA builds them.
var DynUNetCases = []string{"e_dynunet2d", "e_dynunet3d", "e_dynunet3d_aniso", "e_dynunet3d_brats"}

// DynUNet runs all cases on a device: outputs, losses, gradients, and weights after
// three steps of three optimizers. dir is the folder golden/networks.
func DynUNet(t *testing.T, open func(t testing.TB) backend.Device, dir string) {
	for _, name := range DynUNetCases {
		t.Run(name, func(t *testing.T) {
			dev := open(t)
			defer func() { assert.NoError(t, dev.Close()) }()
			g := loadDynUNet(t, filepath.Join(dir, name))
			for loss := range g.Losses {
				t.Run(loss, func(t *testing.T) { g.gradients(t, dev, loss) })
			}
			for _, optimizer := range []string{plan.SGD, plan.Adam, plan.AdamW} {
				t.Run(optimizer, func(t *testing.T) { g.steps(t, dev, g.Steps[0], optimizer) })
			}
		})
	}
}

// Blocks runs networks of MONAI with residual blocks and with batch and group norms:
// outputs, gradients, and weights and running statistics after three steps. dir is
// core/unet/testdata/dynunet. Gradients of batch norms are those of the steps. NVIDIA's
// BraTS'22 model is one of them.
func Blocks(t *testing.T, open func(t testing.TB) backend.Device, dir string) {
	cases, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, cases, 6)
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			dev := open(t)
			defer func() { assert.NoError(t, dev.Close()) }()
			g := loadDynUNet(t, filepath.Join(dir, c.Name()))
			if g.Norm == plan.BatchNorm {
				g.output(t, dev)
			} else {
				g.gradients(t, dev, g.Steps[0])
			}
			g.steps(t, dev, g.Steps[0], plan.SGD)
		})
	}
}

// output is that of running statistics.
func (g *dyn) output(t *testing.T, dev backend.Device) {
	_, c := g.plan(g.Steps[0])
	var x graph.Value
	var logits, params []graph.Value
	gr, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x = b.Declare("input", graph.IO, graph.T, c.Batch, c.Patch[0], c.Patch[1], c.Patch[2], g.In)
		logits, params = unet.Forward(b, c.Network, x, g.Out, g.Heads+1)
		b.Place(logits[0], graph.IO)
		return logits
	})
	require.NoError(t, err)
	s := g.session(t, dev, gr, params)
	defer s.Close()
	require.NoError(t, s.WriteF32(t.Context(), x, channelsLast(g.io["input"])))
	require.NoError(t, s.Run(t.Context()))
	want, got := channelsLast(g.io["output_eval"]), floats(t, s, logits[0])
	t.Logf("output: %.2g of %.3g", maxDiff(got, want), maxAbs(want))
	assert.LessOrEqual(t, maxDiff(got, want), 2e-5*maxAbs(want))
}

// dyn is a case.json of MONAI with its tensors.
type dyn struct {
	Dim     int     `json:"dim"`
	In      int     `json:"in_channels"`
	Out     int     `json:"out_channels"`
	Patch   []int   `json:"patch"`
	Filters []int   `json:"filters"`
	Heads   int     `json:"deep_supr_num"` // beside the output
	Norm    string  `json:"norm"`
	Groups  int     `json:"groups"`
	Blocks  bool    `json:"res_block"`
	PreNorm bool    `json:"prenorm"`
	Batch   int     `json:"batch"`
	Kernels [][]int `json:"kernels"`
	Strides [][]int `json:"strides"`
	Steps   []string
	Losses  map[string]struct {
		Loss  float64  `json:"loss"`
		SGD   dynSteps `json:"sgd3"`
		Adam  dynSteps `json:"adam3"`
		AdamW dynSteps `json:"adamw3"`
	}
	dir         string
	weights, io map[string]tensor
}

type dynSteps struct {
	Losses []float64 `json:"losses"`
}

func loadDynUNet(t *testing.T, dir string) *dyn {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	g := &dyn{dir: dir}
	require.NoError(t, json.Unmarshal(b, g))
	g.weights, g.io = read(t, filepath.Join(dir, "weights.safetensors")), read(t, filepath.Join(dir, "io.safetensors"))
	return g
}

func (g *dyn) kind() string {
	switch {
	case g.PreNorm:
		return plan.PreNorm
	case g.Blocks:
		return plan.Strided
	}
	return plan.Plain
}

// plan is the plan of the case with NVIDIA's recipe and the loss of that name.
func (g *dyn) plan(loss string) (*plan.Plan, *plan.Configuration) {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NVIDIA(false), Channels: make([]plan.Channel, g.In)}
	p.Recipe.Augmentation = nil
	p.Recipe.DeepSupervision.Heads = g.Heads + 1
	regions := [][]int{{0}}
	for k := range g.Out {
		regions = append(regions, []int{k})
	}
	regions = regions[1:]
	if strings.HasPrefix(loss, "brats") { // whole tumour, core, enhancing
		regions = [][]int{{0}, {1, 2, 3}, {1, 3}, {3}}
		p.Recipe.Loss.Voxel, p.Recipe.Loss.SumRegions = plan.BinaryCrossEntropy, true
	}
	if strings.HasSuffix(loss, "focal") {
		p.Recipe.Loss.Voxel, p.Recipe.Loss.Gamma, p.Recipe.Loss.Foreground = plan.Focal, 2, true
	}
	for _, r := range regions {
		p.Labels = append(p.Labels, plan.Label{Values: r})
	}
	k := three(g.Kernels)
	n := plan.Network{
		Kind: plan.Plain, Features: g.Filters[:len(k)], Kernels: k, Strides: three(g.Strides), DecoderKernels: k[1:],
		Convs: slices.Repeat([]int{2}, len(k)), DecoderConvs: slices.Repeat([]int{2}, len(k)-1),
		UpBias: true, Heads: g.Heads + 1, NormEps: 1e-5, Slope: 0.01, Norm: g.Norm, Groups: g.Groups,
	}
	switch n.Kind = g.kind(); n.Kind {
	case plan.Strided:
		n.Convs = slices.Repeat([]int{1}, len(k))
	case plan.PreNorm:
		n.UpBias, n.Slope, p.Recipe.DeepSupervision.FullResolution = false, 0, false
	}
	c := &plan.Configuration{Name: g.dir, Dim: g.Dim, Batch: g.Batch, BatchDice: true, Network: n, Patch: [3]int{1, 1, 1}}
	copy(c.Patch[3-g.Dim:], g.Patch)
	return p, c
}

// offset is what the original's loss has beside ours: Dice is 1 − Dice there, for
// each region.
func offset(p *plan.Plan) float64 {
	if p.HasRegions() {
		return float64(p.Classes())
	}
	return 1
}

// of is the tensor of one of our parameters, in the axes of the graph.
func (g *dyn) of(t *testing.T, tensors map[string]tensor, name string) []float32 {
	t.Helper()
	theirs := checkpoint.ForeignName(&plan.Network{Kind: g.kind(), Features: make([]int, len(g.Kernels))}, name)
	require.Contains(t, tensors, theirs)
	return toGraph(t, name, tensors[theirs])
}

func (g *dyn) session(t *testing.T, dev backend.Device, gr *graph.Graph, params []graph.Value) *backend.Session {
	t.Helper()
	prog, err := compile.Compile(gr, compile.Options{})
	require.NoError(t, err)
	s, err := backend.NewSession(dev, prog, nil)
	require.NoError(t, err)
	for _, v := range params {
		name := gr.Info(v).Name
		require.NoError(t, s.WriteWeight(t.Context(), v, g.of(t, g.weights, name)), name)
	}
	return s
}

func (g *dyn) labels() []byte {
	out := make([]byte, len(g.io["target"].data))
	for i, v := range g.io["target"].data {
		out[i] = byte(v)
	}
	return out
}

func (g *dyn) gradients(t *testing.T, dev backend.Device, lossName string) {
	p, c := g.plan(lossName)
	w := p.Recipe.DeepSupervision.Weights(c.Network.Stages())
	var x, ctl, labels, shift, loss graph.Value
	var logits, params, grads []graph.Value
	gr, err := graph.Build(func(b *graph.Builder) []graph.Value {
		n, s := c.Batch, c.Patch
		ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
		labels = b.Declare("labels", graph.IO, graph.U8, n, s[0], s[1], s[2])
		x = b.Param("input", n, s[0], s[1], s[2], g.In)
		logits, params = unet.Forward(b, c.Network, x, g.Out, g.Heads+1)
		b.Place(logits[0], graph.IO)
		shift = unet.NewShift(b, p, logits[0])
		loss = unet.LossOfForeground(b, p, c, logits, labels, ctl, w, shift)
		b.Place(loss, graph.IO)
		grads = b.Backward(loss, params)
		return []graph.Value{loss}
	})
	require.NoError(t, err)
	s := g.session(t, dev, gr, params)
	defer s.Close()
	ctx := t.Context()
	require.NoError(t, s.WriteF32(ctx, x, channelsLast(g.io["input"])))
	require.NoError(t, s.Write(ctx, labels, g.labels()))
	require.NoError(t, s.WriteF32(ctx, ctl, []float32{graph.CtlLossScale: 1}))
	if shift != 0 {
		require.NoError(t, s.WriteF32(ctx, shift, unet.Shift(s.Program.Type(shift).Shape)))
	}
	require.NoError(t, s.Run(ctx))

	want := channelsLast(g.io["output_eval"])
	got := floats(t, s, logits[0])
	t.Logf("output: %.2g of %.3g", maxDiff(got, want), maxAbs(want))
	assert.LessOrEqual(t, maxDiff(got, want), 2e-5*maxAbs(want), "output")
	assert.InDelta(t, g.Losses[lossName].Loss, float64(floats(t, s, loss)[0])+offset(p), 5e-6, "loss")
	ref := read(t, filepath.Join(g.dir, "grads_"+lossName+".safetensors"))
	worst := 0.0
	for i, v := range params {
		name := gr.Info(v).Name
		require.NotZero(t, grads[i], name)
		want := g.of(t, ref, name)
		worst = max(worst, maxDiff(floats(t, s, grads[i]), want)/maxAbs(want))
		assert.LessOrEqual(t, maxDiff(floats(t, s, grads[i]), want), 3e-4*maxAbs(want), name)
	}
	t.Logf("gradients: %.2g of the largest", worst)
}

func floats(t *testing.T, s *backend.Session, v graph.Value) []float32 {
	t.Helper()
	x := make([]float32, s.Program.Type(v).Shape.Elems())
	require.NoError(t, s.ReadF32(t.Context(), v, x))
	return x
}

// otherSides is the weights after Adam's third step with the activation of kink.py on
// the other side of its leaky ReLU, by the network.
//
//go:embed testdata/*.safetensors
var otherSides embed.FS

// compare looks at all weights: the largest difference, and how many are above 1e-5.
func (g *dyn) compare(t *testing.T, s *backend.Session, tr *unet.Train, after map[string]tensor) (worst float64, off, count int) {
	t.Helper()
	for _, v := range tr.Params {
		want, got := g.of(t, after, tr.Graph.Info(v).Name), floats(t, s, v)
		worst = max(worst, maxDiff(got, want))
		for i := range got {
			if d := got[i] - want[i]; d > 1e-5 || d < -1e-5 {
				off++
			}
		}
		count += len(got)
	}
	t.Logf("weights: the largest difference %.2g, %d of %d above 1e-5", worst, off, count)
	return worst, off, count
}

// steps takes three steps of an optimizer on one batch.
func (g *dyn) steps(t *testing.T, dev backend.Device, loss, optimizer string) {
	p, c := g.plan(loss)
	o := &p.Recipe.Optimizer
	o.Kind = optimizer
	if optimizer == plan.SGD {
		o.WeightDecay = 0
	}
	all := g.Losses[loss]
	want := map[string]dynSteps{plan.SGD: all.SGD, plan.Adam: all.Adam, plan.AdamW: all.AdamW}[optimizer]
	tr, err := unet.NewTrain(p, c, unet.TrainOptions{})
	require.NoError(t, err)
	s := g.session(t, dev, tr.Graph, tr.Params)
	defer s.Close()
	ctx := t.Context()
	require.NoError(t, s.WriteF32(ctx, tr.Source, channelsLast(g.io["input"])))
	require.NoError(t, s.Write(ctx, tr.Labels, g.labels()))
	ctl := make([]float32, tr.CtlLen)
	ctl[graph.CtlRate], ctl[graph.CtlLossScale] = float32(o.LearningRate), 1
	for n := range c.Batch {
		row := ctl[tr.Slots[0].Ctl+n*graph.WarpLen:]
		for a := range 3 {
			row[graph.RowAffine+4*a], row[graph.RowOffset+a] = 1, float32(c.Patch[a]-1)/2
		}
	}
	require.NoError(t, s.WriteF32(ctx, tr.Ctl, ctl))
	for i, w := range want.Losses {
		require.NoError(t, s.Run(ctx))
		assert.InDelta(t, w, float64(floats(t, s, tr.Loss)[0])+offset(p), 2e-5, "loss of step %d", i)
	}
	after := read(t, filepath.Join(g.dir, "after3_"+optimizer+"_"+loss+".safetensors"))
	worst, off, count := g.compare(t, s, tr, after)
	other, err := otherSides.ReadFile("testdata/" + filepath.Base(g.dir) + ".safetensors")
	if err == nil && optimizer == plan.Adam && worst > 5e-4 {
		// One activation may be on either side of the leaky ReLU.
		path := filepath.Join(t.TempDir(), "other.safetensors")
		require.NoError(t, os.WriteFile(path, other, 0o600))
		worst, off, count = g.compare(t, s, tr, read(t, path))
	}
	if optimizer == plan.SGD {
		assert.LessOrEqual(t, worst, 2e-6)
		return
	}
	// Adam divides by the size of the gradient: where that is rounding noise, so is the step.
	assert.LessOrEqual(t, worst, 5e-4)
	assert.LessOrEqual(t, off, count/10)
}
