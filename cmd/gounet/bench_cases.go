package main

import (
	"fmt"
	"strings"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// opCase is an op with its inputs. An input of the zero Type is not there.
type opCase struct {
	node string // where it is taken from
	op   graph.Op
	in   []opInput
}

// opInput is an input of an op that is measured by itself.
type opInput struct {
	graph.Type
	region graph.Region // where it lies; Data stands for Scratch
}

// cases are the different ops of the networks, in training and prediction.
func (f *opsFlags) cases() ([]opCase, error) {
	var all []opCase
	seen := map[string]bool{}
	add := func(cases ...opCase) {
		for _, c := range cases {
			if !seen[c.key()] {
				seen[c.key()] = true
				all = append(all, c)
			}
		}
	}
	if f.large {
		add(large()...)
	}
	for _, width := range f.widths {
		p, c, err := f.network(width)
		if err != nil {
			return nil, err
		}
		graphs, err := graphsOf(p, c)
		if err != nil {
			return nil, err
		}
		for _, g := range graphs {
			for _, n := range g.Nodes {
				if c, ok := caseOf(g, n); ok {
					add(c)
				}
			}
		}
		add(stepCases(p, c)...)
	}
	return all, nil
}

// graphsOf are a training step and a prediction of as many tiles as a batch has.
func graphsOf(p *plan.Plan, c *plan.Configuration) ([]*graph.Graph, error) {
	step, err := unet.NewTrain(p, c, unet.TrainOptions{})
	if err != nil {
		return nil, err
	}
	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: c.Patch, Rows: c.Batch, Planes: c.Patch[0]})
	if err != nil {
		return nil, err
	}
	decide, err := unet.NewDecide(p, c, unet.LabelOptions{Volume: c.Patch, Planes: c.Patch[0], Out: c.Patch, OutRows: c.Patch[0]})
	if err != nil {
		return nil, err
	}
	return []*graph.Graph{step.Graph, tile.Graph, decide.Graph}, nil
}

func activation(batch int, voxels [3]int, channels int) opInput {
	shape := graph.Shape{batch, voxels[0], voxels[1], voxels[2], channels}
	return opInput{graph.Type{DType: graph.T, Shape: shape}, graph.Data}
}

func weights(shape ...int) opInput {
	return opInput{graph.Type{DType: graph.F32, Shape: shape}, graph.Weights}
}

// large are the three directions of the convolutions that every 3-D network of
// nnU-Net has on large patches.
func large() []opCase {
	var cases []opCase
	for _, l := range []struct{ c, side int }{{32, 64}, {64, 32}, {320, 8}} {
		x := activation(1, [3]int{l.side, l.side, l.side}, l.c)
		w := weights(3, 3, 3, l.c, l.c)
		one := [3]int{1, 1, 1}
		cases = append(cases,
			opCase{"large", graph.Conv3D{Stride: one}, []opInput{x, w, weights(l.c)}},
			opCase{"large", graph.Conv3DGradInput{Stride: one, X: []graph.Shape{x.Shape}}, []opInput{x, w}},
			opCase{"large", graph.Conv3DGradWeight{Stride: one, Kernel: [3]int{3, 3, 3}}, []opInput{x, x}},
		)
	}
	return cases
}

// stepCases are the optimizer and what looks at the gradients before it, on as
// many parameters as the network has, in one piece.
func stepCases(p *plan.Plan, c *plan.Configuration) []opCase {
	w := weights(c.Network.Parameters(p.InputChannels(c), p.Classes()))
	grad, state := opInput{w.Type, graph.Grads}, opInput{w.Type, graph.State}
	ctl := opInput{graph.Type{DType: graph.F32, Shape: graph.Shape{graph.CtlRows}}, graph.IO}
	o := p.Recipe.Optimizer
	sgd := graph.Step{Rule: graph.SGD, N: 1, Momentum: float32(o.Momentum), Nesterov: o.Nesterov, Decay: float32(o.WeightDecay)}
	return []opCase{
		{"norm", graph.GradNorm{}, []opInput{ctl, grad}},
		{"step", sgd, []opInput{ctl, w, grad, state}},
	}
}

// caseOf takes n out of its graph. ok is false for what stepCases replaces, and
// for AllReduce, which moves nothing on one device.
func caseOf(g *graph.Graph, n graph.Node) (c opCase, ok bool) {
	switch n.Op.(type) {
	case graph.AllReduce, graph.GradNorm, graph.Step:
		return c, false
	}
	c = opCase{node: n.Name, op: n.Op}
	for _, v := range n.In {
		if v == 0 { // an optional input that is not there
			c.in = append(c.in, opInput{})
			continue
		}
		info := g.Info(v)
		in := opInput{info.Type, info.Region}
		if in.region == graph.Scratch {
			in.region = graph.Data
		}
		c.in = append(c.in, in)
	}
	return c, true
}

