package train

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
)

// lossOf is the loss of a run: a number, or what waits for the run and has it then.
type lossOf struct {
	value float64
	later func(context.Context) ([]byte, error) // nil: value
}

func (l lossOf) wait(ctx context.Context) (float64, error) {
	if l.later == nil {
		return l.value, nil
	}
	b, err := l.later(ctx)
	if err != nil {
		return 0, err
	}
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), nil
}

// behind is how many steps a device may have before it whose losses nobody has seen: the
// host writes the next batches while it computes.
const behind = 2

// steps trains the iterations that are left of the epoch, and tells of each when its loss
// is there. An error begins with the number of its iteration; what was begun before it is
// counted, and in the weights.
func (t *trainer) steps(ctx context.Context, feed <-chan *batch, rate float64, tell func()) error {
	for left := t.recipe.Schedule.Iterations - t.state.Iteration; left > 0; left-- {
		if err := t.iterate(ctx, feed, rate); err != nil {
			at := t.state.Iteration + len(t.due)
			if earlier := t.count(ctx, 0, tell); earlier != nil {
				return earlier // the same cause
			}
			return fmt.Errorf("%d: %w", at, err)
		}
		waiting := 0
		if t.due[len(t.due)-1].later != nil {
			waiting = behind
		}
		if err := t.count(ctx, waiting, tell); err != nil {
			return err
		}
	}
	return t.count(ctx, 0, tell)
}

// count waits for losses until so many are due.
func (t *trainer) count(ctx context.Context, left int, tell func()) error {
	ctx = context.WithoutCancel(ctx)
	for len(t.due) > left {
		begin := time.Now()
		loss, err := t.due[0].wait(ctx)
		t.due = t.due[1:]
		t.state.Time.Step += time.Since(begin).Seconds()
		if err == nil && t.Storage == graph.F32 && (math.IsNaN(loss) || math.IsInf(loss, 0)) {
			err = fmt.Errorf("the loss is %v, not a number: lower the learning rate or the weights of the loss, or look for broken cases with gounet plan", loss)
		}
		if err != nil {
			t.due = nil
			return fmt.Errorf("%d: %w", t.state.Iteration, err)
		}
		t.state.LossSum += loss
		t.state.Iteration++
		tell()
	}
	return nil
}

// iterate begins one training step, whose loss is due then. A step that has begun is not
// cancelled: one that is half done, or done and not counted, would be in the checkpoint.
func (t *trainer) iterate(ctx context.Context, feed <-chan *batch, rate float64) error {
	begin := time.Now()
	b, err := t.take(ctx, feed)
	if err != nil {
		return err
	}
	ready := time.Now()
	defer t.batches.recycle(b)
	ctx = context.WithoutCancel(ctx)
	if err := t.train.WriteAt(ctx, t.step.Ctl, 4*graph.CtlRate, backend.F32Bytes([]float32{float32(rate)})); err != nil {
		return err
	}
	loss, err := t.runBatch(ctx, t.train, t.step, b)
	t.state.Time.Wait += ready.Sub(begin).Seconds()
	t.state.Time.Load += b.load
	t.state.Time.Augment += b.augment
	t.state.Time.Step += time.Since(ready).Seconds()
	if err == nil {
		t.due = append(t.due, loss)
	}
	return err
}

func (t *trainer) take(ctx context.Context, feed <-chan *batch) (*batch, error) {
	if err := ctx.Err(); err != nil { // of several cases that are ready, select takes any
		return nil, err
	}
	select {
	case b := <-feed:
		if b.err != nil {
			defer t.batches.recycle(b)
		}
		return b, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// runBatch writes a batch, runs its program and returns the loss.
func (t *trainer) runBatch(ctx context.Context, s *backend.Session, u *unet.Train, b *batch) (loss lossOf, err error) {
	if err := t.writeSource(ctx, s, u.Source, u.Labels, b); err != nil {
		return loss, err
	}
	if u.Stage != nil {
		if err := s.Write(ctx, u.Stage.Labels, b.previous); err != nil {
			return loss, err
		}
	}
	if u.Field != 0 {
		if err := s.WriteF32(ctx, u.Field, b.field); err != nil {
			return loss, err
		}
	}
	rows := b.ctl[graph.CtlRows:]
	if err := s.WriteAt(ctx, u.Ctl, 4*graph.CtlRows, backend.F32Bytes(rows)); err != nil {
		return loss, err
	}
	if err := s.Run(ctx); err != nil {
		return loss, err
	}
	later, ok, err := s.ReadLater(ctx, u.Loss, graph.F32.Size())
	if ok || err != nil {
		return lossOf{later: later}, err
	}
	var value [1]float32
	err = s.ReadF32(ctx, u.Loss, value[:])
	return lossOf{value: float64(value[0])}, err
}
