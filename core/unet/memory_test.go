package unet_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// standard is nnU-Net's network for brain tumours: 128³, four channels, four
// classes, six stages.
func standard() (*plan.Plan, *plan.Configuration) {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3)}
	p.Recipe.Augmentation = nil
	for range 4 {
		p.Channels = append(p.Channels, plan.Channel{})
		p.Labels = append(p.Labels, plan.Label{Values: []int{len(p.Labels)}})
	}
	c := &plan.Configuration{Name: "3d_fullres", Dim: 3, Patch: [3]int{128, 128, 128}, Batch: 2}
	c.Network = plan.Network{
		Kind: plan.Plain, Features: []int{32, 64, 128, 256, 320, 320}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		Convs: []int{2, 2, 2, 2, 2, 2}, DecoderConvs: []int{2, 2, 2, 2, 2},
	}
	for s := range 6 {
		stride := min(2, s+1)
		c.Network.Kernels = append(c.Network.Kernels, [3]int{3, 3, 3})
		c.Network.Strides = append(c.Network.Strides, [3]int{stride, stride, stride})
	}
	return p, c
}

func TestStandardNetworkFitsTheStatedMemory(t *testing.T) {
	p, c := standard()
	train, err := unet.NewTrain(p, c, unet.TrainOptions{})
	require.NoError(t, err)
	params := 0
	for _, v := range train.Params {
		params += train.Graph.Type(v).Shape.Elems()
	}
	assert.Equal(t, 31199796, params, "as many as the original has")

	prog, err := compile.Compile(train.Graph, compile.Options{Storage: graph.F16, Rematerialise: true})
	require.NoError(t, err)
	t.Logf("training, f16, batch 2: scratch %d MiB", prog.Bytes(graph.Scratch)>>20)
	assert.LessOrEqual(t, prog.Bytes(graph.Scratch), int64(23)<<30/10, "2.3 GiB")

	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: c.Patch, Rows: 1, Planes: 128})
	require.NoError(t, err)
	prog, err = compile.Compile(tile.Graph, compile.Options{Storage: graph.F16, ValueBytes: 128 << 20})
	require.NoError(t, err, "no value is larger than WebGPU's default binding")
	t.Logf("prediction, f16: scratch %d MiB, half weights %d MiB", prog.Bytes(graph.Scratch)>>20, prog.Bytes(graph.Half)>>20)
	assert.LessOrEqual(t, prog.Bytes(graph.Scratch), int64(384<<20))
	assert.Less(t, prog.Bytes(graph.Weights), int64(1<<20), "convolution weights are not kept twice")
}

// Of the gradients seven parts of eight are on their way to the other devices before the
// backward pass ends.
func TestMostGradientsAreAddedUpBesideTheBackwardPass(t *testing.T) {
	p, c := standard()
	train, err := unet.NewTrain(p, c, unet.TrainOptions{Batch: 1})
	require.NoError(t, err)
	prog, err := compile.Compile(train.Graph, compile.Options{Storage: graph.F16, World: 2})
	require.NoError(t, err)
	var sizes []int64
	all := int64(0)
	for i, n := range prog.Nodes {
		if _, ok := n.Op.(graph.AllReduce); !ok {
			continue
		}
		size := int64(0)
		for _, v := range n.In {
			size += prog.Type(v).Bytes()
		}
		t.Logf("%s: %d KiB, ready after node %d of %d", n.Name, size>>10, i, prog.Until(i))
		sizes, all = append(sizes, size), all+size
	}
	const head = 320*4 + 4 // the lowest one's loss has no weight
	require.EqualValues(t, 4*(31199796-head+1), all, "all gradients, and the loss")
	assert.Less(t, sizes[len(sizes)-1], all/8)
}
