package plan

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// spleen is the plan of a stored fingerprint, with a cascade.
func spleen(t testing.TB, o Options) *Plan {
	fp, err := LoadFingerprint("testdata/spleen/dataset_fingerprint.json")
	require.NoError(t, err)
	ds, err := LoadDatasetJSON("testdata/spleen/dataset.json")
	require.NoError(t, err)
	p, err := Make(fp, ds, o)
	require.NoError(t, err)
	return p
}

func TestSavedPlanLoadsEqual(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	p := spleen(t, Options{})
	require.NoError(t, p.Save(path))
	got, err := Load(path)
	require.NoError(t, err)
	assert.Equal(t, p, got)

	first, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, got.Save(path))
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(first), string(second))
	assert.Contains(t, string(first), `"patch": [64, 192, 160]`, "short arrays are one line")
}

func TestParseSaysWhereTheFileIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "line 1: the JSON ends too early",
		"{\n\"version\": 1,\n}":    "line 3",
		"{\"version\": 1}{":        "text after the end",
		"{\n\n\"version\": \"x\"}": "line 3",
		"{\"verzion\": 1}":         `unknown field "verzion"`,
		"{\"version\": 7}":         "version is 7, this program reads 1",
	} {
		_, err := Parse(strings.NewReader(text))
		assert.ErrorContains(t, err, want, text)
	}
}

func TestListsHaveAllTheirValuesAndNoOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	require.NoError(t, spleen(t, Options{}).Save(path))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for list, n := range map[string]string{"[64, 192, 160, 5]": "4", "[64, 192]": "2"} {
		other := strings.Replace(string(whole), `"patch": [64, 192, 160]`, `"patch": `+list, 1)
		require.NotEqual(t, string(whole), other)
		_, err := Parse(strings.NewReader(other))
		assert.ErrorContains(t, err, "patch has "+n+" values, wanted 3")
	}
	_, err = ParseFingerprint(strings.NewReader(`{"spacings":[[1,1,1,1]],"shapes_after_crop":[[4,4,4]]}`))
	assert.ErrorContains(t, err, "spacings[0] has 4 values, wanted 3")
}

func TestParseIsBounded(t *testing.T) {
	_, err := Parse(strings.NewReader(`"` + strings.Repeat(" ", maxJSON)))
	assert.ErrorContains(t, err, "more than 64 MiB")
}

func TestSaveRefusesAnInvalidPlanAndKeepsTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	p := spleen(t, Options{})
	p.Channels = nil
	require.Error(t, p.Save(path))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "old", string(data))
}

