package cpu

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkFlat measures the kernels over rows of columns in the first levels of
// the cache.
func BenchmarkFlat(b *testing.B) {
	for _, f := range flats() {
		for _, columns := range []int{32, 256} {
			x, dy, y, col := random(unitFloats), random(unitFloats), random(unitFloats), random(8*columns)
			c := func(i int) *float32 { return &col.f32[i*columns] }
			s := &sweep{
				x: &x.f32[0], dy: &dy.f32[0], y: &y.f32[0], rows: unitFloats / columns, columns: columns, slope: 0.01,
				mean: c(0), scale: c(1), shift: c(2), k0: c(3), k1: c(4), sum: c(5), sum2: c(6),
			}
			for _, k := range []struct {
				name string
				f    func(*sweep)
			}{{"sums", f.sums}, {"moments", f.moments}, {"norm", f.norm}, {"gradSums", f.gradSums}, {"grad", f.grad}} {
				b.Run(fmt.Sprintf("%s/%d/%d", k.name, f.lanes, columns), func(b *testing.B) {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					best := time.Hour
					for b.Loop() {
						clear(col.f32[5*columns:])
						start := threadTime()
						for range 1000 {
							k.f(s)
						}
						best = min(best, threadTime()-start)
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(best.Seconds()*1e6/unitFloats*float64(f.lanes), "ns/vector")
				})
			}
		}
	}
}

// flats are the kernels that this processor can run.
func flats() []*flat {
	var list []*flat
	for _, s := range isas() {
		if f := flatOf(s); len(list) == 0 || list[len(list)-1] != f {
			list = append(list, f)
		}
	}
	return list
}
