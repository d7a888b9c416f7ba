package augment_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
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

// heavy is what testdata/heavy.py has written of nnU-Net's DA5.
type heavy struct {
	Shape, Patch, Source [3]int
	Parameters           map[string][]float64
	Stats                map[string]struct {
		N         int
		Mean, Std float64
	}
}

func openHeavy(t *testing.T) heavy {
	b, err := os.ReadFile("testdata/heavy.json")
	require.NoError(t, err)
	var h heavy
	require.NoError(t, json.Unmarshal(b, &h))
	return h
}

// TestHeavyTransformsEqualThoseOfNNUNet compares each op of DA5 with what
// batchgeneratorsv2 makes for fixed parameters.
func TestHeavyTransformsEqualThoseOfNNUNet(t *testing.T) {
	h := openHeavy(t)
	f, err := safetensors.Open("testdata/heavy.safetensors")
	require.NoError(t, err)
	defer f.Close()
	floats := func(name string) []float32 {
		x, _, err := f.Float32s(name)
		require.NoError(t, err)
		return x
	}
	input, cube := floats("input"), floats("cube")
	shared := func(v []float64) (ctl []float32) {
		for _, x := range v {
			ctl = append(ctl, float32(x))
		}
		return ctl
	}
	local := func(gamma bool, v []float64) (graph.Op, []float32) {
		row := make([]float32, graph.LocalFactors+h.Shape[0]+h.Shape[1]+h.Shape[2])
		augment.Bell(row, h.Shape, v[0], [3]float64(v[1:4]), [3]float64(v[4:7]))
		return graph.Local{Gamma: gamma}, row
	}
	kinds := map[string]func(v []float64) (graph.Op, []float32){
		plan.Median:       func(v []float64) (graph.Op, []float32) { return graph.Median{Most: 7}, shared(v) },
		plan.Shift:        func(v []float64) (graph.Op, []float32) { return graph.Intensity{Kind: graph.Shift}, shared(v) },
		plan.Contrast:     func(v []float64) (graph.Op, []float32) { return graph.Intensity{Kind: graph.Contrast}, shared(v) },
		plan.ContrastOpen: func(v []float64) (graph.Op, []float32) { return graph.Intensity{Kind: graph.ContrastOpen}, shared(v) },
		plan.Sharpening:   func(v []float64) (graph.Op, []float32) { return graph.Sharpen{}, shared(v) },
		plan.LowRes:       func(v []float64) (graph.Op, []float32) { return graph.LowRes{Keep: [3]bool{true}}, shared(v) },
		plan.BlankBoxes:   func(v []float64) (graph.Op, []float32) { return graph.Blank{Boxes: len(v) / graph.BoxLen}, shared(v) },
		plan.Gradient:     func(v []float64) (graph.Op, []float32) { return local(false, v) },
		plan.LocalGamma:   func(v []float64) (graph.Op, []float32) { return local(true, v) },
	}
	seen := map[string]bool{}
	for name, v := range h.Parameters {
		kind, _, _ := strings.Cut(name, ".")
		seen[kind] = true
		t.Run(name, func(t *testing.T) {
			var x []float32
			bound := 1e-5
			switch kind {
			case plan.Blur:
				x = input
				for axis := range 3 {
					x, _ = one(t, graph.Blur{Axis: axis, Radius: 4}, h.Shape, x, nil, shared(v))
				}
			case plan.Rotation90:
				x, bound = turn(t, cube, augment.Quarters(int(v[0]), int(v[1]), int(v[2]))), 0
			case plan.Transposition:
				x, bound = turn(t, cube, augment.Transposed([3]int{int(v[0]), int(v[1]), int(v[2])})), 0
			default:
				op, ctl := kinds[kind](v)
				if kind == plan.Median {
					bound = 0
				}
				x, _ = one(t, op, h.Shape, input, nil, ctl)
			}
			near(t, floats(name), x, bound)
		})
	}
	assert.Len(t, seen, len(kinds)+3)
}

