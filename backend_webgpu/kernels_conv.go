package webgpu

import (
	"errors"
	"maps"
	"slices"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// input is In[i] of n, or "none".
func input(n graph.Node, i int) graph.Value {
	if i >= len(n.In) {
		return 0
	}
	return n.In[i]
}

// channels of x; 0 for "none".
func (s *scope) channels(x graph.Value) int {
	if x == 0 {
		return 0
	}
	return s.Type(x).Shape[4]
}

// convolved are the constants of both grids of a convolution.
func convolved(x, y graph.Shape, kernel, stride []int) shaders.Consts {
	return merged(axes("", x), axes("O", y), triple("K", kernel), triple("S", stride),
		shaders.Consts{"N": x[0], "CO": y[4]})
}

func (s *scope) conv3D(op graph.Conv3D, n graph.Node) error {
	x, w, b, x2 := n.In[0], n.In[1], n.In[2], input(n, 3)
	in, kernel, y := s.Type(x).Shape, s.Type(w).Shape, s.Type(n.Out[0])
	c := convolved(in, y.Shape, kernel, op.Stride[:])
	c["C1"], c["C2"] = s.channels(x), s.channels(x2)
	c["HAS_B"] = b != 0
	if s.simple || y.DType == graph.BF16 || between(y) && int64(4*y.Shape.Elems()) > s.facts.bindingBytes {
		c["W_HALF"] = s.halved(w)
		return s.words("conv3d", n.Out[0], c, s.value(x), s.value(w), s.value(b), s.value(x2))
	}
	out := y.Shape
	if kernel[0]*kernel[1]*kernel[2] == 1 && op.Stride == [3]int{1, 1, 1} { // all voxels are one row
		out = graph.Shape{1, 1, 1, out.Elems() / out[4], out[4]}
		row := graph.Shape{1, 1, 1, out[3], in[4]}
		maps.Copy(c, convolved(row, out, kernel, op.Stride[:]))
	}
	c["TAPS"] = taps(kernel[2], op.Stride[2])
	if c["T_HALF"] = s.halved(x); s.inFours(x) && s.inFours(x2) && s.inFours(w) {
		c["W_HALF"] = s.halved(w)
		return s.convBlocked(c, out, s.value(n.Out[0]), s.value(x), s.value(w), s.optional(b), s.optional(x2))
	}
	return s.convAny(c, out, n)
}

// taps of a row of a kernel that what is loaded of x meets.
func taps(kW, sW int) int {
	if kW == 3 && sW == 1 {
		return 3
	}
	return 1
}

// convBlocked adds the kernel of channels in fours. y is the shape that it makes,
// the operands are y, x, w, b and x2.
func (s *scope) convBlocked(c shaders.Consts, y graph.Shape, operands ...operand) error {
	t := s.tileOf(y)
	if s.staged && t == (tile{8, 8}) {
		pieces, lanes := t.blocks(y)/(y[4]/8), 8
		for y[4]%(8*lanes) != 0 {
			lanes /= 2
		}
		across := y[4] / (8 * lanes)
		c["COUNT"], c["LANES"], c["ACROSS"] = pieces, lanes, across
		c["QUADS"], c["SLAB"] = slabQuads, c["TAPS"].(int)*4*slabQuads*2*lanes
		return s.groups("conv3d_staged", ceil(pieces*lanes, group64)*across, c, operands...)
	}
	c["COUNT"], c["LONG"], c["WIDE"] = t.blocks(y), t.voxels == 8, t.channels == 8
	return s.each("conv3d_blocked", t.blocks(y), c, operands...)
}

// slabQuads is the channels of x, in fours, whose weights a workgroup has in its
// memory: 6 KiB of the 16 that WebGPU promises, with 64 channels of y and three taps.
const slabQuads = 2

// convAny adds the kernels of any numbers of channels.
func (s *scope) convAny(c shaders.Consts, y graph.Shape, n graph.Node) error {
	w := s.Type(n.In[1]).Shape
	t := s.tileOf(graph.Shape{y[0], y[1], y[2], y[3], 4 * ceil(y[4], 4)})
	quads := ceil(y[4], t.channels) * t.channels / 4
	rows := w.Elems() / w[4]
	packed := s.partial(int64(4 * rows * quads))
	count := rows * quads
	p := shaders.Consts{"W_HALF": s.halved(n.In[1]), "CO": w[4], "QUADS": quads, "COUNT": count}
	if err := s.each("conv3d_weights", count, p, packed, s.value(n.In[1])); err != nil {
		return err
	}
	out := s.value(n.Out[0])
	odd := between(s.Type(n.Out[0]))
	if odd {
		out = s.partial(int64(y.Elems()))
	}
	count = y[0] * y[1] * y[2] * ceil(y[3], t.voxels) * (4 * quads / t.channels)
	c["QUADS"], c["COUNT"], c["LONG"], c["WIDE"] = quads, count, t.voxels == 8, t.channels == 8
	c["Y_HALF"] = s.halved(n.Out[0]) && !odd
	err := s.each("conv3d_any", count, c, out, s.value(n.In[0]), packed, s.value(n.In[2]), s.value(input(n, 3)))
	if err != nil || !odd {
		return err
	}
	return s.words("halve", n.Out[0], shaders.Consts{}, out)
}

// between says that words of y reach from voxel to voxel, so that floats are made
// before it.
func between(y graph.Type) bool { return y.DType == graph.F16 && y.Shape[4]%2 == 1 }

// inFours says that a kernel can bind v as an array of vec4<u32> and load four of
// its channels by one of them. "none" can.
func (s *scope) inFours(v graph.Value) bool {
	if v == 0 {
		return true
	}
	t := s.Type(v)
	return t.DType != graph.BF16 && t.Shape[4]%4 == 0 && t.Bytes()%16 == 0
}

// optional is the operand of v, or four words that a kernel does not touch.
func (s *scope) optional(v graph.Value) operand {
	if v == 0 {
		return s.partial(4)
	}
	return s.value(v)
}

// tile is what one invocation makes of y: voxels of a row by channels.
type tile struct{ voxels, channels int }

// tileOf is the largest whose voxels do not lie beside the rows of y for a large
// part, and which leaves enough invocations for a GPU.
func (s *scope) tileOf(y graph.Shape) tile {
	e := tile{4, 4}
	if y[4]%8 == 0 && s.busy(tile{4, 8}.blocks(y)) {
		e.channels = 8
	}
	if long := (tile{8, e.channels}); 4*ceil(y[3], 8)*8 <= 5*ceil(y[3], 4)*4 && s.busy(long.blocks(y)) {
		return long
	}
	return e
}

// busy says that so many invocations of a tile each keep the device busy, though not
// with as many threads as it could have. Software is with any.
func (s *scope) busy(invocations int) bool { return s.facts.software || invocations >= enough/4 }

// blocks is how many tiles make y.
func (e tile) blocks(y graph.Shape) int {
	return y[0] * y[1] * y[2] * ceil(y[3], e.voxels) * (y[4] / e.channels)
}

// blocks is how many of 4 voxels of a row by so many channels make a value.
func blocks(s graph.Shape, channels int) int {
	return s[0] * s[1] * s[2] * ceil(s[3], 4) * (s[4] / channels)
}

func (s *scope) conv3DGradInput(op graph.Conv3DGradInput, n graph.Node) error {
	dy, w := n.In[0], n.In[1]
	first := 0
	for _, dx := range n.Out {
		t := s.Type(dx).Shape
		c := convolved(t, s.Type(dy).Shape, s.Type(w).Shape, op.Stride[:])
		c["C"], c["C0"], c["CI"], c["W_HALF"] = t[4], first, s.Type(w).Shape[3], s.halved(w)
		first += t[4]
		var err error
		switch {
		case s.simple || s.Type(dx).DType == graph.BF16 || t[4]%4 != 0 || s.channels(dy)%4 != 0:
			err = s.words("conv3d_grad_input", dx, c, s.value(dy), s.value(w))
		case op.Stride == [3]int{1, 1, 1} && s.inFours(dy) && oddKernel(s.Type(w).Shape):
			err = s.convFlipped(dx, dy, w, c["C0"].(int), op.Stride[:])
		default:
			count := blocks(t, 4)
			c["COUNT"], c["T_HALF"] = count, s.halved(dx)
			err = s.each("conv3d_grad_input_blocked", count, c, s.value(dx), s.value(dy), s.value(w))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// oddKernel says that as much of a kernel lies before a voxel as behind it.
func oddKernel(w graph.Shape) bool { return w[0]%2*(w[1]%2)*(w[2]%2) == 1 }

// convFlipped adds kernels that make dx by a convolution of dy: of stride 1 where dy
// is that of Conv3D, and then c0 is the first channel of dx in w; else of UpConv3D,
// whose stride that is.
func (s *scope) convFlipped(dx, dy, w graph.Value, c0 int, stride []int) error {
	x, y, k := s.Type(dx).Shape, s.Type(dy).Shape, s.Type(w).Shape
	n := k[0] * k[1] * k[2]
	flipped := s.partial(int64(n * y[4] * x[4]))
	count := n * y[4] * x[4] / 4
	f := shaders.Consts{
		"FLIP": stride[0]*stride[1]*stride[2] == 1, "W_HALF": s.halved(w),
		"TAPS": n, "CI": k[3], "CO": k[4], "C": x[4], "C0": c0, "COUNT": count,
	}
	if err := s.each("conv3d_flipped", count, f, flipped, s.value(w)); err != nil {
		return err
	}
	c := convolved(y, x, k, stride)
	c["C1"], c["C2"], c["HAS_B"], c["W_HALF"], c["T_HALF"] = y[4], 0, false, false, s.halved(dx)
	c["TAPS"] = taps(k[2], stride[2])
	return s.convBlocked(c, x, s.value(dx), s.value(dy), flipped, s.optional(0), s.optional(0))
}

func (s *scope) conv3DGradWeight(op graph.Conv3DGradWeight, n graph.Node) error {
	dy, dw := n.In[0], s.Type(n.Out[0]).Shape
	y := s.Type(dy).Shape
	name, row, block := "conv3d_grad_weight", 1, 1
	if !s.simple && s.channels(n.In[1])%4 == 0 && s.channels(input(n, 2))%4 == 0 && y[4]%4 == 0 {
		name, block = "conv3d_grad_weight_blocked", 16
		if op.Kernel[2] == 3 && op.Stride[2] <= 2 {
			row, block = 3, 3*16
		}
	}
	parts := splits(y[0]*y[1]*y[2], dw.Elems()/block)
	sums := s.parts(n.Out[0], parts)
	first := 0
	for _, x := range []graph.Value{n.In[1], input(n, 2)} {
		if x == 0 {
			continue
		}
		t := s.Type(x).Shape
		count := parts * (dw.Elems() / dw[3] * t[4] / block)
		c := convolved(t, y, op.Kernel[:], op.Stride[:])
		c["C"], c["C0"], c["CI"], c["TAPS"], c["TURNED"] = t[4], first, dw[3], row, false
		c["SPLITS"], c["COUNT"], c["T_HALF"] = parts, count, s.halved(x)
		if err := s.each(name, count, c, sums, s.value(dy), s.value(x)); err != nil {
			return err
		}
		first += t[4]
	}
	return errors.Join(s.folded(n.Out[0], sums, parts), s.gradBias(n.Out[1], dy))
}

// parts is memory for so many parts of v.
func (s *scope) parts(v graph.Value, parts int) operand {
	if parts == 1 {
		return s.value(v)
	}
	return s.partial(int64(parts) * int64(s.Type(v).Shape.Elems()))
}

// folded adds the kernel that makes v of its parts.
func (s *scope) folded(v graph.Value, sums operand, parts int) error {
	if parts == 1 {
		return nil
	}
	return s.fold(s.value(v), sums, parts, s.Type(v).Shape.Elems())
}

// gradBias adds the kernels of db = Σ dy over all voxels.
func (s *scope) gradBias(db, dy graph.Value) error {
	if _, ok := s.Place(db); !ok {
		return nil // nobody reads it
	}
	t := s.Type(dy).Shape
	rows := t.Elems() / t[4]
	parts := splits(rows, t[4])
	sums := s.partial(int64(parts * t[4]))
	c := shaders.Consts{"ROWS": rows, "C": t[4], "SPLITS": parts, "COUNT": parts * t[4], "T_HALF": s.halved(dy)}
	if err := s.each("channel_sums", parts*t[4], c, sums, s.value(dy)); err != nil {
		return err
	}
	return s.fold(s.value(db), sums, parts, t[4])
}

// upConvolved are the constants of a transposed convolution of x.
func upConvolved(x graph.Shape, stride []int, co int) shaders.Consts {
	return merged(axes("", x), triple("S", stride), shaders.Consts{"N": x[0], "CI": x[4], "CO": co})
}

func (s *scope) upConv3D(n graph.Node) error {
	x, w, b := n.In[0], n.In[1], n.In[2]
	c := upConvolved(s.Type(x).Shape, s.Type(w).Shape, s.channels(w))
	c["W_HALF"], c["HAS_B"] = s.halved(w), b != 0
	if s.simple || !s.inFours(x) || !s.inFours(w) {
		return s.words("upconv3d", n.Out[0], c, s.value(x), s.value(w), s.value(b))
	}
	in, kernel := s.Type(x).Shape, s.Type(w).Shape
	v, channels := in.Elems()/in[4], 4
	if kernel[4]%8 == 0 {
		channels = 8
	}
	count := ceil(v, 8) * kernel[0] * kernel[1] * kernel[2] * (kernel[4] / channels)
	c["V"], c["COUNT"], c["T_HALF"], c["WIDE"] = v, count, s.halved(x), channels == 8
	return s.each("upconv3d_blocked", count, c, s.value(n.Out[0]), s.value(x), s.value(w), s.optional(b))
}

func (s *scope) upConv3DGradInput(n graph.Node) error {
	dy, w, kernel := n.In[0], n.In[1], s.Type(n.In[1]).Shape
	// A convolution of stride above 2 begins before its voxel.
	if !s.simple && s.inFours(dy) && kernel[3]%4 == 0 && max(kernel[0], kernel[1], kernel[2]) == 2 {
		return s.convFlipped(n.Out[0], dy, w, 0, kernel[:3])
	}
	c := upConvolved(s.Type(n.Out[0]).Shape, s.Type(w).Shape, s.channels(w))
	c["W_HALF"] = s.halved(w)
	return s.words("upconv3d_grad_input", n.Out[0], c, s.value(dy), s.value(w))
}

func (s *scope) upConv3DGradWeight(op graph.UpConv3DGradWeight, n graph.Node) error {
	dy, x := n.In[0], n.In[1]
	t, dw := s.Type(x).Shape, s.Type(n.Out[0]).Shape
	// x is the gradient of a convolution of dy; of stride above 2 that begins before its
	// voxel.
	turned := !s.simple && dw[3]%4 == 0 && dw[4]%4 == 0 && slices.Max(op.Stride[:]) <= 2
	name, block := "upconv3d_grad_weight", 1
	c, of := upConvolved(t, op.Stride[:], dw[4]), []operand{s.value(dy), s.value(x)}
	if turned {
		name, block = "conv3d_grad_weight_blocked", 16
		c, of = convolved(s.Type(dy).Shape, t, op.Stride[:], op.Stride[:]), []operand{s.value(x), s.value(dy)}
		c["C"], c["C0"], c["CI"], c["TAPS"], c["TURNED"] = dw[4], 0, dw[4], 1, true
	}
	parts := splits(t[0]*t[1]*t[2], dw.Elems()/block)
	count := parts * (dw.Elems() / block)
	c["SPLITS"], c["COUNT"], c["T_HALF"] = parts, count, s.halved(x)
	sums := s.parts(n.Out[0], parts)
	if err := s.each(name, count, c, append([]operand{sums}, of...)...); err != nil {
		return err
	}
	return errors.Join(s.folded(n.Out[0], sums, parts), s.gradBias(n.Out[1], dy))
}
