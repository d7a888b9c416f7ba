package augment_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

func elastic(p, sigma, magnitude float64) plan.Transform {
	return plan.Transform{Op: plan.Elastic, P: p, PChannel: 1, Axes: [3]bool{true, true, true}, Ranges: map[string]plan.Range{
		"sigma": {sigma, sigma}, "magnitude": {magnitude, magnitude},
	}}
}

// TestDisplacementsAreDistributedAsInNNUNet compares with the fields of batchgeneratorsv2
// (testdata/elastic.py): how large they are, and how far they reach.
func TestDisplacementsAreDistributedAsInNNUNet(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "elastic.json"))
	require.NoError(t, err)
	var want struct {
		Patch       [3]int
		Sigma       float64
		Magnitude   float64
		Fields      int
		Lags        []int
		RMS         [3][2]float64      // mean, standard deviation
		Correlation [3][3][][2]float64 // of each axis of displacement along each axis of space
	}
	require.NoError(t, json.Unmarshal(text, &want))
	b := augment.Batch{Patch: want.Patch, Samples: 1}
	b.Recipe.Augmentation = []plan.Transform{elastic(1, want.Sigma, want.Magnitude)}
	voxels := want.Patch[0] * want.Patch[1] * want.Patch[2]
	field := make([]float32, 3*voxels)
	var rms [3]float64
	var correlation [3][3][]float64
	const n = 150.0 // fields
	for step := range int(n) {
		b.DrawField(field, 5, step)
		for a := range 3 {
			square := 0.0
			for v := range voxels {
				square += float64(field[3*v+a]) * float64(field[3*v+a])
			}
			rms[a] += math.Sqrt(square/float64(voxels)) / n
			for s := range 3 {
				correlation[a][s] = append(correlation[a][s], make([]float64, len(want.Lags)-min(len(want.Lags), len(correlation[a][s])))...)
				for k, lag := range want.Lags {
					correlation[a][s][k] += correlate(field, want.Patch, a, s, lag) / square / n
				}
			}
		}
	}
	// Means of two samples differ by four standard errors at most. The correlation
	// of eight boxes with themselves has an excess kurtosis of −1.2/16 over a Gaussian, which
	// by Edgeworth's series is 0.011 at most.
	near := func(their [2]float64, got float64, what ...any) {
		assert.InDelta(t, their[0], got, 4*their[1]*math.Sqrt(1/float64(want.Fields)+1/n)+0.011, what...)
	}
	for a := range 3 {
		near([2]float64{want.RMS[a][0] / want.Magnitude, want.RMS[a][1] / want.Magnitude}, rms[a]/want.Magnitude, "size, axis %d", a)
		for s := range 3 {
			for k, lag := range want.Lags {
				near(want.Correlation[a][s][k], correlation[a][s][k], "axis %d, %d apart on axis %d", a, lag, s)
			}
		}
	}
}

// correlate is the sum of the products of a field's displacements along axis a with those
// lag voxels further on axis s, around the border.
func correlate(field []float32, patch [3]int, a, s, lag int) (sum float64) {
	stride := []int{patch[1] * patch[2], patch[2], 1}[s]
	for v := range patch[0] * patch[1] * patch[2] {
		i := v / stride % patch[s]
		other := v + ((i+lag)%patch[s]-i)*stride
		sum += float64(field[3*v+a]) * float64(field[3*other+a])
	}
	return sum
}

