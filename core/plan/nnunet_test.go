package plan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// changed is the stored spleen plan after a change of its configurations.
func changed(t *testing.T, change func(configs map[string]map[string]any)) (*Plan, error) {
	file := generic(t, read(t, "testdata/spleen/nnunet.json"))
	configs := map[string]map[string]any{}
	for name, c := range file["configurations"].(map[string]any) {
		configs[name] = c.(map[string]any)
	}
	change(configs)
	file["configurations"] = configs
	data, err := json.Marshal(file)
	require.NoError(t, err)
	ds, err := LoadDatasetJSON("testdata/spleen/dataset.json")
	require.NoError(t, err)
	return ReadNNUNet(bytes.NewReader(data), ds)
}

func args(c map[string]any) map[string]any {
	return c["architecture"].(map[string]any)["arch_kwargs"].(map[string]any)
}

func TestOldAndNewFormOfPlansReadEqual(t *testing.T) {
	want, err := changed(t, func(map[string]map[string]any) {})
	require.NoError(t, err)
	got, err := changed(t, func(configs map[string]map[string]any) {
		for _, c := range configs {
			if c["inherits_from"] != nil {
				continue
			}
			a := args(c)
			delete(c, "architecture")
			features := a["features_per_stage"].([]any)
			c["UNet_class_name"] = "PlainConvUNet"
			c["UNet_base_num_features"] = features[0]
			c["unet_max_num_features"] = features[len(features)-1]
			c["n_conv_per_stage_encoder"] = a["n_conv_per_stage"]
			c["n_conv_per_stage_decoder"] = a["n_conv_per_stage_decoder"]
			c["pool_op_kernel_sizes"] = a["strides"]
			c["conv_kernel_sizes"] = a["kernel_sizes"]
			c["num_pool_per_axis"] = []int{5, 5, 5}
		}
	})
	require.NoError(t, err)
	assert.ElementsMatch(t, want.Configurations, got.Configurations)
}

func TestOneNumberStandsForEachStageAndAxis(t *testing.T) {
	p, err := changed(t, func(configs map[string]map[string]any) {
		a := args(configs[Config2D])
		a["n_conv_per_stage"], a["n_conv_per_stage_decoder"] = 2, 2
		a["kernel_sizes"] = fill(8, 3)
	})
	require.NoError(t, err)
	want := spleen(t, Options{Name: "nnUNetPlans", Dataset: "Dataset009_Spleen"})
	assert.Equal(t, want.Configuration(Config2D).Network, p.Configuration(Config2D).Network)
}

func TestConfigurationsInherit(t *testing.T) {
	p, err := changed(t, func(configs map[string]map[string]any) {
		configs["large_batch"] = map[string]any{"inherits_from": ConfigFullRes, "batch_size": 40}
		configs["no_batch_dice"] = map[string]any{"inherits_from": "large_batch", "batch_dice": false}
	})
	require.NoError(t, err)
	want := *p.Configuration(ConfigFullRes)
	want.Name, want.Batch, want.BatchDice = "no_batch_dice", 40, false
	assert.Equal(t, &want, p.Configuration("no_batch_dice"))
	assert.Equal(t, ConfigLowRes, p.Configuration(ConfigCascade).Previous)
	assert.Equal(t, 2, p.InputChannels(p.Configuration(ConfigCascade)), "the image and the spleen of the first stage")
}

func TestPlansErrorsNameTheProblem(t *testing.T) {
	for want, change := range map[string]func(configs map[string]map[string]any){
		"goes in a circle":                    func(c map[string]map[string]any) { c[ConfigFullRes]["inherits_from"] = ConfigCascade },
		`inherits_from is "4d", which is not`: func(c map[string]map[string]any) { c[ConfigCascade]["inherits_from"] = "4d" },
		`2d: normalization_schemes: "Histogram" is unknown`: func(c map[string]map[string]any) {
			c[Config2D]["normalization_schemes"] = []string{"Histogram"}
		},
		`2d: resampling_fn_data is "resample_torch_fornnunet"`: func(c map[string]map[string]any) {
			c[Config2D]["resampling_fn_data"] = "resample_torch_fornnunet"
		},
		"force_separate_z differs": func(c map[string]map[string]any) {
			c[Config2D]["resampling_fn_data_kwargs"].(map[string]any)["force_separate_z"] = true
		},
		`norm_op is "BatchNorm3d", wanted InstanceNorm2d`: func(c map[string]map[string]any) {
			args(c[Config2D])["norm_op"] = "torch.nn.BatchNorm3d"
		},
		`conv_op is "Conv3d", wanted Conv2d`:      func(c map[string]map[string]any) { args(c[Config2D])["conv_op"] = "torch.nn.Conv3d" },
		"networks with dropout are not supported": func(c map[string]map[string]any) { args(c[Config2D])["dropout_op"] = "torch.nn.Dropout2d" },
		`network class "a.b.MedNeXt" is unknown`: func(c map[string]map[string]any) {
			c[Config2D]["architecture"].(map[string]any)["network_class_name"] = "a.b.MedNeXt"
		},
		"n_stages is 0, wanted 2 to 16":             func(c map[string]map[string]any) { args(c[Config2D])["n_stages"] = 0 },
		`neither "architecture" nor "UNet_class`:    func(c map[string]map[string]any) { delete(c[Config2D], "architecture") },
		"strides: [1 1 1] has 3 axes, wanted 2":     func(c map[string]map[string]any) { args(c[Config2D])["strides"] = [][]int{{1, 1, 1}} },
		"patch_size, spacing and median":            func(c map[string]map[string]any) { c[Config2D]["patch_size"] = []int{4} },
		"patch [1 100 100] is not a multiple of [1": func(c map[string]map[string]any) { c[Config2D]["patch_size"] = []int{100, 100} },
	} {
		_, err := changed(t, change)
		assert.ErrorContains(t, err, want)
	}
}

func TestPlansOfAnotherDatasetAreRefused(t *testing.T) {
	ds, err := LoadDatasetJSON("testdata/ms/dataset.json")
	require.NoError(t, err)
	_, err = ReadNNUNet(bytes.NewReader(read(t, "testdata/spleen/nnunet.json")), ds)
	require.ErrorContains(t, err, "intensities: 1 for 3 channels")
}

func TestSlopeNormAndSeparationSurviveNNUNetsForm(t *testing.T) {
	p := spleen(t, Options{Dataset: "Dataset009_Spleen", Norm: BatchNorm})
	for i := range p.Configurations {
		p.Configurations[i].Network.Slope = 0.2
		p.Configurations[i].Network.NormEps = 1e-3
		p.Configurations[i].Resampling.SeparateZ = SeparateNever
	}
	var b strings.Builder
	require.NoError(t, WriteNNUNet(&b, p))
	got, err := ReadNNUNet(strings.NewReader(b.String()), p.DatasetJSON(41))
	require.NoError(t, err)
	assert.Equal(t, p, got)
}

func TestDescriptionAndLicenceOfTheDataGoWithThePlan(t *testing.T) {
	ds, err := LoadDatasetJSON("testdata/spleen/dataset.json")
	require.NoError(t, err)
	require.NotEmpty(t, ds.Description)
	p, err := ReadNNUNet(bytes.NewReader(read(t, "testdata/spleen/nnunet.json")), ds)
	require.NoError(t, err)
	assert.Equal(t, "CC-BY-SA 4.0", p.Licence)
	back := p.DatasetJSON(1)
	assert.Equal(t, [2]string{ds.Description, ds.Licence}, [2]string{back.Description, back.Licence})
}
