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
