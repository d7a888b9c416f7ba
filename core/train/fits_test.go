package train_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// limited is a device of which so much is free.
type limited struct {
	backend.Device
	total, free int64
}

func (d limited) Limits() backend.Limits {
	l := d.Device.Limits()
	l.TotalBytes, l.FreeBytes = d.total, d.free
	return l
}

// Before the first step, an error has what is needed, what is there, and what fits: which
// is then accepted with the same memory, and not with a byte less.
func TestTooLittleMemoryIsAnErrorWithWhatFits(t *testing.T) {
	o := options(t)
	dev := o.Device
	s := &o.Plan.Recipe.Schedule
	s.Epochs, s.Iterations, s.ValIterations = 1, 1, 1
	c := &o.Plan.Configurations[0]
	c.Batch = 5
	need := func(change func(c *plan.Configuration), storage graph.DType) int64 {
		part := *c
		change(&part)
		m, err := train.MemoryOf(o.Plan, &part, storage)
		require.NoError(t, err)
		return m.Device()
	}
	batch := func(n int) int64 { return need(func(c *plan.Configuration) { c.Batch = n }, graph.F32) }
	run := func(have int64, change func(o *train.Options)) error {
		p := *o.Plan
		p.Configurations = []plan.Configuration{*c}
		mine := o
		mine.Plan, mine.Dir, mine.Device = &p, filepath.Join(t.TempDir(), "run"), limited{dev, have, have}
		mine.Stored = func(int, int64) { assert.Fail(t, "the memory is the host's") }
		steps := 0
		mine.Progress = func(train.Progress) { steps++ }
		change(&mine)
		_, err := train.Run(t.Context(), mine)
		if err != nil {
			require.ErrorIs(t, err, backend.ErrMemory)
			require.Zero(t, steps)
		}
		return err
	}
	as := func(*train.Options) {}
	require.NoError(t, run(batch(5), as))
	err := run(batch(5)-1, as)
	require.ErrorContains(t, err, "--batch 4 fits")
	require.ErrorContains(t, run(batch(3), as), "--batch 3 fits")
	require.NoError(t, run(batch(3), func(o *train.Options) { o.Plan.Configurations[0].Batch = 3 }))
	require.ErrorContains(t, run(batch(3)-1, as), "--batch 2 fits")
	require.ErrorContains(t, run(batch(1), as), "--batch 1 fits")

	half := need(func(c *plan.Configuration) { c.Batch = 1 }, graph.BF16)
	err = run(half, as)
	require.ErrorContains(t, err, "--batch 1 with --")
	err = run(half/2, as)
	require.ErrorContains(t, err, "a patch of ")
	require.ErrorContains(t, err, "with --batch 1 fits, as gounet plan --fit-memory --memory-gb 0.0 makes one")
	require.ErrorContains(t, run(1000, as), "use a smaller --width, or another device")

	err = run(0, func(o *train.Options) { o.Device = limited{dev, 1 << 40, 3 << 20} })
	require.ErrorContains(t, err, "3 of its 1048576 MiB are free")
}
