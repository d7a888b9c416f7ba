package compile

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// newShared is a network of two batch norms with the tracking of one, and its gradients.
func newShared(t *testing.T, devices bool) *graph.Graph {
	t.Helper()
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		var params []graph.Value
		param := func(name string, shape ...int) graph.Value {
			params = append(params, b.Param(name, shape...))
			return params[len(params)-1]
		}
		ctl := b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
		x := b.Declare("x", graph.IO, graph.T, 2, 4, 6, 6, 1)
		labels := b.Declare("labels", graph.IO, graph.U8, 2, 4, 6, 6)
		var stats graph.Value
		for _, name := range []string{"first", "second"} {
			c := b.Apply(name, graph.Conv3D{Stride: k1}, x, param(name+".w", 3, 3, 3, b.Type(x).Shape[4], 3), 0)[0]
			op := graph.NormAct{Eps: 1e-5, Slope: 0.01, Pool: graph.Pool{Batch: true, Devices: devices}}
			out := b.Apply(name+".norm", op, c, param(name+".gamma", 3), param(name+".beta", 3))
			x, stats = out[0], out[1]
		}
		batch := b.Apply("batch", graph.Estimate{Eps: 1e-5, Count: 2 * 4 * 6 * 6}, stats)
		sums := b.Apply("sums", graph.SegSums{Stride: k1, Ignore: -1}, x, labels)[0]
		loss := b.Apply("loss", graph.SegLoss{Weight: 1, CE: 1, Mean: 1}, sums, 0, ctl)[0]
		b.Place(loss, graph.IO)
		grads := b.Backward(loss, params)
		b.Apply("reduce", graph.AllReduce{Mean: true}, grads...)
		return append(batch, loss)
	})
	require.NoError(t, err)
	return g
}

func dump(t *testing.T, p *Program) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, p.Dump(&b))
	return b.String()
}

func TestOnOneDeviceABatchNormOfAllIsABatchNorm(t *testing.T) {
	for _, world := range []int{0, 1} {
		o := Options{Rematerialise: true, World: world}
		assert.Equal(t, dump(t, mustCompile(t, newShared(t, false), o)), dump(t, mustCompile(t, newShared(t, true), o)))
	}
}

// Between what a device makes by itself stand a sum of moments and a sum of the gradient's
// sums, which are waited for at once; gradients of weights are added up once, as others.
func TestABatchNormOfAllDevicesIsMadeOfSumsBetweenThem(t *testing.T) {
	p := mustCompile(t, newShared(t, true), Options{Rematerialise: true, World: 3, Rank: 1})
	forward := []string{"Conv3D", "Moments", "AllReduce", "Merged", "NormApply"}
	assert.Equal(t, slices.Concat(forward, forward, []string{"Estimate", "SegSums", "SegLoss"}), ops(p)[:p.Split])
	assert.Equal(t, []string{
		"NormApply", "SegGrad", "NormActGradSums", "AllReduce", "NormActGradInput", // again what the loss is of
		"NormApply", "Conv3DGradWeight", "Conv3DGradInput", "NormActGradSums", "AllReduce", "NormActGradInput",
		"Conv3DGradWeight", "AllReduce",
	}, ops(p)[p.Split:])
	var reduced []graph.Value
	for i, n := range p.Nodes {
		switch op := n.Op.(type) {
		case graph.Moments:
			assert.Equal(t, graph.Moments{World: 3, Rank: 1}, op)
		case graph.NormActGradInput:
			assert.Equal(t, 3*2*4*6*6, op.Count)
		case graph.Estimate:
			assert.Equal(t, 3*2*4*6*6, op.Count)
		case graph.AllReduce:
			reduced = append(reduced, n.In...)
			if i < len(p.Nodes)-1 {
				assert.Equal(t, i+1, p.Until(i), n.Name)
				assert.Equal(t, graph.IO, p.Info(n.In[0]).Region)
				assert.False(t, op.Mean)
			}
		}
	}
	slices.Sort(reduced)
	assert.Len(t, reduced, 4+6)
	assert.Equal(t, reduced, slices.Compact(slices.Clone(reduced)), "each once")
}