// turn is what Warp makes of a cube of 4³ voxels with a map.
func turn(t *testing.T, cube []float32, m [3][3]float64) []float32 {
	ctl := make([]float32, graph.WarpLen)
	for i := range 3 {
		for j := range 3 {
			ctl[3*i+j] = float32(m[i][j])
		}
		ctl[graph.RowOffset+i] = 1.5
	}
	size := [3]int{4, 4, 4}
	x, _ := one(t, graph.Warp{Patch: size}, size, cube, make([]byte, len(cube)), ctl)
	return x
}

// heavyBatch is DA5 for a patch, ready to draw, and its program.
func heavyBatch(t *testing.T, patch [3]int, channels int) (augment.Batch, *unet.Augmented) {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3), Channels: make([]plan.Channel, channels)}
	p.Recipe.Augment(plan.AugmentDA5, 3)
	c := &plan.Configuration{Name: plan.ConfigFullRes, Dim: 3, Patch: patch}
	draw := augment.Batch{Recipe: p.Recipe.For(c), Patch: patch, Samples: 1, Channels: channels}
	draw.Source = augment.SourceShape(draw.Recipe, patch)
	g, err := unet.NewAugmentation(p, c, unet.TrainOptions{Batch: 1, Source: draw.Source})
	require.NoError(t, err)
	draw.Slots = g.Slots
	return draw, g
}

// TestHeavyAugmentationIsDistributedAsInNNUNet augments a crop of sines again and again and
// compares the means of what comes out with those of nnU-Net's 6000 passes. They
// may differ by four standard deviations of a mean of as many.
func TestHeavyAugmentationIsDistributedAsInNNUNet(t *testing.T) {
	h := openHeavy(t)
	draw, g := heavyBatch(t, h.Patch, 1)
	require.Equal(t, h.Source, draw.Source)
	code, err := compile.Compile(g.Graph, compile.Options{})
	require.NoError(t, err)
	dev := cpu.Open(cpu.Options{})
	defer dev.Close()
	s, err := backend.NewSession(dev, code, nil)
	require.NoError(t, err)
	defer s.Close()
	ctx := t.Context()
	image, labels := sines(h.Source)
	require.NoError(t, s.WriteF32(ctx, g.Source, image))
	require.NoError(t, s.Write(ctx, g.Labels, labels))

	const n = 2000
	sums := map[string]float64{}
	plane := h.Patch[1] * h.Patch[2]
	voxels := h.Patch[0] * plane
	x, y, ctl := make([]float32, voxels), make([]byte, voxels), make([]float32, g.CtlLen)
	for step := range n {
		draw.Draw(ctl, 5, step)
		require.NoError(t, s.WriteF32(ctx, g.Ctl, ctl))
		require.NoError(t, s.Run(ctx))
		require.NoError(t, s.ReadF32(ctx, g.X, x))
		require.NoError(t, s.Read(ctx, g.Y, y))
		mean, square, rough := 0.0, 0.0, 0.0
		for i, v := range x {
			mean += float64(v) / float64(voxels)
			square += float64(v) * float64(v) / float64(voxels)
			if i >= plane {
				rough += math.Abs(float64(v-x[i-plane])) / float64(voxels-plane)
			}
			if y[i] == 1 || y[i] == 2 {
				sums[fmt.Sprintf("label%d", y[i])] += 1 / float64(voxels)
			}
		}
		sums["mean"] += mean
		sums["rough"] += rough
		sums["std"] += math.Sqrt(square - mean*mean)
		sums["min"] += float64(slices.Min(x))
		sums["max"] += float64(slices.Max(x))
	}
	require.Len(t, sums, len(h.Stats))
	for name, want := range h.Stats {
		bound := 4 * want.Std * math.Sqrt(1./n+1/float64(want.N))
		t.Logf("%s: %.4f, nnU-Net's %.4f, may be off by %.4f", name, sums[name]/n, want.Mean, bound)
		assert.InDelta(t, want.Mean, sums[name]/n, bound, name)
	}
}

