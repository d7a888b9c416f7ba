package cpu

import "github.com/gounet/gounet/core/graph"

// lossOf is a SegLoss. It is arithmetic on a few numbers, in float64.
type lossOf struct {
	op          graph.SegLoss
	n, k        int
	sums        []float32 // [N K SumsLen]
	before, ctl []float32
	loss, dsums []float32
}

// segLoss makes loss and dsums.
func (s *scope) segLoss(op graph.SegLoss, n graph.Node) []part {
	t := s.Type(n.In[0]).Shape
	p := &lossOf{
		op: op, n: t[0], k: t[1], sums: s.f32(n.In[0]), before: s.f32(n.In[1]), ctl: s.f32(n.In[2]),
		loss: s.f32(n.Out[0]), dsums: s.f32(n.Out[1]),
	}
	return []part{serial(p.run)}
}

// column adds up column i of class k over samples from … to.
func (p *lossOf) column(from, to, k, i int) (sum float64) {
	for n := from; n < to; n++ {
		sum += float64(p.sums[(n*p.k+k)*graph.SumsLen+i])
	}
	return sum
}

// put writes a cotangent of samples from … to.
func (p *lossOf) put(from, to, k, i int, d float64) {
	for n := from; n < to; n++ {
		p.dsums[(n*p.k+k)*graph.SumsLen+i] = float32(d)
	}
}

func (p *lossOf) run() {
	clear(p.dsums)
	scale, weight := float64(p.ctl[graph.CtlLossScale]), float64(p.op.Weight)
	loss := 0.0
	if p.before != nil {
		loss = float64(p.before[0])
	}
	if count := p.count(); count > 0 {
		share := weight * float64(p.op.CE) / (float64(p.op.Mean) * count)
		for k := range p.k {
			own := share * p.classWeight(k)
			loss += own * p.column(0, p.n, k, graph.SumCE)
			p.put(0, p.n, k, graph.SumCE, own*scale)
		}
	}
	group := 1
	if p.op.Batch {
		group = p.n
	}
	share := weight * float64(p.op.Dice) / float64(p.n/group*(p.k-p.op.First))
	for n := 0; n < p.n; n += group {
		for k := p.op.First; k < p.k; k++ {
			loss -= share * p.dice(n, n+group, k, share*scale)
		}
	}
	p.loss[0] = float32(loss)
}

// count is the voxels that the cross entropy is a mean of, as their classes weigh.
func (p *lossOf) count() float64 {
	if p.op.Classes == nil {
		return p.column(0, p.n, 0, graph.SumValid)
	}
	sum := 0.0
	for k := range p.k {
		sum += p.classWeight(k) * p.column(0, p.n, k, graph.SumT)
	}
	return sum
}

func (p *lossOf) classWeight(k int) float64 {
	if p.op.Classes == nil {
		return 1
	}
	return float64(p.op.Classes[k])
}

// dice is (2Σpt + s) / max(Σp + Σt + s, 1e-8) of class k over samples from … to;
// its cotangent is −share.
func (p *lossOf) dice(from, to, k int, share float64) float64 {
	const least = 1e-8 // nnU-Net's clip
	smooth := float64(p.op.Smooth)
	over := 2*p.column(from, to, k, graph.SumPT) + smooth
	under := p.column(from, to, k, graph.SumP) + p.column(from, to, k, graph.SumT) + smooth
	if under > least {
		p.put(from, to, k, graph.SumP, share*over/(under*under))
	} else {
		under = least
	}
	p.put(from, to, k, graph.SumPT, -2*share/under)
	return over / under
}
