package volume

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// head is a noisy ellipsoid in zeros, with an oblique affine, and labels in it.
func head(shape [3]int, c int) (*Image, *Labels) {
	g := Grid{Shape: shape, Spacing: [3]float64{3, 0.9, 1.2}, Affine: [4][4]float64{
		{-1.1, 0.2, 0.1, 40}, {0.3, 0.85, -0.2, -70}, {0.05, 0.1, 2.9, 11}, {0, 0, 0, 1},
	}}
	im, seg, r := NewImage(g, c), NewLabels(g), rand.New(rand.NewPCG(7, 8))
	for v := range seg.Data {
		sum := 0.0
		for a, x := range [3]int{v / (shape[1] * shape[2]), v / shape[2] % shape[1], v % shape[2]} {
			y := (float64(x) - float64(shape[a])/2) / (float64(shape[a]) / 2.6)
			sum += y * y
		}
		if sum > 1 {
			continue
		}
		for i := range c {
			im.Data[v*c+i] = 10 + 5*r.Float32()
		}
		if sum < 0.6 {
			seg.Data[v] = 1
		}
		if sum < 0.2 {
			seg.Data[v] = 2
		}
	}
	return im, seg
}

// plain are options that leave spacing and values alone.
func plain(c int) PreprocessOptions {
	return PreprocessOptions{Axes: SameAxes(), OrderImage: Cubic, Normalize: slices.Repeat([]Normalization{{Scheme: NoNorm}}, c)}
}

var allAxes = []Axes{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

func TestRestoringUndoesPreprocessing(t *testing.T) {
	im, seg := head([3]int{11, 17, 14}, 2)
	for _, x := range allAxes {
		o := plain(2)
		o.Axes = x
		p, err := Preprocess(im, seg, o)
		require.NoError(t, err)
		require.NotEqual(t, p.BeforeCrop, p.Cropped, "something is cropped")
		back, err := p.Restore(p.Labels)
		require.NoError(t, err)
		assert.Equal(t, seg, back, "axes %v", x)

		logits := make([]float32, len(p.Labels.Data)*3)
		for v, l := range p.Labels.Data {
			logits[v*3+int(l%Outside)] = 1
		}
		back, err = p.Export(logits, 3, Argmax)
		require.NoError(t, err)
		assert.Equal(t, seg, back, "axes %v", x)
	}
}

func TestAFinerGridKeepsLabelsOnTheWayBack(t *testing.T) {
	im, seg := head([3]int{11, 17, 14}, 1)
	o := plain(1)
	o.Spacing = [3]float64{1.5, 0.45, 0.6} // each voxel becomes 2×2×2
	p, err := Preprocess(im, seg, o)
	require.NoError(t, err)
	back, err := p.Restore(p.Labels)
	require.NoError(t, err)
	assert.Equal(t, seg.Data, back.Data)
}

// world is where the centre of voxel v (D H W) lies.
func world(g Grid, v [3]float64) [3]float64 {
	var mm [3]float64
	for r := range 3 {
		mm[r] = g.Affine[r][0]*v[2] + g.Affine[r][1]*v[1] + g.Affine[r][2]*v[0] + g.Affine[r][3]
	}
	return mm
}

func TestAffineFollowsTheVoxels(t *testing.T) {
	im, _ := head([3]int{11, 17, 14}, 1)
	box := Box{Lo: [3]int{2, 3, 4}, Hi: [3]int{10, 16, 13}}
	for _, x := range allAxes {
		g := im.Cropped(box).Transposed(x)
		for _, v := range [][3]int{{0, 0, 0}, {1, 2, 3}, {7, 5, 4}} {
			from := [3]float64{float64(v[0] + 2), float64(v[1] + 3), float64(v[2] + 4)}
			to := reorder([3]float64{float64(v[0]), float64(v[1]), float64(v[2])}, x)
			a, b := world(im.Grid, from), world(g, to)
			assert.InDeltaSlice(t, a[:], b[:], 1e-9, "axes %v", x)
		}
		assert.Equal(t, im.Grid, im.Grid.Transposed(x).Transposed(x.Inverse()))
	}
	// A grid that is cut finer keeps its outer faces.
	fine := im.Resampled([3]int{22, 34, 7}, [3]float64{1.5, 0.45, 2.4})
	a, b := world(im.Grid, [3]float64{-0.5, -0.5, -0.5}), world(fine, [3]float64{-0.5, -0.5, -0.5})
	assert.InDeltaSlice(t, a[:], b[:], 1e-9)
	a, b = world(im.Grid, [3]float64{10.5, 16.5, 13.5}), world(fine, [3]float64{21.5, 33.5, 6.5})
	assert.InDeltaSlice(t, a[:], b[:], 1e-9)
}

func TestResultsDoNotDependOnThreads(t *testing.T) {
	im, seg := head([3]int{13, 29, 31}, 3)
	o := PreprocessOptions{Axes: Axes{2, 0, 1}, Spacing: [3]float64{1.1, 2.2, 0.8}, OrderImage: Cubic}
	o.Normalize = []Normalization{{Scheme: ZScore, MaskOnly: true}, {Scheme: ZScore}, {Scheme: RescaleTo}}
	run := func(threads int) (*Preprocessed, *Labels) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
		p, err := Preprocess(im, seg, o)
		require.NoError(t, err)
		l, err := p.Export(p.Image.Data, 3, Argmax)
		require.NoError(t, err)
		return p, l
	}
	p1, l1 := run(1)
	p5, l5 := run(5)
	assert.Equal(t, p1, p5)
	assert.Equal(t, l1, l5)
}

