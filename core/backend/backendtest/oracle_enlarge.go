package backendtest

import "github.com/gounet/gounet/core/graph"

// share is what voxel i of n has of position o of m, a quotient.
func share(o, i, n, m int) num {
	if n == 1 {
		return exact(1)
	}
	away := o*(n-1) - i*(m-1)
	return exact(float64(max(0, m-1-max(away, -away)))).over(exact(float64(m - 1)))
}

// stretched calls f for each voxel of small and position of large that have a share in
// each other, with their indices.
func stretched(small, large graph.Shape, f func(i, o int, w num)) {
	voxels(space(small), func(i [3]int) {
		voxels(space(large), func(o [3]int) {
			w := exact(1)
			for a := range 3 {
				// 1 − f of a rounded f has the error of f.
				s := share(o[a], i[a], small[a+1], large[a+1])
				w = w.times(num{s.v, max(s.e, 5)})
			}
			if w.v == 0 {
				return
			}
			for n := range small[0] {
				for c := range small[4] {
					f(at(small, n, i[0], i[1], i[2], c), at(large, n, o[0], o[1], o[2], c), w)
				}
			}
		})
	})
}

func enlarge(x, y array) {
	sums := make([]sum, len(y.v))
	stretched(x.typ.Shape, y.typ.Shape, func(i, o int, w num) { sums[o].mul(w, x.v[i]) })
	finish(sums, y.v)
}

func enlargeGrad(dy, dx array) {
	sums := make([]sum, len(dx.v))
	stretched(dx.typ.Shape, dy.typ.Shape, func(i, o int, w num) { sums[i].mul(w, dy.v[o]) })
	finish(sums, dx.v)
}
