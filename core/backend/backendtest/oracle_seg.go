package backendtest

import (
	"math"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// target of a voxel: its class, and what each region wants.
type target struct {
	class int
	t     []bool
}

// targets calls f for each voxel that counts: base is the index of its first
// logit.
func targets(op graph.SegSums, logits, labels array, f func(n, base int, t target)) {
	z, l := logits.typ.Shape, labels.typ.Shape
	k := z[4]
	for n := range z[0] {
		voxels(space(z), func(o [3]int) {
			var i [3]int
			for a, s := range op.Stride {
				i[a] = o[a]*s + s/2
			}
			label := int(labels.v[at(l, n, i[0], i[1], i[2])].v)
			if label == op.Ignore {
				return
			}
			t := target{label, make([]bool, k)}
			if label >= k {
				t.class = 0
			}
			for c := range t.t {
				t.t[c] = c == t.class
				if op.Regions != nil {
					t.t[c] = slices.Contains(op.Regions[c], uint8(label))
				}
			}
			f(n, at(z, n, o[0], o[1], o[2], 0), t)
		})
	}
}

// softmax returns the probabilities of logits and their logarithms.
func softmax(z []num) (p, logp []num) {
	top := z[0]
	for _, x := range z {
		if x.v > top.v {
			top = x
		}
	}
	e := make([]num, len(z))
	for i, x := range z {
		e[i] = x.minus(top).exp()
	}
	all := total(e...)
	for i, x := range z {
		p = append(p, e[i].over(all))
		logp = append(logp, total(x, top.neg(), all.log().neg()))
	}
	return p, logp
}

// sigmoid returns 1/(1 + exp(−z)) and its logarithm, −log(1 + exp(−z)).
func sigmoid(z num) (p, logp num) {
	one := exact(1)
	e := z.bound(func(x float64) float64 { return -math.Abs(x) }).exp()
	below := total(one, e)
	p = e.over(below)
	if z.v >= 0 {
		p = one.over(below)
	}
	return p, total(z.bound(func(x float64) float64 { return math.Min(x, 0) }), below.log().neg())
}

// focus is (1 − p)^gamma, which is 1 without gamma.
func focus(p num, gamma float64) num {
	if gamma == 0 {
		return exact(1)
	}
	return exact(1).minus(p).pow(gamma)
}

// smoothing is what labels that are smoothed add to a cross entropy: ε·(z[t] − mean(z)).
func smoothing(epsilon float32, z []num, class int) num {
	if epsilon == 0 {
		return num{}
	}
	var mean sum
	for _, x := range z {
		mean.mul(x, exact(1).over(exact(float64(len(z)))))
	}
	return exact(float64(epsilon)).times(z[class].minus(mean.num()))
}

// side is z or −z: the logit of what t wants.
func side(z num, t bool) num {
	if t {
		return z
	}
	return z.neg()
}

func segSums(op graph.SegSums, logits, labels, out array) {
	k := logits.typ.Shape[4]
	sums := make([]sum, len(out.v))
	gamma := float64(op.Gamma)
	targets(op, logits, labels, func(n, base int, t target) {
		z := logits.v[base : base+k]
		p, ce := make([]num, k), make([]num, k)
		switch op.Act {
		case graph.Softmax:
			var logp []num
			p, logp = softmax(z)
			ce[t.class] = total(focus(p[t.class], gamma).times(logp[t.class]).neg(), smoothing(op.Smoothing, z, t.class))
		case graph.Sigmoid:
			for c := range z {
				p[c], _ = sigmoid(z[c])
				q, logq := sigmoid(side(z[c], t.t[c]))
				ce[c] = focus(q, gamma).times(logq).neg()
			}
		case graph.Hard:
			best := 0
			for c := range z {
				if z[c].v > z[best].v {
					best = c
				}
				if op.Regions != nil && z[c].v > 0 {
					p[c] = exact(1)
				}
			}
			if op.Regions == nil {
				p[best] = exact(1)
			}
		}
		for c := range k {
			s := sums[(n*k+c)*graph.SumsLen:]
			if t.t[c] {
				s[graph.SumPT].add(p[c])
				s[graph.SumT].add(exact(1))
			}
			s[graph.SumP].add(p[c])
			s[graph.SumCE].add(ce[c])
			s[graph.SumValid].add(exact(1))
		}
	})
	finish(sums, out.v)
	for i := range out.v { // counts below 2^24 are exact in f32
		if c := i % graph.SumsLen; c == graph.SumT || c == graph.SumValid || op.Act == graph.Hard {
			out.v[i].e = 0
		}
	}
}

// segGrad is the derivative of segSums, voxel by voxel. With A the cotangent of
// a p, p·t and p together, B that of the cross entropy, q the probability of
// what is wanted:
//
//	softmax  dz[j] = p[j]·(A[j] − Σ A[k]·p[k]) + B·([j = class] − p[j])·r    r = γ·q·(1−q)^(γ−1)·log q − (1−q)^γ
//	         + B·ε·([j = class] − 1/K)
//	sigmoid  dz = A·p·(1−p) ± B·((1−q)·r)                                     + where t
func segGrad(op graph.SegSums, logits, labels, dsums, out array) {
	k := logits.typ.Shape[4]
	gamma := float64(op.Gamma)
	targets(op, logits, labels, func(n, base int, t target) {
		z := logits.v[base : base+k]
		d := dsums.v[n*k*graph.SumsLen:]
		a := make([]num, k)
		for c := range a {
			a[c] = d[c*graph.SumsLen+graph.SumP]
			if t.t[c] {
				a[c] = total(a[c], d[c*graph.SumsLen+graph.SumPT])
			}
		}
		dz := out.v[base : base+k]
		if op.Act == graph.Sigmoid {
			for c := range dz {
				p, _ := sigmoid(z[c])
				q, logq := sigmoid(side(z[c], t.t[c]))
				away := exact(1).minus(q)
				ce := d[c*graph.SumsLen+graph.SumCE].times(away).times(slopeOfCE(q, logq, gamma))
				dz[c] = total(a[c].times(p).times(exact(1).minus(p)), side(ce, t.t[c]))
			}
			return
		}
		p, logp := softmax(z)
		var mean sum
		for c := range a {
			mean.mul(a[c], p[c])
		}
		ce := d[t.class*graph.SumsLen+graph.SumCE].times(slopeOfCE(p[t.class], logp[t.class], gamma))
		for c := range dz {
			own := p[c].neg()
			if c == t.class {
				own = exact(1).minus(p[c])
			}
			dz[c] = total(p[c].times(total(a[c], mean.num().neg())), ce.times(own))
			if op.Smoothing != 0 {
				share := exact(1).over(exact(float64(k))).neg()
				if c == t.class {
					share = total(exact(1), share)
				}
				b := d[t.class*graph.SumsLen+graph.SumCE]
				dz[c] = total(dz[c], b.times(exact(float64(op.Smoothing))).times(share))
			}
		}
	})
}

// slopeOfCE is r of segGrad: q times the derivative of −(1−q)^γ·log q.
func slopeOfCE(q, logq num, gamma float64) num {
	if gamma == 0 {
		return exact(-1)
	}
	near := exact(gamma).times(q).times(focus(q, gamma-1)).times(logq)
	return total(near, focus(q, gamma).neg())
}

func segLoss(op graph.SegLoss, sums, before, ctl, loss, dsums array) {
	n, k := sums.typ.Shape[0], sums.typ.Shape[1]
	weight, scale := exact(float64(op.Weight)), ctl.v[graph.CtlLossScale]
	at := func(i, c, column int) int { return (i*k+c)*graph.SumsLen + column }

	class := func(c int) num { // its weight
		if op.Classes == nil {
			return exact(1)
		}
		return exact(float64(op.Classes[c]))
	}
	var ce, valid sum
	for i := range n {
		if op.Classes == nil {
			valid.add(sums.v[at(i, 0, graph.SumValid)])
		}
		for c := range k {
			if op.Classes != nil {
				valid.mul(class(c), sums.v[at(i, c, graph.SumT)])
			}
			ce.mul(class(c), sums.v[at(i, c, graph.SumCE)])
		}
	}
	parts := []num{{}}
	if !before.none() {
		parts[0] = before.v[0]
	}
	if count := valid.num(); count.v > 0 {
		share := weight.times(exact(float64(op.CE))).over(count.times(exact(float64(op.Mean))))
		parts = append(parts, share.times(ce.num()))
		for i := range n {
			for c := range k {
				dsums.v[at(i, c, graph.SumCE)] = share.times(class(c)).times(scale)
			}
		}
	}

	groups := make([][]int, 1) // samples that share a Dice
	for i := range n {
		if op.Batch {
			groups[0] = append(groups[0], i)
		} else {
			groups = append(groups, []int{i})
		}
	}
	groups = slices.DeleteFunc(groups, func(g []int) bool { return len(g) == 0 })
	share := weight.times(exact(float64(op.Dice))).over(exact(float64(len(groups) * (k - op.First))))
	smooth := exact(float64(op.Smooth))
	var dice sum
	for _, group := range groups {
		for c := op.First; c < k; c++ {
			var pt, p, t sum
			for _, i := range group {
				pt.add(sums.v[at(i, c, graph.SumPT)])
				p.add(sums.v[at(i, c, graph.SumP)])
				t.add(sums.v[at(i, c, graph.SumT)])
			}
			over := total(exact(2).times(pt.num()), smooth)
			under := total(p.num(), t.num(), smooth)
			clamped := under.v <= 1e-8
			if clamped {
				under = exact(1e-8)
			}
			dice.add(over.over(under))
			for _, i := range group {
				dsums.v[at(i, c, graph.SumPT)] = share.times(exact(2)).over(under).times(scale).neg()
				if !clamped {
					dsums.v[at(i, c, graph.SumP)] = share.times(over).over(under).over(under).times(scale)
				}
			}
		}
	}
	loss.v[0] = total(append(parts, share.times(dice.num()).neg())...)
}
