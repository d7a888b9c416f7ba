package checkpoint

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/pickle"
)

// tinyWeights are what testdata/make.py writes: (i mod 64 + fold) / 64.
func tinyWeights(m *Model, fold int) Weights {
	w, i := Weights{}, 0
	for _, p := range Parameters(m.Plan, m.Plan.Configuration(m.Configuration)) {
		t := Tensor{Shape: p.Shape, Data: make([]float32, product(p.Shape))}
		for j := range t.Data {
			t.Data[j] = float32(i%64+fold) / 64
			i++
		}
		w[p.Name] = t
	}
	return w
}

func TestResultsFoldersOfNNUNetAreImported(t *testing.T) {
	m := tiny(t)
	assert.Equal(t, "2d", m.Configuration)
	assert.Equal(t, "nnUNetTrainer", m.Trainer)
	assert.Equal(t, [3]bool{false, true, true}, m.Mirror)
	assert.Equal(t, "Dataset001_Tiny", m.Plan.Dataset)
	require.Len(t, m.Folds, 2, "fold_all is not one of the folds")
	for i, f := range m.Folds {
		assert.Equal(t, []string{"0", "1"}[i], f.Name)
		assert.Equal(t, 7+i, f.Epoch)
		assert.Equal(t, tinyWeights(m, i), f.Weights)
	}

	m, err := Open(filepath.Join(results, "nnUNetTrainer__nnUNetPlans__3d_fullres"))
	require.NoError(t, err, "only the best weights are there")
	assert.Equal(t, "3d_fullres", m.Configuration)
	assert.Equal(t, [3]bool{true, true, false}, m.Mirror)
	assert.Equal(t, tinyWeights(m, 0), m.Folds[0].Weights)
}

func TestAFoldOrFileOfAResultsFolderIsImported(t *testing.T) {
	folder := filepath.Join(results, "nnUNetTrainer__nnUNetPlans__2d")
	m := tiny(t)
	for _, path := range []string{"fold_1", "fold_1/checkpoint_final.pth"} {
		got, err := Open(filepath.Join(folder, path))
		require.NoError(t, err)
		assert.Equal(t, m.Folds[1:], got.Folds)
	}
	got, err := OpenWith(folder, Options{Folds: []string{"all"}})
	require.NoError(t, err)
	require.Len(t, got.Folds, 1)
	assert.Equal(t, "all", got.Folds[0].Name)
	_, err = OpenWith(folder, Options{Folds: []string{"0", "3"}})
	require.ErrorContains(t, err, "there is no fold")
	_, err = OpenWith(folder, Options{Checkpoint: Best})
	require.ErrorContains(t, err, "checkpoint_best.pth")
}

func TestBadResultsFoldersAreErrorsThatSayWhatIsWrong(t *testing.T) {
	from := filepath.Join(results, "nnUNetTrainer__nnUNetPlans__2d")
	three := filepath.Join(results, "nnUNetTrainer__nnUNetPlans__3d_fullres")
	dir := t.TempDir()
	copyFile(t, filepath.Join(from, nnunetPlans), filepath.Join(dir, nnunetPlans))
	_, err := Open(dir)
	require.ErrorContains(t, err, "there is no fold")
	checkpoint := filepath.Join(dir, "fold_0", nnunetFinal)
	copyFile(t, filepath.Join(from, "fold_0", nnunetFinal), checkpoint)
	_, err = Open(dir)
	require.ErrorContains(t, err, "dataset.json")
	require.ErrorContains(t, err, "copy it from the training")
	copyFile(t, filepath.Join(from, nnunetDataset), filepath.Join(dir, nnunetDataset))
	_, err = Open(dir)
	require.NoError(t, err)

	copyFile(t, filepath.Join(three, "fold_0", nnunetBest), checkpoint)
	_, err = Open(dir)
	require.ErrorContains(t, err, checkpoint)
	require.ErrorContains(t, err, `configuration "3d_fullres" is not one of the plan's: 2d`)

	widen(t, filepath.Join(dir, nnunetPlans))
	copyFile(t, filepath.Join(from, "fold_0", nnunetFinal), checkpoint)
	_, err = Open(dir)
	var list *plan.InvalidError
	require.ErrorAs(t, err, &list)
	assert.Contains(t, list.Problems, "encoder.stages.1.0.convs.0.conv.weight: shape is [3 2 3 3], wanted [5 2 3 3]")
	assert.Contains(t, list.Advice, "these parameters fit a plan with a 2-D network of kind plain, ")

	require.NoError(t, os.WriteFile(checkpoint, []byte("PK no checkpoint"), 0o666))
	_, err = Open(dir)
	require.ErrorContains(t, err, checkpoint+": not a file of torch.save")
	_, err = Open(filepath.Join("..", "..", "internal", "pickle", "testdata", "torch-zip.pt"))
	require.ErrorContains(t, err, "not a model")
}

// widen changes the features of the last stage in a plans.json.
func widen(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var top map[string]any
	require.NoError(t, json.Unmarshal(b, &top))
	c := top["configurations"].(map[string]any)["2d"].(map[string]any)
	kwargs := c["architecture"].(map[string]any)["arch_kwargs"].(map[string]any)
	kwargs["features_per_stage"] = []int{2, 5}
	b, err = json.Marshal(top)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b, 0o666))
}

