package graph

import "fmt"

// Median is the median of a window of s voxels along each axis that has more than one, s at slot
// Ctl + n·C + c of ctl, at most Most; 0 changes nothing:
//
//	x T[N D H W C]   ctl → y T[N D H W C]
//
// The window of voxel i goes from i − ⌊s/2⌋ to i + ⌈s/2⌉ − 1 of an axis, whose indices are
// reflected with the border voxel repeated; of an even number of voxels it is the larger
// one in the middle. Source: scipy's median_filter.
type Median struct {
	noGrad
	Most int
	Ctl  int
}

// Types says what Median makes of its operands, or what is wrong with them.
func (op Median) Types(in []Type) ([]Type, error) {
	if op.Most < 1 {
		return nil, fmt.Errorf("the largest window has %d voxels, wanted 1 or more", op.Most)
	}
	return sampleChannels(in, op.Ctl, 1)
}

// Sharpen adds a times the negative Laplacian, with copies of the border outside; a is at slot
// Ctl + n·C + c of ctl, 0 changes nothing:
//
//	x T[N D H W C]   ctl → y T[N D H W C]
//
//	y = x + a·Σ (x − neighbour) over the six neighbours
type Sharpen struct {
	noGrad
	Ctl int
}

// Types says what Sharpen makes of its operands, or what is wrong with them.
func (op Sharpen) Types(in []Type) ([]Type, error) { return sampleChannels(in, op.Ctl, 1) }

// A row of Blank has BoxLen numbers a box.
const (
	BoxFirst = 0 // D H W: first voxel
	BoxSize  = 3 // D H W: voxels; 0: there is no box
	BoxLen   = 6
)

// Blank sets Boxes boxes of voxels, one after the other, to their mean at that time. Each sample
// and channel has a row of Boxes·BoxLen numbers at slot Ctl + (n·C + c)·Boxes·BoxLen of ctl:
//
//	x T[N D H W C]   ctl → y T[N D H W C]
type Blank struct {
	noGrad
	Boxes int
	Ctl   int
}

// Types says what Blank makes of its operands, or what is wrong with them.
func (op Blank) Types(in []Type) ([]Type, error) {
	if op.Boxes < 1 {
		return nil, fmt.Errorf("%d boxes, wanted 1 or more", op.Boxes)
	}
	return sampleChannels(in, op.Ctl, op.Boxes*BoxLen)
}

// A row of Local.
const (
	LocalStrength = 0 // a
	LocalFrom     = 1 // the least product of factors
	LocalScale    = 2 // 1 / (the largest − the least)
	LocalFactors  = 3 // D + H + W
)

// Local changes the values of a channel by a share k of each voxel, which is a product of
// a factor for each axis. Each sample and channel has a row at slot Ctl + (n·C + c)·(LocalFactors
// + D + H + W) of ctl; a strength a of 0 changes nothing:
//
//	x T[N D H W C]   ctl → y T[N D H W C]
//
//	k = (fD[d]·fH[h]·fW[w] − from)·scale
//	y = x + a·k                  or with Gamma, p being the place of x in [min, max] of its channel
//	y = min + (max − min)·((1 − k)·p + k·pᵃ)
//
// Gamma leaves a channel of one value as it is.
type Local struct {
	noGrad
	Gamma bool
	Ctl   int
}

// Types says what Local makes of its operands, or what is wrong with them.
func (op Local) Types(in []Type) ([]Type, error) {
	length := LocalFactors
	if s := in[0].Shape; len(s) == 5 {
		length += s[1] + s[2] + s[3]
	}
	return sampleChannels(in, op.Ctl, length)
}
