package webgpu

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// grid is the sizes of an image and where its parameters begin in ctl.
func (s *scope) grid(x graph.Value, ctl int) shaders.Consts {
	t := s.Type(x).Shape
	return merged(axes("", t), shaders.Consts{"C": t[4], "CTL": ctl})
}

func (s *scope) median(op graph.Median, n graph.Node) error {
	c := merged(s.grid(n.In[0], op.Ctl), shaders.Consts{"MOST": op.Most})
	return s.words("median", n.Out[0], c, s.value(n.In[0]), s.value(n.In[1]))
}

func (s *scope) sharpen(op graph.Sharpen, n graph.Node) error {
	return s.words("sharpen", n.Out[0], s.grid(n.In[0], op.Ctl), s.value(n.In[0]), s.value(n.In[1]))
}

func (s *scope) blank(op graph.Blank, n graph.Node) error {
	x, ctl := n.In[0], s.value(n.In[1])
	t := s.Type(x).Shape
	channels := t[0] * t[4]
	values := s.partial(int64(channels * op.Boxes))
	c := merged(s.grid(x, op.Ctl), shaders.Consts{"BOXES": op.Boxes})
	own := merged(c, shaders.Consts{"CHANNELS": channels, "T_HALF": s.halved(x)})
	if err := s.groups("blank_values", channels, own, values, s.value(x), ctl); err != nil {
		return err
	}
	return s.words("blank", n.Out[0], c, s.value(x), ctl, values)
}

func (s *scope) local(op graph.Local, n graph.Node) error {
	x := n.In[0]
	t := s.Type(x).Shape
	whole := s.nothing()
	if op.Gamma {
		whole = s.partial(int64(4 * t[0] * t[4]))
		if err := s.moments(x, whole, false, 0); err != nil {
			return err
		}
	}
	c := merged(s.grid(x, op.Ctl), shaders.Consts{"GAMMA": op.Gamma, "ROW": graph.LocalFactors + t[1] + t[2] + t[3]})
	return s.words("local", n.Out[0], c, s.value(x), s.value(n.In[1]), whole)
}
