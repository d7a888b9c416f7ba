package cuda

import "github.com/gounet/gounet/core/graph"

func (s *scope) tileLoad(op graph.TileLoad, n graph.Node) error {
	t := s.Type(n.Out[0]).Shape
	c := merged(axes("V", s.Type(n.In[0]).Shape), axes("", t), consts{"C": t[4], "CTL": op.Ctl})
	return s.elements("tile_load", n.Out[0], c, s.values(n.In...)...)
}

func (s *scope) tileBlend(op graph.TileBlend, n graph.Node) error {
	z, acc := s.Type(n.In[0]).Shape, s.Type(n.In[3]).Shape
	c := merged(axes("", z), consts{
		"N": z[0], "K": z[4], "S": acc[0], "VH": acc[1], "VW": acc[2], "DEPTH": op.Depth, "CTL": op.Ctl, "T": s.Type(n.In[0]).DType,
	})
	return s.each("tile_blend", acc[1]*acc[2]*acc[3], c, s.values(n.In[3], n.In[4], n.In[0], n.In[1], n.In[2])...)
}

func (s *scope) labels(op graph.Labels, n graph.Node) error {
	acc := s.Type(n.In[0]).Shape
	var chosen place
	if op.Regions != nil {
		chosen = s.table(op.Regions)
	}
	c := merged(triple("O", op.Out[:]), consts{
		"S": acc[0], "DEPTH": op.Depth, "H": acc[1], "W": acc[2], "K": acc[3], "CTL": op.Ctl, "REGIONS": op.Regions != nil,
		"NEAR_D": op.Nearest[0], "NEAR_H": op.Nearest[1], "NEAR_W": op.Nearest[2],
	})
	return s.elements("labels", n.Out[0], c, append(s.values(n.In...), chosen)...)
}
