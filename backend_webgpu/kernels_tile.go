package webgpu

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

func (s *scope) tileLoad(op graph.TileLoad, n graph.Node) error {
	t := s.Type(n.Out[0]).Shape
	c := merged(axes("V", s.Type(n.In[0]).Shape), axes("", t), shaders.Consts{"C": t[4], "CTL": op.Ctl})
	return s.words("tile_load", n.Out[0], c, s.value(n.In[0]), s.value(n.In[1]))
}

func (s *scope) tileBlend(op graph.TileBlend, n graph.Node) error {
	z, acc := s.Type(n.In[0]).Shape, s.Type(n.In[3]).Shape
	count := acc[1] * acc[2] * acc[3]
	c := merged(axes("", z), shaders.Consts{
		"N": z[0], "K": z[4], "S": acc[0], "VH": acc[1], "VW": acc[2], "DEPTH": op.Depth, "CTL": op.Ctl,
		"COUNT": count, "T_HALF": s.halved(n.In[0]),
	})
	return s.each("tile_blend", count, c, s.value(n.In[3]), s.value(n.In[4]), s.value(n.In[0]), s.value(n.In[1]), s.value(n.In[2]))
}

func (s *scope) labels(op graph.Labels, n graph.Node) error {
	acc := s.Type(n.In[0]).Shape
	for a, size := range [3]int{op.Depth, acc[1], acc[2]} {
		if size > 1<<15 || op.Out[a] > 1<<15 {
			return fmt.Errorf("axes of %d and %d voxels, the device's integers hold products of up to %d: choose a smaller volume", size, op.Out[a], 1<<15)
		}
	}
	chosen := s.nothing()
	if op.Regions != nil {
		words := make([]uint32, len(op.Regions))
		for k, l := range op.Regions {
			words[k] = uint32(l)
		}
		var err error
		if chosen, err = s.table(words); err != nil {
			return err
		}
	}
	c := merged(triple("O", op.Out[:]), shaders.Consts{
		"S": acc[0], "DEPTH": op.Depth, "H": acc[1], "W": acc[2], "K": acc[3], "CTL": op.Ctl, "REGIONS": op.Regions != nil,
		"NEAR_D": op.Nearest[0], "NEAR_H": op.Nearest[1], "NEAR_W": op.Nearest[2],
	})
	return s.words("labels", n.Out[0], c, s.value(n.In[0]), s.value(n.In[1]), s.value(n.In[2]), chosen)
}
