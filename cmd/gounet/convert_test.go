package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/core/volume"
)

// series is a folder with one DICOM series of 35 × 51 × 32 voxels.
func series(t *testing.T) string {
	t.Helper()
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	return filepath.Join(data, "dicom", "series_ref", "udacity", "Study1")
}

// labelsWhere labels the dark third of a scan 1 and the bright third 2.
func labelsWhere(values []float32, g volume.Grid) *volume.Labels {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	low, high := sorted[len(sorted)/3], sorted[2*len(sorted)/3]
	l := volume.NewLabels(g)
	for i, v := range values {
		switch {
		case v < low:
			l.Data[i] = 1
		case v > high:
			l.Data[i] = 2
		}
	}
	return l
}

func TestAScanStaysWhatItIsInEveryFormat(t *testing.T) {
	from := filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz")
	want, header, err := nifti.ReadImage(from)
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range []string{"deep/a.nrrd", "b.mha", "d.nii"} {
		to := filepath.Join(dir, name)
		got := gounet(t, "convert", from, to)
		require.Equal(t, exitOK, got.code, got.err)
		from = to // each from the one before
	}
	have, h, err := nifti.ReadImage(from)
	require.NoError(t, err)
	assert.Equal(t, want.Data, have.Data)
	assert.Equal(t, header.Affine, h.Affine)

	got := gounet(t, "info", filepath.Join(dir, "b.mha"), "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var info scanInfo
	require.NoError(t, json.Unmarshal([]byte(got.out), &info))
	assert.Equal(t, "MetaImage", info.Format)
	assert.Equal(t, []int{34, 52, 35}, info.Shape)
}

func TestLabelsComeBackFromDICOMObjects(t *testing.T) {
	study, dir := series(t), t.TempDir()
	scanFile, labels := filepath.Join(dir, "scan.nii.gz"), filepath.Join(dir, "labels.nii")
	require.Equal(t, exitOK, gounet(t, "convert", study, scanFile).code)
	im, header, err := nifti.ReadImage(scanFile)
	require.NoError(t, err)
	made := labelsWhere(im.Data, im.Grid)
	require.NoError(t, nifti.WriteLabels(labels, made, header))

	for _, ending := range []string{".seg.dcm", ".labelmap.dcm", ".rtstruct.dcm"} {
		object, back := filepath.Join(dir, "object"+ending), filepath.Join(dir, "back"+ending+".nii.gz")
		got := gounet(t, "convert", labels, object, "--reference", study)
		require.Equal(t, exitOK, got.code, got.err)
		got = gounet(t, "convert", object, back, "--reference", study)
		require.Equal(t, exitOK, got.code, got.err)
		l, err := scan.ReadLabels(back)
		require.NoError(t, err)
		assert.Equal(t, made.Data, l.Data, ending)
	}

	got := gounet(t, "convert", filepath.Join(dir, "object.rtstruct.dcm"), filepath.Join(dir, "x.nii"))
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "--reference", "a structure set has no grid of its own")
	got = gounet(t, "convert", labels, filepath.Join(dir, "x.seg.dcm"))
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "DICOM series", "there is nothing to refer to")
}

func TestAnonymisedObjectsHaveNoIdentifierOfTheScan(t *testing.T) {
	study, dir := series(t), t.TempDir()
	scanFile, labels, object := filepath.Join(dir, "scan.nii"), filepath.Join(dir, "labels.nii"), filepath.Join(dir, "a.seg.dcm")
	require.Equal(t, exitOK, gounet(t, "convert", study, scanFile).code)
	im, header, err := nifti.ReadImage(scanFile)
	require.NoError(t, err)
	require.NoError(t, nifti.WriteLabels(labels, labelsWhere(im.Data, im.Grid), header))
	got := gounet(t, "convert", labels, object, "--reference", study, "--anonymise")
	require.Equal(t, exitOK, got.code, got.err)
	text, err := os.ReadFile(object)
	require.NoError(t, err)

	c, err := dicom.Open(t.Context(), study)
	require.NoError(t, err)
	s := c.Series[0]
	for _, secret := range []string{s.UID, s.StudyUID, s.FrameOfReferenceUID, s.Volumes[0].Instances[0].SOPInstanceUID} {
		require.NotEmpty(t, secret)
		assert.NotContains(t, string(text), secret)
	}
	plain := filepath.Join(dir, "plain.seg.dcm")
	require.Equal(t, exitOK, gounet(t, "convert", labels, plain, "--reference", study).code)
	text, err = os.ReadFile(plain)
	require.NoError(t, err)
	assert.Contains(t, string(text), s.UID, "without --anonymise the scan is named")
}

