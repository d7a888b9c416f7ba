package plan

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a reader accepts must be usable: valid, and the same after writing.

func FuzzParse(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, spleen(f, Options{}).Write(&b))
	f.Add(b.Bytes())
	f.Add([]byte(`{"version": 1, "configurations": [{"dim": 3, "network": {"features": [1, 2], "strides": [[0, 0, 0]]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		require.NoError(t, p.Write(&b))
		again, err := Parse(&b)
		require.NoError(t, err)
		var c bytes.Buffer
		require.NoError(t, again.Write(&c))
		require.NoError(t, p.Render(io.Discard))
		for i := range p.Configurations {
			p.Recipe.For(&p.Configurations[i])
			p.Recipe.DeepSupervision.Weights(p.Configurations[i].Network.Stages())
		}
	})
}

func FuzzParseDatasetJSON(f *testing.F) {
	f.Add(read(f, "testdata/spleen/dataset.json"))
	f.Add(read(f, "testdata/ms/dataset.json"))
	f.Add([]byte(`{"modality": {"0": "CT"}, "labels": {"0": "b", "1": "x"}, "training": [{"image": "./a.nii.gz", "label": "b"}], "test": ["c"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDatasetJSON(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		require.NoError(t, d.WriteNNUNet(&b))
	})
}

func FuzzReadNNUNet(f *testing.F) {
	f.Add(read(f, "testdata/spleen/nnunet.json"))
	f.Add(read(f, "testdata/spleen/resenc-l.json"))
	f.Add([]byte(`{"configurations": {"a": {"inherits_from": "b"}, "b": {"inherits_from": "a"}}}`))
	ds, err := LoadDatasetJSON("testdata/spleen/dataset.json")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ReadNNUNet(bytes.NewReader(data), ds)
		if err != nil {
			return
		}
		var b bytes.Buffer
		require.NoError(t, WriteNNUNet(&b, p))
		_, err = ReadNNUNet(&b, ds)
		require.NoError(t, err)
	})
}

func FuzzParseFingerprint(f *testing.F) {
	f.Add(read(f, "testdata/ms/dataset_fingerprint.json"))
	f.Add([]byte(`{"spacings": [[1, 1, 1]], "shapes_after_crop": [[9, 99, 999]], "median_relative_size_after_cropping": 1, "foreground_intensity_properties_per_channel": {"0": {}}}`))
	ds := &DatasetJSON{Labels: []Label{{"background", []int{0}}, {"a", []int{1}}}, Ignore: -1, NumTraining: 3}
	f.Fuzz(func(t *testing.T, data []byte) {
		fp, err := ParseFingerprint(bytes.NewReader(data))
		if err != nil {
			return
		}
		ds.Channels = make([]string, len(fp.Intensities))
		_, _ = Make(fp, ds, Options{}) // an error is fine, a panic or no end is not
	})
}
