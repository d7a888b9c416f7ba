package dataset

import (
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/raster"
	"github.com/gounet/gounet/core/volume"
)

// twoChannels is a data set of nnU-Net v2 with two channels, two cases and a test case.
func twoChannels(t *testing.T) *Raw {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Dataset009_Two")
	g := volume.Grid{Shape: [3]int{3, 4, 5}, Spacing: [3]float64{3, 1, 2}, Affine: [4][4]float64{{2, 0, 0, 7}, {0, 1, 0, -3}, {0, 0, 3, 1}, {0, 0, 0, 1}}}
	for i, id := range []string{"a", "b", "c"} {
		folder := []string{"imagesTr", "imagesTr", "imagesTs"}[i]
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o777))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "labelsTr"), 0o777))
		for c := range 2 {
			im := volume.NewImage(g, 1)
			for v := range im.Data {
				im.Data[v] = float32(100*i + 10*c + v)
			}
			require.NoError(t, nifti.WriteImage(filepath.Join(dir, folder, fmt.Sprintf("%s_%04d.nii.gz", id, c)), im, nil))
		}
		if folder == "imagesTr" {
			l := volume.NewLabels(g)
			l.Data[i], l.Data[9] = 1, 2
			require.NoError(t, nifti.WriteLabels(filepath.Join(dir, "labelsTr", id+".nii.gz"), l, nil))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dataset.json"), []byte(`{"name": "Two", "licence": "mine", "channel_names": {"0": "CT", "1": "PET"},
		"labels": {"background": 0, "liver": 1, "tumour": 2}, "numTraining": 2, "file_ending": ".nii.gz"}`), 0o666))
	r, err := Open(dir)
	require.NoError(t, err)
	return r
}

// TestFormsTurnIntoEachOther goes once around all forms: voxels, places, names and
// the order of channels stay.
func TestFormsTurnIntoEachOther(t *testing.T) {
	first := twoChannels(t)
	now := first
	for i, form := range []string{MSD, NNUNetV1, NNUNetV2, NNUNetV1, MSD, NNUNetV2} {
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("Task00%d_%s", i, form))
		require.NoError(t, now.Convert(t.Context(), dir, form, nil), form)
		next, err := Open(dir)
		require.NoError(t, err, form)
		assert.Empty(t, next.problems, form)
		assert.Equal(t, first.JSON.Channels, next.JSON.Channels)
		assert.Equal(t, first.JSON.Labels, next.JSON.Labels)
		assert.Equal(t, "mine", next.JSON.Licence)
		require.Len(t, next.Cases, 2)
		require.Len(t, next.Test, 1)
		for k := range first.Cases {
			want, wantLabels, _, err := first.Cases[k].Read()
			require.NoError(t, err)
			got, labels, _, err := next.Cases[k].Read()
			require.NoError(t, err)
			assert.Equal(t, first.Cases[k].ID, next.Cases[k].ID)
			assert.Equal(t, want, got, form)
			assert.Equal(t, wantLabels, labels, form)
		}
		files := map[string]int{MSD: 1, NNUNetV1: 2, NNUNetV2: 2}[form]
		assert.Len(t, next.Test[0].Images, files, form)
		_, err = next.Measure(t.Context(), nil)
		require.NoError(t, err, form)
		now = next
	}
	assert.ErrorContains(t, now.Convert(t.Context(), first.Dir, MSD, nil), "is there already")
	now.JSON.Ignore = 3
	assert.ErrorContains(t, now.Convert(t.Context(), filepath.Join(t.TempDir(), "x"), MSD, nil), "only nnunetv2 has")
}

// Pictures are copied for the nnU-Net that has them, and are volumes for the others.
func TestColoursAreConverted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Dataset010_Colours")
	for _, folder := range []string{"imagesTr", "labelsTr"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o777))
	}
	m := image.NewRGBA(image.Rect(0, 0, 6, 5))
	for i := range m.Pix {
		m.Pix[i] = uint8(i)
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	f, err := os.Create(filepath.Join(dir, "imagesTr", "a_0000.png"))
	require.NoError(t, err)
	require.NoError(t, errors.Join(png.Encode(f, m), f.Close()))
	l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 5, 6}, Spacing: [3]float64{999, 1, 1}})
	l.Data[7] = 1
	require.NoError(t, raster.WriteLabels(filepath.Join(dir, "labelsTr", "a.png"), l))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dataset.json"), []byte(`{"channel_names": {"0": "R", "1": "G", "2": "B"},
		"labels": {"background": 0, "x": 1}, "numTraining": 1, "file_ending": ".png"}`), 0o666))
	r, err := Open(dir)
	require.NoError(t, err)
	want, wantLabels, _, err := r.Cases[0].Read()
	require.NoError(t, err)
	for form, file := range map[string]string{MSD: "a.nii.gz", NNUNetV1: "a_0002.nii.gz", NNUNetV2: "a_0000.png"} {
		to := filepath.Join(t.TempDir(), form)
		require.NoError(t, r.Convert(t.Context(), to, form, nil), form)
		assert.FileExists(t, filepath.Join(to, "imagesTr", file))
		next, err := Open(to)
		require.NoError(t, err, form)
		_, err = next.Measure(t.Context(), nil)
		require.NoError(t, err, form)
		got, labels, _, err := next.Cases[0].Read()
		require.NoError(t, err, form)
		assert.Equal(t, want.Data, got.Data, form)
		assert.Equal(t, wantLabels.Data, labels.Data, form)
	}
}

func TestFormatsThatAreNotReadAreNamed(t *testing.T) {
	for ending, want := range map[string]string{".bmp": "BMP is not read, convert images and labels to PNG", ".gipl": "GIPL is not read"} {
		r := twoChannels(t)
		require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "dataset.json"), []byte(`{"channel_names": {"0": "R", "1": "G"},
			"labels": {"background": 0, "x": 1}, "numTraining": 1, "file_ending": "`+ending+`"}`), 0o666))
		_, err := Open(r.Dir)
		assert.ErrorContains(t, err, "file_ending is "+ending+": "+want)
		_, err = Check(t.Context(), r.Dir, nil)
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "is missing")
	}
}

func TestHiddenCasesAreNamed(t *testing.T) {
	r := twoChannels(t)
	for _, name := range []string{"..dots_0000.nii.gz", "._a_0000.nii.gz"} {
		require.NoError(t, copyFile(r.Cases[0].Images[0], filepath.Join(r.Dir, "imagesTr", name)))
	}
	_, err := Check(t.Context(), r.Dir, nil)
	assert.ErrorContains(t, err, "..dots_0000.nii.gz is hidden and belongs to no case")
	assert.NotContains(t, err.Error(), "._a_0000", "what macOS leaves beside files is none of theirs")
}

func TestAConversionThatFailsLeavesNothing(t *testing.T) {
	r := twoChannels(t)
	require.NoError(t, os.WriteFile(r.Cases[1].Images[1], []byte("no scan"), 0o666))
	parent := t.TempDir()
	assert.ErrorContains(t, r.Convert(t.Context(), filepath.Join(parent, "x"), MSD, nil), "b")
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	assert.Empty(t, entries)
}