func TestValuesThatAreNotNumbersAreFound(t *testing.T) {
	im, _ := head([3]int{5, 6, 7}, 2)
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	im.Data[((3*6+4)*7+5)*2+1], im.Data[((4*6+0)*7+2)*2] = inf, nan
	_, err := Preprocess(im, nil, plain(2))
	var e *NotFiniteError
	require.True(t, errors.As(err, &e))
	assert.Equal(t, &NotFiniteError{Count: 2, First: [3]int{3, 4, 5}, Channel: 1, Value: inf}, e)
	assert.ErrorContains(t, err, "2 values are NaN or infinite, the first (-Inf) in channel 1 at voxel D 3, H 4, W 5")
}

func TestWhatDoesNotFitIsAnError(t *testing.T) {
	im, seg := head([3]int{5, 6, 7}, 2)
	other := NewLabels(Grid{Shape: [3]int{5, 7, 6}})
	for _, c := range []struct {
		name string
		run  func() error
		says string
	}{
		{"labels of another shape", func() error { _, err := Preprocess(im, other, plain(2)); return err }, "labels have shape [5 7 6], the image has [5 6 7]"},
		{"channels", func() error { _, err := Preprocess(im, seg, plain(3)); return err }, "the image has 2 channels, the plan has 3"},
		{"too many voxels", func() error {
			o := plain(2)
			o.Spacing = [3]float64{1e-300, 1, 1}
			_, err := Preprocess(im, seg, o)
			return err
		}, "wanted less than 2³¹ voxels: choose a larger spacing"},
		{"too many bytes", func() error {
			o := plain(2)
			o.MaxBytes = 100
			_, err := Preprocess(im, seg, o)
			return err
		}, "voxels (D H W; 0.0 GiB) at spacing"},
		{"axes", func() error {
			o := plain(2)
			o.Axes = Axes{0, 1, 1}
			_, err := Preprocess(im, seg, o)
			return err
		}, "want an order of 0, 1, 2"},
		{"spacing", func() error {
			o := plain(2)
			o.Spacing[1] = math.NaN()
			_, err := Preprocess(im, seg, o)
			return err
		}, "want more than 0"},
		{"scheme", func() error { return Normalize(im, nil, []Normalization{{}, {}}) }, `channel 0: scheme "" is not known`},
		{"mask", func() error {
			return Normalize(im, nil, []Normalization{{Scheme: ZScore, MaskOnly: true}, {Scheme: NoNorm}})
		}, "needs labels"},
		{"logits", func() error {
			_, err := ResampleLogits(&Logits{Shape: [3]int{2, 2, 2}, K: 2, Spacing: [3]float64{1, 1, 1}, Data: im.Data[:9]}, [3]int{3, 3, 3}, [3]float64{1, 1, 1})
			return err
		}, "9 logits for shape [2 2 2] and 2 classes, want 16"},
		{"order", func() error { _, err := ResampleImage(im, im.Shape, im.Spacing, 2); return err }, "order 2, want 0"},
		{"un-crop", func() error { _, err := Placement{}.Uncrop(make([]uint8, 3)); return err }, "3 labels, want 0"},
		{"restore", func() error { _, err := Placement{}.Restore(seg); return err }, "labels have shape [5 6 7]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.ErrorContains(t, c.run(), c.says)
		})
	}
}

