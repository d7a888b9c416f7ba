package predict

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

func TestTilesCoverTheVolumeAndStayInside(t *testing.T) {
	for _, step := range []float64{0.1, 0.5, 0.75, 1} {
		for size := 1; size < 90; size++ {
			for _, patch := range []int{1, 7, 16, 40} {
				corners := Corners(size, patch, step)
				require.True(t, slices.IsSorted(corners))
				covered := 0
				for _, c := range corners {
					require.LessOrEqual(t, c, covered, "no gap before %d: size %d, patch %d, step %v", c, size, patch, step)
					require.Less(t, c-covered, 1)
					covered = c + patch
					if size >= patch {
						require.GreaterOrEqual(t, c, 0)
						require.LessOrEqual(t, covered, size)
					}
				}
				require.GreaterOrEqual(t, covered, size)
				for i := 1; i < len(corners); i++ {
					require.LessOrEqual(t, float64(corners[i]-corners[i-1]), step*float64(patch)+1, "moves are at most a step, rounded")
				}
			}
		}
	}
}

func TestAShortAxisIsPaddedLikeNNUNet(t *testing.T) {
	// pad_nd_image: (patch − size) / 2 below, the rest above.
	assert.Equal(t, []int{-2}, Corners(5, 10, 0.5))
	assert.Equal(t, []int{-3}, Corners(4, 10, 0.5))
	assert.Equal(t, []int{0}, Corners(10, 10, 0.5))
	assert.Equal(t, []int{0}, Corners(9, 10, 0.5))
}

// A 2-D network sees each slice once, as nnU-Net's does.
func TestSlicesAreTilesOnce(t *testing.T) {
	tiles, err := tilesOf([3]int{3, 24, 8}, [3]int{1, 16, 8}, 0.5)
	require.NoError(t, err)
	assert.Equal(t, [][3]int{{0, 0, 0}, {0, 8, 0}, {1, 0, 0}, {1, 8, 0}, {2, 0, 0}, {2, 8, 0}}, tiles)
}

func TestMirrorsAreAllSubsetsOfTheAxes(t *testing.T) {
	assert.Equal(t, []int{0}, mirrorsOf([3]bool{}))
	assert.Equal(t, []int{0, 2, 4, 6}, mirrorsOf([3]bool{false, true, true}))
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, mirrorsOf([3]bool{true, true, true}))
}

func TestWeightsArePositiveAndConstantOnesAreEqual(t *testing.T) {
	// So narrow that float32 underflows at the corners.
	for i, w := range Weights([3]int{20, 40, 30}, plan.Inference{Blend: plan.BlendGaussian, Sigma: 0.03}) {
		require.Positive(t, w, "voxel %d", i)
	}
	w := Weights([3]int{2, 3, 4}, plan.Inference{Blend: plan.BlendConstant})
	assert.Equal(t, slices.Repeat([]float32{1}, 24), w)
	g := Weights([3]int{16, 8, 9}, plan.Inference{Blend: plan.BlendGaussian, Sigma: 0.125})
	assert.InDelta(t, top, slices.Max(g), 1e-6)
}
