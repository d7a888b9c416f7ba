package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

func TestPlanOfADatasetIsKeptAndShown(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", hippocampus, "--work", work, "--quiet")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Empty(t, got.err)
	assert.Contains(t, got.out, "3d_fullres")
	assert.Contains(t, got.out, "memory, f32")

	p, err := plan.Load(filepath.Join(work, plan.FileName))
	require.NoError(t, err)
	c, err := configuration(p, "3d_fullres")
	require.NoError(t, err)
	assert.Equal(t, [3]int{40, 56, 40}, c.Patch)

	fp := filepath.Join(work, "dataset_fingerprint.json")
	again := gounet(t, "plan", "--fingerprint", fp, "--dataset-json", filepath.Join(hippocampus, "dataset.json"), "--json")
	require.Equal(t, exitOK, again.code, again.err)
	q, err := plan.Parse(strings.NewReader(again.out))
	require.NoError(t, err)
	assert.Equal(t, p.Configurations, q.Configurations, "the fingerprint is all that planning needs")

	for _, args := range [][]string{{"info", fp}, {"info", filepath.Join(work, plan.FileName)}, {"info", work}, {"info", hippocampus}} {
		assert.Equal(t, exitOK, gounet(t, args...).code, args)
		text := gounet(t, append(args, "--json")...)
		assert.True(t, json.Valid([]byte(text.out)), args)
	}
}

func TestAPlanThatWasEditedIsKept(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	file := filepath.Join(work, plan.FileName)
	for range 2 {
		got := gounet(t, "plan", hippocampus, "--work", work, "--quiet")
		require.Equal(t, exitOK, got.code, got.err)
		assert.Empty(t, got.err, "the same plan again")
	}
	made, err := os.ReadFile(file)
	require.NoError(t, err)
	edited := map[string]string{}
	for n, digit := range []string{"5", "7"} {
		text := strings.Replace(string(made), `"learning_rate": 0.01`, `"learning_rate": 0.0`+digit, 1)
		require.NotEqual(t, string(made), text)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o666))
		kept := filepath.Join(work, fmt.Sprintf("plan.%d.json", n+1))
		edited[kept] = text
		got := gounet(t, "plan", hippocampus, "--work", work, "--quiet", "--json")
		require.Equal(t, exitOK, got.code, got.err)
		assert.Contains(t, got.err, kept)
		assert.True(t, json.Valid([]byte(got.out)))
	}
	for kept, text := range edited {
		b, err := os.ReadFile(kept)
		require.NoError(t, err)
		assert.Equal(t, text, string(b))
	}
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, made, again)
}

func TestPlanWithoutAPlaceSaysSo(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	require.Equal(t, exitOK, gounet(t, "plan", hippocampus, "--work", work).code)
	got := gounet(t, "plan", "--fingerprint", filepath.Join(work, "dataset_fingerprint.json"), "--dataset-json", filepath.Join(hippocampus, "dataset.json"))
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "written nowhere: --output FILE or --work FOLDER keeps it")
}

func TestPlanListsAllThatIsWrongAtOnce(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", "../../testdata/bad_cases", "--work", work, "--quiet")
	assert.Equal(t, exitError, got.code)
	for _, name := range []string{
		"image_without_label", "label_without_image", "label_shape_differs", "label_affine_differs", "image_has_nan",
		"label_unknown_7", "image_truncated", "label_truncated", "image_spacing_zero",
	} {
		assert.Contains(t, got.err, name)
	}
	for _, text := range []string{
		"image_has_nan: 5 values are NaN or infinite, the first (NaN) in channel 0 at voxel D 0, H 0, W 0: replace them with numbers (imagesTr/image_has_nan.nii.gz)",
		"it has 0 background, 1 Anterior, 2 Posterior (labelsTr/label_unknown_7.nii.gz)",
		"instead of [1 0 0 1] (labelsTr/label_affine_differs.nii.gz)",
		"the spacing along x, y, z is 0: correct it",
	} {
		assert.Contains(t, got.err, filepath.FromSlash(text))
	}
	assert.NotContains(t, got.err, "good_")
	assert.NoDirExists(t, work, "nothing is written")

	folder := copied(t, "folder")
	label := filepath.Join(folder, "labelsTr", "hippocampus_003.nii.gz")
	require.NoError(t, os.Remove(label))
	require.NoError(t, os.Mkdir(label, 0o777))
	got = gounet(t, "plan", folder, "--work", work, "--quiet")
	assert.Contains(t, got.err, filepath.Join("labelsTr", "hippocampus_003.nii.gz")+" is a folder, wanted a label map")
}

