package graph

import "fmt"

// Enlarge interpolates linearly between voxels, so that the corners stay where they
// are (PyTorch's align_corners):
//
//	x T[N D H W C] → y T[N D·sD H·sH W·sW C]
//
//	y[o] = Σ x[i]·Π max(0, 1 − |o·(n−1) − i·(m−1)|/(m−1))
//
// The product is over the axes, of n voxels before and m behind; an axis of one voxel
// is repeated.
type Enlarge struct{ Stride [3]int }

// Types says what Enlarge makes of its operands, or what is wrong with them.
func (op Enlarge) Types(in []Type) ([]Type, error) {
	x := in[0].Shape
	if len(x) != 5 || min(op.Stride[0], op.Stride[1], op.Stride[2]) < 1 {
		return nil, fmt.Errorf("x %v and the stride %v, wanted 5 axes and numbers above 0", in[0], op.Stride)
	}
	return []Type{{in[0].DType, Shape{x[0], x[1] * op.Stride[0], x[2] * op.Stride[1], x[3] * op.Stride[2], x[4]}}}, nil
}

// Grad adds the ops of the gradient of Enlarge.
func (op Enlarge) Grad(b *Builder, n Node, dout []Value) []Value {
	return b.Apply("grad."+n.Name, EnlargeGrad(op), dout[0])
}

// EnlargeGrad is the adjoint of Enlarge: dx[i] = Σ dy[o]·Π …, with the same factors.
//
//	dy T[N D·sD H·sH W·sW C] → dx T[N D H W C]
type EnlargeGrad struct{ Stride [3]int }

// Grad adds the ops of the gradient of EnlargeGrad.
func (EnlargeGrad) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types are those of AvgPool, which has the same shapes.
func (op EnlargeGrad) Types(in []Type) ([]Type, error) { return AvgPool(op).Types(in) }
