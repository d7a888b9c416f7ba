package train

import (
	"context"
	"errors"
	"fmt"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/core/volume"
)

// Patch is a sample as the network gets it in training.
type Patch struct {
	Image  *volume.Image  // [D H W C]
	Labels *volume.Labels // 255 where there is no scan
}

// Look makes the patches of the first n steps' first samples, each as it is cut and as
// the recipe changes it: with the same seed those of a training. The labels of a
// cascade's previous stage are left out.
func Look(ctx context.Context, o Options, n int) (cut, changed []Patch, err error) {
	t := &trainer{Options: o, config: o.Plan.Configuration(o.Configuration)}
	if t.config == nil || len(o.Train) == 0 {
		return nil, nil, fmt.Errorf("train: no configuration %s, or no cases", o.Configuration)
	}
	t.recipe, t.local = o.Plan.Recipe.For(t.config), t.config.Batch
	b := newBatcher(t)
	g, err := unet.NewAugmentation(o.Plan, t.config, unet.TrainOptions{Batch: t.config.Batch, Source: b.source})
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	t.step, b.slots = &g.Train, g.Slots
	code, err := compile.Compile(g.Graph, compile.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	s, err := backend.NewSession(o.Device, code, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	defer s.Close()
	for step := range n {
		x := &batch{}
		b.fill(x, o.Seed, step, true)
		if x.err != nil {
			return nil, nil, fmt.Errorf("train: %w", x.err)
		}
		drawn, field := append([]float32(nil), x.ctl...), append([]float32(nil), x.field...)
		a := augment.Batch{Recipe: plan.Recipe{}, Slots: b.slots, Source: b.source, Patch: t.config.Patch, Samples: t.config.Batch, Channels: len(o.Plan.Channels)}
		clear(x.ctl)
		clear(x.field)
		a.Draw(x.ctl, 0, 0) // a recipe without transforms
		one, err := look(ctx, s, g, t.config.Patch, x)
		if err != nil {
			return nil, nil, fmt.Errorf("train: %w", err)
		}
		x.ctl, x.field = drawn, field
		two, err := look(ctx, s, g, t.config.Patch, x)
		if err != nil {
			return nil, nil, fmt.Errorf("train: %w", err)
		}
		cut, changed = append(cut, one), append(changed, two)
	}
	return cut, changed, nil
}

// look runs the augmentation and reads the first sample.
func look(ctx context.Context, s *backend.Session, g *unet.Augmented, shape [3]int, b *batch) (Patch, error) {
	err := errors.Join(s.WriteF32(ctx, g.Source, b.image), s.Write(ctx, g.Labels, b.labels), s.WriteF32(ctx, g.Ctl, b.ctl))
	if g.Field != 0 {
		err = errors.Join(err, s.WriteF32(ctx, g.Field, b.field))
	}
	if err == nil {
		err = s.Run(ctx)
	}
	if err != nil {
		return Patch{}, err
	}
	grid := volume.Grid{Shape: shape, Spacing: [3]float64{1, 1, 1}, Affine: [4][4]float64{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}}
	x := make([]float32, s.Program.Type(g.X).Shape.Elems())
	y := make([]byte, s.Program.Type(g.Y).Shape.Elems())
	if err := errors.Join(s.ReadFloats(ctx, g.X, x), s.Read(ctx, g.Y, y)); err != nil {
		return Patch{}, err
	}
	v := grid.Voxels()
	c := s.Program.Type(g.X).Shape[4]
	return Patch{&volume.Image{Grid: grid, C: c, Data: x[:v*c]}, &volume.Labels{Grid: grid, Data: y[:v]}}, nil
}
