package plan

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBothFormsOfADatasetSayTheSame(t *testing.T) {
	msd := `{"name": "Toy", "relase": "1.0", "tensorImageSize": "4D", "modality": {"0": "FLAIR", "1": "T1"},
		"labels": {"2": "b", "0": "Background", "1": "a"}, "numTraining": 2,
		"training": [{"image": "./imagesTr/x_1.nii.gz", "label": "./labelsTr/x_1.nii.gz"},
		             {"image": "./imagesTr/._x_1.nii.gz", "label": "./labelsTr/._x_1.nii.gz"},
		             {"image": "imagesTr/x_2.nii.gz", "label": "labelsTr/x_2.nii.gz"}],
		"test": ["./imagesTs/x_3.nii.gz", {"image": "imagesTs/x_4.nii.gz"}]}`
	v2 := `{"name": "Toy", "release": "1.0", "channel_names": {"1": "T1", "0": "FLAIR"},
		"labels": {"a": 1, "b": 2, "background": 0}, "numTraining": 2, "file_ending": ".nii.gz"}`
	m, err := ParseDatasetJSON(strings.NewReader(msd))
	require.NoError(t, err)
	n, err := ParseDatasetJSON(strings.NewReader(v2))
	require.NoError(t, err)
	assert.Equal(t, FormMSD, m.Form)
	assert.Equal(t, FormNNUNet, n.Form)
	assert.Equal(t, 4, m.Dim)
	assert.Equal(t, []DatasetCase{
		{"x_1", []string{"imagesTr/x_1.nii.gz"}, "labelsTr/x_1.nii.gz"},
		{"x_2", []string{"imagesTr/x_2.nii.gz"}, "labelsTr/x_2.nii.gz"},
	}, m.Training)
	assert.Equal(t, []string{"imagesTs/x_3.nii.gz", "imagesTs/x_4.nii.gz"}, m.Test)
	m.Form, m.Dim, m.Training, m.Test = n.Form, 0, nil, nil
	assert.Equal(t, n, m)
}

func TestRegionsKeepTheOrderOfTheFile(t *testing.T) {
	d, err := ParseDatasetJSON(strings.NewReader(`{"channel_names": {"0": "T1"}, "numTraining": 1, "file_ending": ".nii.gz",
		"labels": {"whole": [1, 2, 3], "background": 0, "core": [3, 2], "enhancing": 3, "ignore": 4}, "regions_class_order": [1, 2, 3]}`))
	require.NoError(t, err)
	assert.Equal(t, []Label{{"background", []int{0}}, {"whole", []int{1, 2, 3}}, {"core", []int{2, 3}}, {"enhancing", []int{3}}}, d.Labels)
	assert.Equal(t, 4, d.Ignore)
	assert.True(t, d.HasRegions())
	assert.Equal(t, 5, d.entries())
}

func TestExplicitCasesAreListedByName(t *testing.T) {
	d, err := ParseDatasetJSON(strings.NewReader(`{"channel_names": {"0": "A", "1": "B"}, "labels": {"background": 0, "a": 1}, "file_ending": ".nrrd",
		"dataset": {"z": {"images": ["/data/z0.nrrd", "/data/z1.nrrd"], "label": "/data/z.nrrd"}, "y": {"images": ["y0", "y1"], "label": "y"}}}`))
	require.NoError(t, err)
	assert.Equal(t, []DatasetCase{{"y", []string{"y0", "y1"}, "y"}, {"z", []string{"/data/z0.nrrd", "/data/z1.nrrd"}, "/data/z.nrrd"}}, d.Training)
	assert.Equal(t, 2, d.NumTraining)
}

