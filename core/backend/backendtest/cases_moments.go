package backendtest

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// sharedCasesOf are the ops of a batch norm over the samples of several devices, of which
// this is the second of three.
func sharedCasesOf(name string, eps, slope float32, x, gamma, beta, dy, stats operand) []testCase {
	const world, rank = 3, 1
	c, n := x.shape[4], x.shape[0]
	parts := newArray(graph.Type{DType: graph.F32, Shape: graph.Shape{world, c, 2}})
	momentsOf(graph.Moments{World: world, Rank: rank}, x.array(graph.F32), parts)
	r := newSource(412)
	own := func(ch int) (mean, variance float64) {
		i := at(parts.typ.Shape, rank, ch, 0)
		return parts.v[i].v, parts.v[i+1].v
	}
	all := plain(parts.v)
	for other := range world {
		shift := r.normal(c)
		for ch := range c {
			if mean, variance := own(ch); other != rank {
				i := at(parts.typ.Shape, other, ch, 0)
				all[i], all[i+1] = mean+shift[ch]*math.Sqrt(variance), variance*(1+0.25*float64(other))
			}
		}
	}
	in := []operand{dy, x, gamma, beta, stats}
	sums := []array{newArray(graph.Type{Shape: graph.Shape{c}}), newArray(graph.Type{Shape: graph.Shape{c}}), newArray(graph.Type{Shape: stats.shape})}
	args := make([]array, len(in))
	for i, o := range in {
		args[i] = o.array(graph.F32)
	}
	normActGradSums(graph.NormActGradSums{Slope: slope}, args, sums)
	total := plain(sums[2].v)
	for i, more := range r.normal(len(total)) { // of the others
		total[i] += 2 * more
	}
	return []testCase{
		{name: name, op: graph.Moments{World: world, Rank: rank}, in: []operand{x}},
		{name: name, op: graph.Merged{Eps: eps, N: n}, in: []operand{float("parts", graph.IO, fixed(all), world, c, 2)}},
		{name: name, op: graph.NormActGradSums{Slope: slope}, in: in},
		{
			name: name, op: graph.NormActGradInput{Slope: slope, Count: world * x.shape.Elems() / c},
			in: append(in[:5:5], float("sums", graph.IO, fixed(total), stats.shape...)),
		},
	}
}
