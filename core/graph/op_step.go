package graph

import (
	"fmt"
	"slices"
)

// AllReduce replaces its inputs by their sums over all devices that take part,
// divided by their number where Mean is set.
type AllReduce struct {
	noGrad
	Mean bool
}

// Mutates lists every input.
func (AllReduce) Mutates(n int) []int { return indices(0, n) }

// Types says what AllReduce makes of its operands, or what is wrong with them.
func (AllReduce) Types([]Type) ([]Type, error) { return nil, nil }

// GradNorm looks at all gradients before a step:
//
//	ctl, grads of N parameters → ctl
//
//	norm = √Σg² / scale   finite = every g is finite   factor = min(1, clip/(norm + 1e-6)) / scale
//
// Without a clip in ctl (0) factor is 1 / scale. A step that is finite is
// counted in ctl's steps and good, another in skipped, and good is 0 again; norm
// and factor mean nothing then. With Growth, the loss scale halves after a step
// that is not finite, and doubles, with good 0 again, after Growth steps in a
// row that are: the next step is the first to see it.
type GradNorm struct {
	noGrad
	Growth int // 2000 in PyTorch's GradScaler; 0: the scale is fixed
}

// Mutates lists ctl.
func (GradNorm) Mutates(int) []int { return []int{0} }

// Types says what GradNorm makes of its operands, or what is wrong with them.
func (GradNorm) Types(in []Type) ([]Type, error) {
	if in[0].DType != F32 || in[0].Shape.Elems() < CtlRows {
		return nil, fmt.Errorf("ctl is %v, wanted at least f32[%d]", in[0], CtlRows)
	}
	return nil, nil
}

// Rule is an update rule, as PyTorch defines it.
type Rule uint8

// Update rules: g the gradient, η the rate, λ Decay, μ Momentum, m and v states.
const (
	SGD   Rule = iota // d = g + λw; m = μm + d; w −= η(d + μm) with Nesterov, ηm without
	Adam              // d = g + λw; m, v moments of d; w −= η·m̂/(√v̂ + ε)
	AdamW             // w −= ηλw; then as Adam with d = g

	// Adan (Xie et al. 2022, without restarts) has the gradient of the step before, p, as
	// its last state, and moments m of g, v of the difference e = g − p, n of (g + β₂e)²:
	//
	//	w = (w − η(m̂ + β₂v̂)/(√n̂ + ε)) / (1 + ηλ)   p = g
	//
	// The first step has no difference: it leaves m, v and n alone, and w only shrinks, as in
	// adan-pytorch, which nnU-Net takes and whose betas are 1 − β.
	Adan
)

// String names the Rule, for people.
func (r Rule) String() string { return [...]string{"sgd", "adam", "adamw", "adan"}[r] }

// Slots is the number of states that a rule keeps for each weight.
func (r Rule) Slots() int { return [...]int{1, 2, 2, 4}[r] }

// Step updates N parameters, and their 16-bit copies if there are any:
//
//	ctl   w×N   g×N   state×N·Slots (slot after slot)   half×M → (in place)
//
// g is multiplied by ctl's factor first. Nothing happens if ctl says that the
// gradients are not finite. Parameters of one Step lie in one range of Weights;
// their gradients and states at the same offsets of Grads and State.
type Step struct {
	noGrad
	Rule                  Rule
	N                     int
	Momentum, Decay       float32
	Nesterov              bool
	Beta1, Beta2, Epsilon float32 // β: the share of a moment that stays
	Beta3                 float32 // of Adan's n
}

// Mutates lists weights, state and half.
func (op Step) Mutates(n int) []int {
	return slices.Concat(indices(1, 1+op.N), indices(1+2*op.N, n))
}

// Weights lists the parameters among the inputs of a Step.
func (op Step) Weights(in []Value) []Value { return in[1 : 1+op.N] }

// Grads lists the gradients.
func (op Step) Grads(in []Value) []Value { return in[1+op.N : 1+2*op.N] }

// States lists the states of one slot.
func (op Step) States(in []Value, slot int) []Value {
	return in[1+(2+slot)*op.N : 1+(3+slot)*op.N]
}

// Halves lists the 16-bit copies; Info.Of says of which weight.
func (op Step) Halves(in []Value) []Value { return in[1+(2+op.Rule.Slots())*op.N:] }

// Types says what Step makes of its operands, or what is wrong with them.
func (op Step) Types(in []Type) ([]Type, error) {
	if want := 1 + op.N*(2+op.Rule.Slots()); op.N < 1 || len(in) < want {
		return nil, fmt.Errorf("%d inputs, wanted %d", len(in), want)
	}
	for i := range op.N {
		w := in[1+i]
		for s := range 1 + op.Rule.Slots() {
			if err := wantSame("gradient or state", "weight", in[1+(1+s)*op.N+i], w); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

func indices(from, to int) []int {
	var is []int
	for i := from; i < to; i++ {
		is = append(is, i)
	}
	return is
}
