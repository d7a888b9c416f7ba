package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// ctlName is the name of ctl in every graph that is measured.
const ctlName = "ctl"

// benchSession compiles g for dev and fills what no node defines: ctl with typical
// parameters of each op, the rest with random numbers, so that no kernel meets a
// special case.
func benchSession(ctx context.Context, dev backend.Device, g *graph.Graph, o compile.Options) (*backend.Session, error) {
	limits := dev.Limits()
	o.BufferBytes, o.ValueBytes, o.World, o.InPlace = limits.BufferBytes, limits.ValueBytes, limits.World, limits.InPlace
	p, err := compile.Compile(g, o)
	if err != nil {
		return nil, err
	}
	s, err := backend.NewSession(dev, p, nil)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, info := range p.Values {
		v := graph.Value(i + 1)
		if _, used := p.Place(v); !used && info.Region != graph.Weights { // their 16-bit copies may be used
			continue
		}
		if err := fill(ctx, s, v, info, r); err != nil {
			s.Close()
			return nil, fmt.Errorf("%s: %w", info.Name, err)
		}
	}
	return s, nil
}

// fill writes the value of a parameter or an input.
func fill(ctx context.Context, s *backend.Session, v graph.Value, info graph.Info, r *rand.Rand) error {
	n := info.Type.Shape.Elems()
	switch info.Region {
	case graph.Weights:
		// 0.05 is about He's for 27·32 inputs: nothing overflows 16 bits.
		return s.WriteWeight(ctx, v, normal(r, n, 0.05))
	case graph.Grads:
		return s.WriteF32(ctx, v, normal(r, n, 0.01))
	case graph.IO, graph.Data:
	default:
		return nil
	}
	switch {
	case info.Name == ctlName:
		return s.WriteF32(ctx, v, typicalCtl(s.Program.Graph, n))
	case info.Type.DType == graph.U8:
		return s.Write(ctx, v, blocks(info.Type.Shape))
	case info.Type.DType == graph.F32:
		return s.WriteF32(ctx, v, normal(r, n, 1))
	}
	bits := make([]uint16, n)
	if info.Type.DType == graph.BF16 {
		half.EncodeBF16(bits, normal(r, n, 1))
	} else {
		half.EncodeF16(bits, normal(r, n, 1))
	}
	b := make([]byte, 0, 2*n)
	for _, h := range bits {
		b = append(b, byte(h), byte(h>>8))
	}
	return s.Write(ctx, v, b)
}

// blocks are labels in cubes of 8 voxels an edge: objects, as labels have them.
func blocks(shape graph.Shape) []byte {
	labels := make([]byte, shape.Elems())
	h, w := shape[len(shape)-2], shape[len(shape)-1]
	for i := range labels {
		labels[i] = byte((i/(w*h)/8 + i/w%h/8 + i%w/8) % 3)
	}
	return labels
}

func normal(r *rand.Rand, n int, deviation float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(deviation * r.NormFloat64())
	}
	return x
}

// typicalCtl is a ctl of length n with which no op of g has less to do than in
// a real run: a small rotation, every transform applied, no row empty.
func typicalCtl(g *graph.Graph, n int) []float32 {
	ctl := make([]float32, n)
	ctl[graph.CtlRate], ctl[graph.CtlLossScale], ctl[graph.CtlClip] = 0.01, 1, 12 // nnU-Net's
	ctl[graph.CtlFinite], ctl[graph.CtlFactor] = 1, 1
	for _, node := range g.Nodes {
		var x graph.Shape
		if node.In[0] > 0 {
			x = g.Type(node.In[0]).Shape
		}
		each := func(at int, v float32) { // sample and channel
			for i := range x[0] * x[4] {
				ctl[at+i] = v
			}
		}
		switch op := node.Op.(type) {
		case graph.TileBlend:
			for r := range x[0] {
				ctl[op.Ctl+r*graph.RowLen+graph.RowWeight] = 1
			}
		case graph.Warp:
			for r := range x[0] {
				row := ctl[op.Ctl+r*graph.WarpLen:]
				copy(row, []float32{0.98, 0.1, 0.1, -0.1, 0.98, 0.1, -0.1, -0.1, 0.98})
				for a := range 3 {
					row[graph.RowOffset+a] = float32(x[a+1]-1) / 2
				}
			}
		case graph.Blur:
			each(op.Ctl, 0.75) // voxels, nnU-Net's middle
		case graph.LowRes:
			each(op.Ctl, 0.75)
		case graph.Median:
			each(op.Ctl, float32(op.Most))
		case graph.Sharpen:
			each(op.Ctl, 0.5)
		case graph.Blank:
			for i := range x[0] * x[4] * op.Boxes { // a third of each edge, as DA5's largest
				for a := range 3 {
					ctl[op.Ctl+i*graph.BoxLen+graph.BoxSize+a] = float32(max(1, x[a+1]/3))
				}
			}
		case graph.Local:
			length := graph.LocalFactors + x[1] + x[2] + x[3]
			for i := range x[0] * x[4] * length {
				ctl[op.Ctl+i] = 0.5
			}
		case graph.Intensity:
			each(op.Ctl, 0.9)
			if op.Kind == graph.Noise {
				each(op.Ctl, 0.05)
				ctl[op.Seed], ctl[op.Seed+1] = 1, 2
			}
		}
	}
	return ctl
}
