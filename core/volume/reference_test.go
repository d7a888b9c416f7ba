package volume

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// references are results of nnU-Net v2, scipy and scikit-image, made by
// testdata/reference.py. Images are [C D H W].
type references struct {
	Resample []struct {
		Shape      [3]int
		Spacing    [3]float64
		ToSpacing  [3]float64 `json:"to_spacing"`
		ToShape    [3]int     `json:"to_shape"`
		Axis       int        // resampled on its own, or −1
		Image      []float32
		Labels     []int
		Cubic      []float32
		Linear     []float32
		ResultSegs []int `json:"to_labels"`
	}
	Masks []struct {
		Shape      [3]int
		Spacing    [3]float64
		Mask       []int
		Filled     []int
		Components map[Connectivity][]int32
		Sizes      map[Connectivity][]int
		Distance   []float64
		Image      []float32
		Seg        []int
		Box        [3][2]int
		Cropped    []float32
		CroppedSeg []int `json:"cropped_seg"`
	}
}

func readReferences(t *testing.T) references {
	b, err := os.ReadFile("testdata/reference.json")
	require.NoError(t, err)
	var r references
	require.NoError(t, json.Unmarshal(b, &r))
	return r
}

// interleave turns [C V] into [V C].
func interleave(x []float32, c int) []float32 {
	out := make([]float32, len(x))
	n := len(x) / c
	for i := range x {
		out[i%n*c+i/n] = x[i]
	}
	return out
}

// bytesOf are labels with −1 as Outside.
func bytesOf(x []int) []uint8 {
	out := make([]uint8, len(x))
	for i, v := range x {
		out[i] = uint8(v)
	}
	return out
}

func bools(x []int) []bool {
	out := make([]bool, len(x))
	for i, v := range x {
		out[i] = v != 0
	}
	return out
}

func TestResamplingEqualsTheOriginal(t *testing.T) {
	for _, c := range readReferences(t).Resample {
		t.Run(fmt.Sprintf("%v %v to %v", c.Shape, c.Spacing, c.ToSpacing), func(t *testing.T) {
			require.Equal(t, c.ToShape, ResampledShape(c.Shape, c.Spacing, c.ToSpacing))
			axis, ok := SeparateAxis(c.Spacing, c.ToSpacing)
			if !ok {
				axis = -1
			}
			require.Equal(t, c.Axis, axis)

			im := &Image{Grid: Grid{Shape: c.Shape, Spacing: c.Spacing}, C: 2, Data: interleave(c.Image, 2)}
			// Values are below 4 and were written with 7 digits; each of the three
			// passes rounds to float32.
			const tolerance = 2e-6
			cubic, err := ResampleImage(im, c.ToShape, c.ToSpacing, Cubic)
			require.NoError(t, err)
			assert.InDeltaSlice(t, interleave(c.Cubic, 2), cubic.Data, tolerance)
			linear, err := ResampleImage(im, c.ToShape, c.ToSpacing, Linear)
			require.NoError(t, err)
			assert.InDeltaSlice(t, interleave(c.Linear, 2), linear.Data, tolerance)
			logits, err := ResampleLogits(&Logits{Shape: c.Shape, Spacing: c.Spacing, K: 2, Data: im.Data}, c.ToShape, c.ToSpacing)
			require.NoError(t, err)
			assert.InDeltaSlice(t, interleave(c.Linear, 2), logits.Data, tolerance)

			seg, err := ResampleLabels(&Labels{Grid: im.Grid, Data: bytesOf(c.Labels)}, c.ToShape, c.ToSpacing)
			require.NoError(t, err)
			assert.Equal(t, bytesOf(c.ResultSegs), seg.Data)
		})
	}
}

func TestMasksEqualTheOriginal(t *testing.T) {
	for i, c := range readReferences(t).Masks {
		t.Run(fmt.Sprintf("%d %v", i, c.Shape), func(t *testing.T) {
			for conn, want := range c.Components {
				got, sizes := Components(bools(c.Mask), c.Shape, conn)
				assert.Equal(t, want, got, "%d neighbours", conn)
				assert.Equal(t, append([]int{}, c.Sizes[conn]...), append([]int{}, sizes...), "%d neighbours", conn)
			}
			filled := bools(c.Mask)
			FillHoles(filled, c.Shape)
			assert.Equal(t, bools(c.Filled), filled)
			if len(c.Distance) > 0 {
				for v, d := range DistanceSquared(bools(c.Mask), c.Shape, c.Spacing) {
					require.InDelta(t, c.Distance[v], float64(d), 1e-6*c.Distance[v]+1e-9, "voxel %d", v)
				}
			}
			g := Grid{Shape: c.Shape, Spacing: c.Spacing}
			im := &Image{Grid: g, C: 2, Data: interleave(c.Image, 2)}
			cropped, seg, box, err := CropToNonzero(im, &Labels{Grid: g, Data: bytesOf(c.Seg)})
			require.NoError(t, err)
			for a := range 3 {
				assert.Equal(t, c.Box[a], [2]int{box.Lo[a], box.Hi[a]}, "axis %d", a)
			}
			assert.Equal(t, interleave(c.Cropped, 2), cropped.Data)
			assert.Equal(t, bytesOf(c.CroppedSeg), seg.Data)
		})
	}
}
