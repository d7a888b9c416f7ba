package dataset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
)

// TestWhatIsSafeToMendIsMended plants a gap in the labels, noise in headers, a name
// without a channel and a label that lies elsewhere.
func TestWhatIsSafeToMendIsMended(t *testing.T) {
	r := twoChannels(t)
	file := filepath.Join(r.Dir, "dataset.json")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(b), `"tumour": 2`, `"tumour": 7`, 1)), 0o666))
	_, err = Open(r.Dir)
	require.ErrorContains(t, err, "missing between 0 and 7")
	for i, c := range r.Cases {
		l, _, err := nifti.ReadLabels(c.Label)
		require.NoError(t, err)
		l.Data[9] = 7
		l.Affine[0][3] += []float64{0.05, 0.5}[i] // of voxels of 1 mm and more: noise, and another place
		require.NoError(t, nifti.WriteLabels(c.Label, l, nil))
	}
	im, _, err := nifti.ReadImage(r.Cases[0].Images[1])
	require.NoError(t, err)
	im.Affine[1][3] -= 0.03
	require.NoError(t, nifti.WriteImage(r.Cases[0].Images[1], im, nil))

	out := filepath.Join(t.TempDir(), "mended")
	lines, err := Mend(t.Context(), r.Dir, out, nil)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{
		"dataset.json: the label values [0 1 7] become 0 to 2",
		filepath.Join("imagesTr", "a_0001.nii.gz") + ": header made equal to that of the first channel",
		filepath.Join("labelsTr", "a.nii.gz") + ": values made consecutive, header made equal to that of the image",
		filepath.Join("labelsTr", "b.nii.gz") + ": values made consecutive",
	}, lines)
	now, err := Open(out)
	require.NoError(t, err)
	l, _, err := nifti.ReadLabels(now.Cases[0].Label)
	require.NoError(t, err)
	assert.Equal(t, uint8(2), l.Data[9])
	_, err = now.Measure(t.Context(), nil)
	require.ErrorContains(t, err, "b: the label does not lie on the grid")
	assert.NotContains(t, err.Error(), "a: ")
	was, _, err := nifti.ReadLabels(r.Cases[0].Label)
	require.NoError(t, err)
	assert.Equal(t, uint8(7), was.Data[9], "the data set itself stays as it is")
}

// rewrite puts other text into a dataset.json.
func rewrite(t *testing.T, r *Raw, from, to string) {
	t.Helper()
	file := filepath.Join(r.Dir, "dataset.json")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(b), from)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(b), from, to, 1)), 0o666))
}

// setLabel makes all voxels of a label map that have the value from have the value to.
func setLabel(t *testing.T, path string, from, to uint8) {
	t.Helper()
	l, h, err := nifti.ReadLabels(path)
	require.NoError(t, err)
	for i, v := range l.Data {
		if v == from {
			l.Data[i] = to
		}
	}
	require.NoError(t, nifti.WriteLabels(path, l, h))
}

// A check goes on where dataset.json is wrong, and names what is wrong with the scans too.
func TestCheckListsGapsBesideEverythingElse(t *testing.T) {
	r := twoChannels(t)
	checked, err := Check(t.Context(), r.Dir, nil)
	require.NoError(t, err)
	assert.Len(t, checked.Cases, 2)

	rewrite(t, r, `"tumour": 2`, `"tumour": 7, "vein": 9, "far": 300`)
	setLabel(t, r.Cases[0].Label, 2, 7)
	require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "labelsTr", "stray.nii.gz"), nil, 0o666))
	_, err = Check(t.Context(), r.Dir, nil)
	var list *ProblemsError
	require.ErrorAs(t, err, &list)
	assert.Equal(t, []string{
		`dataset.json: labels: "far" has the value 300, wanted 0 to 254`,
		"dataset.json: labels: the values 2 to 6 are missing between 0 and 300: values must be consecutive",
		"dataset.json: labels: the value 8 is missing between 0 and 300: values must be consecutive",
		"dataset.json: labels: the values 10 to 299 are missing between 0 and 300: values must be consecutive",
		filepath.Join("labelsTr", "stray.nii.gz") + " belongs to no case: list it in dataset.json with its image and label, or remove it",
		"b: the label has value 2, which dataset.json does not name: it has 0 background, 1 liver, 7 tumour, 9 vein, 300 far (" + filepath.Join("labelsTr", "b.nii.gz") + ")",
		"label vein ([9]) is in no case: remove it from dataset.json",
		"label far ([300]) is in no case: remove it from dataset.json",
	}, list.Problems)
	_, err = Open(r.Dir)
	require.Error(t, err, "nothing is planned or trained with it")

	require.NoError(t, os.RemoveAll(filepath.Join(r.Dir, "imagesTr")))
	_, err = Check(t.Context(), r.Dir, nil)
	require.ErrorContains(t, err, "imagesTr")
	require.ErrorContains(t, err, "the value 8 is missing")
	for name, text := range map[string]string{
		"no labels":   `{"channel_names": {"0": "CT", "1": "PET"}, "labels": {}, "numTraining": 2, "file_ending": ".nii.gz"}`,
		"no channels": `{"labels": {"background": 0, "a": 1}, "numTraining": 2, "file_ending": ".nii.gz"}`,
		"no JSON":     `{`,
	} {
		r := twoChannels(t)
		require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "dataset.json"), []byte(text), 0o666))
		_, err := Check(t.Context(), r.Dir, nil)
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), "dataset.json", name)
		_, _ = Mend(t.Context(), r.Dir, filepath.Join(t.TempDir(), "mended"), nil)
	}
}

