package backendtest

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// row is one row of TileLoad and TileBlend.
type row struct {
	load, blend [3]int
	mirror      int
	weight      num
}

func rowOf(ctl array, first, r int) row {
	v := ctl.v[first+r*graph.RowLen:]
	var w row
	for a := range 3 {
		w.load[a] = int(v[graph.RowLoad+a].v)
		w.blend[a] = int(v[graph.RowBlend+a].v)
	}
	w.mirror, w.weight = int(v[graph.RowMirror].v), v[graph.RowWeight]
	return w
}

// mirrored is i counted from the other end on the axes of bits.
func mirrored(i, size [3]int, bits int) [3]int {
	for a := range i {
		if bits>>a&1 == 1 {
			i[a] = size[a] - 1 - i[a]
		}
	}
	return i
}

func plus(a, b [3]int) [3]int { return [3]int{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }

func tileLoad(op graph.TileLoad, volume, ctl, x array) {
	size, c := space(volume.typ.Shape), volume.typ.Shape[4]
	for n := range op.N {
		r := rowOf(ctl, op.Ctl, n)
		voxels(op.Tile, func(i [3]int) {
			o := plus(r.load, mirrored(i, op.Tile, r.mirror))
			if !inside(o, size) {
				return
			}
			from := at(volume.typ.Shape, 0, o[0], o[1], o[2], 0)
			copy(x.v[at(x.typ.Shape, n, i[0], i[1], i[2], 0):][:c], volume.v[from:])
		})
	}
}

func tileBlend(op graph.TileBlend, in []array, acc, norm array) {
	logits, weights, ctl := in[0], in[1], in[2]
	s := acc.typ.Shape
	tile, size := space(logits.typ.Shape), [3]int{op.Depth, s[1], s[2]}
	sums, norms := make([]sum, len(acc.v)), make([]sum, len(norm.v))
	start := func(sums []sum, from array) {
		for i, v := range from.v {
			sums[i].add(v)
		}
	}
	start(sums, acc)
	start(norms, norm)
	for n := range logits.typ.Shape[0] {
		r := rowOf(ctl, op.Ctl, n)
		if r.weight.v == 0 {
			continue
		}
		voxels(tile, func(i [3]int) {
			o := plus(r.blend, i)
			if !inside(o, size) {
				return
			}
			w := r.weight.times(weights.v[at(weights.typ.Shape, i[0], i[1], i[2])])
			j := mirrored(i, tile, r.mirror)
			to := at(norm.typ.Shape, o[0]%s[0], o[1], o[2])
			norms[to].add(w)
			for k := range s[3] {
				sums[to*s[3]+k].mul(w, logits.v[at(logits.typ.Shape, n, j[0], j[1], j[2], k)])
			}
		})
	}
	end := func(sums []sum, to array) {
		for i, s := range sums {
			if s.n > 1 { // others are not touched
				to.v[i] = s.num()
			}
		}
	}
	end(sums, acc)
	end(norms, norm)
}

func labels(op graph.Labels, acc, norm, ctl array, out *array) {
	s := acc.typ.Shape
	from := [3]int{op.Depth, s[1], s[2]}
	first := int(ctl.v[op.Ctl].v)
	voxels([3]int(out.typ.Shape), func(i [3]int) {
		o := plus(i, [3]int{first, 0, 0})
		if o[0] >= op.Out[0] {
			return
		}
		var p [3]place
		for a := range p {
			p[a] = halfPixel(o[a], from[a], op.Out[a])
			if op.Nearest[a] {
				p[a] = place{v: float64((2*o[a] + 1) * from[a] / (2 * op.Out[a]))}
			}
		}
		z := make([]num, s[3])
		for k := range z {
			z[k] = linear(p, func(v [3]int) num {
				v = clamped(v, from)
				j := at(norm.typ.Shape, v[0]%s[0], v[1], v[2])
				return acc.v[j*s[3]+k].over(norm.v[j])
			})
		}
		out.decide(at(out.typ.Shape, i[0], i[1], i[2]), decide(z, op.Regions))
	})
}

// decide returns the labels that logits z may get, the one of the formula first.
func decide(z []num, regions []uint8) []float64 {
	var chosen []float64
	if regions != nil {
		var value float64
		for k := range z {
			if z[k].v > 0 {
				value = float64(regions[k])
			}
		}
		chosen = append(chosen, value)
		for k := len(z) - 1; k >= 0; k-- {
			if z[k].v > 0 || z[k].unsure() {
				chosen = append(chosen, float64(regions[k]))
			}
			if z[k].v > 0 && !z[k].unsure() {
				return chosen
			}
		}
		return append(chosen, 0)
	}
	best := 0
	for k := range z {
		if z[k].v > z[best].v {
			best = k
		}
	}
	chosen = append(chosen, float64(best))
	for k := range z {
		if z[best].minus(z[k]).unsure() {
			chosen = append(chosen, float64(k))
		}
	}
	return chosen
}

// decide sets element i to the first of what it may be.
func (a *array) decide(i int, chosen []float64) {
	a.v[i] = exact(chosen[0])
	if len(chosen) > 1 {
		if a.also == nil {
			a.also = map[int][]float64{}
		}
		a.also[i] = chosen[1:]
	}
}

// place is a position on an axis between voxels, and by how much a float32
// computation of it may be off.
type place struct{ v, off float64 }

// halfPixel is where voxel o of an axis of m voxels lies on one of n.
func halfPixel(o, n, m int) place {
	p := total(exact((float64(o) + 0.5)).times(exact(float64(n))).over(exact(float64(m))), exact(-0.5))
	if n == m {
		p.e = 0 // halves are exact
	}
	return place{math.Min(math.Max(p.v, 0), float64(n-1)), unit * p.e}
}

// clamped is the voxel of a grid next to i.
func clamped(i, size [3]int) [3]int {
	for a := range i {
		i[a] = min(max(i[a], 0), size[a]-1)
	}
	return i
}

// linear interpolates between the eight voxels around p. The error of p itself
// moves the result as far as the interpolant moves over its interval, which is
// piecewise linear: at the ends, or at a voxel in between.
func linear(p [3]place, voxel func([3]int) num) num {
	at := func(p [3]place) num {
		var s sum
		corners(p, func(i [3]int, w float64) {
			v := voxel(i)
			s.mul(num{w, 3}, v) // three factors, each 1 - f or f, rounded
		})
		return s.num()
	}
	r := at(p)
	far := 0.0
	for a := range p {
		if p[a].off == 0 {
			continue
		}
		most := 0.0
		for _, v := range p[a].around() {
			q := p
			q[a] = place{v: v}
			most = max(most, math.Abs(at(q).v-r.v))
		}
		far += most
	}
	return r.within(far)
}

// around lists the ends of the interval of p, and the voxel within it.
func (p place) around() []float64 {
	vs := []float64{p.v - p.off, p.v + p.off}
	if m := math.Round(p.v); math.Abs(m-p.v) < p.off {
		vs = append(vs, m)
	}
	return vs
}

// corners calls f for the voxels around p whose weight is not zero.
func corners(p [3]place, f func(i [3]int, w float64)) {
	voxels([3]int{2, 2, 2}, func(k [3]int) {
		w := 1.0
		var i [3]int
		for a := range i {
			low := math.Floor(p[a].v)
			i[a] = int(low) + k[a]
			if k[a] == 1 {
				w *= p[a].v - low
			} else {
				w *= 1 - (p[a].v - low)
			}
		}
		if w > 0 {
			f(i, w)
		}
	})
}
