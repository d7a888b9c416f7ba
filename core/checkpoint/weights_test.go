package checkpoint

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/internal/safetensors"
)

func one(k int) [3]int { return [3]int{k, k, k} }

// network wraps n into a plan with channels and labels.
func network(n plan.Network, dim, in, classes int) (*plan.Plan, *plan.Configuration) {
	n.NormEps, n.Slope = 1e-5, 0.01
	p := &plan.Plan{Channels: make([]plan.Channel, in), Configurations: []plan.Configuration{{Dim: dim, Network: n}}}
	for i := range classes {
		p.Labels = append(p.Labels, plan.Label{Values: []int{i}})
	}
	return p, &p.Configurations[0]
}

// keysOf reads a section of testdata/state_dict_keys.txt.
func keysOf(t *testing.T, section string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/state_dict_keys.txt")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(b), "## "+section+"\n")
	require.True(t, found)
	rest, _, _ = strings.Cut(rest, "## ")
	return strings.Split(strings.TrimSpace(rest), "\n")
}

// tuple is a shape as Python prints it.
func tuple(shape []int) string {
	if len(shape) == 1 {
		return fmt.Sprintf("(%d,)", shape[0])
	}
	return "(" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(shape), "[]")), ", ") + ")"
}

func TestParametersEqualTheOriginalStateDicts(t *testing.T) {
	cases := map[string]plan.Network{
		"plain": {
			Kind: plan.Plain, Features: []int{32, 64, 128}, Kernels: [][3]int{{1, 3, 3}, one(3), one(3)},
			Strides: [][3]int{one(1), {1, 2, 2}, one(2)}, Convs: []int{2, 2, 2}, DecoderConvs: []int{2, 2}, ConvBias: true,
		},
		"resenc": {
			Kind: plan.Residual, Features: []int{32, 64, 64, 128}, Kernels: [][3]int{one(3), one(3), one(3), one(3)},
			Strides: [][3]int{one(1), one(2), one(2), one(2)}, Convs: []int{1, 2, 1, 1}, DecoderConvs: []int{1, 1, 1}, ConvBias: true,
		},
	}
	for section, n := range cases {
		var got []string
		for _, p := range Parameters(network(n, 3, 1, 3)) {
			got = append(got, p.Name+" "+tuple(p.Shape))
		}
		assert.Equal(t, keysOf(t, section), got, section)
	}
}

func TestParameterCountsOfKnownNetworks(t *testing.T) {
	plainOf := func(features []int) plan.Network {
		n := plan.Network{Kind: plan.Plain, Features: features, ConvBias: true}
		for s := range features {
			n.Kernels, n.Strides, n.Convs = append(n.Kernels, one(3)), append(n.Strides, one(min(2, 1+s))), append(n.Convs, 2)
			if s > 0 {
				n.DecoderConvs = append(n.DecoderConvs, 2)
			}
		}
		return n
	}
	count := func(p *plan.Plan, c *plan.Configuration) (n int) {
		for _, q := range Parameters(p, c) {
			n += product(q.Shape)
		}
		return n
	}
	assert.Equal(t, 5603177, count(network(plainOf([]int{32, 64, 128, 256}), 3, 1, 3)), "hippocampus 3d_fullres")
	assert.Equal(t, 31199796, count(network(plainOf([]int{32, 64, 128, 256, 320, 320}), 3, 4, 4)), "brain tumours, 128³")
}

// shapes5 makes 3-D kernels of those of either dimension.
func shapes5(ks [][]int) (out [][3]int) {
	for _, k := range ks {
		out = append(out, [3]int(append(slices.Repeat([]int{1}, 3-len(k)), k...)))
	}
	return out
}

// The golden networks have weights of the original packages.
func TestParametersEqualGoldenWeights(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("needs GOUNET_DATA, the folder of the reference data")
	}
	for _, name := range []string{"a_plain3d", "b_plain2d", "c_resenc3d", "d_plain3d_aniso"} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(data, "golden/networks", name)
			var c struct {
				Net      string
				Dim      int
				In       int `json:"in_channels"`
				Out      int `json:"out_channels"`
				Features []int
				Kernels  [][]int
				Strides  [][]int
				Convs    []int `json:"n_conv_encoder"`
				Blocks   []int `json:"n_blocks"`
				Decoder  []int `json:"n_conv_decoder"`
			}
			b, err := os.ReadFile(filepath.Join(folder, "case.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &c))
			n := plan.Network{
				Kind: plan.Plain, Features: c.Features, Kernels: shapes5(c.Kernels), Strides: shapes5(c.Strides),
				Convs: append(c.Convs, c.Blocks...), DecoderConvs: c.Decoder, ConvBias: true,
			}
			if c.Net == "ResidualEncoderUNet" {
				n.Kind = plan.Residual
			}
			wanted := Parameters(network(n, c.Dim, c.In, c.Out))
			f, err := safetensors.Open(filepath.Join(folder, "weights.safetensors"))
			require.NoError(t, err)
			defer f.Close()
			shapes := map[string][]int{}
			for _, key := range f.Names() {
				if info, _ := f.Info(key); !isAlias(key) {
					shapes[key] = info.Shape
				}
			}
			assert.Empty(t, compareShapes(shapes, wanted))
		})
	}
}

