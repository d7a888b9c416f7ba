package cpu

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// net is a plain U-Net with a channel of input.
type net struct {
	name     string
	patch    [3]int
	features []int
	classes  int
}

// nets are those of bench/peers/wasm.py, which gives them to onnxruntime-web.
var nets = []net{
	{"small", [3]int{40, 56, 40}, []int{8, 16, 32, 64}, 3}, // the golden model's
	{"unet64", [3]int{64, 64, 64}, []int{32, 64, 128}, 4},
}

// hashed is a number in [-1, 1) of a seed and an index; bench/peers/wasm.py has
// the same function.
func hashed(seed uint32, i int) float32 {
	h := uint32(i)*2654435761 ^ seed*0x9E3779B9
	h = (h ^ h>>16) * 0x85EBCA6B
	h = (h ^ h>>13) * 0xC2B2AE35
	h ^= h >> 16
	return float32(h>>8)/(1<<23) - 1
}

// hashedWeight fills parameter number seed. Indices are those of PyTorch's order:
// [Co Ci kD kH kW], transposed [Ci Co kD kH kW].
func hashedWeight(seed uint32, name string, shape graph.Shape) []float32 {
	w := make([]float32, shape.Elems())
	if len(shape) == 1 {
		for i := range w {
			w[i] = 0.1 * hashed(seed, i)
			if strings.HasSuffix(name, "norm.weight") {
				w[i]++
			}
		}
		return w
	}
	taps, ci, co := shape[0]*shape[1]*shape[2], shape[3], shape[4]
	up := strings.Contains(name, "transpconvs")
	scale := float32(math.Sqrt(6 / float64(ci*taps)))
	if up {
		scale = float32(math.Sqrt(6 / float64(ci)))
	}
	for tap := range taps {
		for i := range ci {
			for o := range co {
				at := (o*ci+i)*taps + tap
				if up {
					at = (i*co+o)*taps + tap
				}
				w[(tap*ci+i)*co+o] = scale * hashed(seed, at)
			}
		}
	}
	return w
}

// build is the program of a network: x in, logits out.
func (n net) build(b *testing.B) (p *compile.Program, x, y graph.Value, params []graph.Value) {
	network := plan.Network{Kind: plan.Plain, ConvBias: true, NormEps: 1e-5, Slope: 0.01}
	for i, f := range n.features {
		stride := [3]int{2, 2, 2}
		if i == 0 {
			stride = [3]int{1, 1, 1}
		} else {
			network.DecoderConvs = append(network.DecoderConvs, 2)
		}
		network.Features, network.Convs = append(network.Features, f), append(network.Convs, 2)
		network.Kernels, network.Strides = append(network.Kernels, [3]int{3, 3, 3}), append(network.Strides, stride)
	}
	g, err := graph.Build(func(bd *graph.Builder) []graph.Value {
		x = bd.Declare("x", graph.IO, graph.F32, 1, n.patch[0], n.patch[1], n.patch[2], 1)
		var logits []graph.Value
		logits, params = unet.Forward(bd, network, x, n.classes, 1)
		y = logits[0]
		bd.Place(y, graph.IO)
		return logits[:1]
	})
	require.NoError(b, err)
	p, err = compile.Compile(g, compile.Options{})
	require.NoError(b, err)
	return p, x, y, params
}

// fill writes the weights and the input.
func fill(b *testing.B, s *backend.Session, x graph.Value, params []graph.Value) {
	for i, v := range params {
		if _, ok := s.Program.Place(v); ok {
			info := s.Program.Info(v)
			require.NoError(b, s.WriteWeight(b.Context(), v, hashedWeight(uint32(i), info.Name, info.Type.Shape)))
		}
	}
	in := make([]float32, s.Program.Type(x).Shape.Elems())
	for i := range in {
		in[i] = hashed(1000, i)
	}
	require.NoError(b, s.WriteF32(b.Context(), x, in))
}

// BenchmarkNetworks predicts one tile with GOUNET_THREADS threads (all, if it is
// not set) of instruction set GOUNET_ISA (the fastest) and reports the fastest run, the time of Compile with the start of the
// threads, the processor time of a run where the host tells it, and sums of the
// logits, by which other engines are compared.
func BenchmarkNetworks(b *testing.B) {
	threads, _ := strconv.Atoi(os.Getenv("GOUNET_THREADS"))
	for _, n := range nets {
		b.Run(n.name, func(b *testing.B) {
			dev := Open(Options{Workers: threads, ISA: os.Getenv("GOUNET_ISA")})
			b.Cleanup(func() { require.NoError(b, dev.Close()) })
			p, x, y, params := n.build(b)
			start := time.Now()
			s, err := backend.NewSession(dev, p, nil)
			require.NoError(b, err)
			b.Cleanup(s.Close)
			compiling := time.Since(start)
			fill(b, s, x, params)
			require.NoError(b, s.Run(b.Context()))
			best := math.Inf(1)
			used := processorTime()
			b.ResetTimer()
			for range b.N {
				start := time.Now()
				require.NoError(b, s.Run(b.Context()))
				best = min(best, time.Since(start).Seconds())
			}
			b.StopTimer()
			used = processorTime() - used
			b.ReportMetric(1e3*compiling.Seconds(), "compile-ms")
			b.ReportMetric(1e3*best, "best-ms")
			b.ReportMetric(used/float64(b.N), "cpu-ms")
			reportSums(b, s, y)
			if os.Getenv("GOUNET_PROFILE") != "" {
				profile(b, s)
			}
		})
	}
}

// reportSums reports the sums of the values of y and of their magnitudes.
func reportSums(b *testing.B, s *backend.Session, y graph.Value) {
	out := make([]float32, s.Program.Type(y).Shape.Elems())
	require.NoError(b, s.ReadF32(b.Context(), y, out))
	sum, abs := 0.0, 0.0
	for _, v := range out {
		sum += float64(v)
		abs += math.Abs(float64(v))
	}
	b.ReportMetric(sum, "sum")
	b.ReportMetric(abs, "abs")
}

// profile prints the nodes of a run, the fastest of three.
func profile(b *testing.B, s *backend.Session) {
	var best []float64
	for range 3 {
		seconds, err := s.Profile(b.Context())
		require.NoError(b, err)
		for i, t := range seconds {
			if len(best) < len(seconds) {
				best = seconds
			}
			best[i] = min(best[i], t)
		}
	}
	for i, n := range s.Program.Nodes {
		b.Logf("%8.2f ms %6.1f GMAC/s %s", 1e3*best[i], float64(s.Program.Cost(n).FLOP)/2e9/best[i], n.Name)
	}
}

// processorTime is the milliseconds that all threads of the host have used: node
// tells it, and a page that defines gounetProcessorTime; else 0.
func processorTime() float64 {
	if node() {
		used := js.Global().Get("process").Call("cpuUsage")
		return (used.Get("user").Float() + used.Get("system").Float()) / 1e3
	}
	if f := js.Global().Get("gounetProcessorTime"); f.Type() == js.TypeFunction {
		return f.Invoke().Float()
	}
	return 0
}
