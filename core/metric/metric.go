// Package metric compares label maps: a reference and a prediction. It has
// nnU-Net's overlap scores and its summary.json, and the distances between
// surfaces that nnU-Net leaves out. It decides nothing about models.
//
// The one idea: a pair of maps is counted once, into a table of how often
// reference label r meets predicted label p. Every overlap score of every label
// and region is sums over that table; distances look only at the box around the
// structure in question.
package metric

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/volume"
)

// Target is what is scored as one structure: a label, or a region of several.
type Target []int

// Key is the name of t in summary.json: "1", or "(1, 2)" for a region.
func (t Target) Key() string {
	if len(t) == 1 {
		return strconv.Itoa(t[0])
	}
	s := make([]string, len(t))
	for i, l := range t {
		s[i] = strconv.Itoa(l)
	}
	return "(" + strings.Join(s, ", ") + ")"
}

// background says whether t is label 0, which no foreground mean contains.
func (t Target) background() bool { return len(t) == 1 && t[0] == 0 }

// Targets gives one target a label, in order.
func Targets(labels []int) []Target {
	t := make([]Target, len(labels))
	for i, l := range labels {
		t[i] = Target{l}
	}
	return t
}

// Scores are the numbers of one structure in one case, or their means over cases.
// NaN is a score that is not defined: all but counts and volumes where reference
// and prediction are both empty, distances where either is.
type Scores struct {
	Dice, IoU      float64
	TP, FP, FN, TN float64 // voxels
	NRef, NPred    float64 // voxels of the reference, of the prediction

	VolumeRef, VolumePred float64 // mL; NaN of pictures

	// Distances between the surfaces, in mm, and the share of both surfaces that
	// is nearer to the other than the tolerance: see Distances. NaN unless asked for.
	HD95, HD, ASSD, SurfaceDice float64
}

// Options say what is scored beside overlap.
type Options struct {
	// Ignore is nnU-Net's ignore label: where the reference has it, nothing
	// counts. 0, the background, is no ignore label and means that there is none.
	Ignore int
	// Surface asks for distances.
	Surface bool
	// Tolerance of the surface Dice, in mm; 0 counts only voxels that coincide.
	Tolerance float64
}

// Score compares pred with ref, which must have the same shape; spacing is that
// of ref. The scores are in the order of targets.
func Score(ref, pred *volume.Labels, targets []Target, o Options) ([]Scores, error) {
	if ref.Shape != pred.Shape {
		return nil, fmt.Errorf("metric: reference has shape %v (D H W), prediction %v: both must be on one grid", ref.Shape, pred.Shape)
	}
	if err := checkTargets(targets, o); err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}
	t := count(ref.Data, pred.Data)
	var boxes []volume.Box
	if o.Surface {
		boxes = labelBoxes(ref, pred)
	}
	scores := make([]Scores, len(targets))
	for i, target := range targets {
		s := t.scores(target, o.Ignore)
		ml := ref.Spacing[0] * ref.Spacing[1] * ref.Spacing[2] / 1000 // mm³ a mL
		if ref.Picture() {
			ml = math.NaN()
		}
		s.VolumeRef, s.VolumePred = s.NRef*ml, s.NPred*ml
		if o.Surface {
			s.addSurface(surfaces(ref, pred, target, o.Ignore, boxes), o.Tolerance)
		}
		scores[i] = s
	}
	return scores, nil
}

// checkTargets refuses what cannot be a structure.
func checkTargets(targets []Target, o Options) error {
	if len(targets) == 0 {
		return errors.New("no labels to score")
	}
	for _, t := range targets {
		if len(t) == 0 {
			return errors.New("a region without labels")
		}
		for _, l := range t {
			if l < 0 || l > volume.MaxLabel {
				return fmt.Errorf("label %d, wanted 0 to %d", l, volume.MaxLabel)
			}
		}
	}
	if o.Ignore < 0 || o.Ignore > volume.MaxLabel {
		return fmt.Errorf("ignore label %d, wanted 1 to %d, or 0 for none", o.Ignore, volume.MaxLabel)
	}
	if !(o.Tolerance >= 0) {
		return fmt.Errorf("tolerance %g mm, wanted 0 or more", o.Tolerance)
	}
	return nil
}

// table counts voxels by their pair of labels: [reference<<8 | prediction].
type table [1 << 16]int64

func count(ref, pred []uint8) *table {
	t := new(table)
	for i, r := range ref {
		t[int(r)<<8|int(pred[i])]++
	}
	return t
}

// scores sums the table for one structure, by nnU-Net's definitions
// (nnunetv2/evaluation/evaluate_predictions.py):
//
//	Dice = 2 TP / (2 TP + FP + FN)   IoU = TP / (TP + FP + FN)   0/0 = NaN
func (t *table) scores(target Target, ignore int) Scores {
	in := target.members()
	var tp, fp, fn, tn int64
	for r := range 256 {
		if ignore > 0 && r == ignore {
			continue
		}
		for p := range 256 {
			n := t[r<<8|p]
			switch {
			case in[r] && in[p]:
				tp += n
			case in[p]:
				fp += n
			case in[r]:
				fn += n
			default:
				tn += n
			}
		}
	}
	nan := math.NaN()
	s := Scores{
		Dice: nan, IoU: nan,
		TP: float64(tp), FP: float64(fp), FN: float64(fn), TN: float64(tn),
		NRef: float64(tp + fn), NPred: float64(tp + fp),
		HD95: nan, HD: nan, ASSD: nan, SurfaceDice: nan,
	}
	if tp+fp+fn > 0 {
		s.Dice = float64(2*tp) / float64(2*tp+fp+fn)
		s.IoU = float64(tp) / float64(tp+fp+fn)
	}
	return s
}

// members is t as a table of labels.
func (t Target) members() (in [256]bool) {
	for _, l := range t {
		in[l] = true
	}
	return in
}
