package webgpu

import (
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// paper is a GPU that writes down what it is asked for.
type paper struct {
	gpu
	largest int64 // buffer
	bound   []span
	pieces  []int // of writes
	marks   int
}

type sheet struct {
	bytes    int64
	released bool
}

func (s *sheet) release() { s.released = true }

func (p *paper) buffer(bytes int64) (memory, error) {
	p.largest = max(p.largest, bytes)
	return &sheet{bytes: bytes}, nil
}

func (p *paper) pipelines(list []module) ([]pipeline, error) {
	made := make([]pipeline, len(list))
	for i := range made {
		made[i] = &sheet{}
	}
	return made, nil
}

func (p *paper) groups(list []binding) ([]group, error) {
	made := make([]group, len(list))
	for i, b := range list {
		made[i] = &sheet{}
		p.bound = append(p.bound, b.spans...)
	}
	return made, nil
}

func (p *paper) write(_ memory, _ int64, src []byte) error {
	p.pieces = append(p.pieces, len(src))
	return nil
}

func (p *paper) mark() (submitted, error) {
	p.marks++
	return ticking{&clockwork{}, time.Now()}, nil
}

// brain is nnU-Net's network for brain tumours: four channels, four classes, with
// six stages 31.2 million parameters.
func brain(t *testing.T, stages int, patch [3]int) *unet.Tile {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3)}
	for k := range 4 {
		p.Channels = append(p.Channels, plan.Channel{})
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c := &plan.Configuration{Name: "3d_fullres", Dim: 3, Patch: patch, Batch: 2}
	c.Network = plan.Network{
		Kind: plan.Plain, Features: []int{32, 64, 128, 256, 320, 320}[:stages], ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		Convs: slices.Repeat([]int{2}, stages), DecoderConvs: slices.Repeat([]int{2}, stages-1),
	}
	for s := range stages {
		stride := min(2, s+1)
		c.Network.Kernels = append(c.Network.Kernels, [3]int{3, 3, 3})
		c.Network.Strides = append(c.Network.Strides, [3]int{stride, stride, stride})
	}
	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: patch, Rows: 1, Planes: patch[0]})
	require.NoError(t, err)
	return tile
}

func TestTheStandardNetworkPredictsWithinThePromisedLimits(t *testing.T) {
	g := &paper{}
	d := &device{gpu: g, facts: promised, pipelines: map[string]*kept{}, pace: newPace()}
	l := d.Limits()
	assert.Equal(t, int64(256<<20), l.BufferBytes)
	assert.Equal(t, int64(128<<20), l.ValueBytes)
	p, err := compile.Compile(brain(t, 6, [3]int{128, 128, 128}).Graph, compile.Options{Storage: graph.F16, BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes})
	require.NoError(t, err)
	t.Logf("scratch %d MiB in chunks of %v", p.Bytes(graph.Scratch)>>20, p.Size[graph.Scratch])
	assert.LessOrEqual(t, p.Bytes(graph.Scratch), int64(384<<20))
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	defer s.Close()
	assert.LessOrEqual(t, g.largest, int64(256<<20))
	require.NotEmpty(t, g.bound)
	for _, b := range g.bound {
		assert.LessOrEqual(t, b.bytes, int64(128<<20))
		assert.LessOrEqual(t, b.off+b.bytes, b.m.(*sheet).bytes)
		assert.Zero(t, b.off%256)
	}
}

// The rows that a dispatch is cut into are so small that a device keeps the budget
// which makes 10⁹ floating-point operations a second: software makes some times that
// on two cores.
func TestRowsOfTheStandardNetworkKeepTheBudget(t *testing.T) {
	for _, software := range []bool{false, true} {
		known := promised
		known.software = software
		d := &device{gpu: &paper{}, facts: known, staged: !software, pipelines: map[string]*kept{}}
		l := d.Limits()
		p, err := compile.Compile(brain(t, 6, [3]int{128, 128, 128}).Graph, compile.Options{Storage: graph.F16, BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes})
		require.NoError(t, err)
		bind := map[graph.Region][]backend.Buffer{}
		for r, sizes := range p.Size {
			for _, n := range sizes {
				b, err := d.NewBuffer(n)
				require.NoError(t, err)
				bind[r] = append(bind[r], b)
			}
		}
		e, err := d.Compile(p, bind)
		require.NoError(t, err)
		work := 0.0
		for _, c := range e.(*executable).list {
			assert.LessOrEqual(t, c.work/float64(c.rows), 1e9*budget.Seconds(), p.Nodes[c.node].Name)
			work += c.work
		}
		assert.Greater(t, work, 1e12)
		e.Free()
	}
}

