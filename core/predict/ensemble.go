package predict

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
)

// EnsembleOptions say what Combine writes.
type EnsembleOptions struct {
	Format         scan.Format    // of the labels, in the folders and in the output: LabelFormat of a plan
	Segments       []scan.Segment // names and colours of the labels
	RegionOrder    []int          // of a plan with regions
	Postprocessing metric.Postprocessing
	Probabilities  bool            // CASE.npz beside the labels
	Progress       func(n, of int) // cases that are done; may be nil
}

// Source is where one model left what it says of a case: CASE with the ending of the
// labels and, unless it is the only one, CASE.npz.
type Source func(id string) (folder string)

// In is the Source of a folder with all cases.
func In(folder string) Source { return func(string) string { return folder } }

// CasesIn lists the cases of which a folder has probabilities.
func CasesIn(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.npz"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("predict: %s: has no .npz files: predict with --save-probabilities", folder)
	}
	var ids []string
	for _, f := range files {
		ids = append(ids, strings.TrimSuffix(filepath.Base(f), ".npz"))
	}
	slices.Sort(ids)
	return ids, nil
}

// Combine averages the probabilities of several models, decides, post-processes, and
// writes the labels of each case to outDir, in the place that the first one's labels
// have. Of one model it takes the labels as they are.
func Combine(ctx context.Context, from []Source, ids []string, outDir string, o EnsembleOptions) error {
	if err := os.MkdirAll(outDir, 0o777); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	for i, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := combine(ctx, from, id, outDir, o); err != nil {
			return fmt.Errorf("predict: %s: %w", id, err)
		}
		if o.Progress != nil {
			o.Progress(i+1, len(ids))
		}
	}
	return nil
}

func combine(ctx context.Context, from []Source, id, outDir string, o EnsembleOptions) (err error) {
	name := id + o.Format.Endings[0]
	first := filepath.Join(from[0](id), name)
	s, err := scan.Open(ctx, scan.Options{Alone: true}, first)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var labels *volume.Labels
	if len(from) == 1 {
		labels, err = scan.ReadLabels(first)
	} else {
		var p *Probabilities
		if p, err = average(from, id, s.Grid.Shape); err == nil {
			labels = p.Labels(s.Grid, o.RegionOrder)
		}
		if err == nil && o.Probabilities {
			err = WriteProbabilities(filepath.Join(outDir, id+".npz"), p)
		}
	}
	if err != nil {
		return err
	}
	o.Postprocessing.Apply(labels)
	return o.Format.Write(filepath.Join(outDir, name), s, labels, o.Segments)
}

// average is the mean of the models, of which two are in memory at a time.
func average(from []Source, id string, shape [3]int) (*Probabilities, error) {
	var mean *Probabilities
	for _, folder := range from {
		p, err := ReadProbabilities(filepath.Join(folder(id), id+".npz"), shape)
		if err != nil {
			return nil, err
		}
		if mean == nil {
			mean = &Probabilities{Shape: p.Shape, K: p.K, Data: make([]float32, len(p.Data))}
		}
		if err := mean.add(p, 1/float32(len(from))); err != nil {
			return nil, err
		}
	}
	return mean, nil
}

// EnsembleOptionsOf are those for labels of p's data set.
func EnsembleOptionsOf(p *plan.Plan) EnsembleOptions {
	o := EnsembleOptions{Format: LabelFormat(p)}
	if p.HasRegions() {
		o.RegionOrder = p.RegionOrder
	}
	return o
}

// Distance is the difference to q that one voxel of a thousand exceeds, in its worst
// class.
func (p *Probabilities) Distance(q *Probabilities) (float64, error) {
	if p.Shape != q.Shape || p.K != q.K {
		return 0, fmt.Errorf("predict: probabilities of shapes %v and %v (D H W) with %d and %d classes, wanted those of one scan", p.Shape, q.Shape, p.K, q.K)
	}
	worst := make([]float32, len(p.Data)/p.K)
	for i, x := range p.Data {
		d := x - q.Data[i]
		worst[i/p.K] = max(worst[i/p.K], d, -d)
	}
	slices.Sort(worst)
	return float64(worst[len(worst)-1-len(worst)/1000]), nil
}
