package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/core/volume"
)

// oldRun makes a run folder without training: weights are zero, and the
// predictions of three cases are the references moved by one, two, three voxels.
func oldRun(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	saveUntrained(t, dir)

	log, err := os.Create(filepath.Join(dir, train.LogFile))
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, json.NewEncoder(log).Encode(train.Epoch{Epoch: i, TrainLoss: train.Number(-i), Dice: []train.Number{0.5, 0.6}, MeanDice: 0.55, Seconds: 1}))
	}
	require.NoError(t, log.Close())

	folder := filepath.Join(dir, validationFolder)
	require.NoError(t, os.MkdirAll(folder, 0o777))
	for i, name := range []string{"hippocampus_003.nii.gz", "hippocampus_011.nii.gz", "hippocampus_024.nii.gz"} {
		l, h, err := nifti.ReadLabels(filepath.Join(hippocampus, "labelsTr", name))
		require.NoError(t, err)
		moved := volume.NewLabels(l.Grid)
		copy(moved.Data[i+1:], l.Data)
		require.NoError(t, nifti.WriteLabels(filepath.Join(folder, name), moved, h))
	}
	s, err := metric.Evaluate(context.Background(), filepath.Join(hippocampus, "labelsTr"), folder, []int{1, 2}, metric.FolderOptions{Subset: true})
	require.NoError(t, err)
	require.NoError(t, s.Write(filepath.Join(folder, "summary.json")))
	return dir
}

// saveUntrained writes the checkpoint of a small network for the hippocampus scans.
func saveUntrained(t *testing.T, dir string) {
	t.Helper()
	d, err := plan.LoadDatasetJSON(filepath.Join(hippocampus, "dataset.json"))
	require.NoError(t, err)
	p := &plan.Plan{
		Version: plan.FormatVersion, Dataset: "hippocampus", Name: "nnUNetPlans", Planner: "nnunet",
		Channels: []plan.Channel{{Name: "MRI", Normalization: plan.NormZScore}}, Labels: d.Labels, Ignore: -1,
		Intensities: make([]plan.Intensity, 1), FileEnding: ".nii.gz",
		Transpose: [3]int{0, 1, 2}, TransposeBack: [3]int{0, 1, 2}, MedianSpacing: [3]float64{1, 1, 1}, MedianShape: [3]int{36, 50, 35},
		Configurations: []plan.Configuration{{
			Name: "3d_fullres", Dim: 3, Patch: [3]int{8, 8, 8}, Batch: 2, Spacing: [3]float64{1, 1, 1}, MedianShape: [3]float64{36, 50, 35},
			Normalization: []string{plan.NormZScore}, MaskNorm: []bool{false}, Resampling: plan.DefaultResampling(),
			Network: plan.Network{
				Kind: plan.Plain, Features: []int{2, 4}, Kernels: [][3]int{{3, 3, 3}, {3, 3, 3}}, Strides: [][3]int{{1, 1, 1}, {2, 2, 2}},
				Convs: []int{1, 1}, DecoderConvs: []int{1}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
			},
		}},
		Recipe: plan.NNUNet(3),
	}
	saveUntrainedPlan(t, dir, p)
}

// saveUntrainedPlan writes the checkpoint of the first network of p, with weights of 0.
func saveUntrainedPlan(t *testing.T, dir string, p *plan.Plan) {
	t.Helper()
	w := checkpoint.Weights{}
	for _, q := range checkpoint.Parameters(p, &p.Configurations[0]) {
		n := 1
		for _, k := range q.Shape {
			n *= k
		}
		w[q.Name] = checkpoint.Tensor{Shape: q.Shape, Data: make([]float32, n)}
	}
	m := &checkpoint.Model{Plan: p, Configuration: p.Configurations[0].Name, Folds: []checkpoint.Fold{{Name: "0", Epoch: 3, Weights: w}}}
	require.NoError(t, checkpoint.SaveRun(dir, m, &checkpoint.State{}))
}

func TestReportShowsBestMedianAndWorst(t *testing.T) {
	dir := oldRun(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, train.SettingsFile), []byte(`{"device-name": "the <device>", "seed": 7}`), 0o666))
	file := filepath.Join(t.TempDir(), "a.html")
	require.NoError(t, writeReport(context.Background(), dir, "", file))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, want := range []string{
		"<h1>Hippocampus</h1>", "Anterior", "HD95", "the &lt;device&gt;", "Loss over 3 epochs", "data:image/png;base64,",
		`Best</span> hippocampus_003`, `Median</span> hippocampus_011`, `Worst</span> hippocampus_024`,
	} {
		assert.Contains(t, string(b), want)
	}
}

func TestReportOfATrainingUnderWayHasOnlyCurves(t *testing.T) {
	dir := oldRun(t)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, validationFolder)))
	file := filepath.Join(dir, reportFile)
	require.NoError(t, writeReport(context.Background(), dir, "", file))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(b), "Loss over 3 epochs")
	assert.NotContains(t, string(b), "HD95")
}

func TestReportSaysWhatItMisses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.html")
	require.Error(t, writeReport(context.Background(), t.TempDir(), "", file), "no model")
	dir := oldRun(t)
	err := writeReport(context.Background(), dir, filepath.Join(t.TempDir(), "moved"), file)
	require.ErrorContains(t, err, "moved")
	require.ErrorContains(t, err, "--dataset")
	assert.NoFileExists(t, file)
}

func TestThousands(t *testing.T) {
	assert.Equal(t, []string{"7", "123", "1\u2009234", "31\u2009200\u2009000"}, []string{thousands(7), thousands(123), thousands(1234), thousands(31200000)})
}