func TestValidateListsEverything(t *testing.T) {
	changes := []struct {
		want   string
		change func(p *Plan)
	}{
		{"version is 2", func(p *Plan) { p.Version = 2 }},
		{`normalization "zcore" is unknown`, func(p *Plan) { p.Channels[0].Normalization = "zcore" }},
		{"intensities: 0 for 1 channels", func(p *Plan) { p.Intensities = nil }},
		{`"spleen" and "liver" both have the value 1`, func(p *Plan) { p.Labels = append(p.Labels, Label{"liver", []int{1}}) }},
		{"ignore is 5, wanted 2", func(p *Plan) { p.Ignore = 5 }},
		{"transpose is [0 0 1]", func(p *Plan) { p.Transpose = [3]int{0, 0, 1} }},
		{"median_spacing is [0 1 1]", func(p *Plan) { p.MedianSpacing = [3]float64{0, 1, 1} }},
		{"patch [1 510 512] is not a multiple of [1 128 128]", func(p *Plan) { p.Configurations[0].Patch[1] = 510 }},
		{"D of 2-D: patch 4", func(p *Plan) { p.Configurations[0].Patch[0] = 4 }},
		{"batch is 0", func(p *Plan) { p.Configurations[1].Batch = 0 }},
		{`previous or next is "3d"`, func(p *Plan) { p.Configurations[1].Next = "3d" }},
		{"the order 2 is not one of", func(p *Plan) { p.Configurations[1].Resampling.ImageOrder = 2 }},
		{"kernels[1] is [3 2 3]", func(p *Plan) { p.Configurations[2].Network.Kernels[1] = [3]int{3, 2, 3} }},
		{"strides 5", func(p *Plan) { p.Configurations[1].Network.Strides = p.Configurations[1].Network.Strides[:5:5] }},
		{"the name is there twice", func(p *Plan) { p.Configurations[3].Name = Config2D }},
		{`voxel is "dice"`, func(p *Plan) { p.Recipe.Loss.Voxel = "dice" }},
		{"momentum is 1", func(p *Plan) { p.Recipe.Optimizer.Momentum = 1 }},
		{"epochs is 0", func(p *Plan) { p.Recipe.Schedule.Epochs = 0 }},
		{`augmentation[1] "scaling": scale is [0 1]`, func(p *Plan) { p.Recipe.Augmentation[1].Ranges["scale"] = Range{0, 1} }},
		{"sigma is [0 1e+06], wanted low, high between 0 and 64", func(p *Plan) {
			i := slices.IndexFunc(p.Recipe.Augmentation, func(t Transform) bool { return t.Op == Blur })
			p.Recipe.Augmentation[i].Ranges["sigma"] = Range{0, 1e6}
		}},
		{`augmentation[2] "noise": the range "sigma" is missing`, func(p *Plan) { p.Recipe.Augmentation[2].Ranges = nil }},
		{"step is 0", func(p *Plan) { p.Recipe.Inference.Step = 0 }},
		{`kind is "x"`, func(p *Plan) { p.Configurations[0].Network.Kind = "x" }},
		{"slope is 0, of residual blocks wanted > 0", func(p *Plan) { n := &p.Configurations[1].Network; n.Kind, n.Slope = Residual, 0 }},
		{`groups is 0 with the norm "group"`, func(p *Plan) { p.Configurations[2].Network.Norm = GroupNorm }},
		{`norm is "layer"`, func(p *Plan) { p.Configurations[3].Network.Norm = "layer" }},
		{`top_k is 0.1`, func(p *Plan) { p.Recipe.Loss.TopK = 0.1 }},
		{`recipe: loss: 3 class_weights for 2 labels`, func(p *Plan) { p.Recipe.Loss.ClassWeights = []float64{1, 1, 1} }},
		{`smoothing is 1 with`, func(p *Plan) { p.Recipe.Loss.Smoothing = 1 }},
		{`class_weights are [0 0]`, func(p *Plan) { p.Recipe.Loss.ClassWeights = []float64{0, 0} }},
	}
	all := spleen(t, Options{})
	for _, c := range changes {
		p := spleen(t, Options{})
		c.change(p)
		assert.ErrorContains(t, p.Validate(), c.want)
		c.change(all)
	}
	var invalid *InvalidError
	require.True(t, errors.As(all.Validate(), &invalid))
	assert.GreaterOrEqual(t, len(invalid.Problems), len(changes))
	assert.NoError(t, spleen(t, Options{}).Validate())
}

// Numbers that no training or prediction would come to an end with, and what has no
// effect.
func TestValidateBoundsNumbers(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(r *Recipe)
	}{
		{"step is 1e-09, wanted 0.01 to 1", func(r *Recipe) { r.Inference.Step = 1e-9 }},
		{"iterations is 1000000000000, wanted 1 to 1000000", func(r *Recipe) { r.Schedule.Iterations = 1e12 }},
		{"min_rate is 5", func(r *Recipe) { r.Schedule.MinRate = 5 }},
		{"beta3 is 0.9, wanted above 0", func(r *Recipe) { r.Optimizer.Beta3 = 0.9 }},
		{"beta3 is 0, wanted above 0", func(r *Recipe) { r.Optimizer.Kind = Adan }},
		{"weight_decay is 1e+30", func(r *Recipe) { r.Optimizer.WeightDecay = 1e30 }},
		{`smoothing is 0.1 with the voxel loss "focal"`, func(r *Recipe) { r.Loss.Voxel, r.Loss.Smoothing = Focal, 0.1 }},
		{`smoothing is 0.1 with the voxel loss "ce" and class_weights [1 2]`, func(r *Recipe) { r.Loss.Smoothing, r.Loss.ClassWeights = 0.1, []float64{1, 2} }},
		{"loss: focal with sigmoid or foreground wants all heads", func(r *Recipe) { r.Loss.Voxel, r.Loss.Sigmoid = Focal, true }},
		{"class_weights are [1 2]", func(r *Recipe) { r.Loss.VoxelWeight, r.Loss.ClassWeights = 0, []float64{1, 2} }},
	} {
		p := spleen(t, Options{})
		c.change(&p.Recipe)
		assert.ErrorContains(t, p.Validate(), c.want)
	}
}

