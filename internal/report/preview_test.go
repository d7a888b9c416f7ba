package report

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

func TestPreview(t *testing.T) {
	data := "/work/shared/data"
	run := filepath.Join(data, "golden/nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__3d_fullres")
	s, err := metric.Evaluate(context.Background(), data+"/msd_task04_hippocampus/labelsTr", run+"/fold_0/validation", []int{1, 2}, metric.FolderOptions{Options: metric.Options{Surface: true, Tolerance: 1}, Subset: true})
	require.NoError(t, err)
	d, err := plan.LoadDatasetJSON(run + "/dataset.json")
	require.NoError(t, err)
	b, err := os.Open(run + "/plans.json")
	require.NoError(t, err)
	p, err := plan.ReadNNUNet(b, d)
	require.NoError(t, err)
	r := &Report{Title: "Hippocampus", Plan: p, Configuration: "3d_fullres", Summary: s, Facts: []Fact{{"Device", "AMD EPYC 9R14, 2 threads, AVX-512"}, {"Precision", "f32"}, {"Seed", "1"}, {"Created", "2026-11-25 03:50"}}}
	text, err := os.ReadFile(run + "/fold_0/training_log_2026_11_23_17_33_53.txt")
	require.NoError(t, err)
	num := regexp.MustCompile(`-?[0-9]+\.[0-9]+`)
	var e train.Epoch
	for _, line := range strings.Split(string(text), "\n") {
		_, rest, _ := strings.Cut(line, ": ")
		n := num.FindAllString(rest, -1)
		f := func(i int) train.Number { v, _ := strconv.ParseFloat(n[i], 64); return train.Number(v) }
		switch {
		case strings.HasPrefix(rest, "train_loss"):
			e.TrainLoss = f(0)
		case strings.HasPrefix(rest, "val_loss"):
			e.ValLoss = f(0)
		case strings.HasPrefix(rest, "Pseudo dice"):
			e.Dice = []train.Number{f(0), f(1)}
			e.MeanDice = (f(0) + f(1)) / 2
		case strings.HasPrefix(rest, "Epoch time"):
			e.Seconds = float64(f(0))
			e.EMA = e.MeanDice
			e.ImagesPerSecond = 200 / e.Seconds
			if k := len(r.Epochs); k > 0 {
				e.EMA = 0.9*r.Epochs[k-1].EMA + 0.1*e.MeanDice
				e.Epoch = k
				e.Time = r.Epochs[k-1].Time
			}
			e.Time.Step += 0.78 * e.Seconds
			e.Time.Wait += 0.03 * e.Seconds
			e.Time.Validate += 0.17 * e.Seconds
			e.Time.Load += 0.1 * e.Seconds
			e.Time.Augment += 0.02 * e.Seconds
			r.Epochs = append(r.Epochs, e)
			e = train.Epoch{}
		}
	}
	best, median, worst := Choose(s)
	for _, c := range []struct {
		rank string
		i    int
	}{{Best, best}, {Median, median}, {Worst, worst}} {
		m := s.Cases[c.i]
		id := CaseID(m)
		im, _, err := nifti.ReadImage(data + "/msd_task04_hippocampus/imagesTr/" + id + ".nii.gz")
		require.NoError(t, err)
		ref, _, err := nifti.ReadLabels(m.ReferenceFile)
		require.NoError(t, err)
		pred, _, err := nifti.ReadLabels(m.PredictionFile)
		require.NoError(t, err)
		r.Cases = append(r.Cases, Case{Rank: c.rank, ID: id, Image: im, Reference: ref, Prediction: pred})
	}
	out, err := os.Create("/tmp/report.html")
	require.NoError(t, err)
	require.NoError(t, r.Write(out))
	require.NoError(t, out.Close())
}
