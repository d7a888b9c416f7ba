package unettest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/safetensors"
)

// golden is a case.json with its tensors.
type golden struct {
	Dim         int       `json:"dim"`
	InChannels  int       `json:"in_channels"`
	OutChannels int       `json:"out_channels"`
	NLabels     int       `json:"n_labels"`
	Features    []int     `json:"features"`
	Kernels     [][]int   `json:"kernels"`
	Strides     [][]int   `json:"strides"`
	ConvEncoder []int     `json:"n_conv_encoder"`
	Blocks      []int     `json:"n_blocks"`
	ConvDecoder []int     `json:"n_conv_decoder"`
	InputShape  []int     `json:"input_shape"`
	Weights     []float64 `json:"ds_weights"`
	Steps       []string  `json:"steps"`
	Losses      map[string]lossCase
	dir         string
	weights, io map[string]tensor
}

type lossCase struct {
	Loss  float64 `json:"loss"`
	Parts []struct {
		Voxel float64 `json:"ce_or_bce"`
		Dice  float64 `json:"neg_dice"`
	} `json:"per_scale_parts"`
	NoGradient []string `json:"no_gradient"`
	Noise      struct {
		NearZero []string `json:"near_zero_gradients"`
	} `json:"f32_vs_f64"`
	SGD     *steps `json:"sgd3"`
	Clipped *steps `json:"sgd3_clip0.05"`
}

type steps struct {
	ClipNorm float64   `json:"clip_norm"`
	Losses   []float64 `json:"losses"`
	Norms    []float64 `json:"grad_norms_before_clip"`
	Error    struct {
		WeightMaxAbs float64 `json:"weight_max_abs"`
	} `json:"-"`
	WeightError float64 `json:"f32_vs_f64_weight_max_abs"`
}

func (g *golden) optimizers(loss string) map[string]*steps {
	m := map[string]*steps{}
	if s := g.Losses[loss].SGD; s != nil {
		m[""] = s
	}
	if s := g.Losses[loss].Clipped; s != nil {
		m["_clip0.05"] = s
	}
	return m
}

func load(t *testing.T, dir string) *golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	g := &golden{dir: dir}
	require.NoError(t, json.Unmarshal(b, g))
	g.weights = read(t, filepath.Join(dir, "weights.safetensors"))
	g.io = read(t, filepath.Join(dir, "io.safetensors"))
	return g
}

type tensor struct {
	shape []int
	data  []float32
}

func read(t *testing.T, path string) map[string]tensor {
	t.Helper()
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	m := map[string]tensor{}
	for _, n := range f.Names() {
		if info, _ := f.Info(n); info.DType == "F32" || info.DType == "F16" || info.DType == "BF16" {
			x, s, err := f.Float32s(n)
			require.NoError(t, err)
			m[n] = tensor{s, x}
			continue
		}
		ints, s, err := f.Ints(n)
		require.NoError(t, err)
		x := make([]float32, len(ints))
		for i, v := range ints {
			x[i] = float32(v)
		}
		m[n] = tensor{s, x}
	}
	return m
}

// plan is the plan of the case with the loss of that name: ce_sample, bce_batch_ignore …
func (g *golden) plan(loss string) (*plan.Plan, *plan.Configuration) {
	regions := strings.HasPrefix(loss, "bce")
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(g.Dim)}
	p.Recipe.Augmentation = nil
	for range g.InChannels {
		p.Channels = append(p.Channels, plan.Channel{Name: "x"})
	}
	for k := range g.OutChannels {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	if regions {
		p.Recipe.Loss.Voxel = plan.BinaryCrossEntropy
		p.Labels = []plan.Label{{Values: []int{0}}}
		for k := range g.OutChannels { // labels are bit sets: bit k is region k
			var vs []int
			for v := range 1 << g.OutChannels {
				if v>>k&1 == 1 {
					vs = append(vs, v)
				}
			}
			p.Labels = append(p.Labels, plan.Label{Values: vs})
		}
	}
	if strings.HasSuffix(loss, "_ignore") {
		p.Ignore = g.OutChannels
		if regions {
			p.Ignore = 200
		}
	}
	c := plan.Configuration{
		Name: g.dir, Dim: g.Dim, Batch: g.InputShape[0], BatchDice: strings.Contains(loss, "batch"),
		Network: plan.Network{
			Kind: plan.Plain, Features: g.Features, Kernels: three(g.Kernels), Strides: three(g.Strides),
			Convs: g.ConvEncoder, DecoderConvs: g.ConvDecoder, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		},
	}
	if g.Blocks != nil {
		c.Network.Kind, c.Network.Convs = plan.Residual, g.Blocks
	}
	c.Patch = [3]int{1, 1, 1}
	copy(c.Patch[3-g.Dim:], g.InputShape[2:])
	return p, &c
}

func three(v [][]int) (out [][3]int) {
	for _, k := range v {
		x := [3]int{1, 1, 1}
		copy(x[3-len(k):], k)
		out = append(out, x)
	}
	return out
}

// labels of the full resolution for a loss.
func (g *golden) labels(loss string, p *plan.Plan) []byte {
	x := g.io["target."+loss+".0"]
	n, c := x.shape[0], x.shape[1]
	v := len(x.data) / n / c
	out := make([]byte, n*v)
	for i := range n {
		for j := range v {
			if !p.HasRegions() {
				out[i*v+j] = byte(x.data[i*v+j])
				continue
			}
			var bits byte
			for k := range g.OutChannels {
				bits |= byte(x.data[(i*c+k)*v+j]) << k
			}
			if c > g.OutChannels && x.data[(i*c+g.OutChannels)*v+j] != 0 { // the ignore mask
				bits = 200
			}
			out[i*v+j] = bits
		}
	}
	return out
}

// toGraph reorders a PyTorch tensor to the axes of the graph.
func toGraph(t *testing.T, name string, x tensor) []float32 {
	t.Helper()
	data, _, err := checkpoint.ToGraph(name, checkpoint.Tensor{Shape: x.shape, Data: x.data})
	require.NoError(t, err)
	return data
}

// channelsLast turns N C … into N … C.
func channelsLast(x tensor) []float32 {
	n, c := x.shape[0], x.shape[1]
	v := len(x.data) / n / c
	out := make([]float32, len(x.data))
	for i := range n {
		for k := range c {
			for j := range v {
				out[(i*v+j)*c+k] = x.data[(i*c+k)*v+j]
			}
		}
	}
	return out
}
