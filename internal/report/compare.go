package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// Comparison is two or more runs of one data set. The others are compared with the
// first, case by case.
type Comparison struct {
	Title string
	Runs  []Run
}

// Run is what is known of a training. Epochs, Summary and Facts may be missing.
type Run struct {
	Name          string // another for each run
	Plan          *plan.Plan
	Configuration string // of Plan
	Epochs        []train.Epoch
	Summary       *metric.Summary
	Facts         []Fact // settings that the plan does not have
}

// Compared is what a comparison finds.
type Compared struct {
	Title       string       `json:"title"`
	Runs        []Trained    `json:"runs"`
	Differences []Difference `json:"differences"` // settings that are not the same in all runs, and only those
	Structures  []Structure  `json:"structures"`  // the mean of several, then each label or region; none if no run is validated
}

// Trained is the training of a run; numbers that it has not got are null.
type Trained struct {
	Name          string       `json:"name"`
	Configuration string       `json:"configuration"`
	Missing       []string     `json:"missing,omitempty"` // in words
	Epochs        int          `json:"epochs"`
	TrainLoss     train.Number `json:"train_loss"` // of the last epoch, as the next two
	ValLoss       train.Number `json:"val_loss"`
	PseudoDice    train.Number `json:"mean_pseudo_dice"`
	Seconds       train.Number `json:"seconds"`
	StepSeconds   train.Number `json:"seconds_a_step"` // mean over all training steps
	Time          train.Timing `json:"time"`           // seconds in all
}

// Difference is a setting with its value in each run; a dash where a run has not got it.
type Difference struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Structure is the validation of a structure in each run, in the order of the runs.
type Structure struct {
	Name string   `json:"name"`
	Runs []Scored `json:"runs"`
}

// Scored is the Dice of a structure in a run, and its differences from that of the
// first run over the cases in which both are defined. The first is compared with none.
type Scored struct {
	Cases      int          `json:"cases"` // in which the Dice is defined
	Dice       train.Number `json:"dice"`  // as in summary.json
	Common     int          `json:"common_cases"`
	Difference train.Number `json:"mean_difference"`
	P          train.Number `json:"p"` // metric.SignedRank of the differences
	Better     int          `json:"better"`
	Worse      int          `json:"worse"`
	Best       *CaseChange  `json:"best,omitempty"`  // the case with the largest difference
	Worst      *CaseChange  `json:"worst,omitempty"` // the case with the smallest
}

// CaseChange is a case whose Dice differs between two runs.
type CaseChange struct {
	Case       string  `json:"case"`
	Difference float64 `json:"difference"`
}

// Compare finds what the runs have in common and what not. It fails where they cannot
// be compared: fewer than two, other labels, other references of the same cases.
func (c *Comparison) Compare() (*Compared, error) {
	if len(c.Runs) < 2 {
		return nil, fmt.Errorf("report: %d runs, a comparison wants two or more", len(c.Runs))
	}
	first := &c.Runs[0]
	for i := range c.Runs[1:] {
		if err := first.comparable(&c.Runs[i+1]); err != nil {
			return nil, err
		}
	}
	out := &Compared{Title: c.Title, Differences: differences(c.Runs)}
	validated := false
	for i := range c.Runs {
		out.Runs = append(out.Runs, c.Runs[i].trained())
		validated = validated || c.Runs[i].validated()
	}
	if !validated {
		return out, nil
	}
	foreground := first.Plan.Foreground()
	whole := make([]metric.Target, len(foreground))
	for i, l := range foreground {
		whole[i] = l.Values
	}
	if len(whole) > 1 {
		out.Structures = append(out.Structures, c.structure("All structures", whole))
	}
	for i, l := range foreground {
		out.Structures = append(out.Structures, c.structure(l.Name, whole[i:i+1]))
	}
	return out, nil
}

// comparable says why other cannot be compared with r.
func (r *Run) comparable(other *Run) error {
	same := slices.EqualFunc(r.Plan.Labels, other.Plan.Labels, func(a, b plan.Label) bool {
		return a.Name == b.Name && slices.Equal(a.Values, b.Values)
	})
	if !same {
		return fmt.Errorf("report: %s has the labels %s, and %s has %s: only runs with the same labels can be compared",
			r.Name, labelNames(r.Plan), other.Name, labelNames(other.Plan))
	}
	if !r.validated() {
		return nil
	}
	theirs := other.cases()
	for _, c := range r.Summary.Cases {
		id := CaseID(c)
		yours, ok := theirs[id]
		for i, t := range r.Summary.Targets {
			if !ok || targetIndex(other.Summary, t) < 0 {
				continue
			}
			if a, b := c.Scores[i].NRef, yours[targetIndex(other.Summary, t)].NRef; a != b && !math.IsNaN(a) && !math.IsNaN(b) {
				return fmt.Errorf("report: the reference of case %s has %.0f voxels of label %s in the validation of %s and %.0f in that of %s: they were validated on different data, train or validate one of them again",
					id, a, t.Key(), r.Name, b, other.Name)
			}
		}
	}
	return nil
}

