package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

// errCrashed is a panic in a run that jobs share.
var errCrashed = errors.New("the run has crashed")

// together sends jobs of a kind through the model in the same runs. One that has neither
// labels nor an error afterwards is to be done alone: whatever was wrong with the others,
// its own end is the one that it has alone. A device that is lost is lost for all, and
// each is tried again as after a loss of its own. It says whether the device is gone.
func (o *owner) together(group []*job) (gone bool) {
	var live []*job
	for _, j := range group {
		o.safely(j, func(*job) error { return nil }) // unless it was cancelled
		if j.err == nil {
			live = append(live, j)
		}
	}
	if len(live) < 2 || o.open == nil {
		return false
	}
	err := o.share(live)
	lost := errors.Is(err, backend.ErrLost)
	if memory := (*predict.MemoryError)(nil); errors.As(err, &memory) || errors.Is(err, backend.ErrMemory) {
		o.line.fewer(live[0].kind, len(live))
	}
	alone := 0
	for _, j := range live {
		switch {
		case j.labels != nil || j.err != nil || j.ctx.Err() != nil:
		case lost:
			j.err = err
		default:
			alone++
		}
	}
	if alone > 0 {
		o.log.Warn("jobs that shared a run are done one by one", "jobs", alone, "error", err)
	}
	return lost || errors.Is(err, errCrashed)
}

// share is segment of jobs that are one kind.
func (o *owner) share(jobs []*job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			o.log.Error("a run of several jobs has crashed", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errCrashed, p)
		}
	}()
	at := time.Now()
	w, err := o.predictor(jobs[0])
	if err != nil {
		return err
	}
	places := make([]volume.Placement, len(jobs))
	for i, j := range jobs {
		places[i] = j.pre.Placement
	}
	m, err := w.PlanBatch(places)
	if err != nil {
		return err
	}
	o.admitted(w, m[0].Total())
	cases := make([]predict.BatchCase, len(jobs))
	for i, j := range jobs {
		j.device = o.open.Name()
		o.took(j, "model", &j.times.ModelMS, at)
		o.announce(j, m[i])
		p := pace{j: j, o: o}
		cases[i] = predict.BatchCase{Context: j.ctx, Case: j.pre, Progress: p.tell}
	}
	ctx, done := untilAll(jobs)
	defer done()
	at = time.Now()
	results, err := w.Batch(ctx, cases)
	if err != nil {
		return err
	}
	for i, r := range results {
		j := jobs[i]
		if r == nil || j.err != nil { // it was cancelled, or is not ours any more
			continue
		}
		j.pre, j.labels, j.memory = nil, r.Labels, r.Memory
		o.took(j, api.StageSegment, &j.times.SegmentMS, at)
	}
	return nil
}

// untilAll is a context that ends when those of all jobs have ended.
func untilAll(jobs []*job) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var left atomic.Int64
	left.Store(int64(len(jobs)))
	stops := []func() bool{}
	for _, j := range jobs {
		stops = append(stops, context.AfterFunc(j.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		}))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