func TestSchemesAreTheirFormulas(t *testing.T) {
	one := func(n Normalization, labels []uint8, x ...float32) ([]float32, error) {
		im := &Image{Grid: Grid{Shape: [3]int{len(x), 1, 1}}, C: 1, Data: x}
		err := Normalize(im, &Labels{Grid: im.Grid, Data: labels}, []Normalization{n})
		return im.Data, err
	}
	for _, c := range []struct {
		name    string
		n       Normalization
		labels  []uint8
		x, want []float32
	}{
		{"z-score", Normalization{Scheme: ZScore}, nil, []float32{1, 3, 1, 3}, []float32{-1, 1, -1, 1}},
		{"z-score of a constant", Normalization{Scheme: ZScore}, nil, []float32{5, 5}, []float32{0, 0}},
		{"z-score in the mask", Normalization{Scheme: ZScore, MaskOnly: true}, []uint8{0, 2, Outside, Outside}, []float32{1, 3, 0, 9}, []float32{-1, 1, 0, 9}},
		{"z-score of nothing", Normalization{Scheme: ZScore, MaskOnly: true}, []uint8{Outside, Outside}, []float32{0, 1}, []float32{0, 1}},
		{"CT", Normalization{Scheme: CT, Range: Intensity{Mean: 10, Std: 4, Lower: -2, Upper: 18}}, nil, []float32{-1000, 10, 14, 3000}, []float32{-3, 0, 1, 2}},
		{"CT without spread", Normalization{Scheme: CT, Range: Intensity{Mean: 1, Lower: 1, Upper: 1}}, nil, []float32{0, 7}, []float32{0, 0}},
		{"none", Normalization{Scheme: NoNorm}, nil, []float32{-7, 3}, []float32{-7, 3}},
		{"to 0…1", Normalization{Scheme: RescaleTo}, nil, []float32{-2, 0, 6}, []float32{0, 0.25, 1}},
		{"to 0…1 of a constant", Normalization{Scheme: RescaleTo}, nil, []float32{3, 3}, []float32{0, 0}},
		{"colours", Normalization{Scheme: RGBTo}, nil, []float32{0, 51, 255}, []float32{0, 0.2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := one(c.n, c.labels, c.x...)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	_, err := one(Normalization{Scheme: RGBTo}, nil, 0, 256)
	assert.ErrorContains(t, err, "wants values from 0 to 255, the image has 0 to 256")
}

func TestAnEmptyScanIsKeptWhole(t *testing.T) {
	g := Grid{Shape: [3]int{3, 4, 5}, Spacing: [3]float64{1, 1, 1}}
	p, err := Preprocess(NewImage(g, 1), NewLabels(g), plain(1))
	require.NoError(t, err)
	assert.Equal(t, g.Shape, p.Cropped)
	for _, l := range p.Labels.Data {
		assert.EqualValues(t, Outside, l)
	}
}

func TestResamplingIsExactForConstants(t *testing.T) {
	im, _ := head([3]int{4, 5, 6}, 1)
	for i := range im.Data {
		im.Data[i] = 7.25
	}
	for _, order := range []Order{Nearest, Linear, Cubic} {
		out, err := ResampleImage(im, [3]int{9, 3, 11}, [3]float64{1.3, 1.5, 0.65}, order)
		require.NoError(t, err)
		for _, v := range out.Data {
			require.EqualValues(t, 7.25, v, "order %d", order)
		}
	}
}

func TestRegionsPaintInOrder(t *testing.T) {
	labels := make([]uint8, 4)
	Regions([]uint8{3, 1})(labels, []float32{1, 1, 1, -1, -1, 1, -1, 0}, 2)
	assert.Equal(t, []uint8{1, 3, 1, 0}, labels)
}

func TestBoxesOfComponentsAreThoseOfTheirVoxels(t *testing.T) {
	shape := [3]int{7, 9, 11}
	r := rand.New(rand.NewPCG(3, 4))
	mask := make([]bool, 7*9*11)
	for i := range mask {
		mask[i] = r.Float64() < 0.25
	}
	for _, c := range []Connectivity{Faces, Corners} {
		of, sizes := Components(mask, shape, c)
		want := make([]Box, len(sizes))
		for v, n := range of {
			if n == 0 {
				continue
			}
			b, at := &want[n-1], [3]int{v / 99, v / 11 % 9, v % 11}
			for a := range at {
				if b.Hi == [3]int{} {
					b.Lo = at
				}
				b.Lo[a] = min(b.Lo[a], at[a])
			}
			for a := range at {
				b.Hi[a] = max(b.Hi[a], at[a]+1)
			}
		}
		assert.Equal(t, want, ComponentBoxes(mask, shape, c))
	}
}

func TestLargestComponentsOfOneSizeStay(t *testing.T) {
	mask := []bool{true, true, false, true, false, true, true, false}
	assert.Equal(t, []bool{true, true, false, false, false, true, true, false}, LargestComponent(mask, [3]int{1, 1, 8}, Faces))
	assert.Equal(t, []bool{false, false}, LargestComponent([]bool{false, false}, [3]int{1, 1, 2}, Corners))
}
