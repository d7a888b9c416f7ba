package cpu

import "github.com/gounet/gounet/core/graph"

// What smoothed labels add to a softmax's cross entropy, voxel by voxel: with c the class of
// the label
//
//	ε·(z[c] − mean(z))      and to its gradient      B·ε·([k is c] − 1/K)

// smoothing is that of voxel i, which is of class k.
func (p *seg) smoothing(u *segUnit, i, k int) float32 {
	mean := float32(0)
	for j := range p.k {
		mean += u.z[j*p.block+i]
	}
	return p.op.Smoothing * (u.z[k*p.block+i] - mean/float32(p.k))
}

// smoothedSums adds it to the cross entropies of the classes.
func (p *seg) smoothedSums(u *segUnit, out []float64) {
	for i, c := range u.row[segClass] {
		if c >= 0 {
			out[int(c)*graph.SumsLen+graph.SumCE] += float64(p.smoothing(u, i, int(c)))
		}
	}
}

// smoothedGrad adds its gradient to z, where the softmax's is already.
func (p *seg) smoothedGrad(u *segUnit) {
	for i, c := range u.row[segClass] {
		if c < 0 {
			continue
		}
		b := u.row[segCE][i] * p.op.Smoothing
		for k := range p.k {
			u.z[k*p.block+i] -= b / float32(p.k)
		}
		u.z[int(c)*p.block+i] += b
	}
}
