package graph

import "fmt"

// Estimate makes of the statistics of a batch norm what its running ones move towards, as
// numbers of which several devices can take the mean:
//
//	stats f32[N C 2] → m, v f32[C]
//
//	m = stats' mean   v = max(0, 1/rstd² − Eps)·Count/(Count − 1)
//
// stats are those of NormAct with Pool.Batch: all samples have the same.
type Estimate struct {
	noGrad
	Eps   float32
	Count int // values that a mean is of, N·D·H·W; at least 2
}

// Types says what Estimate makes of its operands, or what is wrong with them.
func (op Estimate) Types(in []Type) ([]Type, error) {
	s := in[0].Shape
	if len(s) != 3 || s[2] != 2 || op.Count < 2 {
		return nil, fmt.Errorf("stats %v of %d values, wanted f32[N C 2] of at least 2", in[0], op.Count)
	}
	c := Type{F32, Shape{s[1]}}
	return []Type{c, c}, nil
}

// Track moves the running statistics of a batch norm towards those of a batch, as
// PyTorch does:
//
//	m, v f32[C] of Estimate   mean, variance f32[C] → mean, variance (in place)
//
//	mean += Momentum·(m − mean)   variance += Momentum·(v − variance)
type Track struct {
	noGrad
	Momentum float32
}

// Mutates lists mean and variance.
func (Track) Mutates(int) []int { return []int{2, 3} }

// Types says what Track makes of its operands, or what is wrong with them.
func (op Track) Types(in []Type) ([]Type, error) {
	if len(in[0].Shape) != 1 {
		return nil, fmt.Errorf("m is %v, wanted f32[C]", in[0])
	}
	c := in[0].Shape[0]
	for i, name := range []string{"m", "v", "mean", "variance"} {
		if err := wantVector(name, in[i], c); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Running makes statistics for NormApply of running ones:
//
//	mean, variance f32[C] → stats f32[N C 2]
//
//	stats[n c] = (mean, 1/√(variance + Eps))
type Running struct {
	noGrad
	Eps float32
	N   int
}

// Types says what Running makes of its operands, or what is wrong with them.
func (op Running) Types(in []Type) ([]Type, error) {
	if len(in[0].Shape) != 1 || op.N < 1 {
		return nil, fmt.Errorf("mean %v for %d samples, wanted f32[C] for at least 1", in[0], op.N)
	}
	c := in[0].Shape[0]
	if err := wantVector("mean", in[0], c); err != nil {
		return nil, err
	}
	return []Type{{F32, Shape{op.N, c, 2}}}, wantVector("variance", in[1], c)
}
