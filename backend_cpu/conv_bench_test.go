package cpu

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/gounet/gounet/core/graph"
)

// layers are the shapes of the benchmarks: the round ones, the hippocampus plan
// (patch 40×56×40, features 32 … 256) and its width-8 sibling.
var layers = []struct {
	name string
	s    convShape
}{
	{"32-32_64", layer(1, 64, 64, 64, 32, 0, 32, 3, 1)},
	{"64-64_32", layer(1, 32, 32, 32, 64, 0, 64, 3, 1)},
	{"320-320_8", layer(1, 8, 8, 8, 320, 0, 320, 3, 1)},
	{"h_1-32", layer(2, 40, 56, 40, 1, 0, 32, 3, 1)},
	{"h_32-32", layer(2, 40, 56, 40, 32, 0, 32, 3, 1)},
	{"h_32-64s2", layer(2, 40, 56, 40, 32, 0, 64, 3, 2)},
	{"h_64-64", layer(2, 20, 28, 20, 64, 0, 64, 3, 1)},
	{"h_64-128s2", layer(2, 20, 28, 20, 64, 0, 128, 3, 2)},
	{"h_128-128", layer(2, 10, 14, 10, 128, 0, 128, 3, 1)},
	{"h_128-256s2", layer(2, 10, 14, 10, 128, 0, 256, 3, 2)},
	{"h_256-256", layer(2, 5, 7, 5, 256, 0, 256, 3, 1)},
	{"h_128+128-128", layer(2, 10, 14, 10, 128, 128, 128, 3, 1)},
	{"h_64+64-64", layer(2, 20, 28, 20, 64, 64, 64, 3, 1)},
	{"h_32+32-32", layer(2, 40, 56, 40, 32, 32, 32, 3, 1)},
	{"h_32-3_head", layer(2, 40, 56, 40, 32, 0, 3, 1, 1)},
	{"8_1-8", layer(4, 40, 56, 40, 1, 0, 8, 3, 1)},
	{"8_8-8", layer(4, 40, 56, 40, 8, 0, 8, 3, 1)},
	{"8_8-16s2", layer(4, 40, 56, 40, 8, 0, 16, 3, 2)},
	{"8_16-16", layer(4, 20, 28, 20, 16, 0, 16, 3, 1)},
	{"8_32-32", layer(4, 10, 14, 10, 32, 0, 32, 3, 1)},
	{"8_64-64", layer(4, 5, 7, 5, 64, 0, 64, 3, 1)},
	{"8_8+8-8", layer(4, 40, 56, 40, 8, 8, 8, 3, 1)},
	{"8_16+16-16", layer(4, 20, 28, 20, 16, 16, 16, 3, 1)},
	{"8_8-3_head", layer(4, 40, 56, 40, 8, 0, 3, 1, 1)},
}

func layer(n, d, h, w, c1, c2, co, k, s int) convShape {
	return convShape{n, [3]int{d, h, w}, c1, c2, co, [3]int{k, k, k}, [3]int{s, s, s}}
}

// flops is twice the multiply-adds of one direction, borders included.
func (s convShape) flops() float64 {
	return 2 * float64(s.N*s.out().volume()*size(s.Kernel).volume()) * float64((s.C1+s.C2)*s.Co)
}

func random(n int) tensor {
	r := rand.New(rand.NewPCG(1, 2))
	t := tensor{dtype: graph.F32, f32: aligned(n)}
	for i := range t.f32 {
		t.f32[i] = r.Float32() - 0.5
	}
	return t
}

// benched are the kernels to measure: those of bf16 in place of the ones that
// have them, which are another's in f32.
func benched() []*isa {
	list := isas()
	for i, s := range list {
		if s.pairs != nil {
			list[i] = s.pairs
		}
	}
	return list
}

// operand is t in the storage type of the kernels.
func (s *isa) operand(t tensor) tensor {
	if !s.paired {
		return t
	}
	u := tensor{dtype: graph.BF16, u16: make([]uint16, len(t.f32))}
	s.put(u, 0, 1, t.f32, 1, len(t.f32), 1)
	return u
}

// workerCounts are what the benchmarks run with: one worker and all, or
// GOUNET_BENCH_WORKERS.
func workerCounts() []int {
	if n, err := strconv.Atoi(os.Getenv("GOUNET_BENCH_WORKERS")); err == nil {
		return []int{n}
	}
	return []int{1, runtime.GOMAXPROCS(0)}
}

