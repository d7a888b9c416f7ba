package train

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/internal/atomicfile"
)

// PretrainedFile says of a run that began with the weights of another model what
// became of each of its parameters: a list of checkpoint.Layer.
const PretrainedFile = "pretrained.json"

// transfer puts the weights of the pretrained model into fresh ones, in the order and
// axes of the graph, and writes the report.
func (t *trainer) transfer(weights [][]float32) error {
	fresh := checkpoint.Weights{}
	for i, v := range t.step.Params {
		info := t.step.Graph.Info(v)
		x, err := checkpoint.FromGraph(info.Name, info.Type.Shape, weights[i], t.config.Dim)
		if err != nil {
			return err
		}
		fresh[info.Name] = x
	}
	merged, report, err := checkpoint.Transfer(t.Pretrained, t.Plan, t.config, fresh)
	if err != nil {
		return fmt.Errorf("pretrained: %w", err)
	}
	for i, v := range t.step.Params {
		name := t.step.Graph.Info(v).Name
		if weights[i], _, err = checkpoint.ToGraph(name, merged[name]); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(t.Dir, PretrainedFile), func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// ReadPretrained reads the report of a run.
func ReadPretrained(dir string) (report []checkpoint.Layer, err error) {
	b, err := os.ReadFile(filepath.Join(dir, PretrainedFile))
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if err := json.Unmarshal(b, &report); err != nil {
		return nil, fmt.Errorf("train: %s: %w", filepath.Join(dir, PretrainedFile), err)
	}
	return report, nil
}