func TestNamesOfWrappersAndAliases(t *testing.T) {
	assert.Equal(t, "encoder.x", withoutWrappers("module._orig_mod.encoder.x"))
	assert.Equal(t, "encoder.module.x", withoutWrappers("encoder.module.x"))
	assert.True(t, isAlias("decoder.encoder.stages.0.0.convs.0.conv.weight"))
	assert.True(t, isAlias("encoder.stages.0.0.convs.0.all_modules.1.weight"))
	assert.False(t, isAlias("decoder.stages.0.convs.0.conv.weight"))
	for _, p := range []string{"encoder.stages.0.0.convs.0.conv.weight", "decoder.stages.1.convs.0.norm.bias"} {
		for _, second := range alias(p) {
			assert.True(t, isAlias(second))
			assert.Equal(t, p, firstName(second))
			assert.Equal(t, p, firstName(strings.Replace("decoder."+second, "decoder.decoder.", "decoder.", 1)))
		}
	}
	assert.Equal(t, "encoder.stages.0.0.convs.0.norm.weight", firstName("encoder.stages.0.0.convs.0.all_modules.2.weight"), "behind a dropout")
}

// importOf writes weights as torch.save does and reads them as those of the tiny network.
func importOf(t *testing.T, change func(name string, a *pickle.Array)) error {
	t.Helper()
	m := tiny(t)
	c, err := m.Config()
	require.NoError(t, err)
	state := stateDict(m.Folds[0].Weights, Parameters(m.Plan, c))
	for i := range state {
		a := *state[i].Value.(*pickle.Array)
		a.Data = slices.Clone(a.Data)
		change(state[i].Key, &a)
		state[i].Value = &a
	}
	path := filepath.Join(t.TempDir(), "weights.pth")
	var b bytes.Buffer
	require.NoError(t, pickle.Write(&b, "weights", pickle.Mapping{{Key: "network_weights", Value: state}}))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o666))
	f, err := pickle.Open(path)
	require.NoError(t, err)
	defer f.Close()
	v, ok := f.Value.(*pickle.Dict).Get("network_weights")
	require.True(t, ok)
	_, err = importWeights(v.(*pickle.Dict), path, Parameters(m.Plan, c))
	return err
}

func TestAMisshapenSecondNameIsListed(t *testing.T) {
	require.NoError(t, importOf(t, func(string, *pickle.Array) {}))
	const second = "encoder.stages.0.0.convs.0.all_modules.0.bias"
	err := importOf(t, func(name string, a *pickle.Array) {
		if name == second {
			a.Shape, a.Data = []int{7, 3}, make([]float32, 21)
		}
	})
	var list *plan.InvalidError
	require.ErrorAs(t, err, &list)
	assert.Equal(t, []string{second + ": shape is [7 3], wanted [2]: it is encoder.stages.0.0.convs.0.conv.bias under a second name"}, list.Problems)
}

func TestWeightsThatAreNotFiniteAreNamed(t *testing.T) {
	m := tiny(t)
	require.NoError(t, m.CheckFinite())
	const a, b = "encoder.stages.0.0.convs.0.conv.weight", "encoder.stages.1.0.convs.0.norm.bias"
	m.Folds[1].Weights[a].Data[3] = float32(math.NaN())
	m.Folds[1].Weights[b].Data[0] = float32(math.Inf(-1))
	var list *plan.InvalidError
	require.ErrorAs(t, m.CheckFinite(), &list)
	require.Len(t, list.Problems, 2)
	assert.Contains(t, list.Problems[0], "fold 1: "+a+": 1 of ")
	assert.Contains(t, list.Problems[1], "fold 1: "+b+": 1 of ")
	folder := filepath.Join(t.TempDir(), "model")
	require.NoError(t, Save(folder, m))
	_, err := Import(folder, ImportOptions{})
	require.ErrorContains(t, err, a)
}

// The real models of the reference data: they load, fit their plans, and
// survive the way through a model file with the same bits.
func TestTrainedModelsOfNNUNetAreImported(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("needs GOUNET_DATA, the folder of the reference data")
	}
	for name, parameters := range map[string]int{"2d": 121553, "3d_fullres": 351329} {
		t.Run(name, func(t *testing.T) {
			m, err := Open(filepath.Join(data, "golden/nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__"+name))
			require.NoError(t, err)
			assert.Equal(t, name, m.Configuration)
			count := 0
			for key, w := range m.Folds[0].Weights {
				count += len(w.Data)
				for _, x := range w.Data {
					require.False(t, math.IsNaN(float64(x)) || math.Abs(float64(x)) > 100, key)
				}
			}
			assert.Equal(t, parameters, count)
			t.Logf("trainer %s, epoch %d, mirror %v", m.Trainer, m.Folds[0].Epoch, m.Mirror)
			path := filepath.Join(t.TempDir(), "m.gounet")
			require.NoError(t, Save(path, m))
			again, err := Open(path)
			require.NoError(t, err)
			assert.Equal(t, m, again)
		})
	}
}
