package webgpu

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

func (s *scope) cut(op graph.Cut, n graph.Node) error {
	y := s.Type(n.Out[0])
	per := perWord(y.DType)
	words := (y.Shape.Elems() + per - 1) / per
	c := merged(triple("", op.Crop[:]), shaders.Consts{
		"C": 1, "CTL": op.Ctl, "FILL": int(op.Fill), "BYTES": y.DType == graph.U8, "COUNT": y.Shape.Elems(), "WORDS": words,
	})
	if len(y.Shape) == 5 {
		c["C"] = y.Shape[4]
	}
	return s.each("cut", words, c, s.value(n.Out[0]), s.value(n.In[0]), s.value(n.In[1]))
}
