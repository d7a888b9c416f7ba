package checkpoint

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

// cascade is the two stages of a cascade that nnU-Net made.
func cascade(t *testing.T) (second, first *Model) {
	t.Helper()
	dir := "../predict/testdata/cascade/T__P__"
	second, err := Open(dir + plan.ConfigCascade)
	require.NoError(t, err)
	require.Nil(t, second.Before, "results of nnU-Net are one stage a folder")
	beside, err := second.StageBeside(dir + plan.ConfigCascade + "/fold_0")
	require.NoError(t, err)
	assert.Equal(t, "T__P__"+plan.ConfigLowRes, filepath.Base(beside))
	first, err = Open(beside)
	require.NoError(t, err)
	return second, first
}

func TestACascadeIsOneFileWithBothStages(t *testing.T) {
	second, first := cascade(t)
	first.Folds = append(first.Folds, Fold{Name: "1", Epoch: 7, Weights: first.Folds[0].Weights})
	require.NoError(t, second.SetBefore(first))
	second.Trainer, first.Trainer = "", "" // of the results folder
	dir := t.TempDir()
	file, model := filepath.Join(dir, "a.gounet"), filepath.Join(dir, "model")
	for _, path := range []string{file, model, model} { // a folder is replaced by the same
		require.NoError(t, Save(path, second))
		again, err := Open(path)
		require.NoError(t, err)
		require.NotNil(t, again.Before)
		assert.Equal(t, second.Folds, again.Folds)
		assert.Equal(t, plan.ConfigLowRes, again.Before.Configuration)
		assert.Equal(t, first.Folds, again.Before.Folds)
		assert.Equal(t, first.Plan, again.Before.Plan)
	}
	best, err := OpenWith(model, Options{Folds: []string{"0"}})
	require.NoError(t, err)
	assert.Len(t, best.Before.Folds, 2, "folds are chosen of the last stage")

	var files []File // as a browser has a model folder
	require.NoError(t, filepath.Walk(model, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			name, err := filepath.Rel(dir, path)
			require.NoError(t, err)
			files = append(files, File{filepath.ToSlash(name), int64(len(b)), bytes.NewReader(b)})
		}
		return err
	}))
	given, err := ReadFiles(files, "model", Options{})
	require.NoError(t, err)
	assert.Equal(t, first.Folds, given.Before.Folds)

	half := filepath.Join(dir, "half.gounet")
	require.NoError(t, SaveHalf(half, second))
	small, err := Open(half)
	require.NoError(t, err)
	name := "encoder.stages.0.0.convs.0.conv.weight"
	assert.InDeltaSlice(t, first.Folds[0].Weights[name].Data, small.Before.Folds[0].Weights[name].Data, 1e-3)
	assert.NotEqual(t, first.Folds[0].Weights[name].Data, small.Before.Folds[0].Weights[name].Data)
}

func TestStagesThatDoNotBelongTogetherAreErrors(t *testing.T) {
	second, first := cascade(t)
	assert.ErrorContains(t, first.SetBefore(second), "3d_lowres, which is no second stage of a cascade")
	assert.ErrorContains(t, second.SetBefore(second), "is a model of 3d_cascade_fullres, wanted one of 3d_lowres")
	other := *first
	p := *first.Plan
	p.Labels = p.Labels[:len(p.Labels)-1]
	other.Plan = &p
	assert.ErrorContains(t, second.SetBefore(&other), "has the labels [[0] [1]], 3d_cascade_fullres itself [[0] [1] [2]]")
	p = *first.Plan
	p.Channels = append(p.Channels[:1:1], p.Channels[0])
	assert.ErrorContains(t, second.SetBefore(&other), "is of scans of 2 channels, 3d_cascade_fullres itself of 1")
	second.Before = &other
	path := filepath.Join(t.TempDir(), "a.gounet")
	assert.ErrorContains(t, Save(path, second), "is of scans of 2 channels")
	assert.NoFileExists(t, path)
}

