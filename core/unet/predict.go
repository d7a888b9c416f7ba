package unet

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// TileOptions are the sizes of a prediction.
type TileOptions struct {
	Volume [3]int // voxels of the preprocessed scan
	Rows   int    // tiles, mirrored ones counted each, in one run
	Planes int    // of the volume and the accumulator on the device: Volume[0], or fewer that wander through it
}

// Tile is the program that adds the logits of a batch of tiles to an accumulator.
type Tile struct {
	Graph  *graph.Graph
	Ctl    graph.Value   // IO f32: RowLen values a row from CtlRows on
	Volume graph.Value   // Data f32[1 Planes H W C]: TileLoad finds tiles by their corner in what is there
	Blend  graph.Value   // Data f32[d h w]: weight of each voxel of a tile
	Acc    graph.Value   // Data f32[Planes H W K]
	Norm   graph.Value   // Data f32[Planes H W]
	Params []graph.Value // those that the full-resolution head needs
}

// NewTile is the prediction of configuration c for tiles of its patch size.
func NewTile(p *plan.Plan, c *plan.Configuration, o TileOptions) (*Tile, error) {
	t := &Tile{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		v, k := o.Volume, p.Classes()
		t.Ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows+o.Rows*graph.RowLen)
		t.Volume = b.Declare("volume", graph.Data, graph.F32, 1, o.Planes, v[1], v[2], p.InputChannels(c))
		t.Blend = b.Declare("blend", graph.Data, graph.F32, c.Patch[0], c.Patch[1], c.Patch[2])
		t.Acc = b.Declare("acc", graph.Data, graph.F32, o.Planes, v[1], v[2], k)
		t.Norm = b.Declare("norm", graph.Data, graph.F32, o.Planes, v[1], v[2])
		x := b.Apply("load", graph.TileLoad{N: o.Rows, Tile: c.Patch, Ctl: graph.CtlRows}, t.Volume, t.Ctl)[0]
		var logits []graph.Value
		logits, params := Forward(b, c.Network, x, k, 1)
		t.Params = params[:len(params)-2*(c.Network.Outputs()-1)] // without the lower heads
		b.Apply("blend", graph.TileBlend{Depth: v[0], Ctl: graph.CtlRows}, logits[0], t.Blend, t.Ctl, t.Acc, t.Norm)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("unet: %s: %w", c.Name, err)
	}
	t.Graph = g
	return t, nil
}

// LabelOptions are the sizes of the decision.
type LabelOptions struct {
	Volume  [3]int  // voxels of the preprocessed scan
	Planes  int     // of the volume and the accumulator on the device
	Out     [3]int  // voxels of the cropped scan that the labels are for
	OutRows int     // planes of Out decided in one run
	Nearest [3]bool // axes that take the nearest logits instead of linear ones
}

// Decide is the program that makes labels of the accumulator of a Tile program,
// whose Data region it shares.
type Decide struct {
	Graph  *graph.Graph
	Ctl    graph.Value // IO f32: the first plane of Out at slot CtlRows
	Labels graph.Value // IO u8[OutRows H' W']
}

// NewDecide declares the values of Data exactly as NewTile does, so that both
// programs agree on their places.
func NewDecide(p *plan.Plan, c *plan.Configuration, o LabelOptions) (*Decide, error) {
	d := &Decide{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		v := o.Volume
		d.Ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows+1)
		volume := b.Declare("volume", graph.Data, graph.F32, 1, o.Planes, v[1], v[2], p.InputChannels(c))
		blend := b.Declare("blend", graph.Data, graph.F32, c.Patch[0], c.Patch[1], c.Patch[2])
		acc := b.Declare("acc", graph.Data, graph.F32, o.Planes, v[1], v[2], p.Classes())
		norm := b.Declare("norm", graph.Data, graph.F32, o.Planes, v[1], v[2])
		op := graph.Labels{Depth: v[0], Out: o.Out, Planes: o.OutRows, Nearest: o.Nearest, Regions: regionsOf(p), Ctl: graph.CtlRows}
		d.Labels = b.Apply("labels", op, acc, norm, d.Ctl)[0]
		b.Place(d.Labels, graph.IO)
		return []graph.Value{d.Labels, volume, blend} // named so that they keep their places
	})
	if err != nil {
		return nil, fmt.Errorf("unet: %s: %w", c.Name, err)
	}
	d.Graph = g
	return d, nil
}

// regionsOf are the values that a plan with regions paints, in order; nil for labels.
func regionsOf(p *plan.Plan) (values []uint8) {
	if !p.HasRegions() {
		return nil
	}
	for _, r := range p.RegionOrder {
		values = append(values, uint8(r))
	}
	return values
}
