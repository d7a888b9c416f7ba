package augment_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	"github.com/gounet/gounet/internal/safetensors"
)

// one runs a program of one op on a sample of one channel with the given ctl.
func one(t *testing.T, op graph.Op, source [3]int, image []float32, labels []byte, ctl []float32) (x []float32, y []byte) {
	t.Helper()
	ctx := context.Background()
	var src, lab, c, out, seg graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		src = b.Declare("source", graph.IO, graph.F32, 1, source[0], source[1], source[2], 1)
		c = b.Declare("ctl", graph.IO, graph.F32, len(ctl))
		if labels == nil {
			out = b.Apply("op", op, src, c)[0]
		} else {
			lab = b.Declare("labels", graph.IO, graph.U8, 1, source[0], source[1], source[2])
			o := b.Apply("op", op, src, lab, c)
			out, seg = o[0], o[1]
			b.Place(seg, graph.IO)
		}
		b.Place(out, graph.IO)
		return []graph.Value{out}
	})
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	dev := cpu.Open(cpu.Options{})
	defer dev.Close()
	s, err := backend.NewSession(dev, p, nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.WriteF32(ctx, src, image))
	require.NoError(t, s.WriteF32(ctx, c, ctl))
	if labels != nil {
		require.NoError(t, s.Write(ctx, lab, labels))
	}
	require.NoError(t, s.Run(ctx))
	x = make([]float32, p.Type(out).Shape.Elems())
	require.NoError(t, s.ReadF32(ctx, out, x))
	if labels != nil {
		y = make([]byte, len(x))
		require.NoError(t, s.Read(ctx, seg, y))
	}
	return x, y
}

