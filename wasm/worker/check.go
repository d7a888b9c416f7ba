package worker

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

type dicomWriter = func(*dicom.Volume, context.Context, io.Writer, *volume.Labels, dicom.WriteOptions) error

var errMeasured = errors.New("measured")

// check says what a segmentation takes, and how long a tile.
func (w *Worker) check(j *job) (*api.Checked, error) {
	s := &j.Check.Segment
	if w.model == nil || w.scan == nil {
		return nil, fail(api.FailedRequest, errors.New("there is no model, or no scan: load one and open one first"))
	}
	dev, why, err := w.choose(s.Device)
	if err != nil {
		return nil, err
	}
	nets, err := w.networks(dev, s)
	if err != nil {
		return nil, err
	}
	c := &api.Checked{Device: dev.describe(why), Uncertainty: nets.plans[len(nets.plans)-1].Unsure}
	for _, m := range nets.plans {
		add(&c.Memory, m)
		c.State = max(c.State, m.State)
	}
	if j.Check.Plan {
		return c, nil
	}
	p, err := w.predictor(dev, nets.models[0], s)
	if err != nil {
		return nil, err
	}
	pre, err := w.preprocessed(j, p, nil, &api.Times{})
	if err != nil {
		return nil, err
	}
	err = w.time(j, p, pre, c)
	for _, m := range nets.plans[1:] { // by the pace of the first
		c.Rows += m.Steps
	}
	return c, err
}

// patience is how long a first run may take for another to be waited for: the first
// has kernels to be compiled in it.
const patience = 4 * time.Second

// time runs one or two batches of tiles.
func (w *Worker) time(j *job, p *predict.Predictor, pre *volume.Preprocessed, c *api.Checked) error {
	ctx, stop := context.WithCancelCause(j.ctx)
	defer stop(nil)
	begun, done := time.Now(), 0
	o := predict.ImageOptions{EveryRun: true, Progress: func(now predict.Progress) {
		took := time.Since(begun)
		c.TileMS = float64(took) / float64(time.Millisecond) / float64(max(now.Done-done, 1))
		c.Rows = now.Total
		if done > 0 || took > patience {
			stop(errMeasured)
		}
		begun, done = time.Now(), now.Done
	}}
	_, err := p.Case(ctx, pre, o)
	if errors.Is(context.Cause(ctx), errMeasured) {
		err = nil
	}
	return err
}
