package graph

import "fmt"

// Moments are the mean and the variance of each channel over all samples of a device,
// where an AllReduce behind it gathers those of all devices:
//
//	x T[N D H W C] → parts f32[World C 2]
//
//	parts[Rank c] = (mean, variance) of x[· c]   0 in all other rows
//
// A sum over devices of numbers of which all but one are 0 is exact in any order.
type Moments struct {
	noGrad
	World, Rank int
}

// Types says what Moments makes of its operands, or what is wrong with them.
func (op Moments) Types(in []Type) ([]Type, error) {
	x := in[0]
	if len(x.Shape) != 5 {
		return nil, fmt.Errorf("x %v must have 5 axes", x)
	}
	if op.Rank < 0 || op.Rank >= op.World {
		return nil, fmt.Errorf("rank %d of %d devices, wanted 0 to %d", op.Rank, op.World, op.World-1)
	}
	return []Type{{F32, Shape{op.World, x.Shape[4], 2}}}, nil
}

// Merged makes statistics for NormApply of the moments of devices with as many values
// each (Chan, Golub and LeVeque 1983):
//
//	parts f32[World C 2] of Moments → stats f32[N C 2]
//
//	mean = Σ meanᵣ/World   variance = Σ (varianceᵣ + (meanᵣ − mean)²)/World
//	stats[n c] = (mean, 1/√(variance + Eps))
type Merged struct {
	noGrad
	Eps float32
	N   int
}

// Types says what Merged makes of its operands, or what is wrong with them.
func (op Merged) Types(in []Type) ([]Type, error) {
	s := in[0].Shape
	if len(s) != 3 || s[2] != 2 || op.N < 1 {
		return nil, fmt.Errorf("parts %v for %d samples, wanted f32[World C 2] for at least 1", in[0], op.N)
	}
	return []Type{{F32, Shape{op.N, s[1], 2}}}, nil
}

// NormActGradSums is the part of NormActGrad over samples of several devices that stands
// before an AllReduce of sums:
//
//	dy, x T[N D H W C]   γ, β f32[C]   stats f32[N C 2] → dγ, dβ f32[C]   sums f32[N C 2]
//
// With x̂ and g of NormActGrad:
//
//	sums[n c] = (Σ g, Σ g·x̂) over the voxels of a sample   dβ = Σ g   dγ = Σ g·x̂ over all samples
type NormActGradSums struct {
	noGrad
	Slope float32
}

// Types says what NormActGradSums makes of its operands, or what is wrong with them.
func (op NormActGradSums) Types(in []Type) ([]Type, error) {
	types, err := NormActGrad{Slope: op.Slope}.Types(in)
	if err != nil {
		return nil, err
	}
	return []Type{types[1], types[2], statsType(in[1])}, nil
}

// NormActGradInput is the part behind it:
//
//	dy, x T[N D H W C]   γ, β f32[C]   stats, sums f32[N C 2] → dx T[N D H W C]
//
//	dx = rstd·γ·(g − Σ g/Count − x̂·Σ g·x̂/Count)
//
// The sums of dx are those of all samples of sums, of all devices together.
type NormActGradInput struct {
	noGrad
	Slope float32
	Count int // values that a sum is of, N·D·H·W of all devices
}

// Types says what NormActGradInput makes of its operands, or what is wrong with them.
func (op NormActGradInput) Types(in []Type) ([]Type, error) {
	types, err := NormActGrad{Slope: op.Slope}.Types(in)
	if err != nil {
		return nil, err
	}
	if op.Count < 1 {
		return nil, fmt.Errorf("sums of %d values, wanted at least 1", op.Count)
	}
	return types[:1], wantSame("sums", "statistics of x", in[5], statsType(in[1]))
}
