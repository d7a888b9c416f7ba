package plan

import (
	"math"
	"slices"
)

// Rules of nnU-Net v2's topology.
const (
	minEdge     = 4 // voxels that a pooled axis keeps at least
	lastAxisMin = 3 // times minEdge: where one axis alone could still be pooled
	similar     = 2 // axes whose spacings differ by less are treated alike
)

// topology is a U-Net's shape on d axes, the d last of D H W.
type topology struct {
	kernels, strides [][]int
	divisor          []int // 2^poolings of each axis
	patch            []int // padded to a multiple of divisor
}

// shapeNetwork derives the topology for a patch of size voxels (a median may be
// a half) at spacing: it halves the axes that are fine enough until they would be
// smaller than minEdge, and gives an axis kernels of 3 as soon as its spacing is
// similar to the finest.
func shapeNetwork(spacing, size []float64) topology {
	d := len(spacing)
	sp, sz := slices.Clone(spacing), slices.Clone(size)
	kernel := fill(d, 1)
	t := topology{strides: [][]int{fill(d, 1)}, divisor: fill(d, 1), patch: fill(d, 0)}
	for {
		pool := poolable(sp, sz)
		if len(pool) == 0 {
			break
		}
		finest := slices.Min(sp)
		for a := range d {
			if sp[a]/finest < similar {
				kernel[a] = 3
			}
		}
		stride := fill(d, 1)
		for _, a := range pool {
			stride[a] = 2
			t.divisor[a] *= 2
			sp[a] *= 2
			sz[a] = math.Ceil(sz[a] / 2)
		}
		t.strides = append(t.strides, stride)
		t.kernels = append(t.kernels, slices.Clone(kernel))
	}
	t.kernels = append(t.kernels, fill(d, 3)) // bottleneck
	for a := range d {
		t.patch[a] = int(math.Ceil(size[a]/float64(t.divisor[a]))) * t.divisor[a]
	}
	return t
}

// poolable lists the axes that the next stage halves.
func poolable(spacing, size []float64) []int {
	var large []int
	finest := math.Inf(1)
	for a, s := range size {
		if s >= 2*minEdge {
			large = append(large, a)
			finest = min(finest, spacing[a])
		}
	}
	pool := slices.DeleteFunc(large, func(a int) bool { return spacing[a]/finest >= similar })
	if len(pool) == 1 && size[pool[0]] < lastAxisMin*minEdge {
		return nil
	}
	return pool
}

func fill(n, v int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// cube widens the values of d axes to D H W, with pad in front.
func cube[T any](v []T, pad T) [3]T {
	out := [3]T{pad, pad, pad}
	copy(out[3-len(v):], v)
	return out
}

// MostFeatures is nnU-Net's limit to the channels of a stage of a network of dim 2 or 3.
func MostFeatures(dim int) int {
	if dim == 2 {
		return 512
	}
	return 320
}

// network is the Network of t with the widths and depths of pl.
func (t topology) network(pl *planner) Network {
	dim := len(t.divisor)
	n := Network{Kind: pl.kind, ConvBias: true, NormEps: 1e-5, Slope: 0.01}
	for i := range t.strides {
		n.Features = append(n.Features, min(32<<min(i, 10), MostFeatures(dim)))
		n.Kernels = append(n.Kernels, cube(t.kernels[i], 1))
		n.Strides = append(n.Strides, cube(t.strides[i], 1))
		n.Convs = append(n.Convs, pl.convs[min(i, len(pl.convs)-1)])
	}
	n.DecoderConvs = fill(len(t.strides)-1, pl.decoderConvs)
	return n
}

// Cost is nnU-Net's measure of the memory of a training step: the elements that
// the convolutions write for one sample of patch voxels, with labels channels in
// the full-resolution head.
func (n *Network) Cost(patch [3]int, labels int) float64 {
	var total, width int
	if n.Kind == Residual {
		width = n.Features[0]
		total = width * prod(patch) // stem
	}
	sizes := n.Sizes(patch)
	for i, f := range n.Features {
		v := prod(sizes[i])
		if n.Kind == Plain || n.Kind == PreNorm {
			total += n.Convs[i] * f * v
			continue
		}
		total += 2 * n.Convs[i] * f * v
		if width != f || prod(n.Strides[i]) > 1 {
			total += f * v // the way around the first block
		}
		width = f
	}
	for d := range n.Stages() - 1 {
		l := n.Stages() - 2 - d
		total += (1 + n.DecoderConvs[d]) * n.Features[l] * prod(sizes[l])
	}
	return float64(total + labels*prod(sizes[0]))
}