func labelNames(p *plan.Plan) string {
	var names []string
	for _, l := range p.Labels {
		names = append(names, fmt.Sprintf("%q (%s)", l.Name, join(l.Values, ", ")))
	}
	return strings.Join(names, ", ")
}

func (r *Run) validated() bool { return r.Summary != nil && len(r.Summary.Cases) > 0 }

// cases are the scores of the validation by case.
func (r *Run) cases() map[string][]metric.Scores {
	m := map[string][]metric.Scores{}
	if r.Summary != nil {
		for _, c := range r.Summary.Cases {
			m[CaseID(c)] = c.Scores
		}
	}
	return m
}

func targetIndex(s *metric.Summary, t metric.Target) int {
	return slices.IndexFunc(s.Targets, func(o metric.Target) bool { return slices.Equal(o, t) })
}

// trained is what the log of r says.
func (r *Run) trained() Trained {
	nan := train.Number(math.NaN())
	t := Trained{Name: r.Name, Configuration: r.Configuration, Epochs: len(r.Epochs), TrainLoss: nan, ValLoss: nan, PseudoDice: nan, Seconds: nan, StepSeconds: nan}
	if n := len(r.Epochs); n > 0 {
		last := r.Epochs[n-1]
		t.TrainLoss, t.ValLoss, t.PseudoDice, t.Time = last.TrainLoss, last.ValLoss, last.MeanDice, last.Time
		t.Seconds = train.Number(seconds(r.Epochs))
		s := r.Plan.Recipe.Schedule
		t.StepSeconds = train.Number(last.Time.Step / float64(n*s.Iterations))
		if n < s.Epochs {
			t.Missing = append(t.Missing, fmt.Sprintf("it has trained %d of %d epochs", n, s.Epochs))
		}
	} else {
		t.Missing = append(t.Missing, "it has no log of its epochs")
	}
	if !r.validated() {
		t.Missing = append(t.Missing, "it is not validated yet")
	}
	return t
}

// structure compares the mean Dice of some targets in all runs.
func (c *Comparison) structure(name string, targets []metric.Target) Structure {
	s := Structure{Name: name}
	for i := range c.Runs {
		scored := c.Runs[i].scored(targets)
		if i > 0 {
			scored.compare(&c.Runs[0], &c.Runs[i], targets)
		}
		s.Runs = append(s.Runs, scored)
	}
	return s
}

// scored is the Dice of some targets without the comparison.
func (r *Run) scored(targets []metric.Target) Scored {
	nan := train.Number(math.NaN())
	out := Scored{Dice: nan, Difference: nan, P: nan}
	if !r.validated() {
		return out
	}
	sum := 0.0
	for _, t := range targets {
		i := targetIndex(r.Summary, t)
		if i < 0 {
			return out
		}
		sum += r.Summary.Mean[i].Dice
	}
	out.Dice = train.Number(sum / float64(len(targets)))
	for _, scores := range r.cases() {
		if !math.IsNaN(meanDice(r, r, scores, scores, targets)) {
			out.Cases++
		}
	}
	return out
}

// compare fills in the differences of run from first.
func (s *Scored) compare(first, run *Run, targets []metric.Target) {
	theirs := first.cases()
	var changes []CaseChange
	for id, mine := range run.cases() {
		if yours, ok := theirs[id]; ok {
			d := meanDice(run, first, mine, yours, targets) - meanDice(first, run, yours, mine, targets)
			if !math.IsNaN(d) {
				changes = append(changes, CaseChange{id, d})
			}
		}
	}
	if len(changes) == 0 {
		return
	}
	slices.SortFunc(changes, func(a, b CaseChange) int {
		return cmp.Or(cmp.Compare(a.Difference, b.Difference), cmp.Compare(a.Case, b.Case))
	})
	d := make([]float64, len(changes))
	sum := 0.0
	for i, change := range changes {
		d[i] = change.Difference
		sum += d[i]
		switch {
		case d[i] > 0:
			s.Better++
		case d[i] < 0:
			s.Worse++
		}
	}
	s.Common = len(d)
	s.Difference = train.Number(sum / float64(len(d)))
	s.P = train.Number(metric.SignedRank(d))
	s.Worst, s.Best = &changes[0], &changes[len(d)-1]
}

// meanDice is the mean Dice of a case in run over the targets that are defined both
// there and in other; NaN without any.
func meanDice(run, other *Run, scores, others []metric.Scores, targets []metric.Target) float64 {
	sum, n := 0.0, 0
	for _, t := range targets {
		i, j := targetIndex(run.Summary, t), targetIndex(other.Summary, t)
		if i < 0 || j < 0 || math.IsNaN(others[j].Dice) || math.IsNaN(scores[i].Dice) {
			continue
		}
		sum += scores[i].Dice
		n++
	}
	return sum / float64(n)
}