func TestPlanFitsTheMemoryThatTrainingReallyNeeds(t *testing.T) {
	work := t.TempDir()
	require.Equal(t, exitOK, gounet(t, "plan", hippocampus, "--work", work).code)
	const gb = 0.125
	got := gounet(t, "plan", "--fingerprint", filepath.Join(work, "dataset_fingerprint.json"),
		"--dataset-json", filepath.Join(hippocampus, "dataset.json"), "--fit-memory", "--memory-gb", "0.125", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	p, err := plan.Parse(strings.NewReader(got.out))
	require.NoError(t, err)
	for i := range p.Configurations {
		n, err := trainingBytes(p, &p.Configurations[i], precisions["f32"])
		require.NoError(t, err)
		assert.LessOrEqual(t, n, int64(gb*(1<<30)), p.Configurations[i].Name)
	}
}

// TestPlansEqualThoseOfNNUNet compares with the plans of real runs.
func TestPlansEqualThoseOfNNUNet(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	runs, err := filepath.Glob(filepath.Join(data, "planner_oracle", "*", "*", "plans.json"))
	require.NoError(t, err)
	require.NotEmpty(t, runs)
	planners := map[string]string{"ConvolutionalEncoder": "nnunet", "ResidualEncoderM": "resenc-m", "ResidualEncoderL": "resenc-l"}
	type plans struct {
		Transpose      []int `json:"transpose_forward"`
		Configurations map[string]struct {
			Patch   []int     `json:"patch_size"`
			Batch   int       `json:"batch_size"`
			Spacing []float64 `json:"spacing"`
			Dice    bool      `json:"batch_dice"`
			Network any       `json:"architecture"`
		} `json:"configurations"`
	}
	read := func(path string) (p plans) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &p))
		return p
	}
	for _, run := range runs {
		dir := filepath.Dir(run)
		task := filepath.Dir(dir)
		t.Run(filepath.Base(task)+"/"+filepath.Base(dir), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "plans.json")
			got := gounet(t, "plan", "--fingerprint", filepath.Join(task, "dataset_fingerprint.json"),
				"--dataset-json", filepath.Join(task, "dataset.json"), "--planner", planners[filepath.Base(dir)], "--nnunet-plans", file)
			require.Equal(t, exitOK, got.code, got.err)
			assert.Equal(t, read(run), read(file))
		})
	}
}

func TestPlanExplainsWhatItNeeds(t *testing.T) {
	for name, args := range map[string][]string{
		"DATASET is missing":  {"plan"},
		"give one of them":    {"plan", hippocampus, "--fingerprint", "x"},
		"three numbers Z,Y,X": {"plan", hippocampus, "--spacing", "1,1"},
		`precision "half"`:    {"plan", hippocampus, "--precision", "half"},
		`"0" is no length`:    {"plan", hippocampus, "--spacing", "1,0,1"},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, name)
		assert.Contains(t, got.err, name)
	}
	got := gounet(t, "plan", t.TempDir())
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "no dataset.json")
}

func TestPreprocessPlansFirstAndKeepsWhatIsThere(t *testing.T) {
	work := t.TempDir()
	got := gounet(t, "preprocess", hippocampus, "3d_fullres", "--work", work)
	require.Equal(t, exitOK, got.code, got.err)
	files, err := filepath.Glob(filepath.Join(work, "preprocessed", "3d_fullres", "*.safetensors"))
	require.NoError(t, err)
	require.Len(t, files, 40)
	before, err := os.Stat(files[7])
	require.NoError(t, err)

	require.Equal(t, exitOK, gounet(t, "preprocess", hippocampus, "3d_fullres", "--work", work).code)
	after, err := os.Stat(files[7])
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime())

	got = gounet(t, "preprocess", hippocampus, "4d", "--work", work)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, `configuration "4d": the plan has 2d, 3d_fullres`)
}

func TestAPlanIsTakenFromAnotherDataSet(t *testing.T) {
	dir, _ := tinyDataset(t)
	other := smallWork(t)
	work := filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", dir, "--work", work, "--from", other)
	require.Equal(t, exitOK, got.code, got.err)
	from, err := plan.Load(filepath.Join(other, plan.FileName))
	require.NoError(t, err)
	p, err := plan.Load(filepath.Join(work, plan.FileName))
	require.NoError(t, err)
	assert.Equal(t, from.Configurations, p.Configurations)
	assert.Equal(t, from.Intensities, p.Intensities)
	assert.Equal(t, "Dataset777_Tiny", p.Dataset)
	assert.FileExists(t, filepath.Join(work, "dataset_fingerprint.json"), "the data set was checked")
	got = gounet(t, "preprocess", dir, "--work", work)
	assert.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, "plan", dir, "--work", work, "--from", filepath.Join(other, plan.FileName), "--spacing", "1,1,1")
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "--spacing and --from")
	got = gounet(t, "plan", dir, "--work", work, "--from", t.TempDir())
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "has neither plan.json nor")
}

// nnU-Net finds the folders of a data set by the dataset_name of its plans.
func TestPlansOfNNUNetNameTheFolderOfTheDataSet(t *testing.T) {
	dir := t.TempDir()
	folder, work := filepath.Join(dir, "Dataset003_Liver"), filepath.Join(dir, "work")
	require.NoError(t, os.Mkdir(folder, 0o777))
	text, err := os.ReadFile(filepath.Join(hippocampus, "dataset.json"))
	require.NoError(t, err)
	file := filepath.Join(folder, "dataset.json")
	require.NoError(t, os.WriteFile(file, text, 0o666))
	require.Equal(t, exitOK, gounet(t, "plan", hippocampus, "--work", work).code)
	fingerprint := filepath.Join(work, "dataset_fingerprint.json")
	for path, want := range map[string]string{file: "Dataset003_Liver", filepath.Join(hippocampus, "dataset.json"): "Hippocampus"} {
		plans := filepath.Join(dir, "new", "plans.json")
		got := gounet(t, "plan", "--fingerprint", fingerprint, "--dataset-json", path, "--nnunet-plans", plans)
		require.Equal(t, exitOK, got.code, got.err)
		text, err := os.ReadFile(plans)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"dataset_name": "`+want+`"`)
	}
}
