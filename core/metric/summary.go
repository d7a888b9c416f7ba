package metric

import (
	"math"
	"slices"
)

// Case is one pair of files and its scores, in the order of the summary's targets.
type Case struct {
	ReferenceFile  string
	PredictionFile string
	Scores         []Scores
}

// Summary is nnU-Net's summary.json: scores of every case, their means over cases,
// and the mean of those over the foreground.
type Summary struct {
	Targets        []Target
	Cases          []Case
	Mean           []Scores // of each target; cases in which a score is NaN are left out
	ForegroundMean Scores   // over the targets but background; NaN if one of them is
	// Surface says that distances and volumes stand in the file too, which then
	// has more keys than nnU-Net's.
	Surface bool
}

// Summarize takes the means, in the order of the cases.
func Summarize(targets []Target, cases []Case, surface bool) *Summary {
	s := &Summary{Targets: targets, Cases: cases, Surface: surface, Mean: make([]Scores, len(targets))}
	values := make([]float64, 0, max(len(cases), len(targets)))
	for _, f := range fields {
		for i := range targets {
			values = values[:0]
			for c := range cases {
				if v := *f.of(&cases[c].Scores[i]); !math.IsNaN(v) {
					values = append(values, v)
				}
			}
			*f.of(&s.Mean[i]) = mean(values)
		}
		values = values[:0]
		for i, t := range targets {
			if !t.background() {
				values = append(values, *f.of(&s.Mean[i]))
			}
		}
		*f.of(&s.ForegroundMean) = mean(values)
	}
	return s
}

// mean of no values is NaN.
func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// field is a key of summary.json.
type field struct {
	key   string
	count bool // a whole number in a case
	extra bool // not in nnU-Net's file
	of    func(*Scores) *float64
}

// fields are the keys in the order of the file, which sorts them.
var fields = []field{
	{key: "ASSD", extra: true, of: func(s *Scores) *float64 { return &s.ASSD }},
	{key: "Dice", of: func(s *Scores) *float64 { return &s.Dice }},
	{key: "FN", count: true, of: func(s *Scores) *float64 { return &s.FN }},
	{key: "FP", count: true, of: func(s *Scores) *float64 { return &s.FP }},
	{key: "HD", extra: true, of: func(s *Scores) *float64 { return &s.HD }},
	{key: "HD95", extra: true, of: func(s *Scores) *float64 { return &s.HD95 }},
	{key: "IoU", of: func(s *Scores) *float64 { return &s.IoU }},
	{key: "SurfaceDice", extra: true, of: func(s *Scores) *float64 { return &s.SurfaceDice }},
	{key: "TN", count: true, of: func(s *Scores) *float64 { return &s.TN }},
	{key: "TP", count: true, of: func(s *Scores) *float64 { return &s.TP }},
	{key: "n_pred", count: true, of: func(s *Scores) *float64 { return &s.NPred }},
	{key: "n_ref", count: true, of: func(s *Scores) *float64 { return &s.NRef }},
	{key: "volume_pred_mL", extra: true, of: func(s *Scores) *float64 { return &s.VolumePred }},
	{key: "volume_ref_mL", extra: true, of: func(s *Scores) *float64 { return &s.VolumeRef }},
}

// order is the targets sorted by key as text, as the file has them ("10" before "2").
func (s *Summary) order() []int {
	o := make([]int, len(s.Targets))
	for i := range o {
		o[i] = i
	}
	slices.SortFunc(o, func(a, b int) int {
		ka, kb := s.Targets[a].Key(), s.Targets[b].Key()
		switch {
		case ka < kb:
			return -1
		case ka > kb:
			return 1
		}
		return 0
	})
	return o
}
