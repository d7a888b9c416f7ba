package cpu

import (
	"time"

	"github.com/gounet/gounet/core/graph"
)

// Peaks measures what the workers of the device can do at most, for a second
// or so, and returns both rates a second: FLOP of f32 multiply-adds that stay in
// registers (two each), whatever the storage, and bytes of z = x + 3y over arrays
// beyond the caches, each array counted once. There is no error.
//
// Both are the best of several runs: other load on the machine disturbs them
// least.
func (d *device) Peaks(storage graph.DType) (flop, bytes float64, err error) {
	flop, err = d.MultiplyPeak(storage)
	return flop, d.movePeak(), err
}

const (
	peakTime  = 100 * time.Millisecond // of repeating a measurement, beyond the wake-up of a sleeping core
	peakLeast = 5                      // runs, however long they take
)

// MultiplyPeak is in FLOP a second.
func (d *device) MultiplyPeak(graph.DType) (float64, error) {
	const rounds, vectors, perWorker = 50_000, 12, 8
	units := perWorker * len(d.pool.workers)
	best := d.bestOf(units, func(*worker, int) { d.isa.peak(rounds) })
	return float64(units*rounds*vectors*d.isa.lanes*2) / best.Seconds(), nil
}

// movePeak is in bytes a second.
func (d *device) movePeak() float64 {
	const parts, unit = 64, maxLanes // of an array, f32 that every vector length divides
	n := 16 << 20                    // f32: 64 MiB, beyond what the cores of most processors have as caches
	if m := memory(); m.Available > 0 {
		n = min(n, int(m.Available/4/12)) // a quarter of what is there for all three
	}
	length := max(1, n/parts/unit) * unit
	n = parts * length
	x, y, z := written(n), written(n), written(n)
	best := d.bestOf(parts, func(_ *worker, u int) {
		i := u * length
		d.isa.triad(&z[i], &x[i], &y[i], length/d.isa.lanes)
	})
	return 3 * 4 * float64(n) / best.Seconds()
}

// written is an array whose pages are its own: those that were never written are all the
// system's one page of zeros, which stays in a cache.
func written(n int) []float32 {
	x := aligned(n)
	for i := range x {
		x[i] = 1
	}
	return x
}

// bestOf repeats the units of f and returns the shortest time.
func (d *device) bestOf(units int, f unitFunc) time.Duration {
	best, began := time.Hour, time.Now()
	for i := 0; i < peakLeast || time.Since(began) < peakTime; i++ {
		start := time.Now()
		d.pool.run(units, f)
		best = min(best, time.Since(start))
	}
	return best
}
