package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/metric"
)

func summaryOf(dices ...float64) *metric.Summary {
	s := &metric.Summary{Targets: metric.Targets([]int{0, 1})}
	for _, d := range dices {
		s.Cases = append(s.Cases, metric.Case{Scores: []metric.Scores{{Dice: 1}, {Dice: d}}})
	}
	return s
}

func TestChooseTakesExtremesAndTheMiddle(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		dices []float64
		want  [3]int
	}{
		"odd":                       {[]float64{0.5, 0.9, 0.7}, [3]int{1, 2, 0}},
		"even: the lower median":    {[]float64{0.5, 0.9, 0.7, 0.8}, [3]int{1, 2, 0}},
		"undefined are left out":    {[]float64{nan, 0.2, nan}, [3]int{1, 1, 1}},
		"zero is a score":           {[]float64{0, 0.2}, [3]int{1, 0, 0}},
		"none is defined":           {[]float64{nan}, [3]int{-1, -1, -1}},
		"no cases":                  {nil, [3]int{-1, -1, -1}},
		"equal: first is the worst": {[]float64{0.5, 0.5, 0.5}, [3]int{2, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			best, median, worst := Choose(summaryOf(c.dices...))
			assert.Equal(t, c.want, [3]int{best, median, worst})
		})
	}
}

func TestCaseIDIsTheFileWithoutFolderAndEnding(t *testing.T) {
	for file, want := range map[string]string{
		"/a/b/case_1.nii.gz": "case_1",
		`C:\runs\case.2.nii`: "case.2",
		"case.nrrd":          "case",
		"v/hippocampus_1":    "hippocampus_1",
	} {
		assert.Equal(t, want, CaseID(metric.Case{PredictionFile: file}))
		assert.Equal(t, want, CaseID(metric.Case{ReferenceFile: file}))
	}
}
