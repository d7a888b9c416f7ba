package backendtest

import (
	"math"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

func warp(op graph.Warp, in []array, x array, y *array) {
	src, labels, ctl := in[0], in[1], in[2]
	from := src.typ.Shape
	size := space(from)
	for n := range from[0] {
		m := ctl.v[op.Ctl+n*graph.WarpLen:]
		voxels(op.Patch, func(o [3]int) {
			var p [3]place
			for a := range p {
				var s sum
				s.add(m[graph.RowOffset+a])
				for b := range 3 {
					centred := float64(o[b]) - float64(op.Patch[b]-1)/2
					moved := exact(centred)
					if op.Elastic {
						var to sum
						to.add(moved)
						to.add(in[3].v[at(in[3].typ.Shape, n, o[0], o[1], o[2], b)])
						moved = to.num()
					}
					s.mul(m[graph.RowAffine+3*a+b], moved)
				}
				p[a] = place{s.v, unit * s.num().e}
			}
			if op.Cubic {
				cubicWarp(n, o, p, src, labels, x, y)
				return
			}
			for c := range from[4] {
				x.v[at(x.typ.Shape, n, o[0], o[1], o[2], c)] = linear(p, func(i [3]int) num {
					if !inside(i, size) {
						return num{}
					}
					return src.v[at(from, n, i[0], i[1], i[2], c)]
				})
			}
			label := func(i [3]int) int { // −1 outside, so that it is the smallest
				if !inside(i, size) {
					return -1
				}
				l := int(labels.v[at(labels.typ.Shape, n, i[0], i[1], i[2])].v)
				if l == 255 {
					return -1
				}
				return l
			}
			may := heaviest(p, label)
			for i, l := range may {
				if l < 0 {
					may[i] = 255
				}
			}
			if op.Nearest {
				may = nearestLabel(n, p, labels)
			}
			y.decide(at(y.typ.Shape, n, o[0], o[1], o[2]), may)
		})
	}
}

// nearestLabel is what the label of the voxel next to p may be.
func nearestLabel(n int, p [3]place, labels array) []float64 {
	size := space(labels.typ.Shape)
	label := func(move float64) float64 {
		var i [3]int
		for a := range i {
			i[a] = int(math.Floor(p[a].v + move*p[a].off + 0.5))
		}
		if !inside(i, size) {
			return 255
		}
		return labels.v[at(labels.typ.Shape, n, i[0], i[1], i[2])].v
	}
	return []float64{label(0), label(-1), label(1)}
}

// cubicWarp is what a cubic one does for voxel o, which is read at p.
func cubicWarp(n int, o [3]int, p [3]place, src, labels, x array, y *array) {
	from := src.typ.Shape
	size := space(from)
	y.decide(at(y.typ.Shape, n, o[0], o[1], o[2]), nearestLabel(n, p, labels))
	var near [3]int
	for a := range near {
		near[a] = int(math.Floor(p[a].v + 0.5))
	}
	for c := range from[4] {
		var s sum
		far := 0.0 // how far the errors of p move it: Σ off·|w′|·|v|
		if inside(near, size) {
			voxels([3]int{4, 4, 4}, func(k [3]int) {
				i, w := k, exact(1)
				var weight [3]num
				var slope [3]float64
				for a := range i {
					low := math.Floor(p[a].v)
					i[a] = int(low) + k[a] - 1
					weight[a], slope[a] = keys(math.Abs(p[a].v - low - float64(k[a]-1)))
					w = w.times(weight[a])
				}
				i = clamped(i, size)
				v := src.v[at(from, n, i[0], i[1], i[2], c)]
				s.mul(w, v)
				for a := range i {
					far += p[a].off * math.Abs(slope[a]*weight[(a+1)%3].v*weight[(a+2)%3].v*v.v)
				}
			})
		}
		x.v[at(x.typ.Shape, n, o[0], o[1], o[2], c)] = s.num().within(far)
	}
}

// keys is the weight of a voxel that is t away in a cubic convolution, and its slope.
func keys(t float64) (w num, slope float64) {
	x := num{t, t} // a difference, rounded
	square := x.times(x)
	cube := square.times(x)
	if t <= 1 {
		return total(exact(1.5).times(cube), exact(-2.5).times(square), exact(1)), 4.5*t*t - 5*t
	}
	return total(exact(-0.5).times(cube), exact(2.5).times(square), exact(-4).times(x), exact(2)), -1.5*t*t + 5*t - 4
}

// heaviest lists the labels that may have the largest linear weight around p,
// that of the formula first.
func heaviest(p [3]place, label func([3]int) int) []float64 {
	top := func(p [3]place, eps float64) []float64 {
		weights := map[int]float64{}
		corners(p, func(i [3]int, w float64) { weights[label(i)] += w })
		most := 0.0
		for _, w := range weights {
			most = max(most, w)
		}
		var ls []float64
		for l, w := range weights {
			if w >= most-eps {
				ls = append(ls, float64(l))
			}
		}
		slices.Sort(ls)
		return ls
	}
	chosen := top(p, 1e-12)[:1] // float64's own rounding
	// Eight weights of three rounded factors, added: at most 8·(3 + 8) units each.
	eps := 2 * 88 * unit
	for a := range p {
		// A shift of p[a] changes no weight by more.
		eps += 2 * p[a].off
	}
	return append(chosen, top(p, eps)...)
}

func mask(op graph.Mask, x, labels, y array) {
	c := x.typ.Shape[4]
	for i := range y.v {
		if y.v[i] = x.v[i]; op.Channels[i%c] && labels.v[i/c].v == 255 {
			y.v[i] = num{}
		}
	}
}

// perChannel calls f with the parameter of each sample and channel of x.
func perChannel(x, ctl array, first int, f func(n, c int, a float64, voxels []int)) {
	channels(x.typ.Shape, func(n, c int, is []int) {
		f(n, c, ctl.v[first+n*x.typ.Shape[4]+c].v, is)
	})
}

// copyChannel is what a parameter of 0 means.
func copyChannel(x, y array, is []int) {
	for _, i := range is {
		y.v[i] = x.v[i]
	}
}

func blur(op graph.Blur, x, ctl, y array) {
	s := x.typ.Shape
	size := space(s)
	perChannel(x, ctl, op.Ctl, func(n, c int, sigma float64, is []int) {
		if sigma == 0 {
			copyChannel(x, y, is)
			return
		}
		r := min(op.Radius, int(6*sigma+0.5)/2)
		voxels(size, func(o [3]int) {
			var top, bottom sum
			for j := -r; j <= r; j++ {
				i := o
				i[op.Axis] = reflect(o[op.Axis]+j, size[op.Axis])
				arg := -float64(j*j) / (2 * sigma * sigma)
				g := num{arg, 4 * math.Abs(arg)}.exp() // a square, a product, a quotient
				top.mul(g, x.v[at(s, n, i[0], i[1], i[2], c)])
				bottom.add(g)
			}
			y.v[at(s, n, o[0], o[1], o[2], c)] = top.num().over(bottom.num())
		})
	})
}

// reflect brings i back into an axis of n voxels.
func reflect(i, n int) int {
	for i < 0 || i >= n {
		switch {
		case n == 1:
			return 0
		case i < 0:
			i = -i
		default:
			i = 2*(n-1) - i
		}
	}
	return i
}

func lowRes(op graph.LowRes, x, ctl, y array) {
	s := x.typ.Shape
	size := space(s)
	perChannel(x, ctl, op.Ctl, func(n, c int, scale float64, is []int) {
		if scale == 0 || scale == 1 {
			copyChannel(x, y, is)
			return
		}
		var coarse [3]int
		for a := range coarse {
			coarse[a] = max(1, int(math.Round(scale*float64(size[a]))))
			if op.Keep[a] {
				coarse[a] = size[a]
			}
		}
		voxels(size, func(o [3]int) {
			var p [3]place
			for a := range p {
				p[a] = halfPixel(o[a], coarse[a], size[a])
			}
			y.v[at(s, n, o[0], o[1], o[2], c)] = linear(p, func(j [3]int) num {
				i := clamped(j, coarse)
				for a := range i {
					i[a] = (2*i[a] + 1) * size[a] / (2 * coarse[a])
				}
				return x.v[at(s, n, i[0], i[1], i[2], c)]
			})
		})
	})
}

func intensity(op graph.Intensity, x, ctl, y array) {
	perChannel(x, ctl, op.Ctl, func(_, _ int, a float64, is []int) {
		if a == 0 {
			copyChannel(x, y, is)
			return
		}
		v := make([]num, len(is))
		low, high := math.Inf(1), math.Inf(-1)
		for j, i := range is {
			v[j] = x.v[i]
			low, high = min(low, v[j].v), max(high, v[j].v)
		}
		set := func(r []num) {
			for j, i := range is {
				y.v[i] = r[j]
			}
		}
		switch op.Kind {
		case graph.Noise:
			for j, i := range is {
				v[j] = total(v[j], exact(a).times(normal(ctl, op.Seed, op.First+i)))
			}
			set(v)
		case graph.Brightness:
			for j := range v {
				v[j] = v[j].times(exact(a))
			}
			set(v)
		case graph.Shift:
			for j := range v {
				v[j] = total(v[j], exact(a))
			}
			set(v)
		case graph.Contrast, graph.ContrastOpen:
			mean, _ := moments(x.v, is)
			for j := range v {
				d := total(v[j], mean.neg()).times(exact(a))
				v[j] = total(d, mean)
				if op.Kind == graph.Contrast {
					v[j] = v[j].bound(func(x float64) float64 { return min(max(x, low), high) })
				}
			}
			set(v)
		case graph.ContrastZero:
			for j := range v {
				v[j] = v[j].times(exact(a)).bound(func(x float64) float64 { return min(max(x, low), high) })
			}
			set(v)
		case graph.Gamma:
			set(gammaOf(v, a, low, high))
		case graph.GammaInvert:
			for j := range v {
				v[j] = v[j].neg()
			}
			v = gammaOf(v, a, -high, -low)
			for j := range v {
				v[j] = v[j].neg()
			}
			set(v)
		}
	})
}

// gammaOf raises the place of v in [low, high] to the power a, and gives the
// result the mean and the deviation of v.
func gammaOf(v []num, a, low, high float64) []num {
	if low == high {
		return v
	}
	all := make([]int, len(v))
	for i := range all {
		all[i] = i
	}
	mean, variance := moments(v, all)
	p := make([]num, len(v))
	for i := range v {
		p[i] = total(v[i], exact(-low)).over(total(exact(high), exact(-low))).pow(a)
	}
	pmean, pvariance := moments(p, all)
	factor := variance.sqrt().over(pvariance.sqrt())
	r := make([]num, len(v))
	for i := range p {
		r[i] = total(p[i].times(factor), pmean.times(factor).neg(), mean)
	}
	return r
}

// normal is the noise of element i. Its cosine is one of a good library, within
// 4 units; WGSL's own, which may be wrong by 2^-11, is not enough.
func normal(ctl array, seed, i int) num {
	s0, s1 := uint32(ctl.v[seed].v), uint64(ctl.v[seed+1].v)
	p, q := philox(uint64(i)+s1<<32, s0)
	r := exact((float64(p>>8) + 1) / (1 << 24)).log().times(exact(-2)).sqrt()
	turn := 2 * math.Pi * float64(q>>8) / (1 << 24)
	return r.times(num{math.Cos(turn), 2*turn + 4})
}

// philox is Philox 2×32-10 as Salmon et al. describe it (Random123, 2011): in
// each of ten rounds the words become high(M·a) ⊕ key ⊕ b and low(M·a).
func philox(counter uint64, key uint32) (a, b uint32) {
	a, b = uint32(counter), uint32(counter>>32)
	for range 10 {
		product := uint64(0xD256D193) * uint64(a)
		a, b = uint32(product>>32)^key^b, uint32(product)
		key += 0x9E3779B9
	}
	return a, b
}