// An augmentation edited by hand: every field that is absurd is named with its bounds,
// all in one error, and none that is not.
func TestValidateNamesEveryAbsurdValueOfTheRecipe(t *testing.T) {
	p := spleen(t, Options{})
	p.Recipe.Augmentation = append(p.Recipe.Augmentation, Transform{Op: Elastic, P: 0.2, PChannel: 1, Ranges: map[string]Range{"sigma": {0.1, 0.2}, "magnitude": {0, 9}}},
		Transform{Op: Brightness, P: 0.1, PChannel: 1, Ranges: map[string]Range{"factor": {0.7, 1.3}}})
	require.NoError(t, p.Validate())
	at := func(op string) *Transform {
		i := slices.IndexFunc(p.Recipe.Augmentation, func(t Transform) bool { return t.Op == op })
		return &p.Recipe.Augmentation[i]
	}
	nan := math.NaN()
	at(Rotation).Ranges["angle_2d"] = Range{-1e9, 180}
	at(Rotation).Ranges["planar"] = Range{-1, 3}
	at(Scaling).Ranges["scale"] = Range{0.7, 1e6}
	at(Noise).Ranges["sigma"] = Range{0, 1e30}
	at(Noise).P = 1.5
	at(Blur).PChannel = -0.1
	at(Brightness).Ranges["below"] = Range{1, 0.75}
	at(Contrast).Ranges["above"] = Range{1, math.Inf(1)}
	at(LowRes).Ranges["scale"] = Range{0, 1}
	at(Gamma).Ranges["below"] = Range{nan, nan}
	at(GammaInverted).Ranges["above"] = Range{1, 1e3}
	at(Mirror).P = nan
	at(Mirror).Ranges = map[string]Range{"angle": {0, 1}}
	at(Elastic).Ranges["magnitude"] = Range{0, 1e30}
	at(Removal).Ranges["share"] = Range{0, 2}
	at(Morphology).Ranges["radius"] = Range{0, 8}
	p.Recipe.Augmentation[len(p.Recipe.Augmentation)-1].Ranges["factor"] = Range{-1, 1}
	p.Recipe.Loss.DiceWeight, p.Recipe.Loss.Smooth = 1e30, -1
	p.Recipe.Optimizer.LearningRate, p.Recipe.Optimizer.ClipNorm = 1e6, 1e30
	p.Recipe.Schedule.Power = 1e30
	p.Recipe.DeepSupervision.Decay = 1e30
	p.Recipe.Inference.Sigma = 1e-30
	var invalid *InvalidError
	require.ErrorAs(t, p.Validate(), &invalid)
	assert.Equal(t, []string{
		"recipe: loss: dice_weight is 1e+30, wanted 0 to 1e+06",
		"recipe: loss: smooth is -1, wanted 0 to 1e+06",
		"recipe: optimizer: learning_rate is 1e+06, wanted above 0, at most 100",
		"recipe: optimizer: clip_norm is 1e+30, wanted 0 to 1e+06",
		"recipe: schedule: power is 1e+30, wanted 0 to 100",
		"recipe: deep_supervision: decay is 1e+30, wanted 0.001 to 10",
		`recipe: augmentation[0] "rotation": angle_2d is [-1e+09 180], wanted low, high between -360 and 360`,
		`recipe: augmentation[0] "rotation": planar is [-1 3], wanted low, high between 0 and 16384`,
		`recipe: augmentation[1] "scaling": scale is [0.7 1e+06], wanted low, high between 0.1 and 10`,
		`recipe: augmentation[2] "noise": p is 1.5, wanted 0 to 1`,
		`recipe: augmentation[2] "noise": sigma is [0 1e+30], wanted low, high between 0 and 10000`,
		`recipe: augmentation[3] "blur": p_channel is -0.1, wanted 0 to 1`,
		`recipe: augmentation[4] "brightness": below is [1 0.75], wanted low, high between 0.01 and 100`,
		`recipe: augmentation[5] "contrast": above is [1 +Inf], wanted low, high between 0.01 and 100`,
		`recipe: augmentation[6] "low_resolution": scale is [0 1], wanted low, high between 0.01 and 1`,
		`recipe: augmentation[7] "gamma_inverted": above is [1 1000], wanted low, high between 0.01 and 100`,
		`recipe: augmentation[8] "gamma": below is [NaN NaN], wanted low, high between 0.01 and 100`,
		`recipe: augmentation[9] "mirror": p is NaN, wanted 0 to 1`,
		`recipe: augmentation[9] "mirror": the range "angle" is unknown`,
		`recipe: augmentation[10] "previous_morphology": radius is [0 8], wanted low, high between 1 and 31`,
		`recipe: augmentation[11] "previous_removal": share is [0 2], wanted low, high between 0 and 1`,
		`recipe: augmentation[12] "elastic": magnitude is [0 1e+30], wanted low, high between 0 and 16384`,
		`recipe: augmentation[13] "brightness": factor is [-1 1], wanted low, high between 0.01 and 100`,
		"recipe: inference: sigma is 1e-30, wanted 0.01 to 100",
	}, invalid.Problems)
}