func TestConvertSaysWhatGoesWhere(t *testing.T) {
	study, dir := series(t), t.TempDir()
	got := gounet(t, "convert", study, filepath.Join(dir, "a.mhd"))
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "OUT ends as label maps do, scans are written as .nii.gz, .nii, .nrrd, .tif, .tiff, .mha")
	labels := filepath.Join(hippocampus, "labelsTr", "hippocampus_003.nii.gz")
	got = gounet(t, "convert", labels, filepath.Join(dir, "a.seg.dcm"))
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "give the series that the labels were made of as --reference")
}

func TestPredictTakesDICOMAndWritesWhatIsAsked(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	study, dir := series(t), t.TempDir()
	run, out := filepath.Join(dir, "run"), filepath.Join(dir, "out")
	got := gounet(t, append([]string{"train", hippocampus, "3d_fullres", "--work", filepath.Join(dir, "work"), "--output", run, "--no-validation"}, short...)...)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, "predict", "--model", run, "--input", study, "--output", out, "--no-mirror",
		"--output-format", "nifti,seg,rtstruct,mesh,seg.nrrd", "--statistics", "--preview")
	require.Equal(t, exitOK, got.code, got.err)
	want, err := scan.ReadLabels(filepath.Join(out, "Study1.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, [3]int{32, 51, 35}, want.Shape)
	s, err := scan.Open(t.Context(), scan.Options{}, study)
	require.NoError(t, err)
	for _, ending := range []string{".seg.dcm", ".rtstruct.dcm", ".seg.nrrd"} {
		l, _, err := s.ReadLabelsOn(t.Context(), filepath.Join(out, "Study1"+ending))
		require.NoError(t, err)
		assert.Equal(t, want.Data, l.Data, ending)
	}
	for _, ending := range []string{".glb", ".preview.png", ".statistics.json", ".statistics.csv"} {
		assert.FileExists(t, filepath.Join(out, "Study1"+ending))
	}

	b, err := os.ReadFile(filepath.Join(out, train.SettingsFile))
	require.NoError(t, err)
	var used map[string]any
	require.NoError(t, json.Unmarshal(b, &used))
	for name, want := range map[string]any{
		"step": 0.5, "checkpoint": "final", "folds": []any{"0"}, "configuration": "3d_fullres", "mirror": []any{}, "tta": false,
	} {
		assert.Equal(t, want, used[name], "%s: the value that was used", name)
	}
	assert.Positive(t, used["memory-gb"])
	got = gounet(t, "predict", "--quiet", "--model", run, "--input", lacking(t), "--output", filepath.Join(dir, "lacking"), "--no-mirror")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "warning   short: Slices are missing from the series, 1 of 32")
	got = gounet(t, "predict", "--model", run, "--input", study, "--output", out, "--no-mirror", "--resume", "--checkpoint", "best")
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "checkpoint final instead of best:")

	interrupted := filepath.Join(dir, "interrupted")
	args := []string{"predict", "--model", run, "--input", filepath.Join(hippocampus, "imagesTr"), "--output", interrupted, "--no-mirror"}
	got = gounetUntil(t, filepath.Join(interrupted, "*.nii.gz"), args...)
	require.Equal(t, exitInterrupted, got.code, got.err)
	got = gounet(t, append(args, "--resume", "--step", "0.9")...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "step 0.5 instead of 0.9")
	got = gounet(t, append(args, "--resume", "--checkpoint", "best")...)
	assert.Equal(t, exitUsage, got.code, "its labels are this model's")
	assert.Contains(t, got.err, "checkpoint final instead of best:")

	got = gounet(t, "predict", "--model", run, "--input", study, "--output", out, "--output-format", "jpeg")
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "rtstruct")
	got = gounet(t, "predict", "--model", run, "--input", filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz"), "--output", out, "--output-format", "seg", "--no-mirror")
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "DICOM series")
}

func TestInfoListsTheSeriesOfAStudy(t *testing.T) {
	got := gounet(t, "info", series(t), "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var study studyInfo
	require.NoError(t, json.Unmarshal([]byte(got.out), &study))
	require.Len(t, study.Series, 1)
	assert.Equal(t, []int{35, 51, 32}, study.Series[0].Shape)
	assert.Equal(t, "MR", study.Series[0].Modality)
	assert.False(t, strings.Contains(got.out, "patient"))
}
