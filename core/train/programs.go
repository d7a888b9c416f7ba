package train

import (
	"context"
	"errors"
	"fmt"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
)

// writeStage gives a program what it reads of a previous stage beside the labels.
func writeStage(ctx context.Context, s *backend.Session, g *unet.Stage) error {
	zeros := make([]byte, s.Program.Type(g.Zeros).Bytes())
	picks := unet.Picks(s.Program.Type(g.Pick).Shape.Elems())
	return errors.Join(s.Write(ctx, g.Zeros, zeros), s.WriteF32(ctx, g.Pick, picks))
}

// compile builds the programs of training and validation, which share weights.
func (t *trainer) compile() error {
	b := newBatcher(t)
	o := unet.TrainOptions{Source: b.source}
	if t.Storage != graph.F32 {
		o.Growth = growth
	}
	if t.Storage == graph.BF16 {
		o.Growth = 0 // its range is that of f32
	}
	var err error
	if t.step, err = unet.NewTrain(t.Plan, t.config, o); err != nil {
		return err
	}
	if t.val, err = unet.NewValidation(t.Plan, t.config, 0); err != nil {
		return err
	}
	limits := t.Device.Limits()
	co := compile.Options{
		Storage: t.Storage, Rematerialise: t.Rematerialise, World: limits.World, Linked: true,
		BufferBytes: limits.BufferBytes, ValueBytes: limits.ValueBytes,
	}
	if t.train, err = t.session(t.step.Graph, co, nil); err != nil {
		return err
	}
	if t.eva, err = t.session(t.val.Graph, co, t.train); err != nil {
		t.close()
		return err
	}
	b.slots = t.step.Slots
	t.batches = b
	return nil
}

func (t *trainer) session(g *graph.Graph, o compile.Options, shared *backend.Session) (*backend.Session, error) {
	p, err := compile.Compile(g, o)
	if err != nil {
		return nil, err
	}
	if free := t.Device.Limits().TotalBytes; free > 0 && p.TotalBytes() > free {
		return nil, fmt.Errorf("%s: a step needs %d MiB, the device has %d MiB: use a smaller --batch or --width, or --precision bf16",
			t.Device.Name(), p.TotalBytes()>>20, free>>20)
	}
	return backend.NewSession(t.Device, p, shared, graph.Weights, graph.Half)
}
