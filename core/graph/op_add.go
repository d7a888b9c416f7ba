package graph

import "fmt"

// Add is y = a + b, elementwise: a, b, y of one type.
type Add struct{}

// Types says what Add makes of its operands, or what is wrong with them.
func (Add) Types(in []Type) ([]Type, error) {
	return []Type{in[0]}, wantSame("a", "b", in[0], in[1])
}

// Grad adds the ops of the gradient of Add.
func (Add) Grad(_ *Builder, _ Node, dout []Value) []Value { return []Value{dout[0], dout[0]} }

// AddAct is y = leaky(a + b), the end of a residual block.
type AddAct struct{ Slope float32 }

// Types says what AddAct makes of its operands, or what is wrong with them.
func (AddAct) Types(in []Type) ([]Type, error) {
	return []Type{in[0]}, wantSame("a", "b", in[0], in[1])
}

// Grad adds the ops of the gradient of AddAct.
func (op AddAct) Grad(b *Builder, n Node, dout []Value) []Value {
	d := b.Apply("grad."+n.Name, ActGrad(op), dout[0], n.Out[0])[0]
	return []Value{d, d}
}

// ActGrad is the adjoint of a leaky ReLU, from its result y:
//
//	dx = y ≥ 0 ? dy : Slope·dy
//
// Of x and x it is the leaky ReLU itself.
type ActGrad struct{ Slope float32 }

// Grad is of dy: y only chooses.
func (op ActGrad) Grad(b *Builder, n Node, d []Value) []Value {
	return []Value{b.Apply("grad."+n.Name, op, d[0], n.In[1])[0], 0}
}

// Types says what ActGrad makes of its operands, or what is wrong with them.
func (ActGrad) Types(in []Type) ([]Type, error) {
	return []Type{in[0]}, wantSame("dy", "y", in[0], in[1])
}

// AvgPool is the mean over windows that do not overlap, whose size is the stride:
//
//	x T[N D H W C] → y T[N D/sD H/sH W/sW C]
type AvgPool struct{ Stride [3]int }

// Types says what AvgPool makes of its operands, or what is wrong with them.
func (op AvgPool) Types(in []Type) ([]Type, error) {
	if len(in[0].Shape) != 5 {
		return nil, fmt.Errorf("x %v must have 5 axes", in[0])
	}
	s := Shape{in[0].Shape[0], 0, 0, 0, in[0].Shape[4]}
	for i, k := range op.Stride {
		n := in[0].Shape[i+1]
		if k < 1 || n%k != 0 {
			return nil, fmt.Errorf("x %v is not divisible by the stride %v", in[0], op.Stride)
		}
		s[i+1] = n / k
	}
	return []Type{{in[0].DType, s}}, nil
}

// Grad adds the ops of the gradient of AvgPool.
func (op AvgPool) Grad(b *Builder, n Node, dout []Value) []Value {
	return b.Apply("grad."+n.Name, AvgPoolGrad(op), dout[0])
}

// AvgPoolGrad is the adjoint of AvgPool: dx = dy / window, spread over the window.
//
//	dy T[N D/sD H/sH W/sW C] → dx T[N D H W C]
type AvgPoolGrad struct{ Stride [3]int }

// Grad is AvgPool, whose adjoint this is.
func (op AvgPoolGrad) Grad(b *Builder, n Node, dout []Value) []Value {
	return b.Apply("grad."+n.Name, AvgPool(op), dout[0])
}

// Types says what AvgPoolGrad makes of its operands, or what is wrong with them.
func (op AvgPoolGrad) Types(in []Type) ([]Type, error) {
	y, k := in[0].Shape, op.Stride
	if len(y) != 5 {
		return nil, fmt.Errorf("dy %v must have 5 axes", in[0])
	}
	return []Type{{in[0].DType, Shape{y[0], y[1] * k[0], y[2] * k[1], y[3] * k[2], y[4]}}}, nil
}
