package backendtest

import (
	"cmp"
	"math"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

func median(op graph.Median, x, ctl, y array) {
	s := x.typ.Shape
	size := space(s)
	perChannel(x, ctl, op.Ctl, func(n, c int, a float64, is []int) {
		if a == 0 {
			copyChannel(x, y, is)
			return
		}
		var window [3]int
		for d := range window {
			if window[d] = 1; size[d] > 1 {
				window[d] = int(a)
			}
		}
		voxels(size, func(o [3]int) {
			var all []num
			voxels(window, func(k [3]int) {
				i := o
				for d := range i {
					i[d] = repeated(o[d]-window[d]/2+k[d], size[d])
				}
				all = append(all, x.v[at(s, n, i[0], i[1], i[2], c)])
			})
			slices.SortFunc(all, func(a, b num) int { return cmp.Compare(a.v, b.v) })
			y.v[at(s, n, o[0], o[1], o[2], c)] = all[len(all)/2]
		})
	})
}

// repeated brings i back into an axis of n voxels, whose border is repeated.
func repeated(i, n int) int {
	for i < 0 || i >= n {
		if i < 0 {
			i = -1 - i
		} else {
			i = 2*n - 1 - i
		}
	}
	return i
}

func sharpen(op graph.Sharpen, x, ctl, y array) {
	s := x.typ.Shape
	size := space(s)
	perChannel(x, ctl, op.Ctl, func(n, c int, a float64, is []int) {
		if a == 0 {
			copyChannel(x, y, is)
			return
		}
		voxels(size, func(o [3]int) {
			own := x.v[at(s, n, o[0], o[1], o[2], c)]
			var around sum
			for d := range o {
				for _, step := range []int{-1, 1} {
					i := o
					i[d] = min(max(i[d]+step, 0), size[d]-1)
					around.add(own)
					around.add(x.v[at(s, n, i[0], i[1], i[2], c)].neg())
				}
			}
			y.v[at(s, n, o[0], o[1], o[2], c)] = total(own, exact(a).times(around.num()))
		})
	})
}

func blank(op graph.Blank, x, ctl, y array) {
	s := x.typ.Shape
	channels(s, func(n, c int, is []int) {
		copyChannel(x, y, is)
		row := ctl.v[op.Ctl+(n*s[4]+c)*op.Boxes*graph.BoxLen:]
		for b := range op.Boxes {
			var first, size [3]int
			for d := range first {
				first[d] = int(row[b*graph.BoxLen+graph.BoxFirst+d].v)
				size[d] = int(row[b*graph.BoxLen+graph.BoxSize+d].v)
			}
			if size[0]*size[1]*size[2] == 0 {
				continue
			}
			var box []int
			var all sum
			voxels(size, func(k [3]int) {
				i := at(s, n, first[0]+k[0], first[1]+k[1], first[2]+k[2], c)
				box = append(box, i)
				all.add(y.v[i])
			})
			mean := all.num().over(exact(float64(len(box))))
			for _, i := range box {
				y.v[i] = mean
			}
		}
	})
}

func local(op graph.Local, x, ctl, y array) {
	s := x.typ.Shape
	size := space(s)
	length := graph.LocalFactors + size[0] + size[1] + size[2]
	channels(s, func(n, c int, is []int) {
		row := ctl.v[op.Ctl+(n*s[4]+c)*length:][:length]
		a := row[graph.LocalStrength]
		low, high := math.Inf(1), math.Inf(-1)
		for _, i := range is {
			low, high = min(low, x.v[i].v), max(high, x.v[i].v)
		}
		if a.v == 0 || op.Gamma && low == high {
			copyChannel(x, y, is)
			return
		}
		f := row[graph.LocalFactors:]
		voxels(size, func(o [3]int) {
			i := at(s, n, o[0], o[1], o[2], c)
			product := f[o[0]].times(f[size[0]+o[1]]).times(f[size[0]+size[1]+o[2]])
			k := product.minus(row[graph.LocalFrom]).times(row[graph.LocalScale])
			if !op.Gamma {
				y.v[i] = total(x.v[i], a.times(k))
				return
			}
			span := exact(high).minus(exact(low))
			p := x.v[i].minus(exact(low)).over(span)
			mixed := total(exact(1).minus(k).times(p), k.times(p.pow(a.v)))
			y.v[i] = total(exact(low), span.times(mixed))
		})
	})
}
