//go:build cuda && linux

package cuda

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/volume"
)

// guessing is a model of so many classes with random weights.
func guessing(classes int) *checkpoint.Model {
	p := tiny()
	p.Channels[0].Normalization = plan.NormNone
	p.Labels = nil
	for k := range classes {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c := &p.Configurations[0]
	c.Normalization = []string{plan.NormNone}
	r := rand.New(rand.NewPCG(5, 6))
	w := checkpoint.Weights{}
	for _, q := range checkpoint.Parameters(p, c) {
		data := make([]float32, graph.Shape(q.Shape).Elems())
		for i := range data {
			if data[i] = 1; !strings.HasSuffix(q.Name, "norm.weight") {
				data[i] = float32(r.NormFloat64())
			}
		}
		w[q.Name] = checkpoint.Tensor{Shape: q.Shape, Data: data}
	}
	return &checkpoint.Model{Plan: p, Configuration: c.Name, Folds: []checkpoint.Fold{{Name: "0", Weights: w}}}
}

// A GPU with the memory that a prediction states, and what launches take beside it, is
// enough: for the whole volume, and for slabs of one that is larger than the GPU. The
// labels have the same bits.
func TestAPredictionTakesTheMemoryThatItStates(t *testing.T) {
	e := emulatedOnly(t)
	m := guessing(30)
	im := volume.NewImage(volume.Grid{Shape: [3]int{48, 20, 20}, Spacing: [3]float64{1, 1, 1}, Affine: [4][4]float64{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}}, 1)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range im.Data {
		im.Data[i] = float32(r.NormFloat64())
	}
	run := func(bytes int64) *predict.Result {
		e.set("memory", bytes)
		d := opened(t)
		d.simple = true
		defer func() { require.NoError(t, d.Close()) }()
		p, err := predict.New(m, predict.Options{Device: d, Storage: graph.F16, NoMirror: true})
		require.NoError(t, err)
		defer p.Close()
		res, err := p.Image(t.Context(), im, predict.ImageOptions{})
		require.NoError(t, err)
		return res
	}
	whole := run(1 << 30)
	require.Equal(t, whole.Memory.Depth, whole.Memory.Planes)
	const beside = 256 << 10 // partial sums and tables of launches, and the weights' own program
	again := run(whole.Memory.Total() + beside)
	assert.Equal(t, whole.Memory, again.Memory, "as much as it states is enough")
	assert.Equal(t, whole.Labels.Data, again.Labels.Data)

	slabs := run(whole.Memory.Total() - 1)
	assert.Less(t, slabs.Memory.Planes, slabs.Memory.Depth)
	assert.Equal(t, whole.Labels.Data, slabs.Labels.Data)
	assert.Equal(t, slabs.Labels.Data, run(slabs.Memory.Total()+beside).Labels.Data)

	t.Logf("whole: %d rows, %d KiB; slabs: %d rows, %d KiB", whole.Memory.Rows, whole.Memory.Total()>>10, slabs.Memory.Rows, slabs.Memory.Total()>>10)
	e.set("memory", slabs.Memory.Bytes[graph.Data]/2)
	d := opened(t)
	defer func() { require.NoError(t, d.Close()) }()
	p, err := predict.New(m, predict.Options{Device: d, Storage: graph.F16, NoMirror: true})
	require.NoError(t, err)
	defer p.Close()
	_, err = p.Image(t.Context(), im, predict.ImageOptions{})
	var small *predict.MemoryError
	require.ErrorAs(t, err, &small)
}
