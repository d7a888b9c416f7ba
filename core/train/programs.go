package train

import (
	"context"
	"errors"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
)

// writeConstants gives a program what it reads and never changes.
func writeConstants(ctx context.Context, s *backend.Session, t *unet.Train) error {
	if t.Shift != 0 {
		if err := s.WriteFloats(ctx, t.Shift, unet.Shift(s.Program.Type(t.Shift).Shape)); err != nil {
			return err
		}
	}
	g := t.Stage
	if g == nil {
		return nil
	}
	zeros := make([]byte, s.Program.Type(g.Zeros).Bytes())
	picks := unet.Picks(s.Program.Type(g.Pick).Shape.Elems())
	return errors.Join(s.Write(ctx, g.Zeros, zeros), s.WriteF32(ctx, g.Pick, picks))
}

// compile builds the programs of training and validation, which share weights.
func (t *trainer) compile() error {
	step, val, err := t.programs(t.Device.Limits())
	if err != nil {
		return err
	}
	if err := t.fits(step, val); err != nil {
		return err
	}
	crop := augment.SourceShape(t.recipe, t.config.Patch)
	if t.kept = keep(t.Train, t.room(step, val), len(t.Plan.Channels), t.local, crop); t.kept != nil {
		if err = t.open(); !errors.Is(err, backend.ErrMemory) {
			return err
		}
		t.kept = nil // what else runs on the device has the memory
	}
	return t.open()
}

// open gives the programs memory.
func (t *trainer) open() error {
	step, val, err := t.programs(t.Device.Limits())
	if err != nil {
		return err
	}
	b := newBatcher(t)
	b.slots = t.step.Slots
	t.batches = b
	if t.train, err = t.session(step, nil); err != nil {
		return err
	}
	if t.eva, err = t.session(val, t.train); err != nil {
		t.close()
		t.train, t.eva = nil, nil
		return err
	}
	return nil
}

// programs compiles training and validation for a device of these limits.
func (t *trainer) programs(limits backend.Limits) (step, val *compile.Program, err error) {
	o := unet.TrainOptions{Batch: t.local, First: t.first, Source: augment.SourceShape(t.recipe, t.config.Patch)}
	if t.kept != nil {
		o.Store = t.kept.voxels
	}
	if t.Storage == graph.F16 { // the range of BF16 is that of f32
		o.Growth = growth
	}
	if t.step, err = unet.NewTrain(t.Plan, t.config, o); err != nil {
		return nil, nil, err
	}
	if t.val, err = unet.NewValidation(t.Plan, t.config, t.local); err != nil {
		return nil, nil, err
	}
	co := compile.Options{
		Storage: t.Storage, Rematerialise: t.Rematerialise, World: limits.World, Rank: t.rank(), BucketBytes: t.BucketBytes, Linked: true,
		BufferBytes: limits.BufferBytes, ValueBytes: limits.ValueBytes, InPlace: limits.InPlace,
	}
	if step, err = compile.Compile(t.step.Graph, co); err != nil {
		return nil, nil, err
	}
	val, err = compile.Compile(t.val.Graph, co)
	return step, val, err
}

// shared are the regions that validation has from training.
var shared = []graph.Region{graph.Weights, graph.Half}

func (t *trainer) session(p *compile.Program, of *backend.Session) (*backend.Session, error) {
	return backend.NewSession(t.Device, p, of, shared...)
}
