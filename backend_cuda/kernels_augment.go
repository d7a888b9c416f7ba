package cuda

import "github.com/gounet/gounet/core/graph"

func (s *scope) warp(op graph.Warp, n graph.Node) error {
	src, labels, ctl := n.In[0], n.In[1], n.In[2]
	c := merged(axes("X", s.Type(src).Shape), triple("", op.Patch[:]), consts{"CTL": op.Ctl, "ELASTIC": op.Elastic})
	var field place
	if op.Elastic {
		field = s.value(n.In[3])
	}
	x := merged(c, consts{"C": s.channels(src), "CUBIC": op.Cubic})
	if err := s.elements("warp", n.Out[0], x, s.value(src), s.value(ctl), field); err != nil {
		return err
	}
	return s.elements("warp_labels", n.Out[1], merged(c, consts{"NEAREST": op.Cubic || op.Nearest}), s.value(labels), s.value(ctl), field)
}

func (s *scope) mask(op graph.Mask, n graph.Node) error {
	chosen := make([]byte, len(op.Channels))
	for c, yes := range op.Channels {
		if yes {
			chosen[c] = 1
		}
	}
	return s.elements("mask", n.Out[0], consts{"C": len(chosen)}, append(s.values(n.In...), s.table(chosen))...)
}

func (s *scope) blur(op graph.Blur, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	c := consts{
		"PER": t[1:].Elems(), "SIZE": t[op.Axis+1], "STRIDE": t[op.Axis+2:].Elems(), "C": t[4], "RADIUS": op.Radius, "CTL": op.Ctl,
	}
	return s.elements("blur", n.Out[0], c, s.values(n.In...)...)
}

func (s *scope) lowRes(op graph.LowRes, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	return s.elements("low_res", n.Out[0], merged(axes("", t), consts{"C": t[4], "CTL": op.Ctl, "KEEPD": op.Keep[0], "KEEPH": op.Keep[1], "KEEPW": op.Keep[2]}), s.values(n.In...)...)
}

func (s *scope) intensity(op graph.Intensity, n graph.Node) error {
	x, ctl := n.In[0], s.value(n.In[1])
	t := s.Type(x).Shape
	invert := op.Kind == graph.GammaInvert
	var whole, powers place
	if op.Kind >= graph.Contrast {
		whole = s.floats(4 * t[0] * t[4])
		if err := s.moments(x, whole, false, 0); err != nil {
			return err
		}
	}
	if op.Kind >= graph.Gamma {
		powers = s.floats(4 * t[0] * t[4])
		c, blocks := s.blocked(x, t[4])
		parts := s.floats(4 * t[0] * t[4] * blocks)
		c["CTL"], c["INVERT"], c["T"] = op.Ctl, invert, s.Type(x).DType
		if err := s.each("gamma_moments", t[0]*blocks*t[4], c, parts, s.value(x), ctl, whole); err != nil {
			return err
		}
		if err := s.foldMoments(x, t[4], powers, parts, false, 0); err != nil {
			return err
		}
	}
	c := consts{
		"KIND": int(op.Kind), "INVERT": invert, "V": t[1] * t[2] * t[3], "C": t[4], "CTL": op.Ctl, "SEED": op.Seed, "FIRST": op.First,
	}
	return s.elements("intensity", n.Out[0], c, s.value(x), ctl, whole, powers)
}
