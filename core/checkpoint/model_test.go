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
	"github.com/gounet/gounet/internal/safetensors"
)

const results = "testdata/results/Dataset001_Tiny"

// tiny is an imported model with the folds 0 and 1.
func tiny(t *testing.T) *Model {
	t.Helper()
	m, err := Open(filepath.Join(results, "nnUNetTrainer__nnUNetPlans__2d"))
	require.NoError(t, err)
	return m
}

// single is a model with one fold.
func single(t *testing.T) *Model {
	m := tiny(t)
	m.Folds = m.Folds[:1]
	return m
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o777))
	require.NoError(t, os.WriteFile(to, b, 0o666))
}

func TestWhatIsSavedIsLoaded(t *testing.T) {
	models := map[string]*Model{"one fold": single(t), "two folds": tiny(t)}
	for name, m := range models {
		for _, base := range []string{"folder", "file.gounet"} {
			t.Run(name+" "+base, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), base)
				require.NoError(t, Save(path, m))
				require.NoError(t, Save(path, m), "again over the old one")
				got, err := Open(path)
				require.NoError(t, err)
				assert.Equal(t, m, got)
			})
		}
	}
}

func TestSameModelGivesSameBytes(t *testing.T) {
	dir := t.TempDir()
	var files [2][]byte
	for i, name := range []string{"a.gounet", "b.gounet"} {
		require.NoError(t, Save(filepath.Join(dir, name), tiny(t)))
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		files[i] = b
	}
	assert.Equal(t, files[0], files[1])
}

func TestWeightsFileCarriesItsOrigin(t *testing.T) {
	dir := t.TempDir()
	m := single(t)
	require.NoError(t, Save(dir, m))
	planBytes, err := os.ReadFile(filepath.Join(dir, plan.FileName))
	require.NoError(t, err)
	f, err := safetensors.Open(filepath.Join(dir, WeightsFile))
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, map[string]string{
		"plan": hashOf(planBytes), "dataset": "Dataset001_Tiny", "configuration": "2d", "fold": "0", "epoch": "7",
		"trainer": "nnUNetTrainer", "weights": m.Folds[0].Weights.hash(),
	}, f.Metadata())
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		assert.Equal(t, safetensors.F32, info.DType)
	}
}

func TestSelectedFoldsAndBestWeights(t *testing.T) {
	dir := t.TempDir()
	m := tiny(t)
	require.NoError(t, Save(dir, m))
	got, err := OpenWith(dir, Options{Folds: []string{"1"}})
	require.NoError(t, err)
	assert.Equal(t, m.Folds[1:], got.Folds)
	_, err = OpenWith(dir, Options{Folds: []string{"1", "7"}})
	require.ErrorContains(t, err, "no model.safetensors")
	_, err = OpenWith(dir, Options{Checkpoint: Best})
	require.ErrorContains(t, err, "no best.safetensors")
	_, err = OpenWith(dir, Options{Checkpoint: "newest"})
	require.ErrorContains(t, err, "wanted final or best")

	run := t.TempDir()
	final, best := single(t), single(t)
	best.Folds[0] = tiny(t).Folds[1]
	require.NoError(t, SaveBest(run, best))
	require.NoError(t, Save(run, final))
	got, err = OpenWith(run, Options{Checkpoint: Best})
	require.NoError(t, err)
	assert.Equal(t, best.Folds, got.Folds)
	got, err = Open(run)
	require.NoError(t, err)
	assert.Equal(t, final.Folds, got.Folds)
}

func TestFolderOfRunsIsAModel(t *testing.T) {
	dir := t.TempDir()
	m := tiny(t)
	for _, f := range m.Folds {
		one := *m
		one.Folds = []Fold{f}
		require.NoError(t, Save(filepath.Join(dir, "fold_"+f.Name), &one))
	}
	got, err := Open(dir)
	require.NoError(t, err)
	assert.Equal(t, m, got)
}

func TestAnotherModelIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Save(dir, single(t)))
	before := snapshot(t, dir)

	other := single(t)
	other.Plan.Recipe.Optimizer.LearningRate = 1
	require.ErrorIs(t, Save(dir, other), ErrOtherModel)
	require.ErrorIs(t, Save(dir, tiny(t)), ErrOtherModel)
	three, err := Open(filepath.Join(results, "nnUNetTrainer__nnUNetPlans__3d_fullres"))
	require.NoError(t, err)
	require.ErrorIs(t, Save(dir, three), ErrOtherModel)
	assert.Equal(t, before, snapshot(t, dir))

	folds := t.TempDir()
	require.NoError(t, Save(folds, tiny(t)))
	require.ErrorIs(t, Save(folds, single(t)), ErrOtherModel)
}

// snapshot is the content of all files below dir.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	}))
	return files
}

// A plan file that only looks different, as another version of the program may
// write it, is left as it is, and so fits the weights beside it.
func TestPlanWrittenDifferentlyIsKept(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Save(dir, single(t)))
	path := filepath.Join(dir, plan.FileName)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	spaced := strings.ReplaceAll(string(b), "\n", "\n ")
	require.NoError(t, os.WriteFile(path, []byte(spaced), 0o666))

	_, err = Open(dir)
	require.ErrorContains(t, err, "do not belong together")
	require.NoError(t, Save(dir, single(t)))
	_, err = Open(dir)
	require.NoError(t, err)
	b, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, spaced, string(b))
}

