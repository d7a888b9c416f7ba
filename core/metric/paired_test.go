package metric

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The values are those of scipy 1.17.1:
//
//	python -c "import numpy as np; from scipy.stats import *
//	print(wilcoxon([3, -1, 4, 1.5, -5, 9, 2, 6], method='exact').pvalue)
//	print(wilcoxon([1, 1, -1, 2, 2, -3, 4, 4, 4], method=PermutationMethod(n_resamples=np.inf)).pvalue)
//	print(wilcoxon([.0125*i for i in range(1, 6)], method='exact').pvalue)
//	print(wilcoxon([((i*37)%101-45)/8 + i/1024 for i in range(60)], method='exact').pvalue)
//	print(wilcoxon([((i*37)%101)-45 for i in range(400)], method='asymptotic').pvalue)"
func TestSignedRankEqualsThatOfScipy(t *testing.T) {
	many := func(n int, of func(i int) float64) (v []float64) {
		for i := range n {
			v = append(v, of(i))
		}
		return v
	}
	for name, c := range map[string]struct {
		d    []float64
		want float64
	}{
		"no ties":              {[]float64{3, -1, 4, 1.5, -5, 9, 2, 6}, 0.1484375},
		"ties and a zero":      {[]float64{1, 1, -1, 2, 2, 0, -3, 4, 4, 4}, 0.08984375},
		"all better":           {many(5, func(i int) float64 { return 0.0125 * float64(i+1) }), 0.0625},
		"sixty":                {many(60, func(i int) float64 { return float64(i*37%101-45)/8 + float64(i)/1024 }), 0.24824864444901817},
		"normal distribution":  {many(400, func(i int) float64 { return float64(i*37%101 - 45) }), 0.0013309064395975437},
		"nothing but equality": {make([]float64, 4), 1},
	} {
		t.Run(name, func(t *testing.T) {
			assert.InEpsilon(t, c.want, SignedRank(c.d), 1e-12) // sums of at most 45,000 terms of 2^-53
			other := slices.Clone(c.d)
			for i := range other {
				other[i] *= -1
			}
			slices.Reverse(other)
			assert.InEpsilon(t, c.want, SignedRank(other), 1e-12, "neither sign nor order matters")
		})
	}
	assert.True(t, math.IsNaN(SignedRank(nil)))
	assert.True(t, math.IsNaN(SignedRank([]float64{1, math.NaN()})))
}
