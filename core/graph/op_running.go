package graph

import "fmt"

// Track moves the running statistics of a batch norm towards those of a batch, as
// PyTorch does:
//
//	stats f32[N C 2]   mean, variance f32[C] → mean, variance (in place)
//
//	mean += Momentum·(stats' mean − mean)
//	variance += Momentum·(v·Count/(Count − 1) − variance)        v = max(0, 1/rstd² − Eps)
//
// stats are those of NormAct with Pool.Batch: all samples have the same.
type Track struct {
	noGrad
	Eps, Momentum float32
	Count         int // values that a mean is of, N·D·H·W; at least 2
}

// Mutates lists mean and variance.
func (Track) Mutates(int) []int { return []int{1, 2} }

func (op Track) Types(in []Type) ([]Type, error) {
	if s := in[0].Shape; len(s) != 3 || s[2] != 2 || op.Count < 2 {
		return nil, fmt.Errorf("stats %v of %d values, wanted f32[N C 2] of at least 2", in[0], op.Count)
	}
	if err := wantVector("mean", in[1], in[0].Shape[1]); err != nil {
		return nil, err
	}
	return nil, wantVector("variance", in[2], in[0].Shape[1])
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