func TestDisplacementsAreBoundedAndCentred(t *testing.T) {
	b := augment.Batch{Patch: [3]int{6, 16, 12}, Samples: 40}
	b.Recipe.Augmentation = []plan.Transform{elastic(0.5, 0.2, 3)}
	b.Recipe.Augmentation[0].Axes[0] = false // "dummy 2-D"
	voxels := 6 * 16 * 12
	field, again := make([]float32, 40*voxels*3), make([]float32, 40*voxels*3)
	b.DrawField(field, 1, 2)
	b.DrawField(again, 1, 2)
	assert.Equal(t, field, again)
	b.DrawField(again, 1, 3)
	assert.NotEqual(t, field, again)
	deformed := 0
	for i := range 40 {
		var largest, mean [3]float64
		for v := range voxels {
			for a := range 3 {
				u := float64(field[3*(i*voxels+v)+a])
				largest[a] = max(largest[a], math.Abs(u))
				mean[a] += u / float64(voxels)
				assert.Equal(t, field[3*(i*voxels+v%(16*12))+a], field[3*(i*voxels+v)+a], "all planes have the same")
			}
		}
		assert.Zero(t, largest[0])
		if largest[1] == 0 {
			continue
		}
		deformed++
		for a := 1; a < 3; a++ {
			assert.InDelta(t, 0, mean[a], 1e-5)
			assert.Greater(t, largest[a], 0.0)
			assert.LessOrEqual(t, largest[a], 6.0) // 3 and a mean of at most 3
		}
	}
	assert.InDelta(t, 20, deformed, 4*math.Sqrt(40*0.25))
}

// TestAnElasticRecipeDeformsImageAndLabelsAlike gives the augmentation of a training step an
// image that is 1 where its label is 1: so it is afterwards, to the half between voxels.
func TestAnElasticRecipeDeformsImageAndLabelsAlike(t *testing.T) {
	patch := [3]int{12, 16, 14}
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3), Channels: make([]plan.Channel, 1), Labels: []plan.Label{{Values: []int{0}}, {Values: []int{1}}}}
	p.Recipe.Augmentation = []plan.Transform{elastic(1, 0.1, 3)}
	c := &plan.Configuration{Dim: 3, Patch: patch, Batch: 1}
	g, err := unet.NewAugmentation(p, c, unet.TrainOptions{Batch: 1, Source: patch})
	require.NoError(t, err)
	code, err := compile.Compile(g.Graph, compile.Options{})
	require.NoError(t, err)
	dev := cpu.Open(cpu.Options{})
	defer dev.Close()
	s, err := backend.NewSession(dev, code, nil)
	require.NoError(t, err)
	defer s.Close()
	b := augment.Batch{Recipe: p.Recipe.For(c), Slots: g.Slots, Source: patch, Patch: patch, Samples: 1, Channels: 1}
	voxels := patch[0] * patch[1] * patch[2]
	image, labels := make([]float32, voxels), make([]byte, voxels)
	for v := range labels {
		d, h, w := v/(16*14)-6, v/14%16-8, v%14-7
		if d*d+h*h+w*w < 20 {
			image[v], labels[v] = 1, 1
		}
	}
	ctl, field := make([]float32, g.CtlLen), make([]float32, 3*voxels)
	b.Draw(ctl, 1, 1)
	b.DrawField(field, 1, 1)
	ctx := t.Context()
	require.NoError(t, s.WriteF32(ctx, g.Source, image))
	require.NoError(t, s.Write(ctx, g.Labels, labels))
	require.NoError(t, s.WriteF32(ctx, g.Ctl, ctl))
	require.NoError(t, s.WriteF32(ctx, g.Field, field))
	require.NoError(t, s.Run(ctx))
	x, y := make([]float32, voxels), make([]byte, voxels)
	require.NoError(t, s.ReadFloats(ctx, g.X, x))
	require.NoError(t, s.Read(ctx, g.Y, y))
	moved := 0
	for v := range x {
		if math.Abs(float64(x[v])-0.5) > 1e-5 && y[v] != 255 {
			require.Equal(t, x[v] > 0.5, y[v] == 1)
		}
		if y[v] != labels[v] {
			moved++
		}
	}
	assert.Greater(t, moved, 20)
	host := make([]byte, voxels)
	b.WarpPrevious(host, labels, ctl[g.Slots[0].Ctl:][:graph.WarpLen], field)
	assert.Equal(t, y, host, "labels of a previous stage go the same way")
}
