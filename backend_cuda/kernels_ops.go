package cuda

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// node adds the kernels of n.
func (s *scope) node(n graph.Node) error {
	for _, v := range counted(n) {
		if e := s.Type(v).Shape.Elems(); v > 0 && e >= 1<<31 {
			return fmt.Errorf("%s has %d elements, kernels count to %d: choose a smaller patch or batch", s.Info(v).Name, e, 1<<31-1)
		}
	}
	switch op := n.Op.(type) {
	case graph.Conv3D:
		return s.conv3D(op, n)
	case graph.Conv3DGradInput:
		return s.conv3DGradInput(op, n)
	case graph.Conv3DGradWeight:
		return s.conv3DGradWeight(op, n)
	case graph.UpConv3D:
		return s.upConv3D(n)
	case graph.UpConv3DGradInput:
		return s.upConv3DGradInput(n)
	case graph.UpConv3DGradWeight:
		return s.upConv3DGradWeight(op, n)
	case graph.NormAct:
		return s.normAct(op, n)
	case graph.NormApply:
		return s.normApply(op.Slope, n.Out[0], n.In, s.value(n.In[3]))
	case graph.NormActGrad:
		return s.normActGrad(op, n)
	case graph.Moments:
		return s.momentsRow(op, n)
	case graph.Merged:
		return s.merged(op, n)
	case graph.NormActGradSums:
		return s.normGradSums(op.Slope, n.In, s.value(n.Out[2]), s.value(n.Out[0]), s.value(n.Out[1]))
	case graph.NormActGradInput:
		return s.normActGradInput(op, n)
	case graph.Estimate:
		return s.estimate(op, n)
	case graph.Track:
		return s.track(op, n)
	case graph.Running:
		return s.running(op, n)
	case graph.Add:
		return s.sum(n, false, 1)
	case graph.AddAct:
		return s.sum(n, false, op.Slope)
	case graph.ActGrad:
		return s.sum(n, true, op.Slope)
	case graph.AvgPool:
		return s.pool("avg_pool", op.Stride, s.Type(n.Out[0]).Shape, n)
	case graph.AvgPoolGrad:
		return s.pool("avg_pool_grad", op.Stride, s.Type(n.In[0]).Shape, n)
	case graph.Enlarge:
		return s.stretch("enlarge", op.Stride, s.Type(n.In[0]).Shape, n)
	case graph.EnlargeGrad:
		return s.stretch("enlarge_grad", op.Stride, s.Type(n.Out[0]).Shape, n)
	case graph.SegSums:
		return s.segSums(op, n)
	case graph.SegGrad:
		return s.segGrad(op.SegSums, n)
	case graph.SegLoss:
		return s.segLoss(op, n)
	case graph.Hardest:
		return s.hardest(op, n)
	}
	return s.other(n)
}

// counted are the values of n whose elements its kernels count with 32 bits: all but
// stores of cases, and the sums of a volume.
func counted(n graph.Node) []graph.Value {
	switch n.Op.(type) {
	case graph.Cut:
		return n.Out
	case graph.TileBlend:
		return n.In[:3]
	case graph.Labels:
		return n.Out
	}
	return slices.Concat(n.In, n.Out)
}

// other adds the kernels of ops that do not belong to the network.
func (s *scope) other(n graph.Node) error {
	switch op := n.Op.(type) {
	case graph.AllReduce:
		s.reduce(op, n)
		return nil
	case graph.GradNorm:
		return s.gradNorm(op, n)
	case graph.Step:
		return s.step(op, n)
	case graph.Cut:
		return s.cutCases(op, n)
	case graph.TileLoad:
		return s.tileLoad(op, n)
	case graph.TileBlend:
		return s.tileBlend(op, n)
	case graph.Labels:
		return s.labels(op, n)
	case graph.Warp:
		return s.warp(op, n)
	case graph.Mask:
		return s.mask(op, n)
	case graph.Blur:
		return s.blur(op, n)
	case graph.LowRes:
		return s.lowRes(op, n)
	case graph.Intensity:
		return s.intensity(op, n)
	case graph.Median:
		return s.median(op, n)
	case graph.Sharpen:
		return s.sharpen(op, n)
	case graph.Blank:
		return s.blank(op, n)
	case graph.Local:
		return s.local(op, n)
	}
	return fmt.Errorf("the cuda backend does not have this op")
}

