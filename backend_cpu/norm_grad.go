package cpu

import "github.com/gounet/gounet/core/graph"

// normGrad is a NormActGrad, or the part of one before or behind a sum over devices.
type normGrad struct {
	*normPlan
	dy, dx        tensor
	dgamma, dbeta []float32
	shared        []float32 // [N C 2]: Σ g and Σ g·x̂ of samples, that are to be added or have been
}

// normActGrad makes dx, dγ and dβ.
func (s *scope) normActGrad(op graph.NormActGrad, n graph.Node) []part {
	p := &normGrad{
		normPlan: s.normPlan(op.Slope, op.Pool, n.In[1], n.In[2], n.In[3], n.In[4]),
		dy:       s.tensor(n.In[0]), dx: s.tensor(n.Out[0]), dgamma: s.f32(n.Out[1]), dbeta: s.f32(n.Out[2]),
	}
	list := p.reduced()
	if op.Shared() {
		list = append(list, serial(p.poolSums))
	}
	return append(list, s.parallel(p.n*p.units, p.apply))
}

// reduced makes the columns, the sums of channels, dγ and dβ.
func (p *normGrad) reduced() []part {
	groups := ceil(p.c, channelGroup)
	return []part{
		p.parallel(p.n*groups, func(_ *worker, unit int) { p.columns(unit) }),
		p.parallel(p.n*p.units, p.sums),
		p.parallel(groups, p.reduce),
	}
}

// sums makes the partial sums of a unit: Σ g and Σ g·d, d = x − mean.
func (p *normGrad) sums(w *worker, unit int) {
	n, off, length := p.unit(unit)
	_, _, sum, sum2, _, total := p.buffers(w)
	clear(sum)
	clear(sum2)
	s := &w.sweep
	p.columnsOf(s, n)
	s.sum, s.sum2 = &sum[0], &sum2[0]
	p.sweep(w, func(s *sweeps) func(*sweep) { return s.gradSums }, sweepRows{x: p.x, dy: p.dy, off: off, length: length})
	t, t2 := total[:p.c], total[p.c:]
	p.fold(t, sum)
	p.fold(t2, sum2)
	out := p.partial(n, unit%p.units)
	for c := range t {
		out[2*c], out[2*c+1] = t[c], t2[c]
	}
}

// reduce adds up the partial sums of a few channels in the order of the units:
//
//	dβ = Σ g   dγ = Σ g·d·rstd   k0 = scale·Σg/V   k1 = scale·rstd²·Σ(g·d)/V
//
// Where statistics are shared γ·Σg and γ·Σ(g·d) take the place of the first sums; where
// devices share them the sums of each sample are handed out.
func (p *normGrad) reduce(_ *worker, group int) {
	_, from, to := p.channels(group)
	var dgamma, dbeta [channelGroup]float64
	for n := range p.n {
		var g, gd [channelGroup]float64
		for u := range p.units {
			t := p.partial(n, u)
			for c := from; c < to; c++ {
				g[c-from] += t[2*c]
				gd[c-from] += t[2*c+1]
			}
		}
		for c := from; c < to; c++ {
			i, rstd := c-from, float64(p.stats[(n*p.c+c)*2+1])
			dbeta[i] += g[i]
			dgamma[i] += gd[i] * rstd
			if p.shared != nil {
				m := p.shared[(n*p.c+c)*2:][:2]
				m[0], m[1] = float32(g[i]), float32(gd[i]*rstd)
				continue
			}
			if p.over.Shared() {
				m := p.pairs(n, c, c+1)
				m[0], m[1] = float64(p.gamma[c])*g[i], float64(p.gamma[c])*gd[i]
				continue
			}
			scale := rstd * float64(p.gamma[c]) / float64(p.v)
			p.spread(p.column(n, 3), c, float32(scale*g[i]))
			p.spread(p.column(n, 4), c, float32(scale*rstd*rstd*gd[i]))
		}
	}
	for c := from; c < to; c++ {
		p.dgamma[c], p.dbeta[c] = float32(dgamma[c-from]), float32(dbeta[c-from])
	}
}

// poolSums makes k0 and k1 of the sums of all that shares statistics.
func (p *normGrad) poolSums() {
	p.sets(func(n0, n1, c0, c1 int) {
		count := float64(p.v * (n1 - n0) * (c1 - c0))
		g, gd := 0.0, 0.0
		for n := n0; n < n1; n++ {
			for m := p.pairs(n, c0, c1); len(m) > 0; m = m[2:] {
				g += m[0] / count
				gd += m[1] / count
			}
		}
		rstd := float64(p.stats[(n0*p.c+c0)*2+1])
		for n := n0; n < n1; n++ {
			for c := c0; c < c1; c++ {
				p.spread(p.column(n, 3), c, float32(rstd*g))
				p.spread(p.column(n, 4), c, float32(rstd*rstd*rstd*gd))
			}
		}
	})
}

// apply makes a unit of dx.
func (p *normGrad) apply(w *worker, unit int) {
	n, off, length := p.unit(unit)
	p.columnsOf(&w.sweep, n)
	p.sweep(w, func(s *sweeps) func(*sweep) { return s.grad }, sweepRows{x: p.x, dy: p.dy, y: p.dx, off: off, length: length})
}
