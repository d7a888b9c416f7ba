package cpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// A channel far from zero keeps its deviation: statistics are not made of sums
// of squares.
func TestStatisticsSurviveALargeMean(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, name := range ISAs() {
		for _, c := range []int{1, 5, 8, 32, 33, 320} {
			t.Run(fmt.Sprintf("%s/%d", name, c), func(t *testing.T) {
				typ := act(2, 7, 9, 11, c)
				dev := Open(Options{Workers: 2, ISA: name})
				defer func() { require.NoError(t, dev.Close()) }()
				s := opCase{"", graph.NormAct{Eps: 1e-5, Slope: 0.01}, []graph.Type{typ, f32(c), f32(c)}}.open(t, dev, graph.F32)
				defer s.Close()
				node := s.Program.Nodes[0]
				x := make([]float32, typ.Shape.Elems())
				sum, square := make([]float64, 2*c), make([]float64, 2*c)
				of := func(i int) int { return i/(len(x)/2)*c + i%c } // sample and channel
				for i := range x {
					x[i] = float32(1000 + r.NormFloat64())
					sum[of(i)] += float64(x[i])
				}
				voxels := float64(7 * 9 * 11)
				for i, v := range x {
					d := float64(v) - sum[of(i)]/voxels
					square[of(i)] += d * d
				}
				require.NoError(t, s.WriteF32(t.Context(), node.In[0], x))
				require.NoError(t, s.Run(t.Context()))
				stats := make([]float32, 4*c)
				require.NoError(t, s.ReadF32(t.Context(), node.Out[1], stats))
				for i := range 2 * c {
					require.InEpsilon(t, sum[i]/voxels, stats[2*i], 1e-7, "mean")
					require.InEpsilon(t, 1/math.Sqrt(square[i]/voxels+1e-5), stats[2*i+1], 1e-6, "1/deviation")
				}
			})
		}
	}
}

// The sums of a unit are taken around the mean of its first eighth: values there that are
// far from the others must not cost digits.
func TestStatisticsSurviveOutliersAtTheBegin(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for _, name := range ISAs() {
		for _, storage := range []graph.DType{graph.F32, graph.BF16} {
			t.Run(name+"/"+storage.String(), func(t *testing.T) {
				const c, voxels = 8, 40 * 40 * 40 // several units
				dev := Open(Options{Workers: 2, ISA: name})
				defer func() { require.NoError(t, dev.Close()) }()
				s := opCase{"", graph.NormAct{Eps: 1e-5, Slope: 0.01}, []graph.Type{act(1, 40, 40, 40, c), f32(c), f32(c)}}.open(t, dev, storage)
				defer s.Close()
				node := s.Program.Nodes[0]
				x := make([]float32, voxels*c)
				for i := range x {
					x[i] = float32(r.IntN(9)-4) / 8 // exact in bf16
					if i/c%2048 < 250 {
						x[i] = 1024
					}
				}
				mean, square := 0.0, 0.0
				for i := 0; i < len(x); i += c {
					mean += float64(x[i]) / voxels
				}
				for i := 0; i < len(x); i += c {
					square += (float64(x[i]) - mean) * (float64(x[i]) - mean) / voxels
				}
				if storage == graph.BF16 {
					raw := make([]byte, 2*len(x))
					for i, v := range x {
						binary.LittleEndian.PutUint16(raw[2*i:], half.ToBF16(v))
					}
					require.NoError(t, s.Write(t.Context(), node.In[0], raw))
				} else {
					require.NoError(t, s.WriteF32(t.Context(), node.In[0], x))
				}
				require.NoError(t, s.Run(t.Context()))
				stats := make([]float32, 2*c)
				require.NoError(t, s.ReadF32(t.Context(), node.Out[1], stats))
				require.InEpsilon(t, mean, stats[0], 1e-6, "mean")
				require.InEpsilon(t, 1/math.Sqrt(square+1e-5), stats[1], 1e-6, "1/deviation")
			})
		}
	}
}
