package cuda

import "github.com/gounet/gounet/core/graph"

func (s *scope) cutCases(op graph.Cut, n graph.Node) error {
	y := s.Type(n.Out[0])
	c := merged(triple("", op.Crop[:]), consts{"C": 1, "CTL": op.Ctl, "FILL": int(op.Fill), "T": y.DType})
	if len(y.Shape) == 5 {
		c["C"] = y.Shape[4]
	}
	return s.each("cut", y.Shape.Elems(), c, s.value(n.Out[0]), s.value(n.In[0]), s.value(n.In[1]))
}
