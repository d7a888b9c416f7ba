package cuda

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// benchmark is a network that is trained in earnest, with nnU-Net's augmentation.
type benchmark struct {
	name              string
	patch             [3]int
	batch             int
	features          []int
	channels, classes int
}

// benchmarks are the networks that docs/numbers.md has.
var benchmarks = []benchmark{
	{"brain", [3]int{128, 128, 128}, 2, []int{32, 64, 128, 256, 320, 320}, 4, 4},
	{"hippocampus", [3]int{40, 56, 40}, 9, []int{32, 64, 128, 256}, 1, 3},
	{"slices", [3]int{1, 192, 160}, 64, []int{32, 64, 128, 256, 512, 512}, 4, 4},
}

// programs are a training step of b and a tile of its prediction.
func (b benchmark) programs(t testing.TB, storage graph.DType) []*compile.Program {
	c := &plan.Configuration{Name: b.name, Dim: 3, Patch: b.patch, Batch: b.batch}
	window := [3]int{3, 3, 3}
	if b.patch[0] == 1 {
		c.Dim, window[0] = 2, 1
	}
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(c.Dim), Channels: make([]plan.Channel, b.channels)}
	for k := range b.classes {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c.Network = plan.Network{Kind: plan.Plain, Features: b.features, ConvBias: true, NormEps: 1e-5, Slope: 0.01}
	for s := range b.features {
		stride := [3]int{1, 1, 1}
		for a := range stride {
			if s > 0 && window[a] == 3 {
				stride[a] = 2
			}
		}
		c.Network.Kernels, c.Network.Strides = append(c.Network.Kernels, window), append(c.Network.Strides, stride)
		c.Network.Convs = append(c.Network.Convs, 2)
		if s > 0 {
			c.Network.DecoderConvs = append(c.Network.DecoderConvs, 2)
		}
	}
	step, err := unet.NewTrain(p, c, unet.TrainOptions{})
	require.NoError(t, err)
	volume := [3]int{max(2*b.patch[0], 16), 2 * b.patch[1], 2 * b.patch[2]}
	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: volume, Rows: 2, Planes: volume[0]})
	require.NoError(t, err)
	var list []*compile.Program
	for _, g := range []*graph.Graph{step.Graph, tile.Graph} {
		made, err := compile.Compile(g, compile.Options{Storage: storage})
		require.NoError(t, err)
		list = append(list, made)
	}
	return list
}

// launches are those of b's programs that differ.
func (b benchmark) launches(t testing.TB, storage graph.DType, to target) []launch {
	var list []launch
	seen := map[[2]string]bool{}
	for _, p := range b.programs(t, storage) {
		made, err := launchesOf(p, to)
		require.NoError(t, err)
		for _, l := range made.List {
			if id := [2]string{l.Kernel, l.Prelude}; !seen[id] {
				seen[id] = true
				list = append(list, l)
			}
		}
	}
	return list
}
