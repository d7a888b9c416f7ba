// Package unettest judges a backend by networks that PyTorch computed: outputs,
// losses, every gradient, and weights after three steps of nnU-Net's optimizer.
package unettest

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
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
				t.Run(loss, func(t *testing.T) {
					c.gradients(t, dev, loss)
					c.parts(t, dev, loss)
				})
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
		got := g.read(t, s, grads[i])
		var ref []float32
		if name == "input" {
			ref = channelsLast(want[name])
		} else {
			ref = toGraph(t, name, want[name])
		}
		if slices.Contains(lc.Noise.NearZero, name) {
			assert.Less(t, maxAbs(got), 1e-5*largest, name)
			continue
		}
		assert.LessOrEqual(t, maxDiff(got, ref), 3e-4*maxAbs(ref), name)
	}
}

// parts compares the parts of the loss, each by itself, at the full resolution.
func (g *golden) parts(t *testing.T, dev backend.Device, lossName string) {
	ctx := t.Context()
	want := g.Losses[lossName].Parts[0]
	for part, value := range map[string]float64{"voxel": want.Voxel, "dice": want.Dice} {
		p, c := g.plan(lossName)
		p.Recipe.Loss.VoxelWeight, p.Recipe.Loss.DiceWeight = 1, 0
		if part == "dice" {
			p.Recipe.Loss.VoxelWeight, p.Recipe.Loss.DiceWeight = 0, 1
		}
		var x, ctl, labels, loss graph.Value
		var logits, params []graph.Value
		gr, err := graph.Build(func(b *graph.Builder) []graph.Value {
			n, s := c.Batch, c.Patch
			ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
			labels = b.Declare("labels", graph.IO, graph.U8, n, s[0], s[1], s[2])
			x = b.Declare("input", graph.IO, graph.T, n, s[0], s[1], s[2], g.InChannels)
			logits, params = unet.Forward(b, c.Network, x, g.OutChannels, 1)
			loss = unet.Loss(b, p, c, logits, labels, ctl, []float64{1})
			b.Place(loss, graph.IO)
			return []graph.Value{loss}
		})
		require.NoError(t, err)
		s := g.session(t, dev, gr, compile.Options{}, params[:len(params)-2*(c.Network.Stages()-2)])
		require.NoError(t, s.WriteF32(ctx, x, channelsLast(g.io["input"])))
		require.NoError(t, s.Write(ctx, labels, g.labels(lossName, p)))
		require.NoError(t, s.WriteF32(ctx, ctl, []float32{graph.CtlLossScale: 1}))
		require.NoError(t, s.Run(ctx))
		assert.InDelta(t, value, g.read(t, s, loss)[0], 5e-6, part)
		s.Close()
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
		require.NoError(t, s.WriteWeight(ctx, v, toGraph(t, name, g.weights[name])), name)
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
			assert.LessOrEqual(t, maxDiff(g.read(t, s, v), toGraph(t, name, after[name])), bound, name)
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
