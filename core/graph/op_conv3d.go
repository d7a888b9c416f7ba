package graph

import "fmt"

// Conv3D is a convolution with odd kernel, zero padding (k−1)/2 and a stride,
// over one input or over two that stand side by side in C:
//
//	x T[N D H W C1]   w [kD kH kW C1+C2 Co]   b f32[Co], optional   x2 T[N D H W C2], optional
//	y T[N ⌈D/sD⌉ ⌈H/sH⌉ ⌈W/sW⌉ Co]
//
//	y[n o co] = b[co] + Σ x[n o·s+k−(K−1)/2 c] · w[k c co]
type Conv3D struct{ Stride [3]int }

// HalfInput is the index of w.
func (Conv3D) HalfInput() int { return 1 }

// Types says what Conv3D makes of its operands, or what is wrong with them.
func (op Conv3D) Types(in []Type) ([]Type, error) {
	x, w, b := in[0], in[1], in[2]
	if len(x.Shape) != 5 || len(w.Shape) != 5 {
		return nil, fmt.Errorf("x %v and w %v must have 5 axes", x, w)
	}
	c := x.Shape[4]
	if len(in) > 3 && in[3].Shape != nil {
		x2 := in[3]
		if x2.DType != x.DType || !sameGrid(x.Shape, x2.Shape) {
			return nil, fmt.Errorf("x2 %v does not go with x %v", x2, x)
		}
		c += x2.Shape[4]
	}
	if w.Shape[3] != c {
		return nil, fmt.Errorf("w %v wants %d input channels, x has %d", w, w.Shape[3], c)
	}
	if b.Shape != nil {
		if err := wantVector("b", b, w.Shape[4]); err != nil {
			return nil, err
		}
	}
	y := Shape{x.Shape[0], 0, 0, 0, w.Shape[4]}
	for i, s := range op.Stride {
		if s < 1 {
			return nil, fmt.Errorf("stride %v has an axis below 1", op.Stride)
		}
		if w.Shape[i]%2 == 0 {
			return nil, fmt.Errorf("kernel %v must be odd", w.Shape[:3])
		}
		y[i+1] = (x.Shape[i+1] + s - 1) / s
	}
	return []Type{{x.DType, y}}, nil
}

// Grad adds the ops of the gradient of Conv3D.
func (op Conv3D) Grad(b *Builder, n Node, dout []Value) []Value {
	x, w := n.In[0], n.In[1]
	var x2 Value
	if len(n.In) > 3 {
		x2 = n.In[3]
	}
	// The weights first: what rematerialisation rebuilds for them is dead before dx is born.
	dw := b.Apply("grad."+n.Name+".w", Conv3DGradWeight{op.Stride, [3]int(b.Type(w).Shape[:3])}, dout[0], x, x2)
	dxs := make([]Value, 2)
	if b.g.needsGrad(x) || b.g.needsGrad(x2) {
		copy(dxs, b.Apply("grad."+n.Name+".x", Conv3DGradInput{op.Stride, op.inputs(b, x, x2)}, dout[0], w))
	}
	return []Value{dxs[0], dw[0], dw[1], dxs[1]}[:len(n.In)]
}

func (op Conv3D) inputs(b *Builder, xs ...Value) []Shape {
	var s []Shape
	for _, x := range xs {
		if x != 0 {
			s = append(s, b.Type(x).Shape)
		}
	}
	return s
}

// needsGrad is false for values that the host or a node without gradient made:
// nothing before them can be trained.
func (g *Graph) needsGrad(v Value) bool {
	if v == 0 {
		return false
	}
	if i := g.Info(v); i.Region == Weights {
		return !i.Fixed
	}
	for _, n := range g.Nodes[:g.Split] {
		for _, o := range n.Out {
			if o == v {
				for _, in := range n.In {
					if g.needsGrad(in) {
						return true
					}
				}
				return false
			}
		}
	}
	return false
}

// Conv3DGradInput is the adjoint of Conv3D in x (and x2):
//
//	dy T[N D' H' W' Co]   w [kD kH kW C1+C2 Co] → dx T[X[0]] (, dx2 T[X[1]])
type Conv3DGradInput struct {
	Stride [3]int
	X      []Shape // shapes of x and x2
}

// HalfInput is the index of w.
func (Conv3DGradInput) HalfInput() int { return 1 }

// Grad adds the ops of the gradient of Conv3DGradInput.
func (Conv3DGradInput) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types says what Conv3DGradInput makes of its operands, or what is wrong with them.
func (op Conv3DGradInput) Types(in []Type) ([]Type, error) {
	var out []Type
	c := 0
	for _, x := range op.X {
		if err := wantStrided(in[0], x, op.Stride); err != nil {
			return nil, err
		}
		out = append(out, Type{in[0].DType, x})
		c += x[4]
	}
	if w := in[1].Shape; len(w) != 5 || w[3] != c || w[4] != in[0].Shape[4] {
		return nil, fmt.Errorf("w %v does not go with dy %v and %d input channels", in[1], in[0], c)
	}
	return out, nil
}

// Conv3DGradWeight is the adjoint of Conv3D in w and b:
//
//	dy T[N D' H' W' Co]   x T[N D H W C1]   x2 T[N D H W C2], optional
//	dw f32[kD kH kW C1+C2 Co]   db f32[Co]
type Conv3DGradWeight struct {
	Stride, Kernel [3]int
}

// Grad adds the ops of the gradient of Conv3DGradWeight.
func (Conv3DGradWeight) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types says what Conv3DGradWeight makes of its operands, or what is wrong with them.
func (op Conv3DGradWeight) Types(in []Type) ([]Type, error) {
	if err := wantStrided(in[0], in[1].Shape, op.Stride); err != nil {
		return nil, err
	}
	c := in[1].Shape[4]
	if len(in) > 2 && in[2].Shape != nil {
		if !sameGrid(in[1].Shape, in[2].Shape) {
			return nil, fmt.Errorf("x2 %v does not go with x %v", in[2], in[1])
		}
		c += in[2].Shape[4]
	}
	co := in[0].Shape[4]
	k := op.Kernel
	return []Type{{F32, Shape{k[0], k[1], k[2], c, co}}, {F32, Shape{co}}}, nil
}

// wantStrided checks that dy is the grid of x after a stride.
func wantStrided(dy Type, x Shape, stride [3]int) error {
	ok := len(dy.Shape) == 5 && len(x) == 5 && dy.Shape[0] == x[0]
	for a, s := range stride {
		ok = ok && s > 0 && dy.Shape[a+1] == (x[a+1]+s-1)/s
	}
	if !ok {
		return fmt.Errorf("dy %v does not go with x [%v] and stride %v", dy, x, stride)
	}
	return nil
}

func sameGrid(a, b Shape) bool {
	return len(a) == 5 && len(b) == 5 && [4]int(a[:4]) == [4]int(b[:4])
}

func wantVector(name string, t Type, n int) error {
	if t.DType != F32 || len(t.Shape) != 1 || t.Shape[0] != n {
		return fmt.Errorf("%s is %v, wanted f32[%d]", name, t, n)
	}
	return nil
}

func wantSame(a, b string, x, y Type) error {
	if x.DType != y.DType || x.Shape.String() != y.Shape.String() {
		return fmt.Errorf("%s is %v, %s is %v: wanted the same", a, x, b, y)
	}
	return nil
}
