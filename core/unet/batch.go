package unet

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// BatchOptions are the sizes of a prediction of several cases, each of which is one tile.
type BatchOptions struct {
	Cases int // that lie one behind the other along D, each as large as the patch
	Rows  int // tiles, mirrored ones counted each, in one run
}

// Batch is the program that makes the logits of the tiles of several cases. It does not
// depend on their shapes; what is made of the logits does, in a BatchCase of each.
type Batch struct {
	Graph  *graph.Graph
	Ctl    graph.Value   // IO f32: RowLen values a row from CtlRows on
	Volume graph.Value   // Data f32[1 Cases*d h w C]
	Blend  graph.Value   // Data f32[d h w]: weight of each voxel of a tile
	Logits graph.Value   // Data T[Rows d h w K]
	Params []graph.Value // those that the full-resolution head needs
}

// NewBatch is the prediction of configuration c for tiles of its patch size.
func NewBatch(p *plan.Plan, c *plan.Configuration, o BatchOptions) (*Batch, error) {
	t := &Batch{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		t.Ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows+o.Rows*graph.RowLen)
		t.Volume, t.Blend = declareBatch(b, p, c, o)
		x := b.Apply("load", graph.TileLoad{N: o.Rows, Tile: c.Patch, Ctl: graph.CtlRows}, t.Volume, t.Ctl)[0]
		logits, params := Forward(b, c.Network, x, p.Classes(), 1)
		t.Params = params[:len(params)-2*(c.Network.Outputs()-1)] // without the lower heads
		t.Logits = logits[0]
		b.Place(t.Logits, graph.Data)
		return []graph.Value{t.Logits, t.Blend} // named so that it keeps its place
	})
	if err != nil {
		return nil, fmt.Errorf("unet: %s: %w", c.Name, err)
	}
	t.Graph = g
	return t, nil
}

// declareBatch declares what of Data both programs have before the logits.
func declareBatch(b *graph.Builder, p *plan.Plan, c *plan.Configuration, o BatchOptions) (volume, blend graph.Value) {
	d, h, w := c.Patch[0], c.Patch[1], c.Patch[2]
	return b.Declare("volume", graph.Data, graph.F32, 1, o.Cases*d, h, w, p.InputChannels(c)), b.Declare("blend", graph.Data, graph.F32, d, h, w)
}

// BatchCase is the program that adds the logits of one case of a Batch, whose Data region
// it shares, to an accumulator of its own, and makes labels of that.
type BatchCase struct {
	Graph  *graph.Graph
	Ctl    graph.Value // IO f32: RowLen values a row from CtlRows on, those of other cases of weight 0; behind them a 0
	Acc    graph.Value // IO f32[D H W K]
	Norm   graph.Value // IO f32[D H W]
	Labels graph.Value // IO u8[D' H' W']
}

// NewBatchCase makes that of a case of at most a patch: o says its Volume, Out and Nearest.
func NewBatchCase(p *plan.Plan, c *plan.Configuration, of BatchOptions, o LabelOptions) (*BatchCase, error) {
	t := &BatchCase{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		v, k, zero := o.Volume, p.Classes(), graph.CtlRows+of.Rows*graph.RowLen
		t.Ctl = b.Declare("ctl", graph.IO, graph.F32, zero+1)
		volume, blend := declareBatch(b, p, c, of)
		logits := b.Declare("logits", graph.Data, graph.T, of.Rows, c.Patch[0], c.Patch[1], c.Patch[2], k)
		t.Acc = b.Declare("acc", graph.IO, graph.F32, v[0], v[1], v[2], k)
		t.Norm = b.Declare("norm", graph.IO, graph.F32, v[0], v[1], v[2])
		b.Apply("blend", graph.TileBlend{Depth: v[0], Ctl: graph.CtlRows}, logits, blend, t.Ctl, t.Acc, t.Norm)
		t.Labels = b.Apply("labels", graph.Labels{
			Depth: v[0], Out: o.Out, Planes: o.Out[0], Nearest: o.Nearest, Regions: regionsOf(p), Ctl: zero,
		}, t.Acc, t.Norm, t.Ctl)[0]
		b.Place(t.Labels, graph.IO)
		return []graph.Value{t.Labels, volume} // named so that it keeps its place
	})
	if err != nil {
		return nil, fmt.Errorf("unet: %s: %w", c.Name, err)
	}
	t.Graph = g
	return t, nil
}
