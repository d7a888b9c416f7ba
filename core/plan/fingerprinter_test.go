package plan

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
)

// scan is an image of one channel with the foreground of a label above 0.
func scan(shape [3]int, value func(i int) float32, label func(i int) uint8) (*volume.Image, *volume.Labels) {
	g := volume.Grid{Shape: shape, Spacing: [3]float64{1, 2, 3}}
	im, seg := volume.NewImage(g, 1), volume.NewLabels(g)
	for i := range im.Data {
		im.Data[i], seg.Data[i] = value(i), label(i)
	}
	return im, seg
}

// newFewSamples draws a million values, not a hundred.
func newFewSamples(channels, cases int) *Fingerprinter {
	f := NewFingerprinter(channels, cases)
	f.samples = 1e6
	return f
}

func TestFingerprintCountsTheForegroundInsideTheCrop(t *testing.T) {
	im, seg := scan([3]int{4, 4, 4}, func(i int) float32 {
		if i >= 16 && i < 48 { // the two planes in the middle
			return float32(i%2)*2 + 5 // 5 and 7 by turns
		}
		return 0
	}, func(i int) uint8 { return 1 })
	f := newFewSamples(1, 1)
	require.NoError(t, f.Add(0, im, seg))
	fp, err := f.Finish()
	require.NoError(t, err)
	assert.Equal(t, [][3]int{{2, 4, 4}}, fp.Shapes)
	assert.Equal(t, [][3]float64{{1, 2, 3}}, fp.Spacings)
	assert.Equal(t, 0.5, fp.MedianRelativeSize)
	v := fp.Intensities[0]
	assert.Equal(t, []float64{5, 7, 5, 7}, []float64{v.Min, v.Max, v.Percentile_00_5, v.Percentile_99_5})
	assert.InDelta(t, 6, v.Mean, 5.0/math.Sqrt(1e6), "five standard errors of the sampling")
	assert.InDelta(t, 1, v.Std, 1e-4, "of two values: √(1 − (mean−6)²), the mean five standard errors off")
}

func TestFingerprintDoesNotDependOnTheOrderOfCases(t *testing.T) {
	const cases = 8
	measure := func(order []int) *Fingerprint {
		f := newFewSamples(1, cases)
		var wait sync.WaitGroup
		for _, i := range order {
			wait.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				im, seg := scan([3]int{3 + i, 5, 4}, func(int) float32 { return float32(random.NormFloat64()) }, func(i int) uint8 { return uint8(i % 3) })
				assert.NoError(t, f.Add(i, im, seg))
			})
		}
		wait.Wait()
		fp, err := f.Finish()
		require.NoError(t, err)
		return fp
	}
	assert.Equal(t, measure([]int{0, 1, 2, 3, 4, 5, 6, 7}), measure([]int{7, 2, 5, 0, 6, 1, 4, 3}))
}

func TestFewValuesKeptHardlyMovePercentiles(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pairs := make([]pair, 5000)
	for i := range pairs {
		pairs[i] = pair{float32(1000 + 200*random.NormFloat64()), uint32(1 + random.IntN(3))}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return int(math.Copysign(1, float64(a.value-b.value))) })
	var exact, few sample
	exact.keep(pairs, len(pairs))
	few.keep(pairs, 500)
	assert.LessOrEqual(t, len(few.values), 500)
	assert.True(t, slices.IsSorted(few.values))
	total := exact.upTo[len(exact.upTo)-1]
	assert.Equal(t, total, few.upTo[len(few.upTo)-1])
	a, b := NewFingerprinter(1, 1), NewFingerprinter(1, 1)
	a.cases[0].sample, b.cases[0].sample = []sample{exact}, []sample{few}
	for _, p := range []float64{0, 0.5, 50, 99.5, 100} {
		want := a.percentile(0, int(total), p)
		assert.InEpsilon(t, want, b.percentile(0, int(total), p), 1.0/512, "500 values over ten octaves of 1/512")
	}
}

func TestPercentileIsThatOfTheSortedDraws(t *testing.T) {
	f := NewFingerprinter(1, 2)
	f.cases[0].sample = []sample{{values: []float32{-3, 0, 2}, upTo: []uint32{2, 3, 6}}}
	f.cases[1].sample = []sample{{values: []float32{float32(math.Inf(-1)), 0, math.MaxFloat32}, upTo: []uint32{1, 3, 4}}}
	all := []float64{math.Inf(-1), -3, -3, 0, 0, 0, 2, 2, 2, math.MaxFloat32}
	for i, want := range all {
		assert.Equal(t, want, f.ranked(0, i), i)
	}
}

