package webgpu

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

func (s *scope) warp(op graph.Warp, n graph.Node) error {
	src, labels, ctl := n.In[0], n.In[1], n.In[2]
	c := merged(axes("X", s.Type(src).Shape), triple("", op.Patch[:]), shaders.Consts{"CTL": op.Ctl, "ELASTIC": op.Elastic})
	field := s.nothing()
	if op.Elastic {
		field = s.value(n.In[3])
	}
	x := merged(c, shaders.Consts{"C": s.channels(src), "CUBIC": op.Cubic})
	if err := s.words("warp", n.Out[0], x, s.value(src), s.value(ctl), field); err != nil {
		return err
	}
	return s.words("warp_labels", n.Out[1], merged(c, shaders.Consts{"NEAREST": op.Cubic || op.Nearest}), s.value(labels), s.value(ctl), field)
}

func (s *scope) mask(op graph.Mask, n graph.Node) error {
	words := make([]uint32, len(op.Channels))
	for c, chosen := range op.Channels {
		if chosen {
			words[c] = 1
		}
	}
	table, err := s.table(words)
	if err != nil {
		return err
	}
	return s.words("mask", n.Out[0], shaders.Consts{"C": len(words)}, s.value(n.In[0]), s.value(n.In[1]), table)
}

func (s *scope) blur(op graph.Blur, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	c := shaders.Consts{
		"PER": t[1:].Elems(), "SIZE": t[op.Axis+1], "STRIDE": t[op.Axis+2:].Elems(), "C": t[4], "RADIUS": op.Radius, "CTL": op.Ctl,
	}
	return s.words("blur", n.Out[0], c, s.value(n.In[0]), s.value(n.In[1]))
}

func (s *scope) lowRes(op graph.LowRes, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	c := merged(axes("", t), shaders.Consts{"C": t[4], "CTL": op.Ctl, "KEEPD": op.Keep[0], "KEEPH": op.Keep[1], "KEEPW": op.Keep[2]})
	return s.words("low_res", n.Out[0], c, s.value(n.In[0]), s.value(n.In[1]))
}

func (s *scope) intensity(op graph.Intensity, n graph.Node) error {
	x, ctl := n.In[0], s.value(n.In[1])
	t := s.Type(x).Shape
	invert := op.Kind == graph.GammaInvert
	whole, powers := s.nothing(), s.nothing()
	if op.Kind >= graph.Contrast {
		whole = s.partial(int64(4 * t[0] * t[4]))
		if err := s.moments(x, whole, false, 0); err != nil {
			return err
		}
	}
	if op.Kind >= graph.Gamma {
		powers = s.partial(int64(4 * t[0] * t[4]))
		c, blocks := s.blocked(x)
		parts := s.partial(int64(4 * t[0] * t[4] * blocks))
		c["CTL"], c["INVERT"] = op.Ctl, invert
		if err := s.each("gamma_moments", t[0]*blocks*t[4], c, parts, s.value(x), ctl, whole); err != nil {
			return err
		}
		if err := s.foldMoments(x, powers, parts, false, 0); err != nil {
			return err
		}
	}
	c := shaders.Consts{
		"KIND": int(op.Kind), "INVERT": invert, "V": t[1] * t[2] * t[3], "C": t[4], "CTL": op.Ctl, "SEED": op.Seed, "FIRST": op.First,
	}
	return s.words("intensity", n.Out[0], c, s.value(x), ctl, whole, powers)
}