func TestValidateSurvivesAnEmptyPlan(t *testing.T) {
	assert.Error(t, (&Plan{}).Validate())
	assert.Error(t, (&Plan{Configurations: make([]Configuration, 3)}).Validate())
}

func TestParametersEqualThoseOfPyTorch(t *testing.T) {
	cube := func(n int, v int) [][3]int {
		list := make([][3]int, n)
		for i := range list {
			list[i] = [3]int{v, v, v}
		}
		return list
	}
	net := func(kind string, features []int, convs []int, decoder int) *Network {
		s := cube(len(features), 2)
		s[0] = [3]int{1, 1, 1}
		return &Network{Kind: kind, Features: features, Kernels: cube(len(features), 3), Strides: s, Convs: convs, DecoderConvs: fill(len(features)-1, decoder), ConvBias: true}
	}
	assert.Equal(t, 5603177, net(Plain, []int{32, 64, 128, 256}, fill(4, 2), 2).Parameters(1, 3), "hippocampus 3d_fullres")
	assert.Equal(t, 31199796, net(Plain, []int{32, 64, 128, 256, 320, 320}, fill(6, 2), 2).Parameters(4, 4), "BraTS 3d_fullres")
	assert.Equal(t, 454893568.0, net(Plain, []int{32, 64, 128, 256, 320, 320}, fill(6, 2), 2).Cost([3]int{128, 128, 128}, 4), "its cost")
}

// randomFingerprint is a data set of a few cases of one spacing and about one shape.
func randomFingerprint(r *rand.Rand, channels int) *Fingerprint {
	f := &Fingerprint{Intensities: make([]Intensity, channels), MedianRelativeSize: 0.3 + 0.7*r.Float64()}
	var spacing [3]float64
	var shape [3]int
	for a := range 3 {
		spacing[a] = 0.3 + 5*r.Float64()*r.Float64()
		shape[a] = 16 + r.IntN(400)
	}
	for range 1 + r.IntN(6) {
		s := shape
		for a := range s {
			s[a] += r.IntN(20)
		}
		f.Spacings, f.Shapes = append(f.Spacings, spacing), append(f.Shapes, s)
	}
	return f
}