func TestFingerprinterRejectsWhatItCannotMeasure(t *testing.T) {
	im, seg := scan([3]int{2, 2, 2}, func(i int) float32 { return float32(i) }, func(int) uint8 { return 0 })
	f := newFewSamples(1, 2)
	require.NoError(t, f.Add(0, im, seg))
	require.ErrorContains(t, f.Add(0, im, seg), "added twice")
	require.ErrorContains(t, f.Add(2, im, seg), "out of range")
	_, err := f.Finish()
	require.ErrorContains(t, err, "case 1 of 2 was not added")
	require.NoError(t, f.Add(1, im, seg))
	_, err = f.Finish()
	require.ErrorContains(t, err, "no case has a voxel with a label")
	require.ErrorContains(t, NewFingerprinter(2, 1).Add(0, im, seg), "1 channels, wanted 2")
	im.Data[3] = float32(math.NaN())
	require.ErrorContains(t, NewFingerprinter(1, 1).Add(0, im, seg), "NaN")
}

// measureFolder makes the fingerprint of cases whose channels are the files of images.
func measureFolder(t *testing.T, images [][]string, labels []string) *Fingerprint {
	f := NewFingerprinter(len(images[0]), len(images))
	for i, files := range images {
		var im *volume.Image
		for ch, name := range files {
			one, _, err := nifti.ReadImage(name)
			require.NoError(t, err)
			if im == nil {
				im = volume.NewImage(one.Grid, len(files))
			}
			for v, x := range one.Data {
				im.Data[v*im.C+ch] = x
			}
		}
		seg, _, err := nifti.ReadLabels(labels[i])
		require.NoError(t, err)
		require.NoError(t, f.Add(i, im, seg))
	}
	fp, err := f.Finish()
	require.NoError(t, err)
	return fp
}

// sameFingerprint: the draws are numpy's, so that only sums of float32 differ:
// numpy adds them in float32 in pairs, log2(1e8) roundings of 6e-8.
func sameFingerprint(t *testing.T, want, got *Fingerprint) {
	assert.Equal(t, want.Shapes, got.Shapes)
	for i := range want.Spacings {
		for a := range 3 {
			assert.InDelta(t, want.Spacings[i][a], got.Spacings[i][a], 1e-6)
		}
	}
	assert.InDelta(t, want.MedianRelativeSize, got.MedianRelativeSize, 1e-12)
	for i, w := range want.Intensities {
		g := got.Intensities[i]
		assert.InEpsilon(t, w.Mean, g.Mean, 27*6e-8)
		assert.InEpsilon(t, w.Std, g.Std, 27*6e-8)
		assert.Equal(t, [5]float64{w.Min, w.Max, w.Median, w.Percentile_00_5, w.Percentile_99_5}, [5]float64{g.Min, g.Max, g.Median, g.Percentile_00_5, g.Percentile_99_5})
	}
}

func TestFingerprintsEqualThoseOfNNUNet(t *testing.T) {
	for _, dir := range glob(t, dataFolder(t), "golden/preprocessing/Dataset90*") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var images [][]string
			labels := glob(t, dir, "*/label.nii.gz")
			for _, l := range labels {
				images = append(images, glob(t, filepath.Dir(l), "*_000[0-9].nii.gz"))
			}
			want, err := LoadFingerprint(filepath.Join(dir, "dataset_fingerprint.json"))
			require.NoError(t, err)
			sameFingerprint(t, want, measureFolder(t, images, labels))
		})
	}
}

func TestFingerprintOfHippocampusEqualsThatOfNNUNet(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 260 scans")
	}
	root := dataFolder(t)
	var images [][]string
	var labels []string
	for _, name := range glob(t, root, "msd_task04_hippocampus/imagesTr/*.nii.gz") {
		if base := filepath.Base(name); !strings.HasPrefix(base, ".") {
			label := filepath.Join(root, "msd_task04_hippocampus/labelsTr", base)
			if _, err := os.Stat(label); err == nil {
				images, labels = append(images, []string{name}), append(labels, label)
			}
		}
	}
	want, err := LoadFingerprint(filepath.Join(root, "golden/preprocessing/Dataset004_Hippocampus/dataset_fingerprint.json"))
	require.NoError(t, err)
	sameFingerprint(t, want, measureFolder(t, images, labels))
}
