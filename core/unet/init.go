package unet

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/gounet/gounet/core/graph"
)

// InitialWeights draws the weights of a fresh model, one slice a parameter, in
// the axis order of the graph, as nnU-Net does: He's normal distribution for a
// leaky ReLU of slope 0.01 over the fan-in as PyTorch counts it, biases 0, norms
// 1 and 0, and 0 for the last norm of a residual block of nnU-Net's, conv2. The same
// seed gives the same weights; each parameter has a stream of its own, so that they do
// not depend on each other.
func InitialWeights(g *graph.Graph, params []graph.Value, seed uint64) [][]float32 {
	out := make([][]float32, len(params))
	for i, v := range params {
		info := g.Info(v)
		s := info.Type.Shape
		out[i] = make([]float32, s.Elems())
		switch {
		case len(s) == 5:
			fan := s[0] * s[1] * s[2] * s[3]
			if strings.Contains(info.Name, "transpconvs") {
				fan = s[0] * s[1] * s[2] * s[4] // PyTorch's fan-in of a transposed weight is its output side
			}
			std := math.Sqrt(2 / (1 + 0.01*0.01) / float64(fan))
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for j := range out[i] {
				out[i][j] = float32(std * r.NormFloat64())
			}
		case strings.HasSuffix(info.Name, ".conv2.norm.weight"):
		case strings.HasSuffix(info.Name, ".norm.weight"), strings.HasSuffix(info.Name, ".norm.running_var"):
			for j := range out[i] {
				out[i][j] = 1
			}
		}
	}
	return out
}
