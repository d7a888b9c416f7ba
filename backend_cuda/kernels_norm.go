package cuda

import "github.com/gounet/gounet/core/graph"

// blocked are the constants of a reduction over the voxels of each channel of x, with
// so many threads of a voxel, and the number of blocks: enough to keep the device
// busy, few enough to be added soon.
func (s *scope) blocked(x graph.Value, across int) (c consts, blocks int) {
	t := s.Type(x).Shape
	v := t[1] * t[2] * t[3]
	block := max(16, ceil(v, max(1024, s.enough()/(t[0]*across))))
	blocks = ceil(v, block)
	return consts{"V": v, "C": t[4], "BLOCK": block, "BLOCKS": blocks}, blocks
}

// lanes is the threads that add up blocks.
func lanes(blocks int) int {
	if blocks > 1024 {
		return 256
	}
	return 64
}

// vectors is the kernel for a value whose channels are whole vectors of 16 bytes, and
// the threads of a voxel; the simple kernel has one for each channel.
func (s *scope) vectors(name string, x graph.Value) (kernel string, across int) {
	t := s.Type(x)
	c := t.Shape[4]
	if per := 16 / t.DType.Size(); !s.Simple && c%per == 0 {
		return name + "_blocked", c / per
	}
	return name, c
}

// moments adds the kernels that make mean, variance, minimum and maximum of each
// channel of x; or, with stats, mean and 1/√(variance + eps).
func (s *scope) moments(x graph.Value, out place, stats bool, eps float32) error {
	t := s.Type(x).Shape
	name, across := s.vectors("moments", x)
	c, blocks := s.blocked(x, across)
	parts := s.floats(4 * t[0] * t[4] * blocks)
	c["T"] = s.Type(x).DType
	if err := s.each(name, t[0]*blocks*across, c, parts, s.value(x)); err != nil {
		return err
	}
	return s.foldMoments(x, across, out, parts, stats, eps)
}

// foldMoments adds the kernel that makes moments of those of blocks.
func (s *scope) foldMoments(x graph.Value, across int, out, parts place, stats bool, eps float32) error {
	t := s.Type(x).Shape
	c, blocks := s.blocked(x, across)
	row := [3]int{t[1] * t[2] * t[3], 1, 1}
	return s.foldTiles(t, row, [3]int{c["BLOCK"].(int), 1, 1}, [3]int{blocks, 1, 1}, out, parts, stats, eps)
}

// foldTiles does so where the blocks are tiles of a grid, of which there are so many
// on each axis.
func (s *scope) foldTiles(x graph.Shape, grid, tile, count [3]int, out, parts place, stats bool, eps float32) error {
	c := merged(triple("", grid[:]), triple("T", tile[:]), triple("G", count[:]), consts{
		"C": x[4], "BLOCKS": count[0] * count[1] * count[2], "STATS": stats, "EPS": eps,
	})
	delete(c, "GD")
	n := lanes(c["BLOCKS"].(int))
	c["LANES"] = fixed(n)
	return s.blocks("moments_fold", x[0]*x[4], n, c, out, parts)
}

// kept is moments of tiles of a value, which the node that made it has left for the
// norm behind it.
type kept struct {
	of          graph.Value
	at          int // node
	tile, count [3]int
	parts       place
}

// normed says that the next node makes moments of y.
func (s *scope) normed(y graph.Value) bool {
	if s.at+1 >= len(s.Nodes) {
		return false
	}
	next := s.Nodes[s.at+1]
	switch next.Op.(type) {
	case graph.NormAct, graph.Moments:
		return next.In[0] == y
	}
	return false
}

// momentsOf is moments of the input of a node, from what the node before it has left or
// from the input.
func (s *scope) momentsOf(x graph.Value, out place, stats bool, eps float32) error {
	if k := s.kept; k.of == x && k.at == s.at-1 {
		return s.foldTiles(s.Type(x).Shape, [3]int(s.Type(x).Shape[1:4]), k.tile, k.count, out, k.parts, stats, eps)
	}
	return s.moments(x, out, stats, eps)
}

func (s *scope) normAct(op graph.NormAct, n graph.Node) error {
	stats := s.value(n.Out[1])
	t := s.Type(n.In[0]).Shape
	whole := stats
	if op.Shared() {
		whole = s.floats(4 * t[0] * t[4])
	}
	err := s.momentsOf(n.In[0], whole, !op.Shared(), op.Eps)
	if err == nil && op.Shared() {
		c := poolConsts(op.Pool, t)
		c["EPS"] = op.Eps
		err = s.each("norm_pool", t[0]*t[4], c, stats, whole)
	}
	if err != nil {
		return err
	}
	return s.normApply(op.Slope, n.Out[0], n.In, stats)
}