// TestFilesOfACascadeAreDoubted puts a stage into a file that does not belong there, and
// more of them than there can be.
func TestFilesOfACascadeAreDoubted(t *testing.T) {
	second, first := cascade(t)
	require.NoError(t, second.SetBefore(first))
	path := filepath.Join(t.TempDir(), "a.gounet")
	require.NoError(t, Save(path, second))
	rewritten := func(change func(name string, content []byte) map[string][]byte) string {
		z, err := zip.OpenReader(path)
		require.NoError(t, err)
		defer func() { assert.NoError(t, z.Close()) }()
		to := filepath.Join(t.TempDir(), "b.gounet")
		f, err := os.Create(to)
		require.NoError(t, err)
		w := zip.NewWriter(f)
		for _, e := range z.File {
			r, err := e.Open()
			require.NoError(t, err)
			content, err := io.ReadAll(r)
			require.NoError(t, err)
			for name, b := range change(e.Name, content) {
				entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
				require.NoError(t, err)
				_, err = entry.Write(b)
				require.NoError(t, err)
			}
		}
		require.NoError(t, w.Close())
		require.NoError(t, f.Close())
		return to
	}
	_, err := Open(rewritten(func(name string, b []byte) map[string][]byte {
		if strings.HasPrefix(name, stageFolder+"/") { // the second stage in the place of the first
			return nil
		}
		return map[string][]byte{name: b, stageFolder + "/" + name: b}
	}))
	assert.ErrorContains(t, err, "is a model of 3d_cascade_fullres, wanted one of 3d_lowres")
	_, err = Open(rewritten(func(name string, b []byte) map[string][]byte {
		if strings.HasPrefix(name, stageFolder+"/") {
			return nil
		}
		out := map[string][]byte{}
		for i := range 100 { // a cascade in a cascade …
			out[strings.Repeat(stageFolder+"/", i)+name] = b
		}
		return out
	}))
	assert.ErrorContains(t, err, "a cascade of more than 8 stages")
	_, err = Open(rewritten(func(name string, b []byte) map[string][]byte {
		if name == stageFolder+"/"+WeightsFile {
			b = b[:len(b)-8]
		}
		return map[string][]byte{name: b}
	}))
	assert.Error(t, err, "a first stage that is cut off")
	lone, err := Open(rewritten(func(name string, b []byte) map[string][]byte {
		if strings.HasPrefix(name, stageFolder+"/") {
			return nil
		}
		return map[string][]byte{name: b}
	}))
	require.NoError(t, err)
	assert.Nil(t, lone.Before)
}

// TestAZipThatWouldFillTheDiskIsRefused unpacks nothing of it.
func TestAZipThatWouldFillTheDiskIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bomb.zip")
	f, err := os.Create(path)
	require.NoError(t, err)
	w := zip.NewWriter(f)
	for name, n := range map[string]int{"plans.json": 10, "dataset.json": 10, "fold_0/checkpoint_final.pth": 64 << 20} {
		entry, err := w.Create("D/T__P__3d_fullres/" + name)
		require.NoError(t, err)
		_, err = entry.Write(make([]byte, n))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	t.Setenv("TMPDIR", t.TempDir())
	_, err = Import(path, ImportOptions{})
	assert.ErrorContains(t, err, "fold_0/checkpoint_final.pth: ")
	assert.ErrorContains(t, err, "become 67108864, at most ")
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// TestAZipOfNNUNetGivesBothStages imports what nnUNetv2_export_model_to_zip makes of two
// configurations.
func TestAZipOfNNUNetGivesBothStages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "export.zip")
	f, err := os.Create(path)
	require.NoError(t, err)
	w := zip.NewWriter(f)
	dir := "../predict/testdata/cascade"
	for _, c := range []string{plan.ConfigCascade, plan.ConfigLowRes} {
		for _, name := range []string{"plans.json", "dataset.json", "fold_0/checkpoint_final.pth"} {
			b, err := os.ReadFile(filepath.Join(dir, "T__P__"+c, name))
			require.NoError(t, err)
			entry, err := w.Create("Dataset003_Cascade/T__P__" + c + "/" + name)
			require.NoError(t, err)
			_, err = entry.Write(b)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	m, err := Import(path, ImportOptions{Model: plan.ConfigCascade})
	require.NoError(t, err)
	second, first := cascade(t)
	assert.Equal(t, second.Folds, m.Folds)
	require.NotNil(t, m.Before)
	assert.Equal(t, first.Folds, m.Before.Folds)
}
