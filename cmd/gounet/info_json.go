package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/metric"
)

// jsonKinds are the JSON files that are told apart by their keys, in this order.
var jsonKinds = []struct {
	keys []string
	read func(path string) (report, error)
}{
	{[]string{"metric_per_case"}, readScores},
	{[]string{"candidates", "best"}, readSelection},
	{[]string{"postprocessing_fns"}, readPostprocessing},
	{[]string{"shapes_after_crop"}, readFingerprint},
	{[]string{"version", "device"}, func(path string) (report, error) { return readSettings(path) }},
	{[]string{"configurations"}, readPlan},
}

// readJSON reads a JSON file of this program or of nnU-Net's: what it is stands in it.
func readJSON(path string) (report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	const wanted = "wanted plan.json, plans.json, dataset.json, dataset_fingerprint.json, summary.json, best.json, postprocessing.json, settings.json or splits_final.json"
	var folds []dataset.Fold
	if json.Unmarshal(text, &folds) == nil && len(folds) > 0 {
		return &splitsInfo{Kind: "splits", Path: path, Folds: folds}, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			return nil, fmt.Errorf("%s: no JSON at byte %d", path, syntax.Offset)
		}
		return nil, fmt.Errorf("%s: JSON that is no object: %s", path, wanted)
	}
	for _, kind := range jsonKinds {
		if !slices.ContainsFunc(kind.keys, func(key string) bool { return object[key] == nil }) {
			return kind.read(path)
		}
	}
	keys := slices.Sorted(maps.Keys(object))
	if len(keys) > 5 {
		keys = append(keys[:5], "…")
	}
	return nil, fmt.Errorf("%s: not a plan, nor another file that is known, its keys are %s: %s", path, strings.Join(keys, ", "), wanted)
}

// splitsInfo is what `gounet info splits_final.json --json` prints.
type splitsInfo struct {
	Kind  string         `json:"kind"` // splits
	Path  string         `json:"path"`
	Folds []dataset.Fold `json:"folds"`
}

func (s *splitsInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "splits\t%s\n", s.Path)
	for i, f := range s.Folds {
		fmt.Fprintf(t, "fold %d\t%d cases to train on, %d held out\n", i, len(f.Train), len(f.Val))
	}
	return t.Flush()
}

// scoresInfo is what `gounet info summary.json --json` prints.
type scoresInfo struct {
	Kind    string          `json:"kind"` // summary
	Path    string          `json:"path"`
	Summary json.RawMessage `json:"summary"` // as the file has it

	summary *metric.Summary
}

func readScores(path string) (report, error) {
	s, err := metric.ReadSummary(path)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := s.Encode(&text); err != nil {
		return nil, err
	}
	return &scoresInfo{Kind: "summary", Path: path, Summary: json.RawMessage(text.String()), summary: s}, nil
}

func (s *scoresInfo) print(w io.Writer) error {
	fmt.Fprintf(w, "scores  %s\n", s.Path)
	return printScores(w, s.summary, nil)
}

// selectionInfo is what `gounet info best.json --json` prints.
type selectionInfo struct {
	Kind      string    `json:"kind"` // selection
	Path      string    `json:"path"`
	Selection selection `json:"selection"`
}

func readSelection(path string) (report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &selectionInfo{Kind: "selection", Path: path}
	if err := json.Unmarshal(text, &s.Selection); err != nil {
		return nil, fmt.Errorf("%s: no selection of gounet run: %w", path, err)
	}
	return s, nil
}

func (s *selectionInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "selection\t%s\n", s.Path)
	fmt.Fprintf(t, "best\t%s, folds %s\n", strings.Join(s.Selection.Best, "+"), strings.Join(s.Selection.Folds, ", "))
	for _, c := range s.Selection.Candidates {
		fmt.Fprintf(t, "%s\tmean Dice %s over %s\n", c.name(), score(float64(c.Dice)), count(c.Cases, "case"))
	}
	fmt.Fprintf(t, "post-processed\tmean Dice %s\n", score(float64(s.Selection.Dice)))
	return t.Flush()
}

// postprocessingInfo is what `gounet info postprocessing.json --json` prints.
type postprocessingInfo struct {
	Kind  string                `json:"kind"` // postprocessing
	Path  string                `json:"path"`
	Steps metric.Postprocessing `json:"steps"` // labels of which, taken together, the largest component stays
}

func readPostprocessing(path string) (report, error) {
	steps, err := metric.ReadPostprocessing(path)
	if err != nil {
		return nil, err
	}
	return &postprocessingInfo{Kind: "postprocessing", Path: path, Steps: steps}, nil
}

func (p *postprocessingInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "post-processing\t%s\n", p.Path)
	for i, step := range p.Steps {
		fmt.Fprintf(t, "step %d\tof the labels %s together the largest component stays\n", i+1, join(step, ", "))
	}
	if len(p.Steps) == 0 {
		fmt.Fprintf(t, "steps\tnone: label maps stay as they are\n")
	}
	return t.Flush()
}
