package metric

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/pickle"
)

// Postprocessing is what is done to predicted label maps, step by step: of the
// connected components of a step's labels, taken together, the largest stays.
type Postprocessing []Target

// Apply changes l in place. Where several components are the largest all of them
// stay. Source: nnU-Net v2's remove_all_but_largest_component_from_segmentation.
func (p Postprocessing) Apply(l *volume.Labels) {
	mask := make([]bool, len(l.Data)*min(len(p), 1))
	for _, t := range p {
		in := t.members()
		for i, v := range l.Data {
			mask[i] = in[v]
		}
		for i, keep := range volume.LargestComponent(mask, l.Shape, volume.Corners) {
			if mask[i] && !keep {
				l.Data[i] = 0
			}
		}
	}
}

// Decision is a Postprocessing with what it does to the scores.
type Decision struct {
	Postprocessing Postprocessing
	Before, After  *Summary
}

// Decide tries on scored predictions which steps raise the Dice: first the largest
// component of all foreground labels together, which no label may pay for, then for
// each label or region of o that of its own. A step that does not raise it is left
// out, and each begins with what the one before has left. No label is tried by itself
// where there is only one. Source: nnU-Net v2's determine_postprocessing.
func Decide(ctx context.Context, pairs []Pair, labels, foreground []int, o FolderOptions) (*Decision, error) {
	o.Surface = false
	score := func(p Postprocessing) (*Summary, error) {
		o.Postprocessing = p
		return EvaluatePairs(ctx, pairs, labels, o)
	}
	now, err := score(nil)
	if err != nil {
		return nil, err
	}
	d := &Decision{Before: now}
	all := Postprocessing{Target(foreground)}
	next, err := score(all)
	if err != nil {
		return nil, err
	}
	if better(now, next) {
		d.Postprocessing, now = all, next
	}
	for i, t := range now.Targets {
		if len(now.Targets) == 1 {
			break
		}
		try := append(d.Postprocessing[:len(d.Postprocessing):len(d.Postprocessing)], t)
		if next, err = score(try); err != nil {
			return nil, err
		}
		if next.Mean[i].Dice > now.Mean[i].Dice {
			d.Postprocessing, now = try, next
		}
	}
	d.After = now
	return d, nil
}

// better says whether the mean Dice is higher and that of no target lower.
func better(before, after *Summary) bool {
	if !(after.ForegroundMean.Dice > before.ForegroundMean.Dice) {
		return false
	}
	for i := range before.Mean {
		if after.Mean[i].Dice < before.Mean[i].Dice {
			return false
		}
	}
	return true
}

// keepLargest is nnU-Net's name of the only step there is.
const keepLargest = "remove_all_but_largest_component_from_segmentation"

// postprocessingFile is nnU-Net's postprocessing.json, without the scores.
type postprocessingFile struct {
	Functions []string         `json:"postprocessing_fns"`
	Arguments []postprocessing `json:"postprocessing_kwargs"`
}

type postprocessing struct {
	Labels json.RawMessage `json:"labels_or_regions"` // a label, or a list of labels and lists
}

// Write writes p in the form of nnU-Net's postprocessing.json to path.
func (p Postprocessing) Write(path string) error {
	f := postprocessingFile{Functions: []string{}, Arguments: []postprocessing{}}
	for _, t := range p {
		var labels any = []int(t)
		if len(t) == 1 {
			labels = t[0]
		}
		b, err := json.Marshal(labels)
		if err != nil {
			return fmt.Errorf("metric: %w", err)
		}
		f.Functions, f.Arguments = append(f.Functions, keepLargest), append(f.Arguments, postprocessing{b})
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("metric: %w", err)
	}
	err = atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("metric: %s: %w", path, err)
	}
	return nil
}

// WritePickle writes p to path as nnU-Net's postprocessing.pkl, which
// nnUNetv2_apply_postprocessing takes: a tuple of functions and one of their arguments.
func (p Postprocessing) WritePickle(path string) error {
	functions, arguments := []any{}, []any{}
	for _, t := range p {
		var labels any = t[0]
		if len(t) > 1 {
			region := []any{}
			for _, v := range t {
				region = append(region, v)
			}
			labels = region
		}
		functions = append(functions, pickle.Global{Module: "nnunetv2.postprocessing.remove_connected_components", Name: keepLargest})
		arguments = append(arguments, pickle.Mapping{{Key: "labels_or_regions", Value: labels}})
	}
	err := atomicfile.Write(path, func(w io.Writer) error { return pickle.WritePlain(w, []any{functions, arguments}) })
	if err != nil {
		return fmt.Errorf("metric: %s: %w", path, err)
	}
	return nil
}

// maxPostprocessing bounds the file that ReadPostprocessing reads, in bytes.
const maxPostprocessing = 16 << 20

// ReadPostprocessing reads a postprocessing.json, ours or nnU-Net's.
func ReadPostprocessing(path string) (Postprocessing, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, maxPostprocessing+1))
	if err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}
	if len(b) > maxPostprocessing {
		return nil, fmt.Errorf("metric: %s: more than %d MiB", path, maxPostprocessing>>20)
	}
	p, err := parsePostprocessing(b)
	if err != nil {
		return nil, fmt.Errorf("metric: %s: %w", path, err)
	}
	return p, nil
}

func parsePostprocessing(b []byte) (Postprocessing, error) {
	var f postprocessingFile
	if err := json.Unmarshal(strict(b), &f); err != nil {
		return nil, fmt.Errorf("%w: wanted nnU-Net's postprocessing.json", err)
	}
	if f.Functions == nil && f.Arguments == nil {
		return nil, errors.New("it has no postprocessing_fns: wanted nnU-Net's postprocessing.json, or the one of a cross-validation here")
	}
	if len(f.Functions) != len(f.Arguments) {
		return nil, fmt.Errorf("%d postprocessing_fns and %d postprocessing_kwargs, wanted as many", len(f.Functions), len(f.Arguments))
	}
	p := Postprocessing{}
	for i, name := range f.Functions {
		if name != keepLargest {
			return nil, fmt.Errorf("postprocessing function %.60q is unknown, there is %s", name, keepLargest)
		}
		t, err := flatLabels(f.Arguments[i].Labels, 2)
		if err != nil {
			return nil, err
		}
		p = append(p, t)
	}
	return p, nil
}

// flatLabels are the labels of a label, or of a list that is nested at most so deep.
func flatLabels(raw json.RawMessage, depth int) (Target, error) {
	var v int
	if json.Unmarshal(raw, &v) == nil && string(raw) != "null" {
		if v < 1 || v > volume.MaxLabel {
			return nil, fmt.Errorf("labels_or_regions has the label %d, wanted 1 to %d", v, volume.MaxLabel)
		}
		return Target{v}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 || depth == 0 {
		return nil, fmt.Errorf("labels_or_regions is %.60s, wanted a label or a list of them", raw)
	}
	var out Target
	for _, r := range list {
		t, err := flatLabels(r, depth-1)
		if err != nil {
			return nil, err
		}
		out = append(out, t...)
	}
	return out, nil
}
