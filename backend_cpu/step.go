package cpu

import (
	"math"
	"unsafe"

	"github.com/gounet/gounet/core/graph"
)

// stepOf is a Step.
type stepOf struct {
	*scope
	op     graph.Step
	ctl    []float32
	params []param
	pieces pieces
}

// param is a weight, its gradient, its states, and its copy in 16 bits or none.
type param struct {
	w, g   []float32
	states [4][]float32
	half   tensor
}

// step updates weights, states and copies, piece by piece while they are in the
// cache.
func (s *scope) step(op graph.Step, n graph.Node) []part {
	p := &stepOf{scope: s, op: op, ctl: s.f32(n.In[0])}
	index := map[graph.Value]int{}
	var lengths []int
	for i, w := range op.Weights(n.In) {
		index[w] = i
		q := param{w: s.f32(w), g: s.f32(op.Grads(n.In)[i])}
		for slot := range op.Rule.Slots() {
			q.states[slot] = s.f32(op.States(n.In, slot)[i])
		}
		p.params = append(p.params, q)
		lengths = append(lengths, len(q.w))
	}
	for _, h := range op.Halves(n.In) {
		p.params[index[s.Info(h).Of]].half = s.tensor(h)
	}
	p.pieces = cut(lengths)
	return []part{s.parallel(p.pieces.count(), p.unit)}
}

// update is the coefficients of this step.
func (p *stepOf) update(u *update) {
	op, ctl := &p.op, p.ctl
	*u = update{factor: ctl[graph.CtlFactor], decay: op.Decay, rate: ctl[graph.CtlRate]}
	if op.Rule == graph.SGD {
		u.beta1, u.of = op.Momentum, 1
		if op.Nesterov {
			u.own, u.of = 1, op.Momentum
		}
		return
	}
	if op.Rule == graph.AdamW {
		u.shrink, u.decay = u.rate*op.Decay, 0
	}
	steps := max(1, float64(ctl[graph.CtlSteps]))
	u.beta1, u.rest1 = op.Beta1, float32(1-float64(op.Beta1))
	u.beta2, u.rest2 = op.Beta2, float32(1-float64(op.Beta2))
	u.epsilon = op.Epsilon
	if op.Rule == graph.Adan {
		rate := float64(u.rate)
		u.shrink = float32(1 / (1 + rate*float64(op.Decay)))
		u.rest3 = float32(1 - float64(op.Beta3))
		u.rate = float32(rate / unbiased(op.Beta1, steps))
		u.of = float32(rate * float64(op.Beta2) / unbiased(op.Beta2, steps))
		u.root = float32(1 / math.Sqrt(unbiased(op.Beta3, steps)))
		return
	}
	u.rate = float32(float64(u.rate) / unbiased(op.Beta1, steps))
	u.root = float32(1 / math.Sqrt(unbiased(op.Beta2, steps)))
}

// unbiased is what a moment that began with 0 has of its size.
func unbiased(beta float32, steps float64) float64 { return 1 - math.Pow(float64(beta), steps) }

func (p *stepOf) unit(w *worker, unit int) {
	if p.ctl[graph.CtlFinite] == 0 {
		return
	}
	u := &w.update
	p.update(u)
	kernel, rest := p.flat.sgd, sgd
	switch {
	case p.op.Rule == graph.Adan && p.ctl[graph.CtlSteps] <= 1:
		kernel, rest = nil, firstAdan
	case p.op.Rule == graph.Adan:
		kernel, rest = p.flat.adan, adan
	case p.op.Rule != graph.SGD:
		kernel, rest = p.flat.adam, adam
	}
	for _, q := range p.pieces.of(unit) {
		t := &p.params[q.index]
		whole := q.from
		if kernel != nil {
			whole += (q.to - q.from) / p.flat.lanes * p.flat.lanes
		}
		if whole > q.from {
			u.at(t, q.from)
			kernel(u, (whole-q.from)/p.flat.lanes)
		}
		if q.to > whole {
			u.at(t, whole)
			rest(u, q.to-whole)
		}
		if t.half.u16 != nil {
			p.isa.flush(t.half, q.from, t.w[q.from:q.to])
		}
	}
}

// at points u to element i of t.
func (u *update) at(t *param, i int) {
	u.w, u.g = &t.w[i], &t.g[i]
	for slot, to := range []**float32{&u.m, &u.v, &u.n, &u.p} {
		*to = unsafe.SliceData(tail(t.states[slot], i))
	}
}
