package cuda

import "github.com/gounet/gounet/core/graph"

// grid is the sizes of an image and where its parameters begin in ctl.
func (s *scope) grid(x graph.Value, ctl int) consts {
	t := s.Type(x).Shape
	return merged(axes("", t), consts{"C": t[4], "CTL": ctl})
}

func (s *scope) median(op graph.Median, n graph.Node) error {
	return s.elements("median", n.Out[0], merged(s.grid(n.In[0], op.Ctl), consts{"MOST": op.Most}), s.values(n.In...)...)
}

func (s *scope) sharpen(op graph.Sharpen, n graph.Node) error {
	return s.elements("sharpen", n.Out[0], s.grid(n.In[0], op.Ctl), s.values(n.In...)...)
}

func (s *scope) blank(op graph.Blank, n graph.Node) error {
	x, ctl := n.In[0], s.value(n.In[1])
	t := s.Type(x)
	channels := t.Shape[0] * t.Shape[4]
	values := s.floats(channels * op.Boxes)
	c := merged(s.grid(x, op.Ctl), consts{"BOXES": fixed(op.Boxes), "LANES": fixed(threads), "T": t.DType})
	if err := s.blocks("blank_values", channels, threads, c, values, s.value(x), ctl); err != nil {
		return err
	}
	return s.elements("blank", n.Out[0], merged(s.grid(x, op.Ctl), consts{"BOXES": op.Boxes}), s.value(x), ctl, values)
}

func (s *scope) local(op graph.Local, n graph.Node) error {
	x := n.In[0]
	t := s.Type(x).Shape
	var whole place
	if op.Gamma {
		whole = s.floats(4 * t[0] * t[4])
		if err := s.moments(x, whole, false, 0); err != nil {
			return err
		}
	}
	c := merged(s.grid(x, op.Ctl), consts{"GAMMA": op.Gamma, "ROW": graph.LocalFactors + t[1] + t[2] + t[3]})
	return s.elements("local", n.Out[0], c, s.value(x), s.value(n.In[1]), whole)
}
