package webgpu

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/graph"
)

// Weights in workgroup memory meet the same values in the same order as those that
// each invocation loads itself. Software adapters do not use the former otherwise.
func TestWeightsInWorkgroupMemoryGiveTheSameBits(t *testing.T) {
	d := opened(t)
	for _, l := range []layer{
		{"pieces beyond the last", graph.Conv3D{Stride: stride1}, graph.Shape{2, 3, 3, 13, 8}, 0, []int{3, 3, 3, 8, 32}},
		{"64 channels", graph.Conv3D{Stride: stride1}, graph.Shape{1, 2, 3, 8, 16}, 0, []int{3, 3, 3, 16, 64}},
		{"24 channels", graph.Conv3D{Stride: stride1}, graph.Shape{1, 2, 3, 8, 16}, 0, []int{3, 3, 3, 16, 24}},
		{"two inputs, an odd number of fours", graph.Conv3D{Stride: stride1}, graph.Shape{1, 3, 2, 15, 8}, 4, []int{3, 3, 3, 12, 16}},
		{"stride 2", graph.Conv3D{Stride: [3]int{2, 2, 2}}, graph.Shape{1, 3, 4, 31, 8}, 0, []int{3, 3, 3, 8, 16}},
		{"1×1×1", graph.Conv3D{Stride: stride1}, graph.Shape{1, 3, 3, 3, 8}, 0, []int{1, 1, 1, 8, 16}},
	} {
		for _, storage := range []graph.DType{graph.F32, graph.F16} {
			t.Run(l.name+" "+storage.String(), func(t *testing.T) {
				d.staged = false
				want := l.run(t, d, storage, gaussian)
				d.staged = true
				assert.Equal(t, want, l.run(t, d, storage, gaussian))
				assert.NotZero(t, want)
			})
		}
	}
	staged := 0
	for wgsl := range d.pipelines {
		if strings.Contains(wgsl, "var<workgroup> slab") {
			staged++
		}
	}
	assert.Equal(t, 12, staged, "each layer in each storage has its kernel")
}
