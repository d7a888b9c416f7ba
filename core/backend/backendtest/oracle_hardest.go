package backendtest

import (
	"cmp"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// hardest sorts the voxels by their cross entropy. Rounding may have moved one across
// the last that counts if their cross entropies are closer than their errors.
func hardest(op graph.Hardest, logits, labels array, out *array) {
	k := logits.typ.Shape[4]
	for i := range out.v {
		out.v[i] = exact(graph.Unseen)
	}
	type voxel struct {
		at, class int
		ce        num
	}
	var list []voxel
	targets(graph.SegSums{Stride: op.Stride, Ignore: op.Ignore}, logits, labels, func(_, base int, t target) {
		_, logp := softmax(logits.v[base : base+k])
		ce := total(logp[t.class].neg(), smoothing(op.Smoothing, logits.v[base:base+k], t.class))
		list = append(list, voxel{base / k, t.class, ce})
	})
	slices.SortStableFunc(list, func(a, b voxel) int { return cmp.Compare(b.ce.v, a.ce.v) })
	last := min(op.Count, len(list)) - 1
	for i, v := range list {
		other := float64(graph.Unseen)
		if i > last {
			other = float64(v.class)
		} else {
			out.v[v.at] = exact(float64(v.class))
		}
		border := last // where the next of the other side is
		if i <= last {
			border++
		}
		if border < len(list) && v.ce.minus(list[border].ce).unsure() {
			out.decide(v.at, []float64{out.v[v.at].v, other})
		}
	}
}
