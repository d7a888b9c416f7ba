package backendtest

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// gradNorm looks at the gradients in[1:] and writes ctl.
func gradNorm(op graph.GradNorm, in []array, ctl array) {
	var squares sum
	finite := true
	for _, g := range in[1:] {
		for _, x := range g.v {
			squares.mul(x, x)
			finite = finite && !math.IsNaN(x.v) && !math.IsInf(x.v, 0)
		}
	}
	v := ctl.v
	scale := v[graph.CtlLossScale]
	if !finite {
		v[graph.CtlFinite], v[graph.CtlNorm], v[graph.CtlFactor] = exact(0), anything, anything
		v[graph.CtlGood] = exact(0)
		v[graph.CtlSkipped].v++
		if op.Growth > 0 {
			v[graph.CtlLossScale].v /= 2
		}
		return
	}
	norm := squares.num().sqrt().over(scale)
	factor := exact(1)
	if clip := v[graph.CtlClip]; clip.v > 0 {
		factor = clip.over(total(norm, exact(1e-6))).bound(func(x float64) float64 { return math.Min(1, x) })
	}
	v[graph.CtlFinite], v[graph.CtlNorm], v[graph.CtlFactor] = exact(1), norm, factor.over(scale)
	v[graph.CtlSteps].v++
	v[graph.CtlGood].v++
	if op.Growth > 0 && v[graph.CtlGood].v >= float64(op.Growth) {
		v[graph.CtlGood] = exact(0)
		v[graph.CtlLossScale].v *= 2
	}
}

// step updates weights, states and halves in written.
func step(op graph.Step, c call, written map[int]array) {
	ctl := c.in[0].v
	if ctl[graph.CtlFinite].v == 0 {
		return
	}
	n := op.N
	for i := range n {
		w, g := written[1+i].v, c.in[1+n+i].v
		var states [4][]num
		for slot := range op.Rule.Slots() {
			states[slot] = written[1+(2+slot)*n+i].v
		}
		for j := range w {
			d := g[j].times(ctl[graph.CtlFactor])
			switch op.Rule {
			case graph.SGD:
				w[j], states[0][j] = sgd(op, ctl[graph.CtlRate], w[j], d, states[0][j])
			case graph.Adan:
				w[j] = adan(op, ctl, w[j], d, states, j)
			default:
				w[j], states[0][j], states[1][j] = adam(op, ctl, w[j], d, states[0][j], states[1][j])
			}
		}
	}
	for h, i := range c.half {
		index := 1 + n*(2+op.Rule.Slots()) + h
		copy(written[index].v, written[1+i].v)
	}
}

func sgd(op graph.Step, rate, w, g, m num) (num, num) {
	momentum := exact(float64(op.Momentum))
	d := total(g, exact(float64(op.Decay)).times(w))
	m = total(momentum.times(m), d)
	by := m
	if op.Nesterov {
		by = total(d, momentum.times(m))
	}
	return total(w, rate.times(by).neg()), m
}

func adam(op graph.Step, ctl []num, w, g, m, v num) (num, num, num) {
	one, rate, t := exact(1), ctl[graph.CtlRate], ctl[graph.CtlSteps].v
	decay := exact(float64(op.Decay))
	d := g
	if op.Rule == graph.AdamW {
		w = total(w, rate.times(decay).times(w).neg())
	} else {
		d = total(g, decay.times(w))
	}
	b1, b2 := float64(op.Beta1), float64(op.Beta2)
	m = total(exact(b1).times(m), exact(1-b1).times(d))
	v = total(exact(b2).times(v), exact(1-b2).times(d).times(d))
	mhat := m.over(one.minus(exact(b1).pow(t)))
	vhat := v.over(one.minus(exact(b2).pow(t)))
	by := mhat.over(total(vhat.sqrt(), exact(float64(op.Epsilon))))
	return total(w, rate.times(by).neg()), m, v
}

// adan returns the weight after a step, and changes states j.
func adan(op graph.Step, ctl []num, w, g num, states [4][]num, j int) num {
	one, rate, t := exact(1), ctl[graph.CtlRate], ctl[graph.CtlSteps].v
	shrink := total(one, rate.times(exact(float64(op.Decay))))
	before := states[3][j]
	states[3][j] = g
	if t <= 1 {
		return w.over(shrink)
	}
	keep := exact(float64(op.Beta2))
	e := g.minus(before)
	look := total(g, keep.times(e))
	var hat [3]num
	for slot, x := range []struct {
		beta float32
		of   num
	}{{op.Beta1, g}, {op.Beta2, e}, {op.Beta3, look.times(look)}} {
		b := float64(x.beta)
		moment := total(exact(b).times(states[slot][j]), exact(1-b).times(x.of))
		states[slot][j] = moment
		hat[slot] = moment.over(one.minus(exact(b).pow(t)))
	}
	by := total(hat[0], keep.times(hat[1])).over(total(hat[2].sqrt(), exact(float64(op.Epsilon))))
	return total(w, rate.times(by).neg()).over(shrink)
}
