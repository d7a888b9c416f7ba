package cuda

import (
	"encoding/binary"
	"math"

	"github.com/gounet/gounet/core/graph"
)

// members is a bit for each label of each region: 8 words a region.
func (s *scope) members(op graph.SegSums) place {
	if op.Regions == nil {
		return place{}
	}
	bits := make([]byte, 32*len(op.Regions))
	for k, labels := range op.Regions {
		for _, l := range labels {
			word := bits[32*k+int(l)/32*4:]
			binary.LittleEndian.PutUint32(word, binary.LittleEndian.Uint32(word)|1<<(l%32))
		}
	}
	return s.table(bits)
}

func (s *scope) segConsts(op graph.SegSums, logits graph.Value) consts {
	t := s.Type(logits).Shape
	ignore := op.Ignore
	if ignore < 0 {
		ignore = 256 // no label
	}
	return merged(axes("", t), triple("S", op.Stride[:]), consts{
		"K": t[4], "ACT": int(op.Act), "REGIONS": op.Regions != nil, "IGNORE": ignore, "GAMMA": op.Gamma, "SMOOTHING": op.Smoothing, "T": s.Type(logits).DType,
	})
}

func (s *scope) segSums(op graph.SegSums, n graph.Node) error {
	z := n.In[0]
	t := s.Type(z).Shape
	c := s.segConsts(op, z)
	items := t[0] * t[4]
	parts := s.splits(t[1]*t[2], items)
	sums := s.floats(parts * items * graph.SumsLen)
	c["N"], c["SPLITS"] = t[0], parts
	if err := s.each("seg_sums", parts*items, c, sums, s.value(z), s.value(n.In[1]), s.members(op)); err != nil {
		return err
	}
	return s.fold(s.value(n.Out[0]), sums, parts, items*graph.SumsLen)
}

func (s *scope) segGrad(op graph.SegSums, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	in := append(s.values(n.In...), s.members(op)) // logits, labels, dsums, members
	return s.each("seg_grad", t.Elems()/t[4], s.segConsts(op, n.In[0]), append(s.values(n.Out...), in...)...)
}

func (s *scope) segLoss(op graph.SegLoss, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	c := consts{
		"N": t[0], "K": t[1], "FIRST": op.First, "MEAN": op.Mean, "BATCH": op.Batch, "HAS_BEFORE": n.In[1] != 0,
		"WEIGHT": op.Weight, "CE": op.CE, "DICE": op.Dice, "SMOOTH": op.Smooth, "WEIGHED": op.Classes != nil,
	}
	var classes place
	if op.Classes != nil {
		var bits []byte
		for _, w := range op.Classes {
			bits = binary.LittleEndian.AppendUint32(bits, math.Float32bits(w))
		}
		classes = s.table(bits)
	}
	in := append(s.values(n.In...), classes)
	return s.blocks("seg_loss", 1, 1, c, append(s.values(n.Out...), in...)...)
}

func (s *scope) hardest(op graph.Hardest, n graph.Node) error {
	z := n.In[0]
	t := s.Type(z).Shape
	voxels := t[0] * t[1] * t[2] * t[3]
	keys, pick := s.floats(voxels), s.floats(2)
	c := merged(triple("S", op.Stride[:]), consts{"H": t[2], "W": t[3], "K": t[4]})
	ignore := op.Ignore
	if ignore < 0 {
		ignore = 256 // no label
	}
	k := merged(c, consts{"IGNORE": ignore, "SMOOTHING": op.Smoothing, "T": s.Type(z).DType})
	if err := s.each("hardest_keys", voxels, k, keys, s.value(z), s.value(n.In[1])); err != nil {
		return err
	}
	const lanes = 1024 // the largest block: there is one
	p := consts{"V": voxels, "CHOSEN": op.Count, "LANES": fixed(lanes)}
	if err := s.blocks("hardest_pick", 1, lanes, p, pick, keys); err != nil {
		return err
	}
	return s.elements("hardest", n.Out[0], c, s.value(n.In[1]), keys, pick)
}
