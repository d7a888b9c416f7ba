package graph

import "fmt"

// TileLoad cuts N tiles out of a volume, mirrored as their rows of ctl say:
//
//	volume f32[1 D H W C]   ctl → x T[N d h w C]
//
//	x[n i] = volume[corner + i*]   i* is i, counted from the other end on axes that are mirrored
//
// Row r of ctl begins at slot Ctl + r·RowLen. Voxels outside the volume are 0.
type TileLoad struct {
	noGrad
	N    int
	Tile [3]int
	Ctl  int
}

// Types says what TileLoad makes of its operands, or what is wrong with them.
func (op TileLoad) Types(in []Type) ([]Type, error) {
	v := in[0]
	if len(v.Shape) != 5 || v.Shape[0] != 1 || v.DType != F32 {
		return nil, fmt.Errorf("volume is %v, wanted f32[1 D H W C]", v)
	}
	if err := wantRows(in[1], op.Ctl, op.N, RowLen); err != nil {
		return nil, err
	}
	return []Type{{T, Shape{op.N, op.Tile[0], op.Tile[1], op.Tile[2], v.Shape[4]}}}, nil
}

// TileBlend un-mirrors logits and adds them, weighted, to an accumulator. It
// works off its rows in order:
//
//	logits T[N d h w K]   weights f32[d h w]   ctl   acc f32[S H W K]   norm f32[S H W] → (acc, norm in place)
//
//	acc[o] += m·weights[i]·logits[n i*]   norm[o] += m·weights[i]   o = corner + i, m = RowWeight
//
// i* is i mirrored. Plane o of the volume, 0 ≤ o < Depth, is plane o mod S of
// the accumulator, so that S planes can wander through a volume that is larger
// than memory. Voxels outside Depth×H×W are dropped, and so are rows of weight 0,
// whatever their logits are.
type TileBlend struct {
	noGrad
	Depth int
	Ctl   int
}

// Mutates lists acc and norm.
func (TileBlend) Mutates(int) []int { return []int{3, 4} }

// Types says what TileBlend makes of its operands, or what is wrong with them.
func (op TileBlend) Types(in []Type) ([]Type, error) {
	z, w, acc, norm := in[0].Shape, in[1].Shape, in[3].Shape, in[4].Shape
	if len(z) != 5 || len(w) != 3 || [3]int(w) != [3]int(z[1:4]) {
		return nil, fmt.Errorf("weights %v do not go with logits %v", in[1], in[0])
	}
	if len(acc) != 4 || len(norm) != 3 || acc[3] != z[4] || [3]int(acc[:3]) != [3]int(norm) {
		return nil, fmt.Errorf("accumulator %v and norm %v do not go with logits %v", in[3], in[4], in[0])
	}
	return nil, wantRows(in[2], op.Ctl, z[0], RowLen)
}

// Labels resamples blended logits to the grid of a scan and decides:
//
//	acc f32[S H W K]   norm f32[S H W]   ctl → labels u8[Planes H' W']
//
// The logits of a voxel are acc/norm, plane o of Depth being plane o mod S of
// acc. Result plane i is plane ctl[Ctl] + i of Out; planes beyond Out are 0. A
// voxel o of Out lies at (o + ½)·n/n′ − ½ of an axis of n voxels, clamped to it;
// values between voxels are linear, on a Nearest axis those of voxel
// ⌊(o + ½)·n/n′⌋, a quotient of integers. Without Regions the label is the first largest logit; with Regions it
// is the last Regions[k] in order whose logit is above 0, else 0.
type Labels struct {
	noGrad
	Depth   int
	Out     [3]int
	Planes  int
	Nearest [3]bool
	Regions []uint8
	Ctl     int
}

// Types says what Labels makes of its operands, or what is wrong with them.
func (op Labels) Types(in []Type) ([]Type, error) {
	acc := in[0].Shape
	if len(acc) != 4 || len(in[1].Shape) != 3 || [3]int(in[1].Shape) != [3]int(acc[:3]) {
		return nil, fmt.Errorf("accumulator %v and norm %v do not go together", in[0], in[1])
	}
	if op.Regions != nil && len(op.Regions) != acc[3] {
		return nil, fmt.Errorf("%d regions for %d logits", len(op.Regions), acc[3])
	}
	if op.Regions == nil && acc[3] > 255 {
		return nil, fmt.Errorf("%d classes do not fit labels of one byte", acc[3])
	}
	return []Type{{U8, Shape{op.Planes, op.Out[1], op.Out[2]}}}, wantRows(in[2], op.Ctl, 1, 1)
}

func wantRows(ctl Type, at, rows, length int) error {
	if n := at + rows*length; ctl.DType != F32 || ctl.Shape.Elems() < n {
		return fmt.Errorf("ctl is %v, wanted at least f32[%d]", ctl, n)
	}
	return nil
}
