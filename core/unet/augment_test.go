package unet_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

func TestChannelsNormalisedInTheMaskAreMaskedAfterAugmentation(t *testing.T) {
	p, c := standard()
	c.Patch = [3]int{32, 32, 32}
	p.Recipe.Augmentation = plan.NNUNet(3).Augmentation
	masks := func() (at []int, ops []string) {
		tr, err := unet.NewTrain(p, c, unet.TrainOptions{Source: [3]int{40, 40, 40}})
		require.NoError(t, err)
		for i, n := range tr.Graph.Nodes {
			ops = append(ops, graph.OpName(n.Op))
			if m, ok := n.Op.(graph.Mask); ok {
				at = append(at, i)
				assert.Equal(t, c.MaskNorm, m.Channels)
			}
		}
		return at, ops
	}
	at, _ := masks()
	assert.Empty(t, at)
	c.MaskNorm = []bool{true, false, true, false}
	at, ops := masks()
	require.Len(t, at, 1)
	assert.Equal(t, "Conv3D", ops[at[0]+1], "it is the last of the augmentation")
	assert.NotContains(t, ops[:slices.Index(ops, "Mask")], "Conv3D")
}

// In a patch that is planes for augmentation, nnU-Net's "dummy 2-D", low resolution leaves D alone.
func TestLowResolutionKeepsPlanesApart(t *testing.T) {
	p, c := standard()
	p.Recipe.Augmentation = plan.NNUNet(3).Augmentation
	for d, keep := range map[int][3]bool{32: {}, 8: {true, false, false}} {
		c.Patch = [3]int{d, 32, 32}
		g, err := unet.NewAugmentation(p, c, unet.TrainOptions{Batch: 1, Source: [3]int{40, 40, 40}})
		require.NoError(t, err)
		i := slices.IndexFunc(g.Graph.Nodes, func(n graph.Node) bool { return graph.OpName(n.Op) == "LowRes" })
		assert.Equal(t, keep, g.Graph.Nodes[i].Op.(graph.LowRes).Keep)
	}
}
