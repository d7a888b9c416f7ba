package graph

import "fmt"

// UpConv3D is a transposed convolution whose kernel equals its stride, so that
// its outputs do not overlap:
//
//	x T[N D H W Ci]   w [sD sH sW Ci Co]   b f32[Co], optional   y T[N D·sD H·sH W·sW Co]
//
//	y[n o co] = b[co] + Σ x[n ⌊o/s⌋ ci] · w[o mod s, ci co]
type UpConv3D struct{}

// HalfInput is the index of w.
func (UpConv3D) HalfInput() int { return 1 }

// Types says what UpConv3D makes of its operands, or what is wrong with them.
func (UpConv3D) Types(in []Type) ([]Type, error) {
	x, w := in[0], in[1]
	if len(x.Shape) != 5 || len(w.Shape) != 5 || w.Shape[3] != x.Shape[4] {
		return nil, fmt.Errorf("w %v does not go with x %v", w, x)
	}
	if in[2].Shape != nil {
		if err := wantVector("b", in[2], w.Shape[4]); err != nil {
			return nil, err
		}
	}
	s := x.Shape
	return []Type{{x.DType, Shape{s[0], s[1] * w.Shape[0], s[2] * w.Shape[1], s[3] * w.Shape[2], w.Shape[4]}}}, nil
}

// Grad adds the ops of the gradient of UpConv3D.
func (UpConv3D) Grad(b *Builder, n Node, dout []Value) []Value {
	x, w := n.In[0], n.In[1]
	dw := b.Apply("grad."+n.Name+".w", UpConv3DGradWeight{[3]int(b.Type(w).Shape[:3])}, dout[0], x)
	var dx Value
	if b.g.needsGrad(x) {
		dx = b.Apply("grad."+n.Name+".x", UpConv3DGradInput{}, dout[0], w)[0]
	}
	return []Value{dx, dw[0], dw[1]}
}

// UpConv3DGradInput is the adjoint of UpConv3D in x:
//
//	dy T[N D·sD H·sH W·sW Co]   w [sD sH sW Ci Co] → dx T[N D H W Ci]
type UpConv3DGradInput struct{}

// HalfInput is the index of w.
func (UpConv3DGradInput) HalfInput() int { return 1 }

// Grad adds the ops of the gradient of UpConv3DGradInput.
func (UpConv3DGradInput) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types says what UpConv3DGradInput makes of its operands, or what is wrong with them.
func (UpConv3DGradInput) Types(in []Type) ([]Type, error) {
	y, w := in[0].Shape, in[1].Shape
	if len(y) != 5 || len(w) != 5 || y[1]%w[0] != 0 || y[2]%w[1] != 0 || y[3]%w[2] != 0 || y[4] != w[4] {
		return nil, fmt.Errorf("w %v does not go with dy %v", in[1], in[0])
	}
	return []Type{{in[0].DType, Shape{y[0], y[1] / w[0], y[2] / w[1], y[3] / w[2], w[3]}}}, nil
}

// UpConv3DGradWeight is the adjoint of UpConv3D in w and b:
//
//	dy T[N D·sD H·sH W·sW Co]   x T[N D H W Ci] → dw f32[sD sH sW Ci Co]   db f32[Co]
type UpConv3DGradWeight struct{ Stride [3]int }

// Grad adds the ops of the gradient of UpConv3DGradWeight.
func (UpConv3DGradWeight) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types says what UpConv3DGradWeight makes of its operands, or what is wrong with them.
func (op UpConv3DGradWeight) Types(in []Type) ([]Type, error) {
	s, y, x := op.Stride, in[0].Shape, in[1].Shape
	if len(y) != 5 || len(x) != 5 || [4]int(y[:4]) != [4]int{x[0], x[1] * s[0], x[2] * s[1], x[3] * s[2]} {
		return nil, fmt.Errorf("dy %v does not go with x %v and stride %v", in[0], in[1], s)
	}
	co := y[4]
	return []Type{{F32, Shape{s[0], s[1], s[2], in[1].Shape[4], co}}, {F32, Shape{co}}}, nil
}
