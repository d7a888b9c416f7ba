package predict

import (
	"context"
	"fmt"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

// Small says whether a case may go through a model together with others: it is one tile,
// and its labels are made on the device, in one run.
func Small(c *plan.Configuration, at volume.Placement) bool {
	for a, patch := range c.Patch {
		if at.Shape[a] > patch {
			return false
		}
	}
	return at.Cropped[0]*at.Cropped[1]*at.Cropped[2] <= labelBytes && !(c.CubicLogits() && at.CubicLogits())
}

// Together is how many cases of one tile fill a run of the device: 1 where a run of more
// tiles is not faster, as on a CPU, or where one case with its mirror images is enough.
func (p *Predictor) Together() int {
	if p.o.Device.Limits().Units == 0 {
		return 1
	}
	rows, err := p.rows(mostRows)
	if err != nil { // the program of one case has the same
		return 1
	}
	return max(1, rows/len(p.mirrors))
}

// BatchCase is a small case among others.
type BatchCase struct {
	Context  context.Context // ends this one, and not the others
	Case     *volume.Preprocessed
	Progress func(Progress) // after each run; may be nil
}

// Batch segments small cases together, so that their tiles share the runs of the device.
// The labels of each have the bits that Case gives, up to the rounding of a device whose
// units share the sums of an op by how much there is (Limits.Units). The result of a case
// whose Context has ended is nil.
//
// Errors: those of Case, each of which is that of all cases; no cases; one that is not Small.
func (p *Predictor) Batch(ctx context.Context, cases []BatchCase) ([]*Result, error) {
	results, err := p.batch(ctx, cases)
	if err != nil {
		return nil, fmt.Errorf("predict: %d cases together: %w", len(cases), err)
	}
	return results, nil
}

// PlanBatch says what Batch will take for cases that are placed so: on the device all of
// them together, beside it each. What does not fit is an error with the numbers.
func (p *Predictor) PlanBatch(places []volume.Placement) ([]Memory, error) {
	pr, err := p.batchPrograms(places)
	if err != nil {
		return nil, fmt.Errorf("predict: %d cases together: %w", len(places), err)
	}
	all := make([]Memory, len(places))
	for i, at := range places {
		all[i] = pr.memory(p, at)
	}
	return all, nil
}

func (p *Predictor) batch(ctx context.Context, cases []BatchCase) ([]*Result, error) {
	places := make([]volume.Placement, len(cases))
	for i, c := range cases {
		if err := p.checkCase(c.Case); err != nil {
			return nil, err
		}
		places[i] = c.Case.Placement
	}
	pr, err := p.batchPrograms(places)
	if err != nil {
		return nil, err
	}
	c, err := p.canvasFor(pr)
	if err != nil {
		return nil, err
	}
	if err := c.begin(ctx, p, cases); err != nil {
		return nil, err
	}
	for f := range p.Model.Folds {
		if err := p.weights.load(ctx, f); err != nil {
			return nil, err
		}
		if err := c.run(ctx, cases); err != nil {
			return nil, err
		}
		done := Progress{Done: (f + 1) * len(p.mirrors), Total: len(p.Model.Folds) * len(p.mirrors)}
		for _, one := range cases {
			if one.Progress == nil || one.Context.Err() != nil {
				continue
			}
			if done.Next = (volume.Box{}); done.Done < done.Total {
				done.Next = inScan(one.Case.Placement)
			}
			one.Progress(done)
		}
	}
	return c.results(ctx, p, cases)
}

// begin puts the cases on the device.
func (c *canvas) begin(ctx context.Context, p *Predictor, cases []BatchCase) error {
	patch := p.config.Patch
	for i, one := range cases {
		s, own := one.Case.Shape, c.owns[i]
		clear(c.image)
		channels, corner := one.Case.Image.C, [3]int{}
		for a := range corner {
			corner[a] = Corners(s[a], patch[a], 1)[0]
		}
		row := s[2] * channels
		for y := range s[0] * s[1] {
			to := ((y/s[1]-corner[0])*patch[1] + y%s[1] - corner[1]) * patch[2]
			copy(c.image[(to-corner[2])*channels:], one.Case.Image.Data[y*row:(y+1)*row])
		}
		if err := c.session.WriteAt(ctx, c.batch.Volume, int64(i)*4*int64(len(c.image)), backend.F32Bytes(c.image)); err != nil {
			return err
		}
		if err := own.begin(ctx, i, corner, p.mirrors); err != nil {
			return err
		}
	}
	return nil
}

// run adds the logits of the fold that is on the device, and waits for them.
func (c *canvas) run(ctx context.Context, cases []BatchCase) error {
	if err := c.session.Run(ctx); err != nil {
		return err
	}
	for i, one := range cases {
		if one.Context.Err() != nil {
			continue
		}
		if err := c.owns[i].session.Run(ctx); err != nil {
			return err
		}
	}
	return c.session.ReadF32(ctx, c.batch.Ctl, make([]float32, 1)) // waits for the runs
}

// results reads the labels.
func (c *canvas) results(ctx context.Context, p *Predictor, cases []BatchCase) ([]*Result, error) {
	results := make([]*Result, len(cases))
	for i, one := range cases {
		if one.Context.Err() != nil {
			continue
		}
		own := c.owns[i]
		labels := make([]uint8, own.out[0]*own.out[1]*own.out[2])
		if err := own.session.Read(ctx, own.program.Labels, labels); err != nil {
			return nil, err
		}
		l, err := one.Case.Uncrop(labels)
		if err != nil {
			return nil, err
		}
		results[i] = &Result{Labels: l, Memory: c.memory(p, one.Case.Placement)}
	}
	return results, nil
}

// inScan is what of a scan was not cropped, in its own axes.
func inScan(at volume.Placement) (b volume.Box) {
	for a, from := range at.Axes.Inverse() {
		b.Lo[a], b.Hi[a] = at.Crop.Lo[from], at.Crop.Hi[from]
	}
	return b
}

// begin makes the sums zero, and says which rows are case i's.
func (o *own) begin(ctx context.Context, i int, corner [3]int, mirrors []int) error {
	rows := make([]float32, o.code.Type(o.program.Ctl).Shape.Elems())
	for r, bits := range mirrors {
		row := rows[graph.CtlRows+(i*len(mirrors)+r)*graph.RowLen:]
		for a, x := range corner {
			row[graph.RowBlend+a] = float32(x)
		}
		row[graph.RowMirror] = float32(bits)
		row[graph.RowWeight] = 1
	}
	if err := o.session.WriteF32(ctx, o.program.Ctl, rows); err != nil {
		return err
	}
	used := o.used
	o.used = true
	if !used {
		return nil
	}
	for _, v := range []graph.Value{o.program.Acc, o.program.Norm} {
		if err := o.session.Clear(ctx, v, 0, int64(4*o.code.Type(v).Shape.Elems())); err != nil {
			return err
		}
	}
	return nil
}
