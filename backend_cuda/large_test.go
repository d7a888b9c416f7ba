//go:build linux && amd64

package cuda

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// The sums of a body of 512×512×600 voxels and 100 classes, whole or in slabs, have more
// elements than 32 bits count; a batch of such a size is refused.
func TestSumsOfAHundredClassesHaveKernels(t *testing.T) {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3), Channels: make([]plan.Channel, 1)}
	for k := range 100 {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c := realPlans()["128³"]
	require.NotNil(t, c)
	h200 := target{Arch: 90, SMs: 132}
	volume := [3]int{600, 512, 512}
	for _, planes := range []int{600, 130} {
		tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: volume, Rows: 2, Planes: planes})
		require.NoError(t, err)
		decide, err := unet.NewDecide(p, c, unet.LabelOptions{Volume: volume, Planes: planes, Out: volume, OutRows: 32})
		require.NoError(t, err)
		require.Greater(t, tile.Graph.Type(tile.Acc).Shape.Elems(), 1<<31)
		for _, g := range []*graph.Graph{tile.Graph, decide.Graph} {
			code, err := compile.Compile(g, compile.Options{Storage: graph.F16})
			require.NoError(t, err)
			_, err = launchesOf(code, h200)
			require.NoError(t, err, "%d planes", planes)
		}
	}
	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: volume, Rows: 16, Planes: 130})
	require.NoError(t, err)
	code, err := compile.Compile(tile.Graph, compile.Options{Storage: graph.F16})
	require.NoError(t, err)
	_, err = launchesOf(code, h200)
	assert.ErrorContains(t, err, "kernels count to 2147483647: choose a smaller patch or batch")
}
