package graph

import "fmt"

// NormAct is a norm with affine parameters and a leaky ReLU:
//
//	x T[N D H W C]   γ, β f32[C] → y T[N D H W C]   stats f32[N C 2]
//
//	stats[n c] = (mean, 1/√(variance + Eps)) of x[n · c], variance over all voxels
//	y = leaky((x − mean)·rstd·γ + β)        leaky(a) = a ≥ 0 ? a : Slope·a
//
// Slope 1 is no activation. It is an instance norm, and with a Pool a group norm or a
// batch norm: mean and variance are then of all that is pooled, and stats has them
// for each sample and channel.
type NormAct struct {
	Eps, Slope float32
	Pool
}

// Pool says which samples and channels have their statistics together.
type Pool struct {
	Groups int  // of channels that follow each other, C/Groups in each; 0: every channel has its own
	Batch  bool // all samples
	// Devices is set with Batch and without Groups: the samples are those of all devices
	// that take part in AllReduce, as many of each. The compiler makes such a norm of other
	// ops; where there is one device it leaves it, and the field says nothing.
	Devices bool
}

// Shared says whether anything is pooled.
func (p Pool) Shared() bool { return p.Groups > 0 || p.Batch }

// Sizes are the samples and the channels of a set, of n samples and c channels.
func (p Pool) Sizes(n, c int) (samples, channels int) {
	samples, channels = 1, 1
	if p.Batch {
		samples = n
	}
	if p.Groups > 0 {
		channels = c / p.Groups
	}
	return samples, channels
}

func (p Pool) check(x Type) error {
	if c := x.Shape[4]; p.Groups < 0 || p.Groups > 0 && c%p.Groups != 0 {
		return fmt.Errorf("the %d channels of x %v are not %d groups of one size", c, x, p.Groups)
	}
	if p.Devices && (!p.Batch || p.Groups > 0) {
		return fmt.Errorf("devices share the statistics of batch norms only, without groups: %+v", p)
	}
	return nil
}

// Types says what NormAct makes of its operands, or what is wrong with them.
func (op NormAct) Types(in []Type) ([]Type, error) {
	x := in[0]
	if err := wantNorm(x, in[1], in[2]); err != nil {
		return nil, err
	}
	return []Type{x, statsType(x)}, op.check(x)
}

// statsType is the type of the statistics of x.
func statsType(x Type) Type { return Type{F32, Shape{x.Shape[0], x.Shape[4], 2}} }

func wantNorm(x, gamma, beta Type) error {
	if len(x.Shape) != 5 {
		return fmt.Errorf("x %v must have 5 axes", x)
	}
	if err := wantVector("gamma", gamma, x.Shape[4]); err != nil {
		return err
	}
	return wantVector("beta", beta, x.Shape[4])
}

// Grad adds the ops of the gradient of NormAct.
func (op NormAct) Grad(b *Builder, n Node, dout []Value) []Value {
	x, gamma, beta, stats := n.In[0], n.In[1], n.In[2], n.Out[1]
	return b.Apply("grad."+n.Name, NormActGrad{op.Slope, op.Pool}, dout[0], x, gamma, beta, stats)
}

// NormApply makes y of NormAct again from its statistics:
//
//	x T[N D H W C]   γ, β f32[C]   stats f32[N C 2] → y T[N D H W C]
type NormApply struct{ Slope float32 }

// Grad adds the ops of the gradient of NormApply.
func (NormApply) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types says what NormApply makes of its operands, or what is wrong with them.
func (NormApply) Types(in []Type) ([]Type, error) {
	if err := wantNorm(in[0], in[1], in[2]); err != nil {
		return nil, err
	}
	return []Type{in[0]}, wantSame("stats", "statistics of x", in[3], statsType(in[0]))
}

// NormActGrad is the adjoint of NormAct:
//
//	dy, x T[N D H W C]   γ, β f32[C]   stats f32[N C 2] → dx T[N D H W C]   dγ, dβ f32[C]
//
// With x̂ = (x − mean)·rstd, g = dy·leaky′(x̂·γ + β) and V voxels:
//
//	dβ = Σ g   dγ = Σ g·x̂   dx = rstd·(γ·g − Σ(γ·g)/V − x̂·Σ(γ·g·x̂)/V)
//
// The sums of dx are over the V voxels of a sample and channel, or of all that is
// pooled.
type NormActGrad struct {
	Slope float32
	Pool
}

// Grad adds the ops of the gradient of NormActGrad.
func (NormActGrad) Grad(b *Builder, n Node, d []Value) []Value { return noGrad{}.Grad(b, n, d) }

// Types says what NormActGrad makes of its operands, or what is wrong with them.
func (op NormActGrad) Types(in []Type) ([]Type, error) {
	if err := wantSame("dy", "x", in[0], in[1]); err != nil {
		return nil, err
	}
	if err := wantNorm(in[1], in[2], in[3]); err != nil {
		return nil, err
	}
	if err := op.check(in[1]); err != nil {
		return nil, err
	}
	return []Type{in[1], in[2], in[3]}, wantSame("stats", "statistics of x", in[4], statsType(in[1]))
}
