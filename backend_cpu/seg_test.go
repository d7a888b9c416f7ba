package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// segCase is logits of k classes over more voxels than a unit has.
type segCase struct {
	k      int
	z      []float32
	labels []byte
	d      []float32 // cotangents
}

const (
	segSamples = 2
	segVoxels  = 9 * 13 * 19
	segIgnore  = 1
)

func newSegCase(k int) segCase {
	r := rand.New(rand.NewPCG(15, uint64(k)))
	c := segCase{k: k, d: numbers(r, segSamples*k*graph.SumsLen)}
	for range segSamples * segVoxels {
		c.labels = append(c.labels, byte(r.IntN(k+2)))
		for range k {
			c.z = append(c.z, float32(3*r.NormFloat64()))
		}
	}
	return c
}

// expect is the sums and the gradient of softmax and cross entropy in float64.
func (c segCase) expect() (sums, grad []float64) {
	sums, grad = make([]float64, segSamples*c.k*graph.SumsLen), make([]float64, len(c.z))
	for v, label := range c.labels {
		if label == segIgnore {
			continue
		}
		class := int(label)
		if class >= c.k {
			class = 0
		}
		n, z := v/segVoxels, c.z[v*c.k:][:c.k]
		p, total, mean := make([]float64, c.k), 0.0, 0.0
		for k, x := range z {
			p[k] = math.Exp(float64(x))
			total += p[k]
		}
		at := func(k, column int) int { return (n*c.k+k)*graph.SumsLen + column }
		a := make([]float64, c.k)
		for k := range p {
			p[k] /= total
			a[k] = float64(c.d[at(k, graph.SumP)])
			sums[at(k, graph.SumP)] += p[k]
			sums[at(k, graph.SumValid)]++
			if k == class {
				a[k] += float64(c.d[at(k, graph.SumPT)])
				sums[at(k, graph.SumPT)] += p[k]
				sums[at(k, graph.SumT)]++
				sums[at(k, graph.SumCE)] -= math.Log(p[k])
			}
			mean += a[k] * p[k]
		}
		ce := float64(c.d[at(class, graph.SumCE)])
		for k := range p {
			own := 0.0
			if k == class {
				own = 1
			}
			grad[v*c.k+k] = p[k]*(a[k]-mean) + ce*(p[k]-own)
		}
	}
	return sums, grad
}

// run returns the one output of an op.
func (c segCase) run(t *testing.T, dev backend.Device, op graph.Op, cotangents bool) []float32 {
	in := []graph.Type{act(segSamples, 9, 13, 19, c.k), u8(segSamples, 9, 13, 19)}
	if cotangents {
		in = append(in, f32(segSamples, c.k, graph.SumsLen))
	}
	s := opCase{"", op, in}.open(t, dev, graph.F32)
	defer s.Close()
	n := s.Program.Nodes[0]
	require.NoError(t, s.WriteF32(t.Context(), n.In[0], c.z))
	require.NoError(t, s.Write(t.Context(), n.In[1], c.labels))
	if cotangents {
		require.NoError(t, s.WriteF32(t.Context(), n.In[2], c.d))
	}
	require.NoError(t, s.Run(t.Context()))
	out := make([]float32, s.Program.Type(n.Out[0]).Shape.Elems())
	require.NoError(t, s.ReadF32(t.Context(), n.Out[0], out))
	return out
}

func TestLossOfAnyNumberOfClassesIsTheFormula(t *testing.T) {
	for _, name := range ISAs() {
		for _, k := range []int{1, 2, 3, 4, 7, 8, 9, 17, 60} {
			t.Run(fmt.Sprintf("%s/%d", name, k), func(t *testing.T) {
				dev := Open(Options{Workers: 2, ISA: name})
				defer func() { require.NoError(t, dev.Close()) }()
				c := newSegCase(k)
				op := graph.SegSums{Stride: [3]int{1, 1, 1}, Ignore: segIgnore}
				sums, grad := c.expect()
				for i, x := range c.run(t, dev, op, false) {
					// Σ of up to segVoxels terms, which errors of logits of up to 15 move.
					require.InDelta(t, sums[i], x, 0x1p-24*(16*math.Abs(sums[i])+segVoxels/64), "sum %d", i)
				}
				for i, x := range c.run(t, dev, graph.SegGrad{SegSums: op}, true) {
					// A cotangent is at most 2; Σ A·p of K terms.
					require.InDelta(t, grad[i], x, 0x1p-24*(60+2*math.Sqrt(float64(k))), "gradient %d", i)
				}
			})
		}
	}
}
