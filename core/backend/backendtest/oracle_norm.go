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

func normAct(op graph.NormAct, x, gamma, beta, y, stats array) {
	channels(x.typ.Shape, func(n, c int, is []int) {
		mean, variance := moments(x.v, is)
		s := at(stats.typ.Shape, n, c, 0)
		stats.v[s] = mean
		stats.v[s+1] = total(variance, exact(float64(op.Eps))).rsqrt()
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
	dy, x, gamma, beta, stats := in[0], in[1], in[2], in[3], in[4]
	dx, dgamma, dbeta := out[0], make([]sum, len(gamma.v)), make([]sum, len(beta.v))
	channels(x.typ.Shape, func(n, c int, is []int) {
		s := at(stats.typ.Shape, n, c, 0)
		mean, rstd := stats.v[s], stats.v[s+1]
		g, xhat := make([]num, len(is)), make([]num, len(is))
		var sg, sgx sum
		for j, i := range is {
			xhat[j] = total(x.v[i].times(rstd), mean.times(rstd).neg())
			pre := total(xhat[j].times(gamma.v[c]), beta.v[c])
			g[j] = slopeOf(pre, dy.v[i], op.Slope)
			sg.add(g[j])
			sgx.mul(g[j], xhat[j])
			dbeta[c].add(g[j])
			dgamma[c].mul(g[j], xhat[j])
		}
		v := exact(float64(len(is)))
		mg, mgx := sg.num().over(v), sgx.num().over(v)
		for j, i := range is {
			dx.v[i] = gamma.v[c].times(rstd).times(total(g[j], mg.neg(), xhat[j].times(mgx).neg()))
		}
	})
	finish(dgamma, out[1].v)
	finish(dbeta, out[2].v)
}
