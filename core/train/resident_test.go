package train_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// A training has the same bits whether all cases lie on the device, some, or none: also
// one that is resumed where there is room for others than where it began.
func TestWhereCasesLieChangesNoBit(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs = 2
	all := int64(0)
	for _, s := range o.Train {
		all += int64(len(s.Labels)) * 5
	}
	var cases int
	var bytes int64
	o.Stored = func(n int, b int64) { cases, bytes = n, b }
	run := func(o train.Options, room int64) map[string][]float32 {
		o.Dir, o.Resident = filepath.Join(t.TempDir(), "run"), room
		cases, bytes = 0, 0
		_, err := train.Run(t.Context(), o)
		require.NoError(t, err)
		return weights(t, o.Dir, checkpoint.StateFile)
	}
	want := run(o, -1)
	require.Zero(t, cases)
	checkpointtest.SameBits(t, want, run(o, 0))
	require.Zero(t, cases, "the memory is the host's: nothing is gained")
	checkpointtest.SameBits(t, want, run(o, all))
	require.Equal(t, len(o.Train), cases)
	require.Equal(t, all, bytes)
	checkpointtest.SameBits(t, want, run(o, all-1))
	require.Positive(t, cases)
	require.Less(t, cases, len(o.Train))
	require.Less(t, bytes, all)

	cut := o
	cut.Dir, cut.Resident = filepath.Join(t.TempDir(), "cut"), all
	for _, at := range []int{2, 5} {
		ctx, cancel := context.WithCancel(t.Context())
		cut.Progress = func(p train.Progress) {
			if p.Done == nil && p.Epoch*4+p.Iteration == at {
				cancel()
			}
		}
		_, err := train.Run(ctx, cut)
		require.ErrorIs(t, err, context.Canceled)
		cut.Resume, cut.Resident = true, cut.Resident-all-1 // none, then less than nothing
		cancel()
	}
	cut.Progress, cut.Resident = nil, all-1
	_, err := train.Run(t.Context(), cut)
	require.NoError(t, err)
	checkpointtest.SameBits(t, want, weights(t, cut.Dir, checkpoint.StateFile))
}

// crowded is a device on which others have the memory of a store of so many bytes.
type crowded struct {
	backend.Device
	store int64
	asked int
}

func (d *crowded) NewBuffer(bytes int64) (backend.Buffer, error) {
	if bytes >= d.store && bytes < d.store+2*compile.Align {
		d.asked++
		return nil, fmt.Errorf("crowded: %w", backend.ErrMemory)
	}
	return d.Device.NewBuffer(bytes)
}

// What else runs on a device may have the memory that is left by its size: then cases stay
// with the host.
func TestWithoutMemoryForCasesTheHostKeepsThem(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs = 1
	for _, s := range o.Train {
		o.Resident += int64(len(s.Labels)) * 5
	}
	dev := &crowded{Device: o.Device, store: o.Resident}
	o.Device = dev
	o.Stored = func(int, int64) { assert.Fail(t, "nothing is stored") }
	_, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	assert.Equal(t, 1, dev.asked)
}

// Ranks need not have the same room.
func TestRanksWithOtherRoomTrainTheSame(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs = 1
	dirs := []string{filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "one")}
	for i, dir := range dirs {
		o.Dir = dir
		_, errs := together(t.Context(), t, 2, o, func(o *train.Options) {
			o.Resident = int64(i*o.Group.Rank)<<30 - 1
		})
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	checkpointtest.SameBits(t, weights(t, dirs[0], checkpoint.StateFile), weights(t, dirs[1], checkpoint.StateFile))
}

// A case that is damaged on the disk is named before anything is trained with it.
func TestADamagedCaseIsNotStored(t *testing.T) {
	p := small()
	raw, err := dataset.Open("../../testdata/hippocampus")
	require.NoError(t, err)
	raw.Cases = raw.Cases[:2]
	st, err := raw.Preprocess(t.Context(), p, &p.Configurations[0], t.TempDir(), nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, st.Close()) }()
	id := st.Samples[1].ID
	f, err := os.OpenFile(filepath.Join(st.Dir, id+dataset.Ending), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{1, 2, 3}, 4096) // of the image
	require.NoError(t, err)
	require.NoError(t, f.Close())
	dev := cpu.Open(cpu.Options{})
	defer func() { assert.NoError(t, dev.Close()) }()
	steps := 0
	_, err = train.Run(t.Context(), train.Options{
		Plan: p, Configuration: plan.ConfigFullRes, Fold: "0", Train: st.Samples, Dir: filepath.Join(t.TempDir(), "run"),
		Device: dev, Resident: 1 << 30, Progress: func(train.Progress) { steps++ },
	})
	require.ErrorContains(t, err, id)
	assert.Zero(t, steps)
}
