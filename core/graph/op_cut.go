package graph

import "fmt"

// Cut copies crops out of cases that lie one after the other in a store on the device, so
// that the host sends the place of a sample in the place of its voxels:
//
//	store f32[V C] or u8[V]   ctl → y f32[N d h w C] or u8[N d h w]
//
//	y[n i] = case[corner + i], Fill outside of it
//
// Row n of ctl, CutLen values from slot Ctl + n·CutLen on, says where the case begins, how
// large it is, and where in it the crop begins.
type Cut struct {
	noGrad
	N    int
	Crop [3]int
	Fill uint8
	Ctl  int
}

// A row of Cut.
const (
	CutFirst  = 0 // first voxel of the case: its low 16 bits, then the others
	CutSize   = 2 // D H W of the case
	CutCorner = 5 // D H W in the case; may be negative
	CutLen    = 8
)

// Types says what Cut makes of its operands, or what is wrong with them.
func (op Cut) Types(in []Type) ([]Type, error) {
	s := in[0]
	y := Type{s.DType, Shape{op.N, op.Crop[0], op.Crop[1], op.Crop[2]}}
	switch {
	case s.DType == F32 && len(s.Shape) == 2:
		y.Shape = append(y.Shape, s.Shape[1])
	case s.DType == U8 && len(s.Shape) == 1:
	default:
		return nil, fmt.Errorf("store is %v, wanted f32[V C] or u8[V]", s)
	}
	return []Type{y}, wantRows(in[1], op.Ctl, op.N, CutLen)
}
