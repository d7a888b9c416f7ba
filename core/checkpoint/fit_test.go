//go:build !js

package checkpoint

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

// fitCases are networks of every kind, with what a file of theirs is said to fit.
func fitCases() map[string]struct {
	network plan.Network
	dim     int
	want    string
} {
	type one = struct {
		network plan.Network
		dim     int
		want    string
	}
	three := [][3]int{one3(1), {1, 2, 2}, one3(2)}
	return map[string]one{
		"plain": {
			plan.Network{Kind: plan.Plain, Features: []int{4, 6, 8}, Kernels: [][3]int{{1, 3, 3}, one3(3), one3(3)}, Strides: three, Convs: []int{2, 1, 3}, DecoderConvs: []int{1, 2}, ConvBias: true},
			3, "these parameters fit a plan with a 3-D network of kind plain, 2 input channels, 5 outputs and 3 stages: features 4, 6, 8; kernels 1×3×3, 3×3×3, 3×3×3; strides 1×1×1, 1×2×2, 2×2×2; convs 2, 1, 3; decoder_convs 1, 2",
		},
		"plain 2-D, batch norm": {
			plan.Network{Kind: plan.Plain, Features: []int{4, 4}, Kernels: [][3]int{{1, 3, 3}, {1, 5, 3}}, Strides: [][3]int{one3(1), {1, 2, 1}}, Convs: []int{2, 2}, DecoderConvs: []int{2}, Norm: plan.BatchNorm},
			2, "a 2-D network of kind plain, 2 input channels, 5 outputs and 2 stages: features 4, 4; kernels 3×3, 5×3; strides 1×1, 2×1; convs 2, 2; decoder_convs 2; norm batch; conv_bias false",
		},
		"residual": {
			plan.Network{Kind: plan.Residual, Features: []int{4, 6, 6}, Kernels: [][3]int{one3(3), one3(3), one3(3)}, Strides: three, Convs: []int{1, 3, 4}, DecoderConvs: []int{1, 1}, ConvBias: true},
			3, "kind residual, 2 input channels, 5 outputs and 3 stages: features 4, 6, 6; kernels 3×3×3, 3×3×3, 3×3×3; strides 1×1×1, 1×2×2, 2×2×2; convs 1, 3, 4; decoder_convs 1, 1",
		},
		"strided": {
			plan.Network{Kind: plan.Strided, Features: []int{4, 6, 6}, Kernels: [][3]int{one3(3), one3(3), one3(3)}, Strides: three, Convs: []int{1, 1, 1}, DecoderConvs: []int{2, 2}, UpBias: true, Heads: 1, DecoderKernels: [][3]int{one3(1), one3(3)}},
			3, "convs 1, 1, 1; decoder_convs 2, 2; decoder_kernels 1×1×1, 3×3×3; conv_bias false; up_bias true; heads 1",
		},
		"prenorm": {
			plan.Network{Kind: plan.PreNorm, Features: []int{4, 6, 8}, Kernels: [][3]int{one3(3), one3(3), one3(3)}, Strides: [][3]int{one3(1), one3(2), one3(2)}, Convs: []int{2, 2, 2}, DecoderConvs: []int{2, 2}, ConvBias: true},
			3, "kind prenorm, 2 input channels, 5 outputs and 3 stages: features 4, 6, 8",
		},
	}
}

func one3(k int) [3]int { return [3]int{k, k, k} }

func shapesOf(n plan.Network, dim int) map[string][]int {
	shapes := map[string][]int{}
	for _, p := range Parameters(network(n, dim, 2, 5)) {
		shapes[p.Name] = p.Shape
	}
	return shapes
}

func TestShapesShowTheirNetwork(t *testing.T) {
	for name, c := range fitCases() {
		t.Run(name, func(t *testing.T) {
			got := fits(shapesOf(c.network, c.dim))
			assert.Contains(t, got, c.want)
			assert.True(t, strings.HasPrefix(got, "these parameters fit a plan"), got)
		})
	}
}

// Whichever parameter is gone or too many, the nearest network is the same, unless the
// parameter alone shows a part of it.
func TestNearestNetworkOfShapesWithAFault(t *testing.T) {
	alone := map[string][]string{
		"plain": {"decoder.transpconvs.1.weight", "encoder.stages.1.0.convs.0.conv.weight"},
	}
	for name, c := range fitCases() {
		t.Run(name, func(t *testing.T) {
			all := shapesOf(c.network, c.dim)
			_, want, _ := strings.Cut(fits(all), " stages: ")
			var lost []string
			for _, gone := range slices.Sorted(maps.Keys(all)) {
				shapes := maps.Clone(all)
				delete(shapes, gone)
				got := fits(shapes)
				if !strings.Contains(got, want) {
					lost = append(lost, gone)
					assert.GreaterOrEqual(t, len(all[gone]), 4, "%s shows nothing: %s", gone, got)
					continue
				}
				assert.True(t, strings.HasSuffix(got, ", but for 1 parameter"), "%s: %s", gone, got)
			}
			if names := alone[name]; names != nil {
				assert.Equal(t, names, lost)
			}
			all["decoder.extra.weight"] = []int{1}
			got := fits(all)
			assert.Contains(t, got, want)
			assert.True(t, strings.HasPrefix(got, "nearest is") && strings.HasSuffix(got, ", but for 1 parameter"), got)
		})
	}
}

func TestHostileShapesShowNothing(t *testing.T) {
	for name, shapes := range map[string]map[string][]int{
		"none":       {},
		"others":     {"model.0.conv.weight": {1, 1, 3, 3, 3}},
		"one stage":  {"encoder.stages.0.0.convs.0.conv.weight": {1, 1, 3, 3, 3}},
		"no decoder": {"encoder.stages.0.0.convs.0.conv.weight": {1, 1, 3, 3, 3}, "encoder.stages.1.0.convs.0.conv.weight": {1, 1, 3, 3, 3}},
		"no rank":    {"encoder.stages.0.0.convs.0.conv.weight": {}, "encoder.stages.1.0.convs.0.conv.weight": {7}},
	} {
		assert.Contains(t, fits(shapes), "not the parameters of a U-Net", name)
	}
	huge := shapesOf(fitCases()["plain"].network, 3)
	huge["decoder.seg_layers.0.weight"], huge["decoder.seg_layers.1.weight"] = []int{math.MaxInt}, []int{}
	huge["encoder.stages.1.0.convs.0.conv.weight"] = []int{math.MaxInt, -1, 0, 0, math.MaxInt}
	assert.Contains(t, fits(huge), "nearest is")
}

func TestWrongWeightsSayWhatTheyFit(t *testing.T) {
	cases := fitCases()
	for have, wanted := range map[string]string{"plain": "residual", "residual": "plain"} {
		w := Weights{}
		for name, shape := range shapesOf(cases[have].network, 3) {
			w[name] = Tensor{Shape: shape, Data: make([]float32, product(shape))}
		}
		p, c := network(cases[wanted].network, 3, 2, 5)
		err := w.Check("the model", Parameters(p, c))
		var invalid *plan.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Greater(t, len(invalid.Problems), 10)
		assert.True(t, strings.HasSuffix(err.Error(), "\n"+invalid.Advice))
		assert.Contains(t, invalid.Advice, cases[have].want)
	}
}
