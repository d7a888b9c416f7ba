package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ofTask are a data set of the Decathlon and a fingerprint of three of its scans, of
// an odd spacing that only the fall-back rules look at.
func ofTask(number, name string, channels, labels int) (*Fingerprint, *DatasetJSON, Options) {
	ds := &DatasetJSON{Form: FormMSD, NumTraining: 20, FileEnding: ".nii.gz", Ignore: -1}
	fp := &Fingerprint{MedianRelativeSize: 1}
	for i := range channels {
		ds.Channels = append(ds.Channels, []string{"CT", "T1"}[min(i, 1)])
		fp.Intensities = append(fp.Intensities, Intensity{Mean: 1, Std: 2, Percentile_00_5: -3, Percentile_99_5: 4})
	}
	for i := range labels {
		ds.Labels = append(ds.Labels, Label{Name: fmt.Sprint(i), Values: []int{i}})
	}
	for range 3 {
		fp.Spacings = append(fp.Spacings, [3]float64{5, 0.7, 0.8})
		fp.Shapes = append(fp.Shapes, [3]int{90, 512, 512})
	}
	return fp, ds, Options{Dataset: "Task" + number + "_" + name, Recipe: RecipeNVIDIA}
}

// TestNVIDIAsNetworksAreThose compares with MONAI's DynUNet, built for each task by
// NVIDIA's code: levels, strides and parameters.
func TestNVIDIAsNetworksAreThose(t *testing.T) {
	for _, c := range []struct {
		task     string
		in, out  int
		strides  string
		thin     int // levels whose kernels are 1 in D
		p3       int
		levels2D int
		p2       int
	}{
		{"01_BrainTumour", 4, 4, "222 222 222 222 222", 0, 31193644, 6, 20613868},
		{"02_Heart", 1, 2, "222 222 222 222 122", 0, 30780998, 6, 20612550},
		{"03_Liver", 1, 3, "222 222 222 222 222", 0, 31190825, 6, 20612777},
		{"04_Hippocampus", 1, 3, "222 222 222", 0, 5601769, 4, 1927081},
		{"05_Prostate", 2, 3, "122 122 222 222 122", 2, 30555657, 6, 20613065},
		{"06_Lung", 1, 2, "222 222 222 222 122", 0, 30780998, 6, 20612550},
		{"07_Pancreas", 1, 3, "122 222 222 222 122", 1, 30754025, 6, 20612777},
		{"08_HepaticVessel", 1, 3, "222 222 222 222 122", 0, 30781225, 6, 20612777},
		{"09_Spleen", 1, 2, "122 222 222 222 222", 1, 31163398, 6, 20612550},
		{"10_Colon", 1, 2, "122 222 222 222 122", 1, 30753798, 6, 20612550},
		{"11_BraTS2021_train", 4, 4, "222 222 222 222 222", 0, 31193644, 6, 20613868},
		{"12_BraTS2021_val", 4, 4, "222 222 222 222 222", 0, 31193644, 6, 20613868},
	} {
		t.Run(c.task, func(t *testing.T) {
			number, name, _ := strings.Cut(c.task, "_")
			fp, ds, o := ofTask(number, name, c.in, c.out)
			p, err := Make(fp, ds, o)
			require.NoError(t, err)
			full, plane := p.Configuration(ConfigFullRes), p.Configuration(Config2D)
			known := tasks()[number]
			assert.Equal(t, known.patch, full.Patch)
			assert.Equal(t, known.spacing, full.Spacing)
			assert.Equal(t, [3]int{1, known.plane[0], known.plane[1]}, plane.Patch)
			n := full.Network
			assert.Equal(t, c.p3, n.Parameters(c.in, c.out))
			assert.Equal(t, c.p2, plane.Network.Parameters(c.in, c.out))
			assert.Equal(t, c.levels2D, plane.Network.Stages())
			var strides []string
			for _, s := range n.Strides[1:] {
				strides = append(strides, fmt.Sprintf("%d%d%d", s[0], s[1], s[2]))
			}
			assert.Equal(t, c.strides, strings.Join(strides, " "))
			for l, k := range n.Kernels {
				want := [3]int{3, 3, 3}
				if l < c.thin {
					want[0] = 1
				}
				assert.Equal(t, want, k, "level %d", l)
				if l > 0 {
					assert.Equal(t, k, n.DecoderKernel(l-1), "the decoder has the kernel of the stage below")
				}
			}
			v := p.Intensities[0]
			if known.ct == nil {
				assert.Equal(t, 1.0, v.Mean, "that of the fingerprint")
			} else {
				assert.Equal(t, *known.ct, ctRange{v.Percentile_00_5, v.Percentile_99_5, v.Mean, v.Std})
			}
		})
	}
}

