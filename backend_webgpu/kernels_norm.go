package webgpu

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// blocked are the constants of a reduction over the voxels of each channel of
// x, and the number of blocks.
func (s *scope) blocked(x graph.Value) (c shaders.Consts, blocks int) {
	t := s.Type(x).Shape
	v := t[1] * t[2] * t[3]
	block := max(64, (v+1023)/1024) // few enough to be added soon
	blocks = (v + block - 1) / block
	return shaders.Consts{
		"V": v, "C": t[4], "BLOCK": block, "BLOCKS": blocks, "COUNT": t[0] * blocks * t[4], "T_HALF": s.halved(x),
	}, blocks
}

// moments adds the kernels that make mean, variance, minimum and maximum of each
// channel of x; or, with stats, mean and 1/√(variance + eps).
func (s *scope) moments(x graph.Value, out operand, stats bool, eps float32) error {
	t := s.Type(x).Shape
	c, blocks := s.blocked(x)
	parts := s.partial(int64(4 * t[0] * t[4] * blocks))
	name, count := "moments", t[0]*blocks*t[4]
	if across := s.across(x); across > 0 {
		name, count = "moments_blocked", t[0]*blocks*across
	}
	c["COUNT"] = count
	if err := s.each(name, count, c, parts, s.value(x)); err != nil {
		return err
	}
	return s.foldMoments(x, out, parts, stats, eps)
}

func (s *scope) foldMoments(x graph.Value, out, parts operand, stats bool, eps float32) error {
	t := s.Type(x).Shape
	c, _ := s.blocked(x)
	delete(c, "T_HALF")
	c["COUNT"], c["STATS"], c["EPS"] = t[0]*t[4], stats, eps
	return s.groups("moments_fold", t[0]*t[4], c, out, parts)
}

// across is the number of loads of four words that make the channels of a voxel of
// x, or 0 where they do not come out even.
func (s *scope) across(x graph.Value) int {
	c := s.Type(x).Shape[4]
	if channels := 4 * perWord(s.Type(x).DType); !s.simple && s.inFours(x) && c%channels == 0 {
		return c / channels
	}
	return 0
}

func (s *scope) normAct(op graph.NormAct, n graph.Node) error {
	stats := s.value(n.Out[1])
	t := s.Type(n.In[0]).Shape
	whole := stats
	if op.Shared() {
		whole = s.partial(int64(4 * t[0] * t[4]))
	}
	if err := s.moments(n.In[0], whole, !op.Shared(), op.Eps); err != nil {
		return err
	}
	if op.Shared() {
		c := poolConsts(op.Pool, t)
		c["EPS"] = op.Eps
		if err := s.each("norm_pool", t[0]*t[4], c, stats, whole); err != nil {
			return err
		}
	}
	return s.normApply(op.Slope, n.Out[0], n.In, stats)
}

// normApply adds the kernel of y; in is x, gamma, beta.
func (s *scope) normApply(slope float32, y graph.Value, in []graph.Value, stats operand) error {
	t := s.Type(y).Shape
	v := t[1] * t[2] * t[3]
	c := shaders.Consts{"V": v, "C": t[4], "SLOPE": slope}
	if across := s.across(in[0]); across > 0 {
		count := t[0] * ceil(v, 4) * across
		c["COUNT"], c["T_HALF"] = count, s.halved(y)
		return s.each("norm_apply_blocked", count, c, s.value(y), s.value(in[0]), s.value(in[1]), s.value(in[2]), stats)
	}
	return s.words("norm_apply", y, c, s.value(in[0]), s.value(in[1]), s.value(in[2]), stats)
}

func (s *scope) normActGrad(op graph.NormActGrad, n graph.Node) error {
	t := s.Type(n.In[1]).Shape
	sums := s.partial(int64(2 * t[0] * t[4]))
	if err := s.normGradSums(op.Slope, n.In, sums, s.value(n.Out[1]), s.value(n.Out[2])); err != nil {
		return err
	}
	if _, ok := s.Place(n.Out[0]); !ok {
		return nil // nobody reads it
	}
	return s.normGrad(op.Slope, op.Pool, t[1]*t[2]*t[3], n, sums)
}

// normGradSums adds the kernels of the sums of each sample, dγ and dβ; in is dy, x, gamma,
// beta, stats.
func (s *scope) normGradSums(slope float32, in []graph.Value, sums, dgamma, dbeta operand) error {
	t := s.Type(in[1]).Shape
	c, blocks := s.blocked(in[1])
	c["SLOPE"] = slope
	parts := s.partial(int64(2 * t[0] * t[4] * blocks))
	if err := s.each("norm_grad_sums", t[0]*blocks*t[4], c, append([]operand{parts}, s.values(in)...)...); err != nil {
		return err
	}
	f := shaders.Consts{"N": t[0], "C": t[4], "BLOCKS": blocks}
	return s.each("norm_grad_fold", t[4], f, sums, dgamma, dbeta, parts)
}

// normGrad adds the kernels of dx, of sums over so many voxels of a sample and channel.
func (s *scope) normGrad(slope float32, pool graph.Pool, voxels int, n graph.Node, sums operand) error {
	t := s.Type(n.In[1]).Shape
	if pool.Shared() {
		p := poolConsts(pool, t)
		p["V"] = voxels
		means := s.partial(int64(2 * t[0] * t[4]))
		if err := s.each("norm_grad_pool", t[0]*t[4], p, means, sums, s.value(n.In[2])); err != nil {
			return err
		}
		sums = means
	}
	c := shaders.Consts{"V": t[1] * t[2] * t[3], "C": t[4], "SLOPE": slope, "POOLED": pool.Shared()}
	return s.words("norm_grad", n.Out[0], c, append(s.values(n.In[:5]), sums)...)
}

// poolConsts are the sets of a norm of x that share statistics.
func poolConsts(p graph.Pool, x graph.Shape) shaders.Consts {
	samples, width := p.Sizes(x[0], x[4])
	return shaders.Consts{"C": x[4], "SAMPLES": samples, "WIDTH": width, "COUNT": x[0] * x[4]}
}

func (s *scope) estimate(op graph.Estimate, n graph.Node) error {
	count := s.Type(n.Out[0]).Shape[0]
	c := shaders.Consts{"COUNT": count, "EPS": op.Eps, "UNBIASED": float32(op.Count) / float32(op.Count-1)}
	return s.each("estimate", count, c, s.value(n.Out[0]), s.value(n.Out[1]), s.value(n.In[0]))
}

func (s *scope) track(op graph.Track, n graph.Node) error {
	count := s.Type(n.In[0]).Shape[0]
	c := shaders.Consts{"COUNT": count, "MOMENTUM": op.Momentum}
	return s.each("track", count, c, s.value(n.In[2]), s.value(n.In[3]), s.value(n.In[0]), s.value(n.In[1]))
}

func (s *scope) running(op graph.Running, n graph.Node) error {
	t := s.Type(n.Out[0]).Shape
	c := shaders.Consts{"C": t[1], "COUNT": t[0] * t[1], "EPS": op.Eps}
	return s.each("running", t[0]*t[1], c, s.value(n.Out[0]), s.value(n.In[0]), s.value(n.In[1]))
}
