package webgpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// members is a bit for each label of each region: 8 words a region.
func (s *scope) members(op graph.SegSums) (operand, error) {
	if op.Regions == nil {
		return s.nothing(), nil
	}
	bits := make([]uint32, 8*len(op.Regions))
	for k, labels := range op.Regions {
		for _, l := range labels {
			bits[8*k+int(l)/32] |= 1 << (l % 32)
		}
	}
	return s.table(bits)
}

func (s *scope) segConsts(op graph.SegSums, logits graph.Value) shaders.Consts {
	t := s.Type(logits).Shape
	ignore := op.Ignore
	if ignore < 0 {
		ignore = 256 // no label
	}
	return merged(axes("", t), triple("S", op.Stride[:]), shaders.Consts{
		"K": t[4], "ACT": int(op.Act), "REGIONS": op.Regions != nil, "IGNORE": ignore, "GAMMA": op.Gamma, "SMOOTHING": op.Smoothing,
	})
}

func (s *scope) segSums(op graph.SegSums, n graph.Node) error {
	z := n.In[0]
	t := s.Type(z).Shape
	c := s.segConsts(op, z)
	items := t[0] * t[4]
	parts := splits(t[1]*t[2], items)
	sums := s.partial(int64(parts * items * graph.SumsLen))
	table, err := s.members(op)
	if err != nil {
		return err
	}
	c["N"], c["SPLITS"], c["COUNT"], c["T_HALF"] = t[0], parts, parts*items, s.halved(z)
	if err := s.each("seg_sums", parts*items, c, sums, s.value(z), s.value(n.In[1]), table); err != nil {
		return err
	}
	return s.fold(s.value(n.Out[0]), sums, parts, items*graph.SumsLen)
}

func (s *scope) segGrad(op graph.SegSums, n graph.Node) error {
	table, err := s.members(op)
	if err != nil {
		return err
	}
	return s.words("seg_grad", n.Out[0], s.segConsts(op, n.In[0]), s.value(n.In[0]), s.value(n.In[1]), s.value(n.In[2]), table)
}

func (s *scope) segLoss(op graph.SegLoss, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	c := shaders.Consts{
		"N": t[0], "K": t[1], "FIRST": op.First, "MEAN": op.Mean, "BATCH": op.Batch, "HAS_BEFORE": n.In[1] != 0,
		"WEIGHT": op.Weight, "CE": op.CE, "DICE": op.Dice, "SMOOTH": op.Smooth, "WEIGHED": op.Classes != nil,
	}
	classes := s.nothing()
	if op.Classes != nil {
		bits := make([]uint32, len(op.Classes))
		for k, w := range op.Classes {
			bits[k] = math.Float32bits(w)
		}
		var err error
		if classes, err = s.table(bits); err != nil {
			return err
		}
	}
	return s.groups("seg_loss", 1, c, s.value(n.Out[0]), s.value(n.Out[1]), s.value(n.In[0]), s.value(n.In[1]), s.value(n.In[2]), classes)
}

func (s *scope) hardest(op graph.Hardest, n graph.Node) error {
	z := n.In[0]
	t := s.Type(z).Shape
	voxels := t[0] * t[1] * t[2] * t[3]
	keys, pick := s.partial(int64(voxels)), s.partial(2)
	c := s.segConsts(graph.SegSums{Stride: op.Stride, Ignore: op.Ignore, Smoothing: op.Smoothing}, z)
	for _, name := range []string{"D", "ACT", "REGIONS", "GAMMA"} {
		delete(c, name)
	}
	k := merged(c, shaders.Consts{"COUNT": voxels, "T_HALF": s.halved(z)})
	if err := s.each("hardest_keys", voxels, k, keys, s.value(z), s.value(n.In[1])); err != nil {
		return err
	}
	if err := s.groups("hardest_pick", 1, shaders.Consts{"V": voxels, "COUNT": op.Count}, pick, keys); err != nil {
		return err
	}
	delete(c, "IGNORE")
	delete(c, "SMOOTHING")
	return s.words("hardest", n.Out[0], c, s.value(n.In[1]), keys, pick)
}