func randomDataset(r *rand.Rand) *DatasetJSON {
	d := &DatasetJSON{Channels: []string{"CT", "T1", "noNorm", "x"}[:1+r.IntN(4)], Ignore: -1, NumTraining: 1 + r.IntN(300), FileEnding: ".nii.gz"}
	d.Labels = []Label{{"background", []int{0}}, {"a", []int{1}}, {"b", []int{2}}}
	return d
}

func TestEveryPlanHasTheseProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 200 {
		ds := randomDataset(r)
		fp := randomFingerprint(r, len(ds.Channels))
		o := Options{Planner: PlannerNames()[i%4]}
		p, err := Make(fp, ds, o)
		require.NoError(t, err) // Make validates: patches are multiples of the strides' product
		pl := planners()[i%4]
		for _, c := range p.Configurations {
			n := &c.Network
			assert.GreaterOrEqual(t, c.Batch, minBatch)
			reference, batch := pl.cost3D, 2.0
			if c.Dim == 2 {
				reference, batch = pl.cost2D, 12
			}
			if pl.perBatch {
				reference *= batch / 2
			}
			assert.LessOrEqual(t, n.Cost(c.Patch, len(p.Labels)), reference, "the patch fits the memory")
			bottom := n.Sizes(c.Patch)[n.Stages()-1]
			for a := 3 - c.Dim; a < 3; a++ {
				assert.True(t, n.Divisor()[a] == 1 || bottom[a] >= minEdge, "an axis that is pooled keeps %d voxels: %v", minEdge, bottom)
				assert.Equal(t, 3, n.Kernels[n.Stages()-1][a])
				assert.Less(t, float64(c.Patch[a])-c.MedianShape[a], float64(n.Divisor()[a]), "a patch is larger than the scans by padding only")
			}
		}
		last := p.Configurations[len(p.Configurations)-1]
		assert.Equal(t, p.Configuration(ConfigLowRes) != nil, last.Name == ConfigCascade)
		assert.Equal(t, 1, p.Configurations[0].Patch[0])
	}
}

func TestMoreMemoryNeverMakesASmallerStep(t *testing.T) {
	before := 0
	for _, gb := range []float64{2, 4, 8, 16, 32} {
		c := spleen(t, Options{MemoryGB: gb}).Configuration(ConfigFullRes)
		step := c.Batch * prod(c.Patch)
		assert.Greater(t, step, before)
		before = step
	}
}

func TestMemoryFunctionReplacesTheEstimate(t *testing.T) {
	need := func(c *Configuration, in, classes int) (int64, error) {
		assert.Equal(t, [2]int{1, 2}, [2]int{in, classes})
		return int64(c.Batch*prod(c.Patch)) * 500, nil
	}
	p := spleen(t, Options{MemoryGB: 2, Memory: need, Planner: PlannerResEncM})
	for _, c := range p.Configurations {
		n, err := need(&c, 1, 2)
		require.NoError(t, err)
		assert.LessOrEqual(t, n, int64(2<<30), c.Name)
		c.Batch++
		n, err = need(&c, 1, 2)
		require.NoError(t, err)
		assert.Greater(t, n, int64(2<<30), "a larger batch would not fit: %s", c.Name)
	}
	broken := errors.New("no device")
	fp, ds := randomFingerprint(rand.New(rand.NewPCG(1, 1)), 1), &DatasetJSON{Channels: []string{"CT"}, Labels: p.Labels, Ignore: -1, NumTraining: 3}
	_, err := Make(fp, ds, Options{Memory: func(*Configuration, int, int) (int64, error) { return 0, broken }})
	require.ErrorIs(t, err, broken)
	_, err = Make(fp, ds, Options{MemoryGB: 1e-4})
	require.ErrorContains(t, err, "no patch fits")
}

