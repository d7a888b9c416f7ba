package report

import (
	"cmp"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/metric"
)

// Choose picks the cases to look at, as indices of s.Cases: those with the
// highest, the middle (of an even number, the lower) and the lowest Dice, the mean
// of the foreground. Cases whose Dice is not defined are left out; all are −1
// where no case is left.
func Choose(s *metric.Summary) (best, median, worst int) {
	type scored struct {
		index int
		dice  float64
	}
	var c []scored
	for i := range s.Cases {
		if d := caseDice(s, i); !math.IsNaN(d) {
			c = append(c, scored{i, d})
		}
	}
	if len(c) == 0 {
		return -1, -1, -1
	}
	slices.SortStableFunc(c, func(a, b scored) int { return cmp.Compare(a.dice, b.dice) })
	return c[len(c)-1].index, c[(len(c)-1)/2].index, c[0].index
}

// caseDice is the mean Dice of the foreground of a case, over the structures for
// which it is defined; NaN if there are none.
func caseDice(s *metric.Summary, index int) float64 {
	return foregroundMean(s, index, func(m metric.Scores) float64 { return m.Dice })
}

func foregroundMean(s *metric.Summary, index int, of func(metric.Scores) float64) float64 {
	sum, n := 0.0, 0
	for i, t := range s.Targets {
		if isBackground(t) {
			continue
		}
		if d := of(s.Cases[index].Scores[i]); !math.IsNaN(d) {
			sum += d
			n++
		}
	}
	return sum / float64(n)
}

func isBackground(t metric.Target) bool { return len(t) == 1 && t[0] == 0 }

// CaseID is the name of a case: its file without folder and ending, on whichever
// system the file was named.
func CaseID(c metric.Case) string {
	file := c.PredictionFile
	if file == "" {
		file = c.ReferenceFile
	}
	base := path.Base(strings.ReplaceAll(file, `\`, "/"))
	base = strings.TrimSuffix(base, ".gz")
	return strings.TrimSuffix(base, path.Ext(base))
}
