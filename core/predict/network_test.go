package predict

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

// tiny is a model with random weights whose logits change from voxel to voxel.
type tiny struct {
	dim, channels int
	labels        [][]int // nil: background and two labels
	folds         int
	spacing       [3]float64
}

func (o tiny) model() *checkpoint.Model {
	p := &plan.Plan{
		Version: plan.FormatVersion, Dataset: "Dataset001_Test", Ignore: -1, FileEnding: ".nii.gz",
		Transpose: [3]int{0, 1, 2}, TransposeBack: [3]int{0, 1, 2}, Recipe: plan.NNUNet(3),
	}
	if o.labels == nil {
		o.labels = [][]int{{0}, {1}, {2}}
	}
	for _, values := range o.labels {
		p.Labels = append(p.Labels, plan.Label{Values: values})
	}
	if p.HasRegions() {
		p.RegionOrder = []int{1, 2, 3}[:p.Classes()]
	}
	c := plan.Configuration{
		Name: "test", Dim: o.dim, Patch: [3]int{8, 8, 12}, Batch: 1, Spacing: o.spacing, Resampling: plan.DefaultResampling(),
	}
	k, s := 3, 2
	if o.dim == 2 {
		c.Patch[0], c.Spacing[0] = 1, 0
		k, s = 1, 1
	}
	for range max(o.channels, 1) {
		p.Channels = append(p.Channels, plan.Channel{Name: "MR", Normalization: plan.NormNone})
		c.Normalization = append(c.Normalization, plan.NormNone)
		c.MaskNorm = append(c.MaskNorm, false)
	}
	c.Network = plan.Network{
		Kind: plan.Plain, Features: []int{4, 6}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		Kernels: [][3]int{{k, 3, 3}, {k, 3, 3}}, Strides: [][3]int{{1, 1, 1}, {s, 2, 2}},
		Convs: []int{1, 1}, DecoderConvs: []int{1},
	}
	p.Configurations = []plan.Configuration{c}
	m := &checkpoint.Model{Plan: p, Configuration: c.Name, Mirror: p.Recipe.For(&c).Inference.Mirror}
	r := rand.New(rand.NewPCG(1, 2))
	for f := range max(o.folds, 1) {
		w := checkpoint.Weights{}
		for _, q := range checkpoint.Parameters(p, &c) {
			n := 1
			for _, d := range q.Shape {
				n *= d
			}
			t := checkpoint.Tensor{Shape: q.Shape, Data: make([]float32, n)}
			for i := range t.Data {
				switch {
				case strings.HasSuffix(q.Name, "norm.weight"):
					t.Data[i] = 1
				case strings.HasSuffix(q.Name, ".bias"):
				default:
					t.Data[i] = float32(r.NormFloat64())
				}
			}
			if strings.Contains(q.Name, "seg_layers") && len(q.Shape) > 1 {
				centre(t.Data, q.Shape[1])
			}
			w[q.Name] = t
		}
		m.Folds = append(m.Folds, checkpoint.Fold{Name: string(rune('0' + f)), Weights: w})
	}
	return m
}

// centre makes the sum of each row of n weights 0, so that no class wins
// everywhere.
func centre(w []float32, n int) {
	for row := range slices.Chunk(w, n) {
		mean := float32(0)
		for _, x := range row {
			mean += x / float32(n)
		}
		for i := range row {
			row[i] -= mean
		}
	}
}

// noise is a scan without a border to crop, or with one.
func noise(shape [3]int, spacing [3]float64, channels, border int) *volume.Image {
	g := volume.Grid{Shape: shape, Spacing: spacing}
	for a := range 3 {
		g.Affine[a][a] = spacing[2-a]
	}
	g.Affine[3][3] = 1
	im := volume.NewImage(g, channels)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range im.Data {
		v := i / channels
		at := [3]int{v / (shape[1] * shape[2]), v / shape[2] % shape[1], v % shape[2]}
		inside := true
		for a := range 3 {
			inside = inside && at[a] >= border && at[a] < shape[a]-border
		}
		if inside {
			im.Data[i] = float32(r.NormFloat64())
		}
	}
	return im
}

func segment(t testing.TB, p *Predictor, im *volume.Image) *Result {
	t.Helper()
	r, err := p.Image(t.Context(), im, ImageOptions{Probabilities: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
