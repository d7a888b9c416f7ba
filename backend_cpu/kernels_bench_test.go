package cpu

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

// BenchmarkTile measures the kernels that multiply with operands in the first
// level of the cache: 9 segments of 24 or 96 steps.
func BenchmarkTile(b *testing.B) {
	const segs = 9
	for _, isa := range benched() {
		for nv := 1; nv <= isa.vectors; nv++ {
			for rows := 1; rows <= isa.rows[nv]; rows++ {
				for _, k := range []int{24, 96} {
					nr := nv * isa.lanes
					a, w, c := random(100*1024), random(segs*k*nr), random(maxRows*nr)
					list := make([]segment, segs)
					t := &tile{seg: &list[0], n: segs, k: k, aStep: 32, bStep: nr * 4, cRun: rows * nr * 4, c: &c.f32[0], cStep: nr * 4}
					run := func(kernel func(*tile)) func() {
						return func() {
							for range 1000 {
								t.tiles, t.aOff, t.cOff = 1, 0, 0
								kernel(t)
							}
						}
					}
					for i := range list {
						list[i] = segment{unsafe.Pointer(&a.f32[i*256]), unsafe.Pointer(&w.f32[i*k*nr])}
					}
					flops := 1000 * float64(2*segs*k*rows*nr)
					if isa.paired {
						flops *= 2
					}
					b.Run(fmt.Sprintf("gather/%s/%dx%d/k%d", isa.name, rows, nr, k), func(b *testing.B) {
						report(b, isa, 1, flops, run(isa.gather[nv][rows]))
					})
					b.Run(fmt.Sprintf("outer/%s/%dx%d/k%d", isa.name, rows, nr, k), func(b *testing.B) {
						report(b, isa, 1, flops, run(isa.outer[nv][rows]))
					})
					if nv > 1 || isa.outer3Rows == 0 {
						continue
					}
					t3 := *t
					t3.k, t3.bStep = k/3, k/3*nr*4
					b.Run(fmt.Sprintf("gather3/%s/%dx%d/k%d", isa.name, rows, nr, k), func(b *testing.B) {
						report(b, isa, 1, flops, func() {
							for range 1000 {
								t3.tiles, t3.aOff, t3.cOff = 1, 0, 0
								isa.gather3[rows](&t3)
							}
						})
					})
					if rows <= isa.outer3Rows {
						b.Run(fmt.Sprintf("outer3/%s/%dx%d/k%d", isa.name, rows, nr, k), func(b *testing.B) {
							report(b, isa, 1, 3*flops, run(isa.outer3[rows]))
						})
					}
				}
			}
		}
	}
}

// BenchmarkStreams is how fast one thread reads, writes and moves an array of the size
// of a full-resolution layer, 2×40×56×40 voxels of 32 channels: the floor of ops that
// pass over one.
func BenchmarkStreams(b *testing.B) {
	const n = 2 * 40 * 56 * 40 * 32
	x, y := random(n), random(n)
	for _, isa := range isas() {
		sums := aligned(2 * isa.vectors * isa.lanes)
		row := isa.vectors * isa.lanes
		seg := segment{b: unsafe.Pointer(&x.f32[0])}
		t := &tile{seg: &seg, n: 1, k: n / row, bStep: row * 4, c: &sums[0], init: &sums[row]}
		for _, s := range []struct {
			name  string
			bytes float64
			f     func()
		}{
			{"read", 4 * n, func() { isa.sum[isa.vectors](t) }},
			{"write", 4 * n, func() { clear(y.f32) }},
			{"move", 8 * n, func() { isa.move(unsafe.Pointer(&y.f32[0]), unsafe.Pointer(&x.f32[0]), 1, n/isa.lanes, 0, 0) }},
		} {
			b.Run(s.name+"/"+isa.name, func(b *testing.B) {
				best := time.Hour
				for b.Loop() {
					start := threadTime()
					s.f()
					best = min(best, threadTime()-start)
				}
				b.ReportMetric(best.Seconds()*1e3, "ms")
				b.ReportMetric(s.bytes/best.Seconds()/1e9, "GB/s")
			})
		}
	}
}
