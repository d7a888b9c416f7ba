package unet

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// Augmented is the augmentation of a training step alone, to be looked at.
type Augmented struct {
	Train             // Graph, Source, Labels, Ctl, Field, Slots and CtlLen are set
	X     graph.Value // IO T[N D H W C]: what the network would get
	Y     graph.Value // IO u8[N D H W]
}

// NewAugmentation is the augmentation of NewTrain.
func NewAugmentation(p *plan.Plan, c *plan.Configuration, o TrainOptions) (*Augmented, error) {
	r := p.Recipe.For(c)
	t := &Augmented{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		n, s, channels := o.Batch, o.Source, len(p.Channels)
		_, t.CtlLen = slotsOf(r.Augmentation, c.Patch, n, channels)
		t.Ctl = b.Declare("ctl", graph.IO, graph.F32, t.CtlLen)
		t.Source = b.Declare("source", graph.IO, graph.F32, n, s[0], s[1], s[2], channels)
		t.Labels = b.Declare("labels", graph.IO, graph.U8, n, s[0], s[1], s[2])
		t.X, t.Y = t.augmentation(b, r, c, o.First)
		b.Place(t.X, graph.IO)
		b.Place(t.Y, graph.IO)
		return []graph.Value{t.X, t.Y}
	})
	if err != nil {
		return nil, fmt.Errorf("unet: %s: %w", c.Name, err)
	}
	t.Graph = g
	return t, nil
}
