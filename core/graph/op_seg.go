package graph

import "fmt"

// Act says how logits become the p of SegSums.
type Act uint8

// Ways from logits to p.
const (
	Softmax Act = iota
	Sigmoid     // each class by itself: regions may overlap
	Hard        // 1 for the largest logit (the first of equals), with Regions for each logit above 0, else 0; no gradient, its Σ ce is 0
)

// String names the Act, for people.
func (a Act) String() string { return [...]string{"softmax", "sigmoid", "hard"}[a] }

// Sums of SegSums, the columns of its result.
const (
	SumPT    = iota // Σ p·t
	SumP            // Σ p
	SumT            // Σ t
	SumCE           // Σ cross entropy
	SumValid        // voxels counted; the same for every class
	SumsLen
)

// SegSums is what Dice and cross entropy need to know of a segmentation:
//
//	logits T[N D H W K]   labels u8[N D·sD H·sH W·sW] → sums f32[N K 5]
//
// The label of a voxel is the one at o·s + s/2 (nearest-exact down-sampling).
// A voxel whose label is Ignore is not counted. t[k] is 1 where the label is k,
// or is listed in Regions[k]; a label that is no class counts as background, 0.
// The cross entropy of a voxel goes to the class of its label, with a sigmoid
// to each class by itself:
//
//	softmax: −(1 − p[t])^Gamma · log p[t]      sigmoid: −(1 − q)^Gamma · log q, q = t ? p : 1 − p
//
// With Smoothing ε the cross entropy of a softmax is that of a label of which the share
// ε is spread over all classes, (1 − ε)·(−log p[t]) + ε·mean(−log p): ε·(z[t] − mean(z)) more.
type SegSums struct {
	Stride  [3]int
	Act     Act
	Regions [][]uint8 // labels of each region; nil: region k is label k
	Ignore  int       // the label that is not counted; −1: none
	Gamma   float32   // of the focal loss; 0: cross entropy

	Smoothing float32 // of a softmax without Gamma: ε
}

// Types says what SegSums makes of its operands, or what is wrong with them.
func (op SegSums) Types(in []Type) ([]Type, error) {
	z, l := in[0], in[1]
	if len(z.Shape) != 5 || len(l.Shape) != 4 || l.DType != U8 {
		return nil, fmt.Errorf("logits %v and labels %v, wanted T[N D H W K] and u8[N D H W]", z, l)
	}
	for i, s := range op.Stride {
		if l.Shape[i+1] != z.Shape[i+1]*s || l.Shape[0] != z.Shape[0] {
			return nil, fmt.Errorf("labels %v are not logits %v times the stride %v", l, z, op.Stride)
		}
	}
	if op.Smoothing != 0 && (op.Act != Softmax || op.Gamma != 0) {
		return nil, fmt.Errorf("labels are smoothed for the cross entropy of a softmax, not with %s and Gamma %v", op.Act, op.Gamma)
	}
	if k := z.Shape[4]; op.Regions != nil && len(op.Regions) != k {
		return nil, fmt.Errorf("%d regions for %d logits", len(op.Regions), k)
	}
	return []Type{{F32, Shape{z.Shape[0], z.Shape[4], SumsLen}}}, nil
}

// Grad adds the ops of the gradient of SegSums.
func (op SegSums) Grad(b *Builder, n Node, dout []Value) []Value {
	if op.Act == Hard {
		return noGrad{}.Grad(b, n, dout)
	}
	return []Value{b.Apply("grad."+n.Name, SegGrad{op}, n.In[0], n.In[1], dout[0])[0], 0}
}

// SegGrad is the adjoint of SegSums in the logits:
//
//	logits T[N D H W K]   labels u8[N D·sD H·sH W·sW]   dsums f32[N K 5] → dlogits T[N D H W K]
type SegGrad struct{ SegSums }

// Grad adds the ops of the gradient of SegGrad.
func (SegGrad) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types says what SegGrad makes of its operands, or what is wrong with them.
func (op SegGrad) Types(in []Type) ([]Type, error) {
	sums, err := op.SegSums.Types(in[:2])
	if err != nil {
		return nil, err
	}
	return []Type{in[0]}, wantSame("dsums", "sums", in[2], sums[0])
}

// SegLoss adds the loss of one scale of deep supervision to the losses so far,
// and hands out its own gradient, multiplied by ctl's loss scale:
//
//	sums f32[N K 5]   before f32[1], optional   ctl → loss f32[1]   dsums f32[N K 5]
//
//	loss = before + Weight·(CE·Σ ce / (Mean·Σ valid) − Dice·mean((2Σpt + Smooth) / max(Σp + Σt + Smooth, 1e-8)))
//
// The mean is over the classes from First on, and over the samples; with Batch
// the sums are added up over the samples first. Where Σ valid is 0 there is no
// cross entropy. The labels are data: the columns Σt and Σ valid of dsums are 0.
// With Classes, the weight of each class, the cross entropy is a weighted mean:
// Σ w·ce / (Mean·Σ w·t) stands in the place of Σ ce / (Mean·Σ valid).
type SegLoss struct {
	Weight, CE, Dice, Smooth float32
	Mean                     int // 1; K where binary cross entropies are averaged over classes too
	First                    int // 1: without background
	Batch                    bool
	Classes                  []float32 // a weight each; nil: all 1
}

// Types says what SegLoss makes of its operands, or what is wrong with them.
func (op SegLoss) Types(in []Type) ([]Type, error) {
	s := in[0].Shape
	if len(s) != 3 || s[2] != SumsLen || op.First >= s[1] || op.Mean < 1 {
		return nil, fmt.Errorf("sums %v: wanted f32[N K %d] with K above First %d, and Mean %d above 0", in[0], SumsLen, op.First, op.Mean)
	}
	if op.Classes != nil && len(op.Classes) != s[1] {
		return nil, fmt.Errorf("%d weights for %d classes", len(op.Classes), s[1])
	}
	return []Type{{F32, Shape{1}}, in[0]}, nil
}

// Grad adds the ops of the gradient of SegLoss.
func (SegLoss) Grad(b *Builder, n Node, dout []Value) []Value {
	if dout[0] != One {
		b.Fail("%s: a loss must be the end of the graph", n.Name)
	}
	before := One
	if n.In[1] == 0 {
		before = 0
	}
	return []Value{n.Out[1], before, 0}
}
