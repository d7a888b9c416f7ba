package cuda

import "github.com/gounet/gounet/core/graph"

// blocked are the constants of a reduction over the voxels of each channel of x,
// and the number of blocks.
func (s *scope) blocked(x graph.Value) (c consts, blocks int) {
	t := s.Type(x).Shape
	v := t[1] * t[2] * t[3]
	block := max(64, ceil(v, 1024)) // few enough to be added soon
	blocks = ceil(v, block)
	return consts{"V": v, "C": t[4], "BLOCK": block, "BLOCKS": blocks}, blocks
}

// moments adds the kernels that make mean, variance, minimum and maximum of each
// channel of x; or, with stats, mean and 1/√(variance + eps).
func (s *scope) moments(x graph.Value, out place, stats bool, eps float32) error {
	t := s.Type(x).Shape
	c, blocks := s.blocked(x)
	parts := s.floats(4 * t[0] * t[4] * blocks)
	c["T"] = s.Type(x).DType
	if err := s.each("moments", t[0]*blocks*t[4], c, parts, s.value(x)); err != nil {
		return err
	}
	return s.foldMoments(x, out, parts, stats, eps)
}

func (s *scope) foldMoments(x graph.Value, out, parts place, stats bool, eps float32) error {
	t := s.Type(x).Shape
	c, _ := s.blocked(x)
	c["STATS"], c["EPS"] = stats, eps
	return s.blocks("moments_fold", t[0]*t[4], 64, c, out, parts)
}

func (s *scope) normAct(op graph.NormAct, n graph.Node) error {
	stats := s.value(n.Out[1])
	if err := s.moments(n.In[0], stats, true, op.Eps); err != nil {
		return err
	}
	return s.normApply(op.Slope, n.Out[0], n.In, stats)
}

// normApply adds the kernel of y; in is x, gamma, beta.
func (s *scope) normApply(slope float32, y graph.Value, in []graph.Value, stats place) error {
	t := s.Type(y).Shape
	c := consts{"V": t[1] * t[2] * t[3], "C": t[4], "SLOPE": slope}
	return s.elements("norm_apply", y, c, s.value(in[0]), s.value(in[1]), s.value(in[2]), stats)
}

func (s *scope) normActGrad(op graph.NormActGrad, n graph.Node) error {
	x := n.In[1]
	t := s.Type(x).Shape
	c, blocks := s.blocked(x)
	c["SLOPE"], c["T"] = op.Slope, s.Type(x).DType
	parts := s.floats(2 * t[0] * t[4] * blocks)
	sums := s.floats(2 * t[0] * t[4])
	in := s.values(n.In...) // dy, x, gamma, beta, stats
	if err := s.each("norm_grad_sums", t[0]*blocks*t[4], c, append([]place{parts}, in...)...); err != nil {
		return err
	}
	f := consts{"N": t[0], "C": t[4], "BLOCKS": blocks}
	if err := s.blocks("norm_grad_fold", t[4], 64, f, sums, s.value(n.Out[1]), s.value(n.Out[2]), parts); err != nil {
		return err
	}
	if _, ok := s.Place(n.Out[0]); !ok {
		return nil // nobody reads it
	}
	d := consts{"V": t[1] * t[2] * t[3], "C": t[4], "SLOPE": op.Slope}
	return s.elements("norm_grad", n.Out[0], d, append(in, sums)...)
}