// sines are the crop of testdata/heavy.py.
func sines(size [3]int) (image []float32, labels []byte) {
	for i := range size[0] {
		for j := range size[1] {
			for k := range size[2] {
				d, h, w := float64(i)-float64(size[0]-1)/2, float64(j)-float64(size[1]-1)/2, float64(k)-float64(size[2]-1)/2
				image = append(image, float32(math.Sin(0.9*d+0.2*w)+math.Cos(0.7*h)*math.Sin(0.5*w+1)+0.05*d))
				label := byte(0)
				if d*d+h*h+w*w < 25 {
					label++
				}
				if (d-2)*(d-2)+(h+3)*(h+3)+w*w < 9 {
					label++
				}
				labels = append(labels, label)
			}
		}
	}
	return image, labels
}

// How often each transform fires on a channel: the product of its probabilities, halved where
// it is one of two.
func TestHeavyTransformsFireAsOftenAsInNNUNet(t *testing.T) {
	draw, g := heavyBatch(t, [3]int{12, 16, 16}, 2)
	ctl := make([]float32, g.CtlLen)
	fired := map[int]int{}
	const steps = 20000
	both, boxes, turned := 0, map[int]int{}, 0
	for step := range steps {
		draw.Draw(ctl, 9, step)
		ops := map[string]bool{}
		seen := map[int]bool{}
		for _, s := range draw.Slots[1:] {
			on := slices.ContainsFunc(ctl[s.Ctl:][:s.Len], func(v float32) bool { return v != 0 })
			if on && !seen[s.Of] {
				fired[s.Of]++
				seen[s.Of], ops[s.Op] = true, true
			}
			if on && s.Op == plan.BlankBoxes {
				n := 0
				for b := range s.Len / graph.BoxLen {
					box := ctl[s.Ctl+b*graph.BoxLen:]
					if box[graph.BoxSize] == 0 {
						continue
					}
					n++
					for a, size := range draw.Patch {
						least, most := draw.Recipe.Augmentation[s.Of].Edges(size)
						edge, first := int(box[graph.BoxSize+a]), int(box[graph.BoxFirst+a])
						assert.True(t, edge >= least && edge <= most && first >= 0 && first+edge <= size)
					}
				}
				boxes[n]++
			}
			if s.Op == plan.Blur && on {
				assert.GreaterOrEqual(t, ctl[s.Ctl], float32(0.3))
				assert.Equal(t, ctl[blurOf(draw.Slots).Ctl], ctl[s.Ctl], "axes get the same draw")
			}
		}
		if ops[plan.Median] && ops[plan.Blur] || ops[plan.Contrast] && ops[plan.ContrastOpen] {
			both++
		}
		whole := func(i int) bool { return math.Abs(float64(ctl[draw.Slots[0].Ctl+i])) == 1 }
		if whole(0) && whole(5) && whole(7) { // neither rotated nor scaled, H and W exchanged
			turned++
		}
	}
	assert.Zero(t, both, "one of two")
	check := func(what string, want float64, n int) {
		assert.InDelta(t, want, float64(n)/steps, 4*math.Sqrt(want*(1-want)/steps), what)
	}
	seen := 0
	for i, tr := range draw.Recipe.Augmentation {
		want, ok := map[string]float64{
			plan.Median: 0.05, plan.Blur: 0.05, plan.Noise: 0.1, plan.Shift: 0.05, plan.Contrast: 0.05, plan.ContrastOpen: 0.05,
			plan.LowRes: 0.075, plan.GammaInverted: 0.1, plan.BlankBoxes: 0.2, plan.Gradient: 0.15, plan.LocalGamma: 0.15, plan.Sharpening: 0.1,
		}[tr.Op]
		if ok {
			check(tr.Op, want, fired[i])
			seen++
		}
	}
	assert.Equal(t, 13, seen, "gamma twice")
	for n := 1; n <= 4; n++ {
		check("boxes", 0.2/4, boxes[n])
	}
	// A turn is odd in 1/2·1/2, a transposition in as many, and one of both exchanges the axes;
	// about none of the axes 1 − 0.4·7/8 are rotated.
	check("turned", 2*0.25*0.75*(1-0.4*7/8)*0.8, turned)
}

func blurOf(slots []unet.Slot) unet.Slot {
	return slots[slices.IndexFunc(slots, func(s unet.Slot) bool { return s.Op == plan.Blur })]
}
