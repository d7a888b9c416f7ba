package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hippocampus = "../../testdata/hippocampus"

func TestInfoOfAScanIsReadByPrograms(t *testing.T) {
	got := gounet(t, "info", filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz"), "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var scan scanInfo
	require.NoError(t, json.Unmarshal([]byte(got.out), &scan))
	assert.Equal(t, "scan", scan.Kind)
	assert.Equal(t, "NIfTI-1", scan.Format)
	assert.Equal(t, []int{34, 52, 35}, scan.Shape)
	assert.Equal(t, []number{1, 1, 1}, scan.SpacingMM)
	assert.Equal(t, [4]number{1, 0, 0, 1}, scan.Affine[0])
	assert.Equal(t, [4]number{0, 0, 0, 1}, scan.Affine[3])
	assert.Equal(t, "float32", scan.DType)
	assert.InDelta(t, 0, float64(scan.Min), 0)
	assert.Greater(t, scan.Max, scan.Mean)
}

func TestInfoSaysWhyAStudyIsNotRead(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(series(t), "13_HCropVolume", "1.dcm"))
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "a.dcm")
	require.NoError(t, os.WriteFile(file, whole[:len(whole)-1], 0o600))
	for _, path := range []string{dir, file} {
		got := gounet(t, "info", path)
		assert.Equal(t, exitError, got.code)
		assert.Contains(t, got.err, "it is truncated")
		assert.NotContains(t, got.err, "wanted a scan", "what it is, is known")
		assert.Equal(t, 1, strings.Count(got.err, "a.dcm"), got.err)
	}
}

func TestInfoGivesWhatChoosesASeries(t *testing.T) {
	study := filepath.Dir(series(t)) // three series of the number 0
	out := filepath.Join(t.TempDir(), "a.nii")
	got := gounet(t, "convert", study, out, "--series", "0")
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "give the UID, which gounet info lists")
	got = gounet(t, "info", study)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Regexp(t, `series +3,`, got.out)
	uids := regexp.MustCompile(`UID ([0-9.]+)`).FindAllStringSubmatch(got.out, -1)
	require.Len(t, uids, 3)
	for _, uid := range uids {
		got := gounet(t, "convert", study, out, "--series", uid[1])
		assert.Equal(t, exitOK, got.code, got.err)
	}
}

func TestInfoListsStructures(t *testing.T) {
	data := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(series(t)))), "seg_rtstruct")
	for file, want := range map[string]string{
		filepath.Join(data, "rt-utils", "mock_data", "rt.dcm"):                   "ROI-1 #a2885f",
		filepath.Join(data, "highdicom", "seg_image_ct_binary_overlap.dcm"):      "2 second segment",
		filepath.Join(data, "highdicom", "seg_image_ct_binary_single_frame.dcm"): "128 × 128 × 1 voxels",
		filepath.Join(data, "rt-utils", "mock_data", "invalid_reference_rt.dcm"): "DICOM structure set",
	} {
		got := gounet(t, "info", file)
		require.Equal(t, exitOK, got.code, got.err)
		assert.Contains(t, got.out, want)
		assert.True(t, json.Valid([]byte(gounet(t, "info", file, "--json").out)), file)
	}
}

func TestInfoOfWhatARunLeaves(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"settings.json": `{"version": "1", "device": "cpu", "epochs": 3, "output-format": ["nifti", "seg"]}`,
		"log.jsonl":     `{"epoch": 0, "train_loss": 0.5, "mean_pseudo_dice": null}` + "\n" + `{"epoch": 1, "train_loss": 0.25, "mean_pseudo_dice": 0.75}` + "\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	got := gounet(t, "info", filepath.Join(dir, "settings.json"))
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "nifti, seg")
	got = gounet(t, "info", filepath.Join(dir, "log.jsonl"))
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "epoch 1, loss 0.25")
	assert.Contains(t, got.out, "best    epoch 1, pseudo Dice 0.75")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "settings.json"), []byte(`{"a": 1}`), 0o600))
	got = gounet(t, "info", filepath.Join(dir, "settings.json"))
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "no settings of a run")
}

// TestInfoEqualsNibabel compares with what nibabel says of the reference files;
// where nibabel refuses a file, so must info.
func TestInfoEqualsNibabel(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	text, err := os.ReadFile(filepath.Join(data, "nifti", "expected_nibabel.json"))
	require.NoError(t, err)
	var expected map[string]struct {
		Shape  []int         `json:"shape"`
		DType  string        `json:"disk_dtype"`
		Affine [4][4]float64 `json:"affine"`
		Zooms  []float64     `json:"zooms"`
		Class  string        `json:"klass"`
		Min    *float64      `json:"min"`
		Max    *float64      `json:"max"`
		Mean   *float64      `json:"mean"`
		NaN    int64         `json:"nan"`
		Error  string        `json:"error"`
	}
	require.NoError(t, json.Unmarshal(text, &expected))
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			got := gounet(t, "info", filepath.Join(data, name), "--json")
			if want.Error != "" || !strings.HasPrefix(want.Class, "Nifti") || want.Min == nil {
				t.Log(got.code, strings.TrimSpace(got.err))
				return
			}
			require.Equal(t, exitOK, got.code, got.err)
			var scan scanInfo
			require.NoError(t, json.Unmarshal([]byte(got.out), &scan))
			assert.Equal(t, want.Shape, scan.Shape)
			assert.Equal(t, plainType(want.DType), scan.DType)
			for i := range scan.SpacingMM {
				assert.InEpsilon(t, want.Zooms[i], float64(scan.SpacingMM[i]), 1e-6)
			}
			for i, row := range want.Affine {
				for j, v := range row {
					assert.InDelta(t, v, float64(scan.Affine[i][j]), 1e-4)
				}
			}
			assert.InDelta(t, *want.Min, float64(scan.Min), 1e-9)
			assert.InDelta(t, *want.Max, float64(scan.Max), 1e-9)
			assert.InEpsilon(t, 1+*want.Mean, 1+float64(scan.Mean), 1e-6)
			assert.Equal(t, want.NaN, scan.NaN)
		})
	}
}

// plainType is numpy's name of a type without its byte order.
func plainType(numpy string) string {
	plain := strings.NewReplacer(">", "", "f", "float", "i", "int", "u", "uint", "8", "64", "4", "32", "2", "16", "1", "8")
	if strings.HasPrefix(numpy, ">") {
		return plain.Replace(numpy)
	}
	return numpy
}

// lacking is a copy of the hippocampus series without one slice in its middle.
func lacking(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(series(t), "13_HCropVolume"))))
	require.NoError(t, os.Remove(filepath.Join(dir, "7.dcm")))
	return dir
}

func TestMissingSlicesAreAWarning(t *testing.T) {
	dir := lacking(t)
	const want = "Slices are missing from the series, 1 of 32: 1 between "
	got := gounet(t, "info", dir)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "warning: "+want)
	got = gounet(t, "info", dir, "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var study studyInfo
	require.NoError(t, json.Unmarshal([]byte(got.out), &study))
	require.Len(t, study.Series, 1)
	assert.Empty(t, study.Series[0].Problem)
	assert.Contains(t, study.Series[0].Warning, want)
	got = gounet(t, "convert", "--quiet", dir, filepath.Join(t.TempDir(), "a.nii.gz"))
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "warning   "+want)
}
