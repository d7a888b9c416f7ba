// Package servertest has what the tests of the server share: a model that is made
// in no time, and scans for it.
package servertest

import (
	"math/rand/v2"
	"strings"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

// Model has random weights that are the same each time, one channel and two labels.
func Model() *checkpoint.Model {
	p := &plan.Plan{
		Version: plan.FormatVersion, Dataset: "Dataset001_Test", Ignore: -1, FileEnding: ".nii.gz",
		Transpose: [3]int{0, 1, 2}, TransposeBack: [3]int{0, 1, 2}, Recipe: plan.NNUNet(3),
		MedianSpacing: [3]float64{1, 1, 1}, MedianShape: [3]int{12, 12, 12},
		Intensities: []plan.Intensity{{Mean: 0, Std: 1, Min: -1, Max: 1}},
		Channels:    []plan.Channel{{Name: "MR", Normalization: plan.NormNone}},
		Labels:      []plan.Label{{Name: "background", Values: []int{0}}, {Name: "front", Values: []int{1}}, {Name: "back", Values: []int{2}}},
	}
	c := plan.Configuration{
		Name: "test", Dim: 3, Patch: [3]int{8, 8, 8}, Batch: 1, Spacing: [3]float64{1, 1, 1}, Resampling: plan.DefaultResampling(),
		MedianShape:   [3]float64{12, 12, 12},
		Normalization: []string{plan.NormNone}, MaskNorm: []bool{false},
		Network: plan.Network{
			Kind: plan.Plain, Features: []int{4, 6}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
			Kernels: [][3]int{{3, 3, 3}, {3, 3, 3}}, Strides: [][3]int{{1, 1, 1}, {2, 2, 2}},
			Convs: []int{1, 1}, DecoderConvs: []int{1},
		},
	}
	p.Configurations = []plan.Configuration{c}
	return modelOf(p, &c)
}

// Cascade is a first stage like Model and a second one of half the voxel size, which wants
// its labels.
func Cascade() *checkpoint.Model {
	first := Model()
	p := *first.Plan
	second := p.Configurations[0]
	second.Name, second.Previous, second.Spacing = "second", "test", [3]float64{0.5, 0.5, 0.5}
	p.Configurations = append(p.Configurations[:1:1], second)
	m := modelOf(&p, &second)
	m.Before = first
	return m
}

// modelOf has random weights, of one fold.
func modelOf(p *plan.Plan, c *plan.Configuration) *checkpoint.Model {
	m := &checkpoint.Model{Plan: p, Configuration: c.Name, Mirror: p.Recipe.For(c).Inference.Mirror}
	r := rand.New(rand.NewPCG(1, 2))
	w := checkpoint.Weights{}
	for _, q := range checkpoint.Parameters(p, c) {
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
		w[q.Name] = t
	}
	m.Folds = []checkpoint.Fold{{Name: "0", Weights: w}}
	return m
}

// Scan is noise of a shape (D H W), with voxels of 1 mm.
func Scan(shape [3]int) *volume.Image {
	g := volume.Grid{Shape: shape, Spacing: [3]float64{1, 1, 1}}
	for a := range 4 {
		g.Affine[a][a] = 1
	}
	im := volume.NewImage(g, 1)
	r := rand.New(rand.NewPCG(3, uint64(shape[0])))
	for i := range im.Data {
		im.Data[i] = float32(r.NormFloat64())
	}
	return im
}
