package backendtest

import "github.com/gounet/gounet/core/graph"

// channels calls f for each sample and channel of a value [N D H W C] with the
// indices of its voxels.
func channels(s graph.Shape, f func(n, c int, voxels []int)) {
	v := s[1] * s[2] * s[3]
	for n := range s[0] {
		for c := range s[4] {
			is := make([]int, v)
			for i := range is {
				is[i] = (n*v+i)*s[4] + c
			}
			f(n, c, is)
		}
	}
}

// moments are mean and variance of some elements of x, by their definition: the
// deviations from the mean are squared, not the values. An error δ of the mean
// moves the variance by δ² only, for the deviations add up to zero.
func moments(x []num, is []int) (mean, variance num) {
	v := exact(float64(len(is)))
	var s sum
	for _, i := range is {
		s.add(x[i])
	}
	mean = s.num().over(v)
	var q sum
	for _, i := range is {
		d := x[i].minus(exact(mean.v))
		q.mul(d, d)
	}
	variance = q.num().over(v)
	return mean, variance.within(unit * mean.e * unit * mean.e)
}

// pooled calls f for each set of samples and channels that share statistics, with the
// indices of their voxels and of their statistics in [N C 2].
func pooled(s graph.Shape, p graph.Pool, f func(is, stats []int)) {
	samples, width := p.Sizes(s[0], s[4])
	for n0 := 0; n0 < s[0]; n0 += samples {
		for c0 := 0; c0 < s[4]; c0 += width {
			var is, stats []int
			channels(s, func(n, c int, voxels []int) {
				if n >= n0 && n < n0+samples && c >= c0 && c < c0+width {
					is = append(is, voxels...)
					stats = append(stats, (n*s[4]+c)*2)
				}
			})
			f(is, stats)
		}
	}
}

func normAct(op graph.NormAct, x, gamma, beta, y, stats array) {
	pooled(x.typ.Shape, op.Pool, func(is, at []int) {
		mean, variance := moments(x.v, is)
		for _, s := range at {
			stats.v[s] = mean
			stats.v[s+1] = total(variance, exact(float64(op.Eps))).rsqrt()
		}
	})
	normApply(op.Slope, x, gamma, beta, stats, y)
}

// normApply expands (x − mean)·rstd·γ + β, so that its error covers devices that
// fold the statistics into one factor and one term.
func normApply(slope float32, x, gamma, beta, stats, y array) {
	channels(x.typ.Shape, func(n, c int, is []int) {
		s := at(stats.typ.Shape, n, c, 0)
		factor := stats.v[s+1].times(gamma.v[c])
		shift := stats.v[s].times(factor).neg()
		for _, i := range is {
			y.v[i] = total(x.v[i].times(factor), shift, beta.v[c]).leaky(slope)
		}
	})
}

func normActGrad(op graph.NormActGrad, in, out []array) {
	x, gamma, stats := in[1], in[2], in[4]
	dx, dgamma, dbeta := out[0], make([]sum, len(gamma.v)), make([]sum, len(gamma.v))
	pooled(x.typ.Shape, op.Pool, func(is, at []int) {
		rstd := stats.v[at[0]+1]
		g, xhat := make([]num, len(is)), make([]num, len(is))
		var sg, sgx sum
		for j, i := range is {
			c := i % len(gamma.v)
			xhat[j], g[j] = active(op.Slope, in, i, at[0])
			dbeta[c].add(g[j])
			dgamma[c].mul(g[j], xhat[j])
			g[j] = g[j].times(gamma.v[c])
			sg.add(g[j])
			sgx.mul(g[j], xhat[j])
		}
		v := exact(float64(len(is)))
		mg, mgx := sg.num().over(v), sgx.num().over(v)
		for j, i := range is {
			dx.v[i] = rstd.times(total(g[j], mg.neg(), xhat[j].times(mgx).neg()))
		}
	})
	finish(dgamma, out[1].v)
	finish(dbeta, out[2].v)
}

// active are x̂ and g of NormActGrad in element i, of the statistics at s.
func active(slope float32, in []array, i, s int) (xhat, g num) {
	dy, x, gamma, beta, stats := in[0], in[1], in[2], in[3], in[4]
	c := i % len(gamma.v)
	rstd := stats.v[s+1]
	xhat = total(x.v[i].times(rstd), stats.v[s].times(rstd).neg())
	return xhat, slopeOf(total(xhat.times(gamma.v[c]), beta.v[c]), dy.v[i], slope)
}

// estimate has the variance back from 1/√(variance + eps).
func estimate(op graph.Estimate, stats, m, v array) {
	n := exact(float64(op.Count))
	for c := range m.v {
		rstd := stats.v[2*c+1]
		biased := total(exact(1).over(rstd.times(rstd)), exact(-float64(op.Eps))).bound(func(x float64) float64 { return max(x, 0) })
		m.v[c], v.v[c] = stats.v[2*c], biased.times(n).over(exact(float64(op.Count-1)))
	}
}

func track(op graph.Track, m, v, mean, variance array) {
	momentum := exact(float64(op.Momentum))
	for c := range mean.v {
		mean.v[c] = total(mean.v[c], momentum.times(m.v[c].minus(mean.v[c])))
		variance.v[c] = total(variance.v[c], momentum.times(v.v[c].minus(variance.v[c])))
	}
}

func running(op graph.Running, mean, variance, stats array) {
	for i := range stats.v {
		if c := i / 2 % len(mean.v); i%2 == 0 {
			stats.v[i] = mean.v[c]
		} else {
			stats.v[i] = total(variance.v[c], exact(float64(op.Eps))).rsqrt()
		}
	}
}
