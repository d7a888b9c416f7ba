package predict

import (
	"fmt"
	"math"
	"slices"

	"github.com/gounet/gounet/core/plan"
)

// Corners are the first voxels of the tiles along an axis of size voxels, for
// tiles of patch voxels that move by at most step patches: nnU-Net's
// compute_steps_for_sliding_window. The moves are spread evenly. An axis that is
// shorter than the patch has one tile that hangs over on both sides, so that its
// corner is negative: nnU-Net pads with zeros, d/2 below and the rest above.
func Corners(size, patch int, step float64) []int {
	if size <= patch {
		return []int{-((patch - size) / 2)}
	}
	n := int(moves(size, patch, step)) + 1
	move := float64(size-patch) / float64(n-1)
	corners := make([]int, n)
	for i := range corners {
		corners[i] = int(math.RoundToEven(move * float64(i))) // as numpy rounds
	}
	return corners
}

// moves is how often a tile moves along an axis that is longer than the patch. Tiles of one
// voxel, which are the slices of a 2-D network, lie side by side: in smaller steps the same
// slice would be a tile again and again.
func moves(size, patch int, step float64) float64 {
	if patch == 1 {
		return float64(size - 1)
	}
	return math.Ceil(float64(size-patch) / (float64(patch) * step))
}

// mostTiles of a volume: 2³¹ voxels in steps of 8×8×8 have a quarter of them. Their list
// takes 384 MiB.
const mostTiles = 1 << 24

// tilesOf lists the corners of all tiles of a volume, in the order of D, then H,
// then W. More than mostTiles are an error.
func tilesOf(volume, patch [3]int, step float64) (tiles [][3]int, err error) {
	n := 1.0 // float64: a tiny step overflows integers
	for a := range 3 {
		n *= 1 + max(0, moves(volume[a], patch[a], step))
	}
	if n > mostTiles {
		return nil, fmt.Errorf("%d×%d×%d voxels (D H W) have %.3g tiles of %d×%d×%d in steps of %.3g of that, wanted at most %d: choose a larger step, or a model with a larger patch",
			volume[0], volume[1], volume[2], n, patch[0], patch[1], patch[2], step, mostTiles)
	}
	for _, d := range Corners(volume[0], patch[0], step) {
		for _, h := range Corners(volume[1], patch[1], step) {
			for _, w := range Corners(volume[2], patch[2], step) {
				tiles = append(tiles, [3]int{d, h, w})
			}
		}
	}
	return tiles, nil
}

// mirrorsOf lists every subset of the axes, as bits 1, 2, 4 of D, H, W; the
// first is none.
func mirrorsOf(axes [3]bool) (bits []int) {
	for b := range 8 {
		ok := true
		for a := range 3 {
			ok = ok && (b>>a&1 == 0 || axes[a])
		}
		if ok {
			bits = append(bits, b)
		}
	}
	return bits
}

// truncate is where scipy's gaussian_filter ends, in standard deviations.
const truncate = 4

// top is the largest Gaussian weight: nnU-Net's value_scaling_factor.
const top = 10

// Weights is what each voxel of a patch, [D H W], counts in the blend: 1, or
// nnU-Net's compute_gaussian, which is an impulse at the voxel size/2, filtered
// with a standard deviation of sigma times the size of the axis; the largest is
// 10, and values that underflow become the smallest one that does not.
func Weights(patch [3]int, o plan.Inference) []float32 {
	w := make([]float32, patch[0]*patch[1]*patch[2])
	if o.Blend == plan.BlendConstant {
		for i := range w {
			w[i] = 1
		}
		return w
	}
	d, h, v := gaussian(patch[0], o.Sigma), gaussian(patch[1], o.Sigma), gaussian(patch[2], o.Sigma)
	scale := slices.Max(d) * slices.Max(h) * slices.Max(v) / top
	smallest := float32(math.MaxFloat32)
	for i := range w {
		x := i % patch[2]
		y := i / patch[2] % patch[1]
		z := i / patch[2] / patch[1]
		w[i] = float32(d[z] * h[y] * v[x] / scale)
		if w[i] > 0 {
			smallest = min(smallest, w[i])
		}
	}
	for i := range w {
		if w[i] == 0 {
			w[i] = smallest
		}
	}
	return w
}

// gaussian is an impulse at voxel n/2 of an axis, filtered as scipy does with
// mode "constant": the normalised, truncated Gaussian, cut at the ends.
func gaussian(n int, sigma float64) []float64 {
	s := sigma * float64(n)
	line := make([]float64, n)
	radius := int(truncate*s + 0.5)
	if radius == 0 {
		line[n/2] = 1
		return line
	}
	sum := 0.0
	for x := -radius; x <= radius; x++ {
		sum += math.Exp(-0.5 / (s * s) * float64(x*x))
	}
	for i := range line {
		if x := i - n/2; x >= -radius && x <= radius {
			line[i] = math.Exp(-0.5/(s*s)*float64(x*x)) / sum
		}
	}
	return line
}