// TestTransformsEqualThoseOfNNUNet compares each op with what batchgeneratorsv2
// makes for fixed parameters.
func TestTransformsEqualThoseOfNNUNet(t *testing.T) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: the values of nnU-Net's transforms lie there")
	}
	dir = filepath.Join(dir, "golden", "augmentation")
	b, err := os.ReadFile(filepath.Join(dir, "augmentation_fixed.json"))
	require.NoError(t, err)
	var fixed struct {
		Patch  [3]int                     `json:"patch_size"`
		Source [3]int                     `json:"initial_patch_size"`
		Cases  map[string]json.RawMessage `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(b, &fixed))
	f, err := safetensors.Open(filepath.Join(dir, "augmentation_fixed.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	floats := func(name string) []float32 {
		x, _, err := f.Float32s(name)
		require.NoError(t, err)
		return x
	}
	bytes := func(name string) []byte {
		v, _, err := f.Ints(name)
		require.NoError(t, err)
		out := make([]byte, len(v))
		for i, x := range v {
			out[i] = byte(x) // −1 becomes 255
		}
		return out
	}
	input, inputSeg, patch := floats("input"), bytes("input_seg"), floats("input_patch")
	for _, name := range f.Names() {
		kind, parameter, _ := strings.Cut(name, ".")
		switch kind {
		case "input", "input_seg", "input_patch":
			continue
		case "spatial":
			if !strings.HasSuffix(name, ".image") {
				continue
			}
			t.Run(name, func(t *testing.T) {
				name := strings.TrimSuffix(name, ".image")
				var c struct{ Affine [3][3]float64 }
				c.Affine = [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
				_ = json.Unmarshal(fixed.Cases[name], &c) // "none" is a text
				ctl := make([]float32, graph.WarpLen)
				for i := range 3 {
					for j := range 3 {
						ctl[3*i+j] = float32(c.Affine[i][j])
					}
					ctl[graph.RowOffset+i] = float32(fixed.Source[i]-1) / 2
				}
				x, y := one(t, graph.Warp{Patch: fixed.Patch}, fixed.Source, input, inputSeg, ctl)
				near(t, floats(name+".image"), x, 1e-5)
				want, wrong := bytes(name+".seg"), 0
				for i := range want {
					if want[i] != y[i] && !halfway(ctl, fixed.Patch, i) {
						wrong++
					}
				}
				assert.LessOrEqual(t, wrong, len(want)/10000+1, "labels that differ")
			})
			continue
		}
		t.Run(name, func(t *testing.T) {
			v, err := strconv.ParseFloat(parameter, 32)
			require.NoError(t, err)
			x, ctl := patch, []float32{float32(v)}
			switch kind {
			case "blur":
				for axis := range 3 {
					x, _ = one(t, graph.Blur{Axis: axis, Radius: 4}, fixed.Patch, x, nil, ctl)
				}
			case "lowres":
				x, _ = one(t, graph.LowRes{}, fixed.Patch, x, nil, ctl)
			default:
				k := map[string]graph.IntensityKind{
					"brightness": graph.Brightness, "contrast": graph.Contrast, "gamma": graph.Gamma, "gamma_inverted": graph.GammaInvert,
				}[kind]
				x, _ = one(t, graph.Intensity{Kind: k}, fixed.Patch, x, nil, ctl)
			}
			near(t, floats(name), x, 1e-5)
		})
	}
}

// halfway says whether voxel i of the patch is read halfway between two voxels,
// whose labels then weigh the same: PyTorch's rounding decides, not the method.
func halfway(row []float32, patch [3]int, i int) bool {
	o := [3]int{i / (patch[1] * patch[2]), i / patch[2] % patch[1], i % patch[2]}
	for a := range 3 {
		p := float64(row[graph.RowOffset+a])
		for b := range 3 {
			p += float64(row[graph.RowAffine+3*a+b]) * (float64(o[b]) - float64(patch[b]-1)/2)
		}
		if math.Abs(p-math.Floor(p)-0.5) < 1e-5 {
			return true
		}
	}
	return false
}

func near(t *testing.T, want, got []float32, bound float64) {
	t.Helper()
	require.Len(t, got, len(want))
	worst, at := 0.0, 0
	for i := range want {
		if d := math.Abs(float64(want[i] - got[i])); d > worst || d != d {
			worst, at = d, i
		}
	}
	assert.LessOrEqual(t, worst, bound, "the worst at %d: %v, wanted %v", at, got[at], want[at])
}

// TestWhatComesOutIsDistributedAsInNNUNet augments the case of golden again and again
// and compares the means of what comes out with those of nnU-Net's 2000 passes. They
// may differ by four standard deviations of a mean of as many.
func TestWhatComesOutIsDistributedAsInNNUNet(t *testing.T) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: the statistics of nnU-Net's transforms lie there")
	}
	type spread struct {
		N         int
		Mean, Std float64
	}
	var stats struct {
		Transforms map[string]struct{ After map[string]spread }
		Foreground map[string]spread `json:"foreground_fraction_after_all"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "golden", "augmentation", "augmentation_statistics.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &stats))
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3), Channels: make([]plan.Channel, 1)}
	c := &plan.Configuration{Name: plan.ConfigFullRes, Dim: 3, Patch: [3]int{40, 56, 40}}
	draw := augment.Batch{Recipe: p.Recipe.For(c), Patch: c.Patch, Samples: 1, Channels: 1}
	draw.Source = augment.SourceShape(draw.Recipe, c.Patch)
	g, err := unet.NewAugmentation(p, c, unet.TrainOptions{Batch: 1, Source: draw.Source})
	require.NoError(t, err)
	draw.Slots = g.Slots
	code, err := compile.Compile(g.Graph, compile.Options{})
	require.NoError(t, err)
	dev := cpu.Open(cpu.Options{})
	defer dev.Close()
	s, err := backend.NewSession(dev, code, nil)
	require.NoError(t, err)
	defer s.Close()
	ctx := t.Context()
	image, labels := padded(t, filepath.Join(dir, "golden", "preprocessing", "Dataset004_Hippocampus", "default_spacing", "hippocampus_001"), draw.Source)
	require.NoError(t, s.WriteF32(ctx, g.Source, image))
	require.NoError(t, s.Write(ctx, g.Labels, labels))

	const n = 200
	sums := map[string]float64{}
	voxels := c.Patch[0] * c.Patch[1] * c.Patch[2]
	x, y, ctl := make([]float32, voxels), make([]byte, voxels), make([]float32, g.CtlLen)
	for step := range n {
		draw.Draw(ctl, 11, step)
		require.NoError(t, s.WriteF32(ctx, g.Ctl, ctl))
		require.NoError(t, s.Run(ctx))
		require.NoError(t, s.ReadF32(ctx, g.X, x))
		require.NoError(t, s.Read(ctx, g.Y, y))
		mean, square := 0.0, 0.0
		for i, v := range x {
			mean += float64(v) / float64(voxels)
			square += float64(v) * float64(v) / float64(voxels)
			if y[i] == 1 || y[i] == 2 {
				sums[map[byte]string{1: "label1", 2: "label2"}[y[i]]] += 1 / float64(voxels)
			}
		}
		sums["std"] += math.Sqrt(square - mean*mean)
		sums["min"] += float64(slices.Min(x))
		sums["max"] += float64(slices.Max(x))
	}
	want := stats.Transforms["08_MirrorTransform"].After // the last that changes voxels
	for name, sum := range sums {
		v, ok := want[name]
		if !ok {
			v = stats.Foreground[name]
		}
		require.Positive(t, v.N, name)
		bound := 4 * v.Std * math.Sqrt(1./n+1/float64(v.N))
		t.Logf("%s: %.4f, nnU-Net's %.4f, may be off by %.4f", name, sum/n, v.Mean, bound)
		assert.InDelta(t, v.Mean, sum/n, bound, name)
	}
}

// padded is the preprocessed case of a folder in the middle of a source crop, with 0
// around the image and 255 around the labels.
func padded(t *testing.T, folder string, size [3]int) (image []float32, labels []byte) {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(folder, "preprocessed_3d_fullres.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	data, shape, err := f.Float32s("data")
	require.NoError(t, err)
	seg, _, err := f.Ints("seg")
	require.NoError(t, err)
	n := [3]int(shape[1:])
	image, labels = make([]float32, size[0]*size[1]*size[2]), make([]byte, size[0]*size[1]*size[2])
	for i := range labels {
		labels[i] = 255
	}
	for i, v := range data {
		at := [3]int{i / (n[1] * n[2]), i / n[2] % n[1], i % n[2]}
		to := 0
		for a := range 3 {
			to = to*size[a] + at[a] + (size[a]-n[a])/2
		}
		image[to], labels[to] = v, byte(seg[i])
	}
	return image, labels
}