// A server sees scans of ever other sizes: what it compiles for them does not heap up,
// and no program loses what it has.
func TestPipelinesThatNoProgramHasAreReleased(t *testing.T) {
	d := &device{gpu: &paper{}, facts: promised, pipelines: map[string]*kept{}, pace: newPace()}
	session := func(n int) *backend.Session {
		g, err := graph.Build(func(b *graph.Builder) []graph.Value {
			x := b.Declare("x", graph.IO, graph.F32, 1, 1, 1, n, 4)
			return b.Apply("twice", graph.Add{}, x, x)
		})
		require.NoError(t, err)
		p, err := compile.Compile(g, compile.Options{})
		require.NoError(t, err)
		s, err := backend.NewSession(d, p, nil)
		require.NoError(t, err)
		return s
	}
	first := session(1)
	own := maps.Clone(d.pipelines)
	require.NotEmpty(t, own)
	for n := range 2 * mostPipelines {
		session(n + 2).Close()
		require.LessOrEqual(t, len(d.pipelines), mostPipelines+len(own))
	}
	for wgsl, k := range own {
		assert.Same(t, k, d.pipelines[wgsl])
		assert.False(t, k.pipeline.(*sheet).released)
	}
	first.Close()
	d.forget()
	assert.Empty(t, d.pipelines)
	for _, k := range own {
		assert.True(t, k.pipeline.(*sheet).released)
	}
}

// What is uploaded goes in pieces of 16 MiB, of which the queue holds four at most.
func TestUploadsGoInPieces(t *testing.T) {
	g := &paper{}
	d := &device{gpu: g, facts: promised}
	b, err := d.NewBuffer(200 << 20)
	require.NoError(t, err)
	require.NoError(t, b.Write(t.Context(), 0, make([]byte, 200<<20)))
	total := 0
	for _, n := range g.pieces {
		assert.LessOrEqual(t, n, 16<<20)
		total += n
	}
	assert.Equal(t, 200<<20, total)
	assert.Equal(t, 3, g.marks)
}

// predicted runs a tile of the network with buffers of so many bytes, and returns
// the logits.
func predicted(t *testing.T, dev backend.Device, stages int, patch [3]int, storage graph.DType, buffers int64) []float32 {
	ctx := t.Context()
	tile := brain(t, stages, patch)
	p, err := compile.Compile(tile.Graph, compile.Options{Storage: storage, BufferBytes: buffers, ValueBytes: promised.bindingBytes})
	require.NoError(t, err)
	chunks := 0
	for _, sizes := range p.Size {
		chunks += max(0, len(sizes)-1)
	}
	require.Positive(t, chunks, "something lies in several buffers")
	s, err := backend.NewSession(dev, p, nil)
	require.NoError(t, err)
	defer s.Close()
	for i, w := range unet.InitialWeights(tile.Graph, tile.Params, 1) {
		require.NoError(t, s.WriteWeight(ctx, tile.Params[i], w))
	}
	r := rand.New(rand.NewPCG(3, 4))
	volume := make([]float32, p.Type(tile.Volume).Shape.Elems())
	for i := range volume {
		volume[i] = float32(r.NormFloat64())
	}
	blend := slices.Repeat([]float32{1}, p.Type(tile.Blend).Shape.Elems())
	ctl := make([]float32, graph.CtlRows+graph.RowLen)
	ctl[graph.CtlRows+graph.RowWeight] = 1
	require.NoError(t, s.WriteF32(ctx, tile.Volume, volume))
	require.NoError(t, s.WriteF32(ctx, tile.Blend, blend))
	require.NoError(t, s.WriteF32(ctx, tile.Ctl, ctl))
	require.NoError(t, s.Run(ctx))
	acc := make([]float32, p.Type(tile.Acc).Shape.Elems())
	require.NoError(t, s.ReadF32(ctx, tile.Acc, acc))
	return acc
}

// apart is the root mean square of the difference.
func apart(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(a)))
}

// Three stages and a smaller tile in smaller buffers, in the long tests all six, on
// a device that itself refuses what is above the limits. In 16 bits two devices may
// round to either side: this one's logits are at most twice as far from those of 32
// bits as the CPU's.
func TestATileOfTheStandardNetworkRunsWithThePromisedLimits(t *testing.T) {
	stages, patch := 3, [3]int{8, 16, 16}
	buffers := int64(2 << 20) // the largest weight has 1.7 MiB
	if os.Getenv("GOUNET_LONG") != "" {
		stages, patch = 6, [3]int{32, 64, 64}
		buffers = 23 << 20 // the largest weight has 22 MiB, Scratch 24
	}
	d, err := Open(Options{Software: true, Promised: true})
	if err != nil {
		t.Skip(err)
	}
	defer func() { require.NoError(t, d.Close()) }()
	assert.Equal(t, int64(256<<20), d.Limits().BufferBytes)
	assert.Equal(t, int64(128<<20), d.Limits().ValueBytes)
	host := cpu.Open(cpu.Options{})
	defer func() { require.NoError(t, host.Close()) }()
	exact := predicted(t, host, stages, patch, graph.F32, buffers)
	allowed := 2 * apart(predicted(t, host, stages, patch, graph.F16, buffers), exact)
	got := apart(predicted(t, d, stages, patch, graph.F16, buffers), exact)
	t.Logf("logits of size %.3g: %.3g from those of 32 bits, %.3g allowed", apart(exact, make([]float32, len(exact))), got, allowed)
	assert.Positive(t, got)
	assert.LessOrEqual(t, got, allowed)
}