func (c *opCase) key() string { return fmt.Sprintf("%#v %v", c.op, c.in) }

// graph is a program of the op alone.
func (c *opCase) graph() (*graph.Graph, error) {
	return graph.Build(func(b *graph.Builder) []graph.Value {
		in := make([]graph.Value, len(c.in))
		for i, t := range c.in {
			name := fmt.Sprintf("in%d", i)
			switch {
			case t.Shape == nil:
			case t.region == graph.State: // of the one parameter that a Step has here
				in[i] = b.State(in[1], 0)
			case t.isCtl():
				in[i] = b.Declare(ctlName, t.region, t.DType, t.Shape...)
			default:
				in[i] = b.Declare(name, t.region, t.DType, t.Shape...)
			}
		}
		return b.Apply("op", c.op, in...)
	})
}

// isCtl tells ctl from the other inputs of the host, which have more axes.
func (in *opInput) isCtl() bool {
	return in.region == graph.IO && in.DType == graph.F32 && len(in.Shape) == 1
}

// conv is what a convolution does, for comparison with other libraries. Passes
// are named as in bench/peers/torch_ops.py.
type conv struct {
	Pass   string `json:"pass"` // forward, grad_input or grad_weight
	Batch  int    `json:"batch"`
	Size   [3]int `json:"size"` // D H W of x
	Ci     []int  `json:"ci"`   // of x, or of x and x2
	Co     int    `json:"co"`
	Kernel [3]int `json:"kernel"`
	Stride [3]int `json:"stride"`
}

// conv is nil for other ops.
func (c *opCase) conv() *conv {
	var inputs []graph.Shape
	r := &conv{}
	switch op := c.op.(type) {
	case graph.Conv3D:
		r.Pass, r.Stride, r.Kernel, r.Co = "forward", op.Stride, [3]int(c.in[1].Shape[:3]), c.in[1].Shape[4]
		inputs = append(inputs, c.in[0].Shape)
		if len(c.in) > 3 {
			inputs = append(inputs, c.in[3].Shape)
		}
	case graph.Conv3DGradInput:
		r.Pass, r.Stride, r.Kernel, r.Co = "grad_input", op.Stride, [3]int(c.in[1].Shape[:3]), c.in[1].Shape[4]
		inputs = op.X
	case graph.Conv3DGradWeight:
		r.Pass, r.Stride, r.Kernel, r.Co = "grad_weight", op.Stride, op.Kernel, c.in[0].Shape[4]
		inputs = append(inputs, c.in[1].Shape)
		if len(c.in) > 2 {
			inputs = append(inputs, c.in[2].Shape)
		}
	default:
		return nil
	}
	r.Batch, r.Size = inputs[0][0], [3]int(inputs[0][1:4])
	for _, s := range inputs {
		if s != nil {
			r.Ci = append(r.Ci, s[4])
		}
	}
	return r
}

// shapes is a convolution as people write it, and the shapes of the inputs of
// any other op but those of its vectors.
func (c *opCase) shapes() string {
	one := [3]int{1, 1, 1}
	if v := c.conv(); v != nil {
		text := fmt.Sprintf("%s→%d at %d×%s", join(v.Ci, "+"), v.Co, v.Batch, join(v.Size[:], "×"))
		if v.Kernel != [3]int{3, 3, 3} {
			text += " kernel " + join(v.Kernel[:], "×")
		}
		if v.Stride != one {
			text += " stride " + join(v.Stride[:], "×")
		}
		return text
	}
	var shapes, vectors []string
	for _, in := range c.in {
		switch {
		case len(in.Shape) > 1:
			shapes = append(shapes, in.Shape.String())
		case len(in.Shape) == 1 && !in.isCtl():
			vectors = append(vectors, in.Shape.String())
		}
	}
	if shapes == nil {
		shapes = vectors[:1] // the parameters of an optimizer
	}
	return strings.Join(shapes, ", ") + c.variant()
}

// variant tells ops of the same inputs apart.
func (c *opCase) variant() string {
	switch op := c.op.(type) {
	case graph.SegSums:
		return " " + op.Act.String()
	case graph.Blur:
		return " along " + "DHW"[op.Axis:op.Axis+1]
	case graph.Intensity:
		return " " + op.Kind.String()
	}
	return ""
}

// title is what --filter looks at.
func (c *opCase) title() string { return graph.OpName(c.op) + " " + c.shapes() }