// TestNVIDIAsOtherNetworksAreThose compares with the counts of parameters that MONAI's
// DynUNet with residual blocks has, and those of NVIDIA's networks for BraTS'21, of 50.8 M
// in its notebook, and BraTS'22.
func TestNVIDIAsOtherNetworksAreThose(t *testing.T) {
	brats21 := Dyn{Features: []int{64, 96, 128, 192, 256, 384, 512}, Depth: 6, MinEdge: 2}
	for _, c := range []struct {
		task    string
		in, out int
		dyn     Dyn
		p3, p2  int
	}{
		{"01_BrainTumour", 4, 4, Dyn{Kind: Strided}, 31423340, 0},
		{"02_Heart", 1, 2, Dyn{Kind: Strided}, 31010598, 0},
		{"04_Hippocampus", 1, 3, Dyn{Kind: Strided}, 5645769, 1971081},
		{"05_Prostate", 2, 3, Dyn{Kind: Strided}, 30785289, 0},
		{"09_Spleen", 1, 2, Dyn{Kind: Strided}, 31392998, 0},
		{"11_BraTS2021_train", 5, 3, brats21, 50838665, 0},
		{"11_BraTS2021_train", 5, 3, Dyn{Kind: PreNorm}, 177310217, 0},
		{"11_BraTS2021_train", 5, 3, Dyn{Kind: PreNorm, Depth: 6, MinEdge: 2}, 460440073, 0},
	} {
		number, name, _ := strings.Cut(c.task, "_")
		fp, ds, o := ofTask(number, name, c.in, c.out)
		o.Dyn = c.dyn
		p, err := Make(fp, ds, o)
		require.NoError(t, err)
		assert.Equal(t, c.p3, p.Configuration(ConfigFullRes).Network.Parameters(c.in, c.out), "%s %v", c.task, c.dyn)
		if c.p2 > 0 {
			assert.Equal(t, c.p2, p.Configuration(Config2D).Network.Parameters(c.in, c.out), c.task)
		}
		assert.Equal(t, c.dyn.Kind == PreNorm, p.Configuration(Config2D) == nil)
		assert.Equal(t, c.dyn.Kind != PreNorm, p.Recipe.DeepSupervision.FullResolution)
		var b strings.Builder
		assert.Error(t, WriteNNUNet(&b, p))
	}
	fp, ds, o := ofTask("04", "Hippocampus", 1, 3)
	o.Dyn.Features = []int{8, 16}
	_, err := Make(fp, ds, o)
	assert.ErrorContains(t, err, "features of 2 stages, the network has 4")
	o.Dyn.Features, o.Norm, o.Groups = nil, GroupNorm, 8
	p, err := Make(fp, ds, o)
	require.NoError(t, err)
	assert.Equal(t, 8, p.Configuration(Config2D).Network.Groups)
	o.Groups = 7
	_, err = Make(fp, ds, o)
	assert.ErrorContains(t, err, "features[0] is 32, which are not 7 groups of one size")
}

// TestTheForegroundIsAChannelThatNoFileHas plans BraTS'21 as NVIDIA did, whose network of
// 50.8 M parameters has five inputs of four scans.
func TestTheForegroundIsAChannelThatNoFileHas(t *testing.T) {
	fp, ds, o := ofTask("11", "BraTS2021_train", 4, 3)
	o.Dyn = Dyn{Features: []int{64, 96, 128, 192, 256, 384, 512}, Depth: 6, MinEdge: 2, Foreground: true}
	p, err := Make(fp, ds, o)
	require.NoError(t, err)
	c := p.Configuration(ConfigFullRes)
	assert.Equal(t, []int{4, 5}, []int{p.Scans(), p.InputChannels(c)})
	assert.Equal(t, NormForeground, c.Normalization[4])
	assert.Equal(t, 50838665, c.Network.Parameters(p.InputChannels(c), 3))
	o.Compat = true
	p, err = Make(fp, ds, o)
	require.NoError(t, err)
	assert.Equal(t, NormForegroundLate, p.Channels[4].Normalization)
	var b strings.Builder
	require.NoError(t, p.Write(&b))
	again, err := Parse(strings.NewReader(b.String()))
	require.NoError(t, err)
	assert.Equal(t, p, again)

	full := p.Configuration(ConfigFullRes)
	full.NormalizeLast = false
	full.Normalization[0], full.Normalization[4] = NormForeground, NormNonZero
	p.Channels[0].Normalization = NormForeground
	err = p.Validate()
	assert.ErrorContains(t, err, "foreground is of the last channel, behind others")
	assert.ErrorContains(t, err, `normalization[4] is "zscore_nonzero": of the channel of the foreground`)
}

func TestUnknownTasksArePlanned(t *testing.T) {
	fp, ds, o := ofTask("04", "Something", 1, 3)
	fp.Spacings = [][3]float64{{5, 0.7, 0.8}, {5, 0.6, 0.8}, {1, 0.7, 0.8}}
	p, err := Make(fp, ds, o)
	require.NoError(t, err)
	assert.InDeltaSlice(t, []float64{1.8, 0.7, 0.8}, slices.Collect(slices.Values(p.Configuration(ConfigFullRes).Spacing[:])), 1e-9, "the tenth percentile of the coarse axis")
	assert.Equal(t, "nvidiaPlans_3d_fullres", p.Configuration(ConfigFullRes).Data, "a folder beside that of nnU-Net's")
	o.Compat = true
	p, err = Make(fp, ds, o)
	require.NoError(t, err)
	assert.InDeltaSlice(t, []float64{5, 0.62, 0.8}, p.Configuration(ConfigFullRes).Spacing[:], 1e-9, "the original takes it of the finest")
	assert.Zero(t, p.Recipe.Schedule.Patience)
	var b strings.Builder
	err = WriteNNUNet(&b, p)
	require.ErrorIs(t, err, ErrNotNNUNet)
	assert.ErrorContains(t, err, "its decoder has other kernels than its encoder, nnU-Net's networks have the same in both; its scans are cropped to positive voxels")
	o.Recipe = "x"
	_, err = Make(fp, ds, o)
	assert.ErrorContains(t, err, `recipe "x" is unknown`)
}

func TestNVIDIAsPlanComesBackFromItsFile(t *testing.T) {
	fp, ds, o := ofTask("05", "Prostate", 2, 3)
	p, err := Make(fp, ds, o)
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, p.Write(&b))
	again, err := Parse(strings.NewReader(b.String()))
	require.NoError(t, err)
	assert.Equal(t, p, again)
}