// poolConsts are the sets of a norm of x that share statistics.
func poolConsts(p graph.Pool, x graph.Shape) consts {
	samples, width := p.Sizes(x[0], x[4])
	return consts{"C": x[4], "SAMPLES": samples, "WIDTH": width}
}

// voxels adds a kernel of the voxels of y: of four by a vector of channels a thread,
// or one by one.
func (s *scope) voxels(name string, y graph.Value, c consts, args ...place) error {
	t := s.Type(y).Shape
	v := t[1] * t[2] * t[3]
	c["V"], c["C"], c["T"] = v, t[4], s.Type(y).DType
	count := t.Elems()
	kernel, across := s.vectors(name, y)
	if kernel != name {
		count = t[0] * ceil(v, 4) * across
	}
	return s.each(kernel, count, c, append([]place{s.value(y)}, args...)...)
}

// normApply adds the kernel of y; in is x, gamma, beta.
func (s *scope) normApply(slope float32, y graph.Value, in []graph.Value, stats place) error {
	if left, err := s.leave(y, in[1], in[2], stats); left || err != nil {
		return err
	}
	c := consts{"SLOPE": slope}
	return s.voxels("norm_apply", y, c, s.value(in[0]), s.value(in[1]), s.value(in[2]), stats)
}

func (s *scope) normActGrad(op graph.NormActGrad, n graph.Node) error {
	t := s.Type(n.In[1]).Shape
	sums := s.floats(2 * t[0] * t[4])
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
func (s *scope) normGradSums(slope float32, in []graph.Value, sums, dgamma, dbeta place) error {
	x := in[1]
	t := s.Type(x).Shape
	name, across := s.vectors("norm_grad_sums", x)
	c, blocks := s.blocked(x, across)
	c["SLOPE"], c["T"] = slope, s.Type(x).DType
	parts := s.floats(2 * t[0] * t[4] * blocks)
	if err := s.each(name, t[0]*blocks*across, c, append([]place{parts}, s.values(in...)...)...); err != nil {
		return err
	}
	f := consts{"N": t[0], "C": t[4], "BLOCKS": blocks, "LANES": fixed(lanes(blocks))}
	return s.blocks("norm_grad_fold", t[4], lanes(blocks), f, sums, dgamma, dbeta, parts)
}

// normGrad adds the kernels of dx, of sums over so many voxels of a sample and channel.
func (s *scope) normGrad(slope float32, pool graph.Pool, voxels int, n graph.Node, sums place) error {
	if pool.Shared() {
		t := s.Type(n.In[1]).Shape
		p := poolConsts(pool, t)
		p["V"] = voxels
		means := s.floats(2 * t[0] * t[4])
		if err := s.each("norm_grad_pool", t[0]*t[4], p, means, sums, s.value(n.In[2])); err != nil {
			return err
		}
		sums = means
	}
	return s.voxels("norm_grad", n.Out[0], consts{"SLOPE": slope, "POOLED": pool.Shared()}, append(s.values(n.In[:5]...), sums)...)
}

// momentsRow is Moments.
func (s *scope) momentsRow(op graph.Moments, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	whole := s.floats(4 * t[0] * t[4])
	if err := s.momentsOf(n.In[0], whole, false, 0); err != nil {
		return err
	}
	return s.each("moments_row", op.World*t[4], consts{"N": t[0], "C": t[4], "RANK": op.Rank}, s.value(n.Out[0]), whole)
}

func (s *scope) merged(op graph.Merged, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	return s.each("merged", op.N*t[1], consts{"C": t[1], "WORLD": t[0], "EPS": op.Eps}, s.value(n.Out[0]), s.value(n.In[0]))
}

func (s *scope) normActGradInput(op graph.NormActGradInput, n graph.Node) error {
	samples := s.Type(n.In[1]).Shape[0]
	return s.normGrad(op.Slope, graph.Pool{Batch: true}, op.Count/samples, n, s.value(n.In[5]))
}

func (s *scope) estimate(op graph.Estimate, n graph.Node) error {
	c := consts{"EPS": op.Eps, "UNBIASED": float32(op.Count) / float32(op.Count-1)}
	return s.each("estimate", s.Type(n.Out[0]).Shape[0], c, s.value(n.Out[0]), s.value(n.Out[1]), s.value(n.In[0]))
}

func (s *scope) track(op graph.Track, n graph.Node) error {
	c := consts{"MOMENTUM": op.Momentum}
	return s.each("track", s.Type(n.In[0]).Shape[0], c, s.value(n.In[2]), s.value(n.In[3]), s.value(n.In[0]), s.value(n.In[1]))
}

func (s *scope) running(op graph.Running, n graph.Node) error {
	t := s.Type(n.Out[0]).Shape
	return s.each("running", t[0]*t[1], consts{"C": t[1], "EPS": op.Eps}, s.value(n.Out[0]), s.value(n.In[0]), s.value(n.In[1]))
}
