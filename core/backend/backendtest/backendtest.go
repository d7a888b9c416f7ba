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
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// Open opens the device under test, or skips the test with a reason.
type Open func(t testing.TB) backend.Device

// Run puts a device through all cases: every op in every type of storage that
// the device has, its memory, and a small network that must learn. Ops run beside
// each other, as many as -test.parallel says, each on a device of its own. Where only
// names some, as f16/Conv3D, it is the cases of those.
func Run(t *testing.T, open Open, only ...string) {
	p := &devices{open: open}
	dev := p.take(t)
	t.Cleanup(func() { p.close(t) })
	if len(only) == 0 {
		t.Run("memory", func(t *testing.T) {
			require.NoError(t, checkMemory(t.Context(), dev))
		})
	}
	list := storages(dev.Limits())
	p.give(dev)
	for _, storage := range list {
		t.Run(storage.String(), func(t *testing.T) {
			for op, cases := range byOp(storage) {
				if len(only) > 0 && !slices.Contains(only, storage.String()+"/"+op) {
					continue
				}
				t.Run(op, func(t *testing.T) {
					t.Parallel()
					dev := p.take(t)
					defer p.give(dev)
					for _, c := range cases {
						t.Run(c.title(), func(t *testing.T) {
							require.NoError(t, c.check(t.Context(), dev, storage))
						})
					}
				})
			}
		})
	}
	if len(only) > 0 {
		return
	}
	t.Run("network", func(t *testing.T) {
		for _, c := range networkChecks {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				dev := p.take(t)
				defer p.give(dev)
				require.NoError(t, c.check(t.Context(), dev))
			})
		}
	})
}

// byOp are the cases that a storage has, of one op after the other.
func byOp(storage graph.DType) iter.Seq2[string, []testCase] {
	var ops []string
	of := map[string][]testCase{}
	for _, c := range cases() {
		if !c.fits(storage) {
			continue
		}
		op := graph.OpName(c.op)
		if of[op] == nil {
			ops = append(ops, op)
		}
		of[op] = append(of[op], c)
	}
	return func(yield func(string, []testCase) bool) {
		for _, op := range ops {
			if !yield(op, of[op]) {
				return
			}
		}
	}
}

// devices are those that nobody uses at the moment.
type devices struct {
	open  Open
	mutex sync.Mutex
	idle  []backend.Device
}

// take is a device for one goroutine, which gives it back.
func (p *devices) take(t testing.TB) backend.Device {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if n := len(p.idle); n > 0 {
		d := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return d
	}
	return p.open(t)
}

func (p *devices) give(d backend.Device) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.idle = append(p.idle, d)
}

func (p *devices) close(t testing.TB) {
	for _, d := range p.idle {
		require.NoError(t, d.Close())
	}
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
	{"a sample does not depend on the batch", checkBatch},
}
