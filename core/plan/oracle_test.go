package plan

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dataFolder is the folder with reference data, or skips the test.
func dataFolder(t testing.TB) string {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: no reference data")
	}
	return dir
}

// storedPlan is a plans.json that nnU-Net made, with what it made it of.
type storedPlan struct {
	path        string
	dataset     string
	fingerprint string // "" where none is stored
	options     Options
}

// storedPlans lists the plans of testdata and, where there is one, of the folder
// with reference data.
func storedPlans(t testing.TB) []storedPlan {
	var list []storedPlan
	for _, path := range glob(t, "testdata", "*/[nr]*.json") {
		dir, base := filepath.Split(path)
		o := Options{Planner: strings.TrimSuffix(base, ".json")}
		if filepath.Base(dir) == "spleen" {
			o.Name = "nnUNetPlans"
		}
		list = append(list, storedPlan{path, filepath.Join(dir, "dataset.json"), filepath.Join(dir, "dataset_fingerprint.json"), o})
	}
	root := os.Getenv("GOUNET_DATA")
	if root == "" {
		return list
	}
	for _, path := range glob(t, root, "planner_oracle/*/*/plans.json") {
		dir := filepath.Dir(filepath.Dir(path))
		planner := map[string]string{"ConvolutionalEncoder": PlannerNNUNet, "ResidualEncoderM": PlannerResEncM, "ResidualEncoderL": PlannerResEncL}[filepath.Base(filepath.Dir(path))]
		list = append(list, storedPlan{path, filepath.Join(dir, "dataset.json"), filepath.Join(dir, "dataset_fingerprint.json"), Options{Planner: planner, Name: "nnUNetPlans"}})
	}
	for _, path := range glob(t, root, "golden/preprocessing/*/*lans*.json") {
		dir := filepath.Dir(path)
		list = append(list, storedPlan{path, filepath.Join(dir, "dataset.json"), filepath.Join(dir, "dataset_fingerprint.json"), goldenOptions(path)})
	}
	for _, path := range glob(t, root, "golden/nnunetv2_results/*/*/plans.json") {
		list = append(list, storedPlan{path: path, dataset: filepath.Join(filepath.Dir(path), "dataset.json")})
	}
	return list
}

// goldenOptions are those with which a plan in golden/preprocessing was made.
func goldenOptions(path string) Options {
	base := filepath.Base(path)
	switch {
	case strings.Contains(base, "ResEncUNetM"):
		return Options{Planner: PlannerResEncM}
	case strings.Contains(base, "ResEncUNetL"):
		return Options{Planner: PlannerResEncL}
	case strings.Contains(base, "Spacing") && strings.Contains(path, "903"):
		return Options{Name: "nnUNetPlansSpacing", Spacing: &[3]float64{1.55, 1, 1.1}}
	case strings.Contains(base, "Spacing"):
		return Options{Name: "nnUNetPlansSpacing", Spacing: &[3]float64{1.25, 0.8, 1.1}}
	}
	return Options{}
}

func glob(t testing.TB, root, pattern string) []string {
	found, err := filepath.Glob(filepath.Join(root, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, found, pattern)
	return found
}

func (s storedPlan) name() string {
	parts := strings.Split(s.path, string(filepath.Separator))
	return strings.Join(parts[len(parts)-3:], "/")
}

// generic is a file as maps, so that only values are compared.
func generic(t testing.TB, data []byte) map[string]any {
	var v map[string]any
	require.NoError(t, json.Unmarshal(data, &v))
	return v
}

func TestPlansEqualThoseOfNNUNet(t *testing.T) {
	for _, s := range storedPlans(t) {
		if s.fingerprint == "" {
			continue
		}
		t.Run(s.name(), func(t *testing.T) {
			fp, err := LoadFingerprint(s.fingerprint)
			require.NoError(t, err)
			ds, err := LoadDatasetJSON(s.dataset)
			require.NoError(t, err)
			want, err := os.ReadFile(s.path)
			require.NoError(t, err)
			s.options.Dataset = generic(t, want)["dataset_name"].(string)
			p, err := Make(fp, ds, s.options)
			require.NoError(t, err)
			var b bytes.Buffer
			require.NoError(t, WriteNNUNet(&b, p))
			sameValues(t, "", generic(t, want), generic(t, b.Bytes()))
		})
	}
}

func TestNNUNetPlansReadAndWrittenKeepTheirValues(t *testing.T) {
	for _, s := range storedPlans(t) {
		t.Run(s.name(), func(t *testing.T) {
			ds, err := LoadDatasetJSON(s.dataset)
			require.NoError(t, err)
			data, err := os.ReadFile(s.path)
			require.NoError(t, err)
			p, err := ReadNNUNet(bytes.NewReader(data), ds)
			require.NoError(t, err)
			var b bytes.Buffer
			require.NoError(t, WriteNNUNet(&b, p))
			assert.Equal(t, generic(t, data), generic(t, b.Bytes()))
		})
	}
}

// sameValues compares what numpy computed and what we did: numbers to 12 digits
// (sums and powers may round otherwise), everything else exactly.
func sameValues(t *testing.T, at string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		require.True(t, ok, at)
		assert.ElementsMatch(t, keys(w), keys(g), at)
		for k := range w {
			sameValues(t, at+"/"+k, w[k], g[k])
		}
	case []any:
		g, ok := got.([]any)
		require.True(t, ok, at)
		require.Len(t, g, len(w), at)
		for i := range w {
			sameValues(t, at, w[i], g[i])
		}
	case float64:
		g, ok := got.(float64)
		require.True(t, ok, at)
		assert.InDelta(t, w, g, 1e-12*max(w, -w), at)
	default:
		assert.Equal(t, want, got, at)
	}
}

func keys(m map[string]any) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

func read(t testing.TB, path string) []byte {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}