func TestWrongWeightsAreNotSaved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	m := single(t)
	delete(m.Folds[0].Weights, "decoder.seg_layers.0.bias")
	require.ErrorContains(t, Save(dir, m), "decoder.seg_layers.0.bias: missing, wanted with shape [3]")
	m.Configuration = "3d_lowres"
	require.ErrorContains(t, Save(dir, m), `configuration "3d_lowres" is not one of the plan's: 2d`)
	m = tiny(t)
	m.Folds[1].Name = "0"
	require.ErrorContains(t, Save(dir, m), "comes twice")
	m.Folds = nil
	require.ErrorContains(t, Save(dir, m), "without weights")
	assert.NoDirExists(t, dir)
}

// A file that says the right shapes, but is of another network, damaged or not a
// model.
func TestBadModelFoldersAreErrorsThatSayWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Save(dir, single(t)))
	path := filepath.Join(dir, WeightsFile)
	good, err := os.ReadFile(path)
	require.NoError(t, err)

	bad := append([]byte(nil), good...)
	bad[len(bad)-3] ^= 1
	require.NoError(t, os.WriteFile(path, bad, 0o666))
	_, err = Open(dir)
	require.ErrorContains(t, err, path+": the weights are not those that were saved: the file is damaged")

	require.NoError(t, os.WriteFile(path, good[:len(good)-1], 0o666))
	_, err = Open(dir)
	require.ErrorContains(t, err, "cut off")

	f, err := safetensors.New(strings.NewReader(string(good)), int64(len(good)), "")
	require.NoError(t, err)
	require.NoError(t, safetensors.Save(path, f.Metadata(), []safetensors.Tensor{
		{Name: "decoder.seg_layers.0.bias", DType: safetensors.F32, Shape: []int{5}, Float32s: make([]float32, 5)},
		{Name: "something", DType: safetensors.F32, Shape: []int{1}, Float32s: make([]float32, 1)},
	}))
	_, err = Open(dir)
	var list *plan.InvalidError
	require.ErrorAs(t, err, &list)
	assert.Len(t, list.Problems, len(single(t).Folds[0].Weights)+1)
	assert.Contains(t, list.Problems, "decoder.seg_layers.0.bias: shape is [5], wanted [3]")
	assert.Contains(t, list.Problems, "something: shape [1], the plan's network has no such parameter")

	require.NoError(t, os.Remove(path))
	_, err = Open(dir)
	require.ErrorContains(t, err, "no model.safetensors")
	require.NoError(t, os.WriteFile(filepath.Join(dir, plan.FileName), []byte("{"), 0o666))
	require.NoError(t, os.WriteFile(path, good, 0o666))
	_, err = Open(dir)
	require.ErrorContains(t, err, "plan")
}

func TestWhatIsNotAModelIsAnErrorWithAHint(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open("model_test.go")
	require.ErrorContains(t, err, "model_test.go: not a model")
	_, err = Open(t.TempDir())
	require.ErrorContains(t, err, "neither plan.json")
	_, err = Open(results)
	require.ErrorContains(t, err, "name one of them:\n  "+filepath.FromSlash(results)+"/nnUNetTrainer__nnUNetPlans__2d\n")
}

// entry is a member of a zip that the tests make by hand.
type entry struct {
	name, data string
	method     uint16
}

func makeZip(t *testing.T, entries ...entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.gounet")
	f, err := os.Create(path)
	require.NoError(t, err)
	z := zip.NewWriter(f)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: e.method})
		require.NoError(t, err)
		_, err = io.WriteString(w, e.data)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
	return path
}

func TestBadArchivesAreErrors(t *testing.T) {
	cases := []struct {
		want    string
		entries []entry
	}{
		{"no model.safetensors", nil},
		{"no model.safetensors", []entry{{name: "plan.json"}}},
		{"plan.json: file does not exist", []entry{{name: WeightsFile}}},
		{"compressed", []entry{{name: WeightsFile, data: strings.Repeat("a", 999), method: zip.Deflate}}},
		{"comes twice", []entry{{name: WeightsFile}, {name: WeightsFile}}},
		{"not a plain relative path", []entry{{name: "../plan.json"}}},
		{"not a plain relative path", []entry{{name: "/etc/passwd"}}},
		{"not a plain relative path", []entry{{name: `a\..\b`}}},
		{"plan", []entry{{name: WeightsFile}, {name: "plan.json", data: "no JSON"}}},
	}
	for _, c := range cases {
		path := makeZip(t, c.entries...)
		_, err := Open(path)
		require.ErrorContains(t, err, c.want, "%v", c.entries)
		require.ErrorContains(t, err, path)
	}
	path := makeZip(t, entry{name: "fold_0/a", data: strings.Repeat("a", 999)}, entry{name: "fold_1/a", data: strings.Repeat("a", 999)})
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	directory := bytes.Index(b, []byte("PK\x01\x02"))
	one := append(append([]byte{}, b[:directory/2]...), b[directory:]...) // both entries on 999 bytes
	_, err = Read(bytes.NewReader(one), int64(len(one)), "x", Options{})
	require.ErrorContains(t, err, "overlap")
	require.NoError(t, os.WriteFile(path, []byte("no zip"), 0o666))
	_, err = Open(path)
	require.ErrorContains(t, err, "not a whole zip file")
}

// A .gounet file is read or refused, and reads no more than it holds.
func FuzzModelFilesAreReadOrErrs(f *testing.F) {
	m, err := Open(filepath.Join(results, "nnUNetTrainer__nnUNetPlans__2d", "fold_0"))
	require.NoError(f, err)
	path := filepath.Join(f.TempDir(), "x.gounet")
	require.NoError(f, Save(path, m))
	b, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(bytes.NewReader(b), int64(len(b)), "x.gounet", Options{})
		if err != nil {
			return
		}
		total := 0
		for _, fold := range m.Folds {
			for _, w := range fold.Weights {
				total += 2 * len(w.Data) // of 16 bits at least
			}
		}
		require.LessOrEqual(t, total, len(b))
	})
}