// What the graph of the same network asks for is what ToGraph makes of the
// listed parameters.
func TestParametersAreThoseOfTheGraph(t *testing.T) {
	cases := []struct {
		name string
		dim  int
		net  plan.Network
	}{
		{"plain 2-D", 2, plan.Network{
			Kind: plan.Plain, Features: []int{2, 3, 4}, Kernels: [][3]int{{1, 3, 3}, {1, 3, 3}, {1, 3, 3}},
			Strides: [][3]int{one(1), {1, 2, 2}, {1, 2, 1}}, Convs: []int{2, 2, 1}, DecoderConvs: []int{2, 1}, ConvBias: true,
		}},
		{"residual 3-D", 3, plan.Network{
			Kind: plan.Residual, Features: []int{2, 3, 3}, Kernels: [][3]int{{1, 3, 3}, one(3), one(3)},
			Strides: [][3]int{one(1), {1, 2, 2}, one(2)}, Convs: []int{1, 2, 2}, DecoderConvs: []int{1, 2}, ConvBias: true,
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, config := network(c.net, c.dim, 2, 3)
			got := map[string][]int{}
			for _, q := range Parameters(p, config) {
				_, shape, err := ToGraph(q.Name, Tensor{q.Shape, make([]float32, product(q.Shape))})
				require.NoError(t, err)
				got[q.Name] = shape
			}
			want := map[string][]int{}
			_, err := graph.Build(func(b *graph.Builder) []graph.Value {
				x := b.Declare("x", graph.IO, graph.F32, 1, 8, 8, 8, 2)
				logits, params := unet.Forward(b, config.Network, x, 3, 2)
				for _, v := range params {
					want[b.Name(v)] = b.Type(v).Shape
				}
				return logits
			})
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestAxesOfConvolutions(t *testing.T) {
	count := func(shape ...int) Tensor {
		w := Tensor{Shape: shape, Data: make([]float32, product(shape))}
		for i := range w.Data {
			w.Data[i] = float32(i)
		}
		return w
	}
	w := count(2, 3, 4, 5, 6) // Co Ci kD kH kW
	data, shape, err := ToGraph("a.conv.weight", w)
	require.NoError(t, err)
	require.Equal(t, []int{4, 5, 6, 3, 2}, shape)
	x := count(2, 3, 4, 5, 6) // Ci Co sD sH sW
	up, upShape, err := ToGraph("decoder.transpconvs.0.weight", x)
	require.NoError(t, err)
	require.Equal(t, []int{4, 5, 6, 2, 3}, upShape)
	for a := range 2 {
		for b := range 3 {
			for tap := range 120 {
				at := w.Data[(a*3+b)*120+tap]
				require.Equal(t, at, data[(tap*3+b)*2+a])
				require.Equal(t, at, up[(tap*2+a)*3+b])
			}
		}
	}
}

func TestGraphAxesAndBackIsIdentity(t *testing.T) {
	cases := []struct {
		name  string
		dim   int
		shape []int
	}{
		{"a.conv.weight", 3, []int{2, 3, 1, 3, 2}},
		{"a.conv.weight", 2, []int{2, 3, 3, 2}},
		{"decoder.transpconvs.1.weight", 3, []int{2, 3, 1, 3, 2}},
		{"decoder.transpconvs.1.weight", 2, []int{2, 3, 3, 2}},
		{"decoder.transpconvs.1.bias", 2, []int{7}},
		{"a.norm.weight", 3, []int{7}},
	}
	for _, c := range cases {
		w := Tensor{Shape: c.shape, Data: make([]float32, product(c.shape))}
		for i := range w.Data {
			w.Data[i] = float32(i)
		}
		data, shape, err := ToGraph(c.name, w)
		require.NoError(t, err)
		back, err := FromGraph(c.name, shape, data, c.dim)
		require.NoError(t, err)
		assert.Equal(t, w, back, "%+v", c)
	}
}

func TestWrongAxesAreErrors(t *testing.T) {
	_, _, err := ToGraph("w", Tensor{[]int{2, 2, 2}, make([]float32, 8)})
	require.ErrorContains(t, err, "w: shape [2 2 2]")
	_, _, err = ToGraph("w", Tensor{[]int{3}, make([]float32, 2)})
	require.ErrorContains(t, err, "2 values for shape [3]")
	_, err = FromGraph("w", []int{3, 1, 1, 1, 1}, make([]float32, 3), 2)
	require.ErrorContains(t, err, "2-D network")
	_, err = FromGraph("w", []int{1, 1, 1, 3}, make([]float32, 3), 3)
	require.ErrorContains(t, err, "3-D network")
	_, err = FromGraph("w", []int{3}, make([]float32, 2), 3)
	require.ErrorContains(t, err, "2 values for shape [3]")
}

func TestOneErrorListsEverythingThatIsWrong(t *testing.T) {
	w := Weights{
		"right": {[]int{2}, make([]float32, 2)}, "shape": {[]int{2}, make([]float32, 2)},
		"extra": {[]int{1}, make([]float32, 1)}, "short": {[]int{3}, make([]float32, 2)},
	}
	wanted := []Parameter{{"right", []int{2}}, {"shape", []int{3}}, {"gone", []int{4}}, {"short", []int{3}}}
	var list *plan.InvalidError
	require.ErrorAs(t, w.Check("the model", wanted), &list)
	assert.Equal(t, "the model", list.What)
	assert.Equal(t, []string{
		"shape: shape is [2], wanted [3]",
		"gone: missing, wanted with shape [4]",
		"extra: shape [1], the plan's network has no such parameter",
		"short: 2 values for shape [3]",
	}, list.Problems)
	require.NoError(t, Weights{"right": w["right"]}.Check("x", wanted[:1]))
}
