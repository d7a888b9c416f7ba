package backendtest

import "github.com/gounet/gounet/core/graph"

func momentsOf(op graph.Moments, x, parts array) {
	pooled(x.typ.Shape, graph.Pool{Batch: true}, func(is, _ []int) {
		c := is[0] % x.typ.Shape[4]
		first := at(parts.typ.Shape, op.Rank, c, 0)
		parts.v[first], parts.v[first+1] = moments(x.v, is)
	})
}

// merged is the mean and the variance of as many values of each device as of the others.
func merged(op graph.Merged, parts, stats array) {
	world, channels := parts.typ.Shape[0], parts.typ.Shape[1]
	count := exact(float64(world))
	for c := range channels {
		of := func(r, i int) num { return parts.v[at(parts.typ.Shape, r, c, i)] }
		var s, q sum
		for r := range world {
			s.add(of(r, 0))
		}
		mean := s.num().over(count)
		for r := range world {
			d := of(r, 0).minus(exact(mean.v))
			q.add(of(r, 1))
			q.mul(d, d)
		}
		// as in moments, an error of the mean counts by its square
		variance := q.num().over(count).within(unit * mean.e * unit * mean.e)
		for n := range op.N {
			i := at(stats.typ.Shape, n, c, 0)
			stats.v[i], stats.v[i+1] = mean, total(variance, exact(float64(op.Eps))).rsqrt()
		}
	}
}

func normActGradSums(op graph.NormActGradSums, in, out []array) {
	dgamma, dbeta, sums := make([]sum, len(out[0].v)), make([]sum, len(out[1].v)), out[2]
	channels(in[1].typ.Shape, func(n, c int, is []int) {
		s := at(sums.typ.Shape, n, c, 0)
		var sg, sgx sum
		for _, i := range is {
			xhat, g := active(op.Slope, in, i, s)
			sg.add(g)
			sgx.mul(g, xhat)
			dbeta[c].add(g)
			dgamma[c].mul(g, xhat)
		}
		sums.v[s], sums.v[s+1] = sg.num(), sgx.num()
	})
	finish(dgamma, out[0].v)
	finish(dbeta, out[1].v)
}

func normActGradInput(op graph.NormActGradInput, in []array, dx array) {
	gamma, stats, sums := in[2], in[4], in[5]
	count := exact(float64(op.Count))
	samples := sums.typ.Shape[0]
	channels(dx.typ.Shape, func(n, c int, is []int) {
		s := at(sums.typ.Shape, n, c, 0)
		var sg, sgx sum
		for m := range samples {
			i := at(sums.typ.Shape, m, c, 0)
			sg.mul(gamma.v[c], sums.v[i])
			sgx.mul(gamma.v[c], sums.v[i+1])
		}
		mg, mgx := sg.num().over(count), sgx.num().over(count)
		for _, i := range is {
			xhat, g := active(op.Slope, in, i, s)
			dx.v[i] = stats.v[s+1].times(total(g.times(gamma.v[c]), mg.neg(), xhat.times(mgx).neg()))
		}
	})
}