// Values move in all label maps, also where the image is broken and of test cases.
func TestEveryLabelMapGetsTheMendedValues(t *testing.T) {
	r := twoChannels(t)
	rewrite(t, r, `"tumour": 2`, `"tumour": 7`)
	test := filepath.Join(r.Dir, "labelsTs", "c.nii.gz")
	require.NoError(t, os.Mkdir(filepath.Dir(test), 0o777))
	for _, c := range r.Cases {
		setLabel(t, c.Label, 2, 7)
	}
	b, err := os.ReadFile(r.Cases[0].Label)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(test, b, 0o666))
	require.NoError(t, os.WriteFile(r.Cases[1].Images[0], []byte("broken"), 0o666))
	out := filepath.Join(t.TempDir(), "mended")
	lines, err := Mend(t.Context(), r.Dir, out, nil)
	require.NoError(t, err)
	assert.Len(t, lines, 4)
	for _, path := range []string{"labelsTr/a.nii.gz", "labelsTr/b.nii.gz", "labelsTs/c.nii.gz"} {
		l, _, err := nifti.ReadLabels(filepath.Join(out, path))
		require.NoError(t, err)
		assert.Equal(t, uint8(2), l.Data[9], path)
	}
	_, err = Check(t.Context(), out, nil)
	require.ErrorContains(t, err, "b: ")
	assert.NotContains(t, err.Error(), "missing between")
}

// A 2 that nobody knows must not become the label that gets the value 2.
func TestValuesStayWhereALabelMapHasOthers(t *testing.T) {
	for name, spoil := range map[string]func(r *Raw){
		"unknown value": func(r *Raw) { setLabel(t, r.Cases[0].Label, 2, 7) }, // the other case keeps its 2
		"broken map":    func(r *Raw) { require.NoError(t, os.WriteFile(r.Cases[1].Label, []byte("broken"), 0o666)) },
		"missing map":   func(r *Raw) { require.NoError(t, os.Remove(r.Cases[1].Label)) },
	} {
		r := twoChannels(t)
		rewrite(t, r, `"tumour": 2`, `"tumour": 7`)
		if name != "unknown value" {
			for _, c := range r.Cases {
				setLabel(t, c.Label, 2, 7)
			}
		}
		spoil(r)
		out := filepath.Join(t.TempDir(), "mended")
		lines, err := Mend(t.Context(), r.Dir, out, nil)
		require.NoError(t, err, name)
		assert.Empty(t, lines, name)
		_, err = Check(t.Context(), out, nil)
		require.ErrorContains(t, err, "the values 2 to 6 are missing between 0 and 7", name)
		require.ErrorContains(t, err, "b: ", name)
		l, _, err := nifti.ReadLabels(filepath.Join(out, "labelsTr", "a.nii.gz"))
		require.NoError(t, err)
		assert.Equal(t, uint8(7), l.Data[9], name)
	}
}

func TestNamesWithoutAChannelGetOne(t *testing.T) {
	r := twoChannels(t)
	for _, folder := range []string{"imagesTr", "imagesTs"} {
		files, err := filepath.Glob(filepath.Join(r.Dir, folder, "*"))
		require.NoError(t, err)
		for _, f := range files {
			to := strings.Replace(f, "_0000", "", 1)
			if strings.Contains(f, "_0001") {
				require.NoError(t, os.Remove(f))
				continue
			}
			require.NoError(t, os.Rename(f, to))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "dataset.json"), []byte(`{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "tumour": 2}, "numTraining": 2, "file_ending": ".nii.gz"}`), 0o666))
	out := filepath.Join(t.TempDir(), "mended")
	lines, err := Mend(t.Context(), r.Dir, out, nil)
	require.NoError(t, err)
	assert.Len(t, lines, 2)
	assert.FileExists(t, filepath.Join(out, "imagesTr", "a_0000.nii.gz"))
	now, err := Open(out)
	require.NoError(t, err)
	_, err = now.Measure(t.Context(), nil)
	require.NoError(t, err)
}
