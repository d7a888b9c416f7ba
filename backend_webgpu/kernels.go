package webgpu

import (
	"fmt"
	"maps"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// node adds the kernels of n.
func (s *scope) node(n graph.Node) error {
	s.used = 0
	switch op := n.Op.(type) {
	case graph.Conv3D:
		return s.conv3D(op, n)
	case graph.UpConv3D:
		return s.upConv3D(n)
	case graph.NormAct:
		return s.normAct(op, n)
	case graph.NormApply:
		return s.normApply(op.Slope, n.Out[0], n.In, s.value(n.In[3]))
	case graph.Running:
		return s.running(op, n)
	case graph.Add:
		return s.add(shaders.Consts{"GRAD": false, "SLOPE": float32(1)}, n)
	case graph.AddAct:
		return s.add(shaders.Consts{"GRAD": false, "SLOPE": op.Slope}, n)
	case graph.AvgPool:
		return s.pool("avg_pool", op.Stride, s.Type(n.Out[0]).Shape, n)
	case graph.Enlarge:
		return s.stretch("enlarge", op.Stride, s.Type(n.In[0]).Shape, n)
	}
	return s.other(n)
}

// other adds the kernels of ops that do not belong to the network.
func (s *scope) other(n graph.Node) error {
	switch op := n.Op.(type) {
	case graph.TileLoad:
		return s.tileLoad(op, n)
	case graph.TileBlend:
		return s.tileBlend(op, n)
	case graph.Labels:
		return s.labels(op, n)
	}
	return s.training(n)
}

// perWord is the elements of d in a word.
func perWord(d graph.DType) int { return 4 / d.Size() }

// words adds a kernel that makes each word of y, its first operand.
func (s *scope) words(name string, y graph.Value, c shaders.Consts, operands ...operand) error {
	t := s.Type(y)
	if t.DType == graph.BF16 {
		return fmt.Errorf("%v: this device stores f32 and f16", t)
	}
	n := t.Shape.Elems()
	words := (n + perWord(t.DType) - 1) / perWord(t.DType)
	c["COUNT"], c["WORDS"] = n, words
	if t.DType != graph.U8 {
		c["T_HALF"] = t.DType == graph.F16
	}
	return s.each(name, words, c, append([]operand{s.value(y)}, operands...)...)
}

// axes are the sizes of [N D H W C] with a prefix.
func axes(prefix string, s graph.Shape) shaders.Consts {
	return shaders.Consts{prefix + "D": s[1], prefix + "H": s[2], prefix + "W": s[3]}
}

// triple is a stride or a kernel.
func triple(prefix string, s []int) shaders.Consts {
	return shaders.Consts{prefix + "D": s[0], prefix + "H": s[1], prefix + "W": s[2]}
}

// merged is all constants together.
func merged(list ...shaders.Consts) shaders.Consts {
	all := shaders.Consts{}
	for _, c := range list {
		maps.Copy(all, c)
	}
	return all
}

// halved says that v is stored in 16 bits.
func (s *scope) halved(v graph.Value) bool { return s.Type(v).DType == graph.F16 }

// add adds elementwise kernels of two operands.
func (s *scope) add(c shaders.Consts, n graph.Node) error {
	return s.words("add", n.Out[0], c, s.value(n.In[0]), s.value(n.In[1]))
}

// pool adds the average of windows, or its adjoint; small is the shape behind.
func (s *scope) pool(name string, stride [3]int, small graph.Shape, n graph.Node) error {
	c := merged(axes("", small), triple("S", stride[:]), shaders.Consts{"C": small[4]})
	return s.words(name, n.Out[0], c, s.value(n.In[0]))
}

// enough is the invocations that keep a device busy: reductions are split until
// there are as many.
const enough = 1 << 15

// splits cuts a reduction over rows into parts, of which there are items each.
func splits(rows, items int) int {
	return max(1, min(rows, enough/max(items, 1), 512))
}

// fold adds the kernel that sums parts [splits count] into out.
func (s *scope) fold(out, parts operand, splits, count int) error {
	return s.each("fold", count, shaders.Consts{"SPLITS": splits, "COUNT": count}, out, parts)
}

// stretch adds an Enlarge, or its adjoint; small is the shape before it.
func (s *scope) stretch(name string, stride [3]int, small graph.Shape, n graph.Node) error {
	c := merged(axes("", small), triple("S", stride[:]), shaders.Consts{"C": small[4]})
	return s.words(name, n.Out[0], c, s.value(n.In[0]))
}
