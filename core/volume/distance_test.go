package volume

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowDistance is the definition.
func slowDistance(mask []bool, shape [3]int, spacing [3]float64) []float64 {
	at := func(i int) [3]int {
		return [3]int{i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]}
	}
	out := make([]float64, len(mask))
	for i := range out {
		out[i] = math.Inf(1)
		p := at(i)
		for j, in := range mask {
			if !in {
				continue
			}
			q, sum := at(j), 0.0
			for a := range 3 {
				d := spacing[a] * float64(p[a]-q[a])
				sum += d * d
			}
			out[i] = min(out[i], sum)
		}
	}
	return out
}

func TestDistanceIsTheNearestTrueVoxel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name    string
		shape   [3]int
		spacing [3]float64
		share   float64 // of true voxels
	}{
		{"unit", [3]int{7, 9, 19}, [3]float64{1, 1, 1}, 0.02},
		{"thick slices", [3]int{6, 21, 8}, [3]float64{5, 0.7, 0.7}, 0.03},
		{"all different", [3]int{10, 7, 12}, [3]float64{0.3, 2.5, 1.1}, 0.01},
		{"flat", [3]int{1, 17, 33}, [3]float64{1, 0.5, 2}, 0.05},
		{"dense", [3]int{8, 8, 8}, [3]float64{1, 2, 3}, 0.6},
		{"line", [3]int{40, 1, 1}, [3]float64{3, 1, 1}, 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 5 {
				mask := make([]bool, c.shape[0]*c.shape[1]*c.shape[2])
				for i := range mask {
					mask[i] = r.Float64() < c.share
				}
				mask[r.IntN(len(mask))] = true
				got, want := DistanceSquared(mask, c.shape, c.spacing), slowDistance(mask, c.shape, c.spacing)
				for i := range got {
					// Each of the three passes rounds to float32 once, and adds.
					require.InDelta(t, want[i], float64(got[i]), 3*0x1p-24*want[i], "voxel %d", i)
				}
			}
		})
	}
}

func TestDistanceOfNothingIsInfinite(t *testing.T) {
	for _, d := range DistanceSquared(make([]bool, 24), [3]int{2, 3, 4}, [3]float64{1, 1, 1}) {
		assert.True(t, math.IsInf(float64(d), 1))
	}
	assert.Empty(t, DistanceSquared(nil, [3]int{0, 3, 4}, [3]float64{1, 1, 1}))
}

func TestDistanceDoesNotDependOnThreads(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	shape := [3]int{13, 37, 41}
	mask := make([]bool, 13*37*41)
	for i := range mask {
		mask[i] = r.IntN(200) == 0
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	one := DistanceSquared(mask, shape, [3]float64{1.7, 0.3, 0.9})
	runtime.GOMAXPROCS(4)
	assert.Equal(t, one, DistanceSquared(mask, shape, [3]float64{1.7, 0.3, 0.9}))
}

func BenchmarkDistanceSquared(b *testing.B) {
	shape := [3]int{64, 256, 256}
	mask := make([]bool, 64*256*256)
	for z := 20; z < 40; z++ {
		for y := 100; y < 180; y++ {
			mask[(z*256+y)*256+90], mask[(z*256+y)*256+170] = true, true
		}
	}
	b.SetBytes(int64(len(mask)))
	for b.Loop() {
		DistanceSquared(mask, shape, [3]float64{2.5, 0.8, 0.8})
	}
}
