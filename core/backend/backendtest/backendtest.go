// Package backendtest is what every backend must pass: the same line in each,
//
//	backendtest.Run(t, open)
//
// The judge is a definition, not another implementation: every op in float64,
// one output at a time in the order of its formula (oracle*.go). What a device
// may differ by is derived, never tuned: each result of the oracle carries the
// error that float32 arithmetic may have made on the way to it (number.go), and
// the rounding of the store is applied to both ends of that interval. Inputs
// that make sums exact in any order must give equal results.
//
// Memory is poisoned before a run and checked after it: values that are not
// inputs are NaN, gaps between values keep their pattern, inputs keep theirs.
package backendtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// Open opens the device under test, or skips the test with a reason.
type Open func(t testing.TB) backend.Device

// Run puts a device through all cases: every op in every type of storage that
// the device has, its memory, and a small network that must learn.
func Run(t *testing.T, open Open) {
	dev := open(t)
	t.Cleanup(func() { require.NoError(t, dev.Close()) })
	t.Run("memory", func(t *testing.T) {
		require.NoError(t, checkMemory(t.Context(), dev))
	})
	for _, storage := range storages(dev.Limits()) {
		t.Run(storage.String(), func(t *testing.T) {
			for _, c := range cases() {
				if !c.fits(storage) {
					continue
				}
				t.Run(c.title(), func(t *testing.T) {
					require.NoError(t, c.check(t.Context(), dev, storage))
				})
			}
		})
	}
	t.Run("network", func(t *testing.T) {
		for _, c := range networkChecks {
			t.Run(c.name, func(t *testing.T) {
				require.NoError(t, c.check(t.Context(), dev))
			})
		}
	})
}

// storages lists the types that activations can have on a device.
func storages(l backend.Limits) []graph.DType {
	ds := []graph.DType{graph.F32}
	if l.F16 {
		ds = append(ds, graph.F16)
	}
	if l.BF16 {
		ds = append(ds, graph.BF16)
	}
	return ds
}

// networkChecks are properties of whole programs.
var networkChecks = []struct {
	name  string
	check func(ctx context.Context, dev backend.Device) error
}{
	{"every node", checkNodes},
	{"gradients are slopes of the loss", checkSlopes},
	{"learns", checkLearns},
	{"rematerialisation keeps the bits", checkRematerialise},
	{"an arena keeps the bits", checkArena},
	{"an overflow skips the step and halves the scale", checkOverflow},
}
