package graph

import "fmt"

// Hardest keeps the labels of the voxels that a network is most wrong about, for a
// loss of those only:
//
//	logits T[N D H W K]   labels u8[N D·sD H·sH W·sW] → hard u8[N D H W]
//
// hard is the class of the voxel's label, as SegSums has it, for the Count voxels of
// all samples whose cross entropy −log softmax(logits)[class], of labels smoothed as in
// SegSums, is the largest, and Unseen for the others. Of equals the first count. A voxel whose label is Ignore
// comes behind all others, and is Unseen.
type Hardest struct {
	noGrad
	Stride [3]int
	Ignore int // −1: none
	Count  int

	Smoothing float32
}

// Unseen is the label of voxels that Hardest leaves out, and of those that Warp finds
// outside of a scan.
const Unseen = 255

// Types says what Hardest makes of its operands, or what is wrong with them.
func (op Hardest) Types(in []Type) ([]Type, error) {
	if _, err := (SegSums{Stride: op.Stride}).Types(in); err != nil {
		return nil, err
	}
	s := in[0].Shape
	if s[4] > Unseen {
		return nil, fmt.Errorf("logits %v: wanted at most %d classes", in[0], Unseen)
	}
	if op.Count < 1 || op.Count > s[0]*s[1]*s[2]*s[3] {
		return nil, fmt.Errorf("a count of %d, wanted 1 to the voxels of %v", op.Count, in[0])
	}
	return []Type{{U8, s[:4]}}, nil
}