// report times f and reports the best of b.N runs, which other load disturbs
// least: GFLOP/s and the share of the multiply-adds that the workers' cores can
// do in f32, measured between the runs. One worker is measured by its CPU time, more
// by the clock.
func report(b *testing.B, isa *isa, workers int, flops float64, f func()) {
	began := time.Now()
	clock := func() time.Duration { return time.Since(began) }
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if workers == 1 {
		clock = threadTime
	}
	const rounds = 20000
	peak, best := time.Hour, time.Hour
	f()
	for b.Loop() {
		start := threadTime()
		isa.peak(rounds)
		peak = min(peak, threadTime()-start)
		start = clock()
		f()
		best = min(best, clock()-start)
	}
	rate := flops / best.Seconds()
	most := float64(workers) * float64(rounds*12*isa.lanes*2) / peak.Seconds()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(best.Seconds()*1e3, "ms")
	b.ReportMetric(rate/1e9, "GFLOP/s")
	b.ReportMetric(100*rate/most, "%peak")
}

func BenchmarkConv(b *testing.B) {
	for _, l := range layers {
		s := l.s
		cin, vi, vo := s.C1+s.C2, s.N*size(s.In).volume(), s.N*s.out().volume()
		x, x2, y := random(vi*s.C1), random(vi*s.C2), random(vo*s.Co)
		dx, dx2 := random(vi*s.C1), random(vi*s.C2)
		w, bias := random(size(s.Kernel).volume()*cin*s.Co), random(s.Co)
		dw, db := random(len(w.f32)), random(s.Co)
		for _, isa := range benched() {
			x, x2, w, y, dx, dx2 := isa.operand(x), isa.operand(x2), isa.operand(w), isa.operand(y), isa.operand(dx), isa.operand(dx2)
			for _, workers := range workerCounts() {
				p := newPool(workers)
				c := newConv(s, isa, p, forward|gradInput|gradWeight)
				for _, d := range []struct {
					name string
					run  func()
				}{
					{"y", func() { c.forward(x, x2, w, bias, y) }},
					{"dx", func() { c.gradInput(y, w, dx, dx2) }},
					{"dw", func() { c.gradWeight(y, x, x2, dw.f32, db.f32) }},
				} {
					b.Run(fmt.Sprintf("%s/%s/workers%d/%s", l.name, isa.name, workers, d.name), func(b *testing.B) {
						report(b, isa, workers, s.flops(), d.run)
					})
				}
				p.close()
			}
		}
	}
}

func BenchmarkUpConv(b *testing.B) {
	for _, s := range []upShape{
		{2, [3]int{20, 28, 20}, 64, 32, [3]int{2, 2, 2}},
		{2, [3]int{10, 14, 10}, 128, 64, [3]int{2, 2, 2}},
		{4, [3]int{20, 28, 20}, 16, 8, [3]int{2, 2, 2}},
		{4, [3]int{10, 14, 10}, 32, 16, [3]int{2, 2, 2}},
	} {
		vi, taps := s.N*size(s.In).volume(), size(s.Stride).volume()
		x, dx, y := random(vi*s.Ci), random(vi*s.Ci), random(vi*taps*s.Co)
		w, bias := random(taps*s.Ci*s.Co), random(s.Co)
		dw, db := random(len(w.f32)), random(s.Co)
		flops := 2 * float64(vi*taps*s.Ci*s.Co)
		for _, isa := range benched() {
			x, w, y, dx := isa.operand(x), isa.operand(w), isa.operand(y), isa.operand(dx)
			for _, workers := range workerCounts() {
				p := newPool(workers)
				u := newUpConv(s, isa, p, forward|gradInput|gradWeight)
				name := fmt.Sprintf("%d-%d_%d/%s/workers%d/", s.Ci, s.Co, s.In[0], isa.name, workers)
				b.Run(name+"y", func(b *testing.B) {
					report(b, isa, workers, flops, func() { u.forward(x, w, bias, y) })
				})
				b.Run(name+"dx", func(b *testing.B) {
					report(b, isa, workers, flops, func() { u.gradInput(y, w, dx) })
				})
				b.Run(name+"dw", func(b *testing.B) {
					report(b, isa, workers, flops, func() { u.gradWeight(y, x, dw.f32, db.f32) })
				})
				p.close()
			}
		}
	}
}
