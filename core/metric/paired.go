package metric

import (
	"cmp"
	"math"
	"slices"
)

// exactPairs is the number of pairs up to which SignedRank counts all signs; its
// work grows with the third power. The normal distribution is close long before.
const exactPairs = 300

// SignedRank is Wilcoxon's signed-rank test of paired differences: the two-sided
// probability p of ranks as uneven as these, or more, if each difference could as
// well have had the other sign. Differences of 0 are left out and equal sizes share
// their ranks, as in scipy.stats.wilcoxon. p is exact, with ties too, up to 300
// differences, and from the normal distribution, corrected for ties, beyond. It is 1
// where no difference is left, and NaN for no differences at all or one that is NaN.
func SignedRank(differences []float64) (p float64) {
	if len(differences) == 0 || slices.ContainsFunc(differences, math.IsNaN) {
		return math.NaN()
	}
	d := slices.DeleteFunc(slices.Clone(differences), func(x float64) bool { return x == 0 })
	slices.SortFunc(d, func(a, b float64) int { return cmp.Compare(math.Abs(a), math.Abs(b)) })
	ranks, ties := doubledRanks(d)
	total, positive := 0, 0
	for i, r := range ranks {
		total += r
		if d[i] > 0 {
			positive += r
		}
	}
	least := min(positive, total-positive)
	if len(d) <= exactPairs {
		return min(1, 2*atMost(ranks, total, least))
	}
	n := float64(len(d))
	z := (float64(least)/2 - n*(n+1)/4) / math.Sqrt(n*(n+1)*(2*n+1)/24-ties/48)
	return math.Erfc(math.Abs(z) / math.Sqrt2)
}

// doubledRanks are twice the ranks from 1 of numbers that are sorted by size, whole
// also where equal ones share the mean of theirs; ties is Σ(t³−t) over groups of t.
func doubledRanks(sorted []float64) (ranks []int, ties float64) {
	for from := 0; from < len(sorted); from = len(ranks) {
		to := from
		for to < len(sorted) && math.Abs(sorted[to]) == math.Abs(sorted[from]) {
			to++
		}
		for range to - from {
			ranks = append(ranks, from+1+to)
		}
		t := float64(to - from)
		ties += t*t*t - t
	}
	return ranks, ties
}

// atMost is the probability that a sum to which each rank belongs with one half is
// at most limit.
func atMost(ranks []int, total, limit int) float64 {
	p := make([]float64, total+1) // of each sum of the ranks so far
	p[0] = 1
	for _, r := range ranks {
		for s := total; s >= 0; s-- {
			with := 0.0
			if s >= r {
				with = p[s-r]
			}
			p[s] = (p[s] + with) / 2
		}
	}
	sum := 0.0
	for _, x := range p[:limit+1] {
		sum += x
	}
	return sum
}
