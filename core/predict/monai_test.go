package predict

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/safetensors"
)

// monaiWeights is MONAI's compute_importance_map: a Gaussian around the middle of
// the patch, (n − 1)/2, at least 1e-3.
func monaiWeights(patch [3]int) []float32 {
	var w []float32
	line := func(i, n int) float64 {
		x, s := float64(i)-float64(n-1)/2, 0.125*float64(n)
		return math.Exp(-x * x / (2 * s * s))
	}
	for i := range patch[0] {
		for j := range patch[1] {
			for k := range patch[2] {
				w = append(w, float32(max(1e-3, line(i, patch[0])*line(j, patch[1])*line(k, patch[2]))))
			}
		}
	}
	return w
}

func TestWeightsOfMONAIAreRead(t *testing.T) {
	f, err := safetensors.Open(filepath.Join(golden(t), "sliding_window/gaussian.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	want, _, err := f.Float32s("monai_gaussian_16x24x10")
	require.NoError(t, err)
	far, _ := furthest(t, monaiWeights([3]int{16, 24, 10}), want)
	assert.LessOrEqual(t, far, 1e-6)
}

// MONAI's sliding_window_inference moves by fixed steps; with its windows and
// weights the sums must be the same. 1e-4 of the largest logit is what
// golden/README.md derives for float32.
func TestBlendIsThatOfMONAI(t *testing.T) {
	dir := filepath.Join(golden(t), "sliding_window")
	b, err := os.ReadFile(filepath.Join(dir, "monai_blend.json"))
	require.NoError(t, err)
	var file struct {
		ROI    [3]int
		Padded [3]int `json:"padded_size"`
		Cases  map[string]struct{ Windows [][3]int }
	}
	require.NoError(t, json.Unmarshal(b, &file))
	f, err := safetensors.Open(filepath.Join(dir, "monai_blend.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	input, shape, err := f.Float32s("input")
	require.NoError(t, err)
	size := [3]int(shape[2:])

	m := small(t, "3d_fullres")
	c, err := m.Config()
	require.NoError(t, err)
	c.Patch = file.ROI
	p := newTest(t, m, Options{NoMirror: true})
	pre := &volume.Preprocessed{Image: volume.NewImage(volume.Grid{Shape: size}, 1)}
	pre.Image.Data = input
	one := [3]float64{1, 1, 1}
	pre.Placement = volume.Placement{Shape: size, Cropped: size, Spacing: one, CropSpacing: one}
	for _, blend := range []string{"constant", "gaussian"} {
		p.closeEngines() // which have the weights of the blend
		p.blend = monaiWeights(file.ROI)
		if blend == "constant" {
			for i := range p.blend {
				p.blend[i] = 1
			}
		}
		for _, overlap := range []string{"0.25", "0.5"} {
			name := "monai_" + blend + "_overlap" + overlap
			want, _, err := f.Float32s(name)
			require.NoError(t, err)
			e, err := p.engine(pre.Placement)
			require.NoError(t, err)
			e.tiles = nil
			for _, w := range file.Cases[name].Windows {
				for a := range w {
					w[a] -= (file.Padded[a] - size[a]) / 2
				}
				e.tiles = append(e.tiles, w)
			}
			far, most := furthest(t, p.testLogits(t, pre), want)
			t.Logf("%s, %d windows: off by at most %.2g of %.4g", name, len(e.tiles), far, most)
			assert.LessOrEqual(t, far, 1e-4*most, name)
		}
	}
}
