package checkpoint

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

// TestONNXComputesWhatTheNetworkDoes runs the nodes of our files by ONNX's definition of
// them, and compares with what MONAI's, NVIDIA's and nnU-Net's networks give.
func TestONNXComputesWhatTheNetworkDoes(t *testing.T) {
	f := plan.Foreign{Patch: [3]int{4, 8, 12}, Spacing: [3]float64{1, 1, 1}}
	plane, groups, brats := f, f, f
	plane.Patch[0], groups.Groups, brats.Patch = 1, 2, [3]int{8, 8, 16}
	for _, c := range []struct {
		model, io string
		foreign   plan.Foreign
		ops       map[string]int // some of those that the file has
	}{
		{"nvidia.ckpt", "io.json", f, map[string]int{"InstanceNormalization": 10, "ConvTranspose": 2, "Concat": 2, "LeakyRelu": 10}},
		{"residual_batch.pt", "residual_batch.json", plane, map[string]int{"BatchNormalization": 12, "Add": 3, "Conv": 13}},
		{"group.pt", "group.json", groups, map[string]int{"InstanceNormalization": 10, "Reshape": 20, "Mul": 10, "Add": 10}},
		{"brats22.pt", "brats22.json", brats, map[string]int{"Resize": 3, "InstanceNormalization": 16}},
		{"../batchnorm.pth", "../batchnorm.json", plan.Foreign{}, map[string]int{"BatchNormalization": 4, "InstanceNormalization": 0}},
	} {
		t.Run(c.model, func(t *testing.T) {
			m, err := Import(filepath.Join(dynunet, c.model), ImportOptions{Foreign: c.foreign})
			require.NoError(t, err)
			var io struct{ Input, Output []float64 }
			b, err := os.ReadFile(filepath.Join(dynunet, c.io))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &io))
			onnxGives(t, m, c.ops, io.Input, io.Output)
		})
	}
}

// TestONNXComputesWhatPredictionDoes is the same for a residual encoder and the second
// stage of a cascade, of a random input, with what our network gives, which other tests
// hold against nnU-Net's.
func TestONNXComputesWhatPredictionDoes(t *testing.T) {
	for model, ops := range map[string]map[string]int{
		"resenc/T__P__3d_fullres":          {"AveragePool": 2, "Add": 5},
		"cascade/T__P__3d_cascade_fullres": {"InstanceNormalization": 10},
	} {
		t.Run(model, func(t *testing.T) {
			m, err := Open(filepath.Join("../predict/testdata", model))
			require.NoError(t, err)
			c, err := m.Config()
			require.NoError(t, err)
			r := rand.New(rand.NewPCG(1, 2))
			x := make([]float32, m.Plan.InputChannels(c)*product(c.Patch[:]))
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			onnxGives(t, m, ops, in64(x), in64(logitsOf(t, m, x)))
		})
	}
}

func in64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// onnxGives writes m as ONNX, makes sure that it has so many of some ops, and compares
// what they give for a patch [C D H W] with the logits [K D H W].
func onnxGives(t *testing.T, m *Model, ops map[string]int, input, want []float64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, SaveONNX(path, m))
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	have, _, _ := onnxNodes(t, file)
	for op, n := range ops {
		assert.Equal(t, n, have[op], op)
	}
	c, err := m.Config()
	require.NoError(t, err)
	shape := append([]int{2, m.Plan.InputChannels(c)}, c.Patch[3-c.Dim:]...)
	// Two samples, the second of zeros: norms are of each alone.
	y := runONNX(t, file, tensor64{shape, append(slices.Clone(input), make([]float64, len(input))...)})
	require.Equal(t, append([]int{2, m.Plan.Classes()}, shape[2:]...), y.shape)
	require.Len(t, y.data, 2*len(want))
	far, most := 0.0, 0.0
	for i, v := range want {
		far, most = max(far, math.Abs(v-y.data[i])), max(most, math.Abs(v))
	}
	t.Logf("off by %.2g of %.3g", far, most)
	assert.LessOrEqual(t, far, 2e-5*most)
}