func TestMakeSaysWhatDoesNotFit(t *testing.T) {
	fp := randomFingerprint(rand.New(rand.NewPCG(1, 1)), 1)
	ds := &DatasetJSON{Channels: []string{"CT"}, Labels: []Label{{"background", []int{0}}, {"a", []int{1}}}, Ignore: -1, NumTraining: 3}
	_, err := Make(fp, ds, Options{Planner: "resenc"})
	require.ErrorContains(t, err, `planner "resenc" is unknown, there are nnunet, resenc-m, resenc-l, resenc-xl`)
	_, err = Make(fp, &DatasetJSON{Channels: []string{"a", "b"}}, Options{})
	require.ErrorContains(t, err, "2 channels, the fingerprint 1")
	fp.Shapes = [][3]int{{3, 4, 5}}
	fp.Spacings = fp.Spacings[:1]
	_, err = Make(fp, ds, Options{})
	require.ErrorContains(t, err, "too small for a U-Net")
}

func TestCoarsestAxisComesFirst(t *testing.T) {
	ds := &DatasetJSON{Channels: []string{"CT"}, Labels: []Label{{"background", []int{0}}, {"a", []int{1}}}, Ignore: -1, NumTraining: 9}
	fp := &Fingerprint{Spacings: [][3]float64{{0.75, 0.8, 4.5}}, Shapes: [][3]int{{54, 55, 15}}, Intensities: make([]Intensity, 1), MedianRelativeSize: 1}
	p, err := Make(fp, ds, Options{})
	require.NoError(t, err)
	assert.Equal(t, [3]int{2, 0, 1}, p.Transpose)
	assert.Equal(t, [3]int{1, 2, 0}, p.TransposeBack)
	assert.Equal(t, [3]int{15, 54, 55}, p.MedianShape)
	assert.Equal(t, [3]float64{0, 0.75, 0.8}, p.Configuration(Config2D).Spacing)
	assert.Equal(t, [3]int{1, 3, 3}, p.Configuration(ConfigFullRes).Network.Kernels[0], "no kernel reaches over thick slices")

	p, err = Make(fp, ds, Options{NoTranspose: true})
	require.NoError(t, err)
	assert.Equal(t, [3]int{0, 1, 2}, p.Transpose)
}

func TestFlatImagesArePlannedIn2DOnly(t *testing.T) {
	fp := &Fingerprint{Spacings: [][3]float64{{999, 1, 1}}, Shapes: [][3]int{{1, 300, 200}}, Intensities: make([]Intensity, 3), MedianRelativeSize: 1}
	ds := &DatasetJSON{Channels: []string{"R", "G", "B"}, Labels: []Label{{"background", []int{0}}, {"a", []int{1}}}, Ignore: -1, NumTraining: 50, FileEnding: ".png"}
	p, err := Make(fp, ds, Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{Config2D}, p.ConfigurationNames())
	assert.Equal(t, [3]float64{0, 1, 1}, p.Configurations[0].Spacing)
}

func TestRenderedPlan(t *testing.T) {
	var b bytes.Buffer
	p := spleen(t, Options{Dataset: "Dataset009_Spleen"})
	require.NoError(t, p.Render(&b, Extra{"arena", func(c *Configuration) string { return "1 GiB" }}))
	golden := "testdata/spleen/nnunet.txt"
	if os.Getenv("GOUNET_UPDATE") != "" { // rewrites the golden file
		require.NoError(t, os.WriteFile(golden, b.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), b.String())
}

func TestPlanningEndsForAnyFingerprint(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	planned := 0
	for i := range 300 {
		fp := randomFingerprint(r, 1)
		fp.Spacings, fp.Shapes = fp.Spacings[:1], fp.Shapes[:1]
		for a := range 3 {
			fp.Spacings[0][a] = math.Pow(10, 8*r.Float64()-4)
			fp.Shapes[0][a] = 1 << r.IntN(20)
		}
		if i%50 == 0 {
			fp.Spacings[0] = [3]float64{5e-324, 1, math.MaxFloat64}
		}
		ds := randomDataset(r)
		ds.Channels = ds.Channels[:1]
		if _, err := Make(fp, ds, Options{Planner: PlannerNames()[i%4]}); err == nil {
			planned++
		}
	}
	assert.Greater(t, planned, 100)
}

func TestARecipeIsCalledAsItIsChosen(t *testing.T) {
	assert.Equal(t, RecipeNNUNet, NNUNet(3).Name)
	assert.Contains(t, RecipeNames(), NNUNet(2).Name)
}