// reduce adds an AllReduce. Values without a gap between them are added up as one.
func (s *scope) reduce(op graph.AllReduce, n graph.Node) {
	var list []place
	for _, p := range s.values(n.In...) {
		if i := len(list) - 1; i >= 0 && list[i].Region == p.Region && list[i].Chunk == p.Chunk && list[i].Offset+list[i].Bytes == p.Offset {
			list[i].Bytes += p.Bytes
			continue
		}
		list = append(list, p)
	}
	s.out.List = append(s.out.List, launch{Node: s.at, Reduce: &op, Args: list})
}

// elements adds a kernel that makes each element of y, its first operand, whose
// type is T.
func (s *scope) elements(name string, y graph.Value, c consts, args ...place) error {
	t := s.Type(y)
	if t.DType != graph.U8 {
		c["T"] = t.DType
	}
	return s.each(name, t.Shape.Elems(), c, append([]place{s.value(y)}, args...)...)
}

// axes are the sizes of [N D H W C] with a prefix.
func axes(prefix string, s graph.Shape) consts { return triple(prefix, s[1:4]) }

// triple is a grid, a stride or a kernel.
func triple(prefix string, s []int) consts {
	return consts{prefix + "D": s[0], prefix + "H": s[1], prefix + "W": s[2]}
}

// merged is all constants together.
func merged(list ...consts) consts {
	all := consts{}
	for _, c := range list {
		maps.Copy(all, c)
	}
	return all
}

// input is In[i] of n, or "none".
func input(n graph.Node, i int) graph.Value {
	if i >= len(n.In) {
		return 0
	}
	return n.In[i]
}

// channels of x; 0 for "none".
func (s *scope) channels(x graph.Value) int {
	if x == 0 {
		return 0
	}
	return s.Type(x).Shape[4]
}

// sum adds y = leaky(a + b), or the adjoint of a leaky ReLU.
func (s *scope) sum(n graph.Node, grad bool, slope float32) error {
	t := s.Type(n.Out[0])
	c := consts{"GRAD": grad, "SLOPE": slope, "T": t.DType}
	args := append(s.values(n.Out...), s.values(n.In...)...)
	if per := 16 / t.DType.Size(); !s.Simple && t.Shape.Elems()%per == 0 {
		return s.each("add_blocked", t.Shape.Elems()/per, c, args...)
	}
	return s.each("add", t.Shape.Elems(), c, args...)
}

// pool adds the average of windows, or its adjoint; small is the shape behind.
func (s *scope) pool(name string, stride [3]int, small graph.Shape, n graph.Node) error {
	c := merged(axes("", small), triple("S", stride[:]), consts{"C": small[4]})
	delete(c, "D")
	return s.elements(name, n.Out[0], c, s.value(n.In[0]))
}

// enough is the threads that keep a device busy: reductions are split until there
// are as many.
func (s *scope) enough() int { return max(s.SMs, 1) * 1024 }

// splits cuts a reduction over rows into parts, of which there are items each.
func (s *scope) splits(rows, items int) int {
	return max(1, min(rows, s.enough()/max(items, 1), 4096))
}

// fold adds the kernels that sum parts [splits items] into out: where few sums of
// many parts would leave the device idle, groups of parts first.
func (s *scope) fold(out, parts place, splits, items int) error {
	if splits > 64 && items < s.enough()/16 {
		each := int(math.Sqrt(float64(splits)))
		groups := ceil(splits, each)
		some := s.floats(groups * items)
		if err := s.each("fold", groups*items, consts{"SPLITS": splits, "EACH": each, "ITEMS": items}, some, parts); err != nil {
			return err
		}
		parts, splits = some, groups
	}
	return s.each("fold", items, consts{"SPLITS": splits, "EACH": splits, "ITEMS": items}, out, parts)
}

// stretch adds an Enlarge, or its adjoint; small is the shape before it.
func (s *scope) stretch(name string, stride [3]int, small graph.Shape, n graph.Node) error {
	c := merged(axes("", small), triple("S", stride[:]), consts{"C": small[4]})
	return s.elements(name, n.Out[0], c, s.value(n.In[0]))
}
