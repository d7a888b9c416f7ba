package train_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
	"github.com/gounet/gounet/core/train"
)

// ending is a context that ends when it is looked at for the n-th time: in the middle of
// whatever is done then.
type ending struct {
	context.Context
	looks atomic.Int64
}

func (e *ending) Err() error {
	if e.looks.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

func TestAStepThatIsInterruptedIsDoneOnce(t *testing.T) {
	o := options(t)
	s := &o.Plan.Recipe.Schedule
	s.Epochs, s.Iterations, s.ValIterations = 1, 2, 0
	// Every part of a step of the CPU looks at its context, as does every read and write:
	// after the first step so many times.
	all, looks := &ending{Context: t.Context()}, int64(0)
	all.looks.Store(math.MaxInt64)
	o.Progress = func(p train.Progress) {
		if p.Iteration == 1 {
			looks = all.looks.Load()
		} else if p.Done == nil {
			looks -= all.looks.Load()
		}
	}
	_, err := train.Run(all, o)
	require.NoError(t, err)
	want := weights(t, o.Dir, checkpoint.StateFile)
	for _, more := range []int64{0, 1, 2, looks / 2, looks - 4, looks - 3, looks - 2, looks - 1} {
		cut, e := o, &ending{Context: t.Context()}
		cut.Dir = filepath.Join(t.TempDir(), "cut")
		e.looks.Store(math.MaxInt64)
		cut.Progress = func(p train.Progress) {
			if p.Iteration == 1 {
				e.looks.Store(min(max(0, more), looks-1))
			}
		}
		_, err := train.Run(e, cut)
		require.ErrorIs(t, err, context.Canceled)
		cut.Progress, cut.Resume = nil, true
		_, err = train.Run(t.Context(), cut)
		require.NoError(t, err)
		checkpointtest.SameBits(t, want, weights(t, cut.Dir, checkpoint.StateFile), "interrupted at look %d of %d after the first step", more, looks)
	}
}

// Whatever is done when a training is interrupted at the end of an epoch, what was
// trained is kept, though no periodic checkpoint is due.
func TestAnInterruptionAtTheEndOfAnEpochLeavesACheckpoint(t *testing.T) {
	o := options(t)
	s := &o.Plan.Recipe.Schedule
	s.Epochs, s.Iterations, s.ValIterations = 2, 1, 1
	o.Every = 1000
	all, looks := &ending{Context: t.Context()}, int64(0)
	all.looks.Store(math.MaxInt64)
	o.Progress = func(p train.Progress) {
		switch {
		case p.Epoch > 0:
		case p.Done == nil:
			looks = all.looks.Load()
		default:
			looks -= all.looks.Load()
		}
	}
	_, err := train.Run(all, o)
	require.NoError(t, err)
	want := weights(t, o.Dir, checkpoint.StateFile)
	for _, more := range []int64{0, looks / 2, looks - 10, looks - 2, looks - 1, looks} {
		cut, e := o, &ending{Context: t.Context()}
		cut.Dir = filepath.Join(t.TempDir(), "cut")
		e.looks.Store(math.MaxInt64)
		cut.Progress = func(p train.Progress) {
			if p.Epoch == 0 && p.Done == nil {
				e.looks.Store(more)
			}
		}
		_, err := train.Run(e, cut)
		require.ErrorIs(t, err, context.Canceled)
		require.FileExists(t, filepath.Join(cut.Dir, checkpoint.StateFile), "interrupted at look %d of %d after the step", more, looks)
		cut.Resume = true
		steps := 0
		cut.Progress = func(p train.Progress) {
			if p.Done == nil {
				steps++
			}
		}
		_, err = train.Run(t.Context(), cut)
		require.NoError(t, err)
		assert.Equal(t, 1, steps, "that of the second epoch")
		checkpointtest.SameBits(t, want, weights(t, cut.Dir, checkpoint.StateFile))
	}

	last, cancel := context.WithCancel(t.Context())
	o.Dir = filepath.Join(t.TempDir(), "last")
	o.Progress = func(p train.Progress) {
		if p.Epoch == 1 && p.Done != nil {
			cancel()
		}
	}
	_, err = train.Run(last, o)
	require.NoError(t, err, "it is over")
	checkpointtest.SameBits(t, want, weights(t, o.Dir, checkpoint.StateFile))
}

func TestAnInterruptionThatLeavesNoCheckpointIsAnError(t *testing.T) {
	o := options(t)
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(train.Progress) {
		cancel()
		assert.NoError(t, os.RemoveAll(o.Dir))
		assert.NoError(t, os.WriteFile(o.Dir, nil, 0o666)) // where a folder was
	}
	_, err := train.Run(ctx, o)
	require.ErrorContains(t, err, "is not kept")
	require.NotErrorIs(t, err, context.Canceled)
}