func TestDatasetErrorsNameTheProblem(t *testing.T) {
	base := func(labels string) string {
		return `{"channel_names": {"0": "T1"}, "numTraining": 1, "file_ending": ".nii.gz", "labels": ` + labels + `}`
	}
	for text, want := range map[string]string{
		`[]`: "line 1",
		`{}`: "channel_names (of MSD: modality) is missing",
		`{"channel_names": {"0": "a", "2": "b"}, "labels": {"background": 0, "a": 1}}`: `the key "2": wanted 0 to 1`,
		base(`[1, 2]`):                                     "where an object {…} is wanted",
		base(`{"a": 1, "b": 2}`):                           `the first is "a" with [1], wanted background`,
		base(`{"background": 0}`):                          "there are 1, wanted background and at least one more",
		base(`{"background": 0, "a": 1, "b": 3}`):          "the value 2 is missing between 0 and 3",
		base(`{"background": 0, "a": 1, "b": 300}`):        "the values 2 to 299 are missing between 0 and 300",
		base(`{"background": 0, "a": 1, "b": 1}`):          `"a" and "b" both have the value 1`,
		base(`{"background": 0, "a": 1.5}`):                `"a": 1.5 is neither a whole number nor a list`,
		base(`{"background": 0, "a": null}`):               `"a": null is neither`,
		base(`{"background": 0, "a": 1, "a": 2}`):          `the name "a" is empty or there twice`,
		base(`{"background": 0, "a": [1, 2], "b": 2}`):     "the order of regions has 0 values for 2 regions",
		base(`{"background": 0, "a": 1, "ignore": 5}`):     "ignore is 5, wanted 2",
		base(`{"background": 0, "a": 1, "ignore": [2,3]}`): "ignore is [2 3], wanted one value",
		base(`{"background": 0, "a": 300}`):                `"a" has the value 300, wanted 0 to 254`,
		`{"channel_names": {"0": "T1"}, "labels": {"background": 0, "a": 1}, "numTraining": 0, "file_ending": "nii"}`:                                            `file_ending is "nii", wanted a dot first`,
		`{"channel_names": {"0": "T1"}, "labels": {"background": 0, "a": 1}, "numTraining": 0}`:                                                                  "numTraining is 0",
		`{"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "a": 1}, "dataset": {"x": {"images": ["a"], "label": "b"}}, "file_ending": ".b"}`: `"x": 1 images and label "b", wanted an image for each of the 2 channels`,
		`{"modality": {"0": "T1"}, "labels": {"0": "background", "1": "a"}, "training": [{"image": "a"}]}`:                                                       `training[0]: image is "a" and label ""`,
		`{"modality": {"0": "T1"}, "labels": {"0": "background", "1": "a"}, "training": [{"image": "a.nii", "label": "l"}, {"image": "a.nii", "label": "l"}]}`:   "the case a is listed twice",
		`{"channel_names": {"0": "T1"}, "numTraining": "7"}`:                                                                                                     "line 1: numTraining is a JSON string, wanted a whole number",
		`{"channel_names": {"0": "T1"}, "training": [{"image": 7}]}`:                                                                                             "training.image is a JSON number, wanted a string",
	} {
		_, err := ParseDatasetJSON(strings.NewReader(text))
		assert.ErrorContains(t, err, want, text)
	}
}

func TestAGapOfLabelsIsOneProblemAndAMarkAtTheStartIsNone(t *testing.T) {
	text := `{"channel_names": {"0": "T1"}, "numTraining": 1, "file_ending": ".nii", "labels": {"background": 0, "a": 1, "b": %s}}`
	_, err := ParseDatasetJSON(strings.NewReader(strings.Replace(text, "%s", "250", 1)))
	require.Error(t, err)
	assert.Equal(t, 1, strings.Count(err.Error(), "missing"))
	_, err = ParseDatasetJSON(strings.NewReader("\ufeff" + strings.Replace(text, "%s", "2", 1)))
	assert.NoError(t, err)
}

func TestWrittenDatasetReadsEqual(t *testing.T) {
	for _, text := range []string{
		`{"name": "X", "licence": "CC0", "channel_names": {"0": "T1", "1": "CT"}, "labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}, "numTraining": 7, "file_ending": ".nrrd", "overwrite_image_reader_writer": "NibabelIO"}`,
		`{"channel_names": {"0": "T1"}, "labels": {"background": 0, "w": [1, 2], "c": [2]}, "regions_class_order": [1, 2], "numTraining": 7, "file_ending": ".nii.gz"}`,
	} {
		want, err := ParseDatasetJSON(strings.NewReader(text))
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, want.WriteNNUNet(&b))
		got, err := ParseDatasetJSON(&b)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestDatasetOfAPlanReadsTheSamePlan(t *testing.T) {
	for _, s := range storedPlans(t) {
		ds, err := LoadDatasetJSON(s.dataset)
		require.NoError(t, err)
		data := read(t, s.path)
		p, err := ReadNNUNet(bytes.NewReader(data), ds)
		require.NoError(t, err)
		again, err := ReadNNUNet(bytes.NewReader(data), p.DatasetJSON(5))
		require.NoError(t, err)
		assert.Equal(t, p, again)
	}
}
