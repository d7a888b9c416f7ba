package webgpu

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// open opens any adapter, also one of software, or skips with the reason.
func open(t testing.TB) backend.Device {
	d, err := Open(Options{Software: true})
	if err != nil {
		t.Skip(err)
	}
	return d
}

// opened is a device for the length of a test.
func opened(t *testing.T) *device {
	d := open(t)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d.(*device)
}

// cut opens a device whose submits hold little: several dispatches of small ops, and
// a part of one of a large op.
func cut(t testing.TB) backend.Device {
	d := open(t)
	d.(*device).pace = pace{work: 3e5, least: 3e5}
	return d
}

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("a software adapter needs minutes to compile all kernels in all shapes")
	}
	backendtest.Run(t, cut)
}

func TestConformanceRowByRow(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" {
		t.Skip("GOUNET_LONG is not set: every row of workgroups is submitted alone")
	}
	backendtest.Run(t, func(t testing.TB) backend.Device {
		d := open(t)
		d.(*device).pace = pace{}
		return d
	})
}

// Who does not ask for it gets a real GPU or an error, never a processor that plays
// one: cpu is faster.
func TestASoftwareAdapterIsOnlyTakenWhenAskedFor(t *testing.T) {
	if f := opened(t).facts; !f.software {
		t.Skip("this machine has a real GPU: " + f.name)
	}
	_, err := Open(Options{})
	require.ErrorContains(t, err, "there is no GPU, only")
	require.ErrorContains(t, err, ", or use the cpu")
}

// sample is a prelude as a kernel's header lists it: "A, B (bool); N, C (u32)".
// Numbers are 4, of which kernels that work in blocks want multiples.
func sample(t *testing.T, source string, on bool) shaders.Consts {
	_, list, ok := strings.Cut(source, "// Prelude: ")
	require.True(t, ok, "a header lists the names of its prelude")
	list, _, _ = strings.Cut(list, "\n\n")
	list = strings.ReplaceAll(list, "\n// ", " ")
	c := shaders.Consts{}
	// Names are in capitals; what else stands in brackets is a remark.
	list = regexp.MustCompile(` \([^)]* [^)]*\)`).ReplaceAllString(list, "")
	for section := range strings.SplitSeq(list, ";") {
		for _, name := range regexp.MustCompile(`\b[A-Z][A-Z0-9_]*\b`).FindAllString(section, -1) {
			switch {
			case strings.Contains(section, "(bool)"):
				c[name] = on
			case strings.Contains(section, "(u32)"):
				c[name] = 4
			default:
				c[name] = float32(0.5)
			}
		}
	}
	return c
}

// Every file is a valid module with what its header lists, and nothing else, in
// front of it.
func TestEveryKernelIsValidWithThePreludeOfItsHeader(t *testing.T) {
	d := opened(t)
	for _, name := range shaders.Names() {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join("..", "shaders", name+".wgsl"))
			require.NoError(t, err)
			var list []module
			for _, on := range []bool{false, true} {
				c := sample(t, string(source), on)
				code, err := shaders.WGSL(name, c, d.f16)
				require.NoError(t, err)
				plain := regexp.MustCompile(`//.*`).ReplaceAllString(code, "")
				for n := range c {
					uses := regexp.MustCompile(`\b`+n+`\b`).FindAllString(plain, 2)
					assert.Len(t, uses, 2, "%s is in the header, but not in the kernel", n)
				}
				list = append(list, module{code, strings.Count(plain, "@group(0)")})
			}
			p, err := d.gpu.pipelines(list)
			require.NoError(t, err)
			releaseAll(p)
		})
	}
}

func TestAnInvalidKernelIsAnError(t *testing.T) {
	d := opened(t)
	good := module{"@compute @workgroup_size(64) fn main() {}", 1}
	for _, code := range []string{"@compute @workgroup_size(64) fn main() { x = 1; }", "@compute @workgroup_size(64) fn other() {}"} {
		_, err := d.gpu.pipelines([]module{good, good, {code, 1}, good})
		var at *listError
		require.ErrorAs(t, err, &at)
		assert.Equal(t, 2, at.at, "which of the list")
	}
	b, err := d.NewBuffer(16) // the device is as good as before
	require.NoError(t, err)
	b.Free()
}

func TestALargeBufferIsAnErrorWithNumbers(t *testing.T) {
	d := opened(t)
	_, err := d.NewBuffer(d.facts.bufferBytes + 1)
	require.ErrorContains(t, err, "the largest of")
}

func TestLossIsToldApart(t *testing.T) {
	require.ErrorIs(t, told(errors.New("Parent device is lost")), backend.ErrLost)
	require.NotErrorIs(t, told(errors.New("not enough memory left")), backend.ErrLost)
	require.NoError(t, told(nil))
}

// A write in the midst of a word leaves its neighbours.
func TestWritesOfOddLengthKeepTheirNeighbours(t *testing.T) {
	d := opened(t)
	b, err := d.NewBuffer(21)
	require.NoError(t, err)
	defer b.Free()
	want := []byte("a buffer of 21 bytes!")
	require.NoError(t, b.Write(t.Context(), 0, want))
	require.NoError(t, b.Write(t.Context(), 3, []byte("UFF")))
	copy(want[3:], "UFF")
	got := make([]byte, 21)
	require.NoError(t, b.Read(t.Context(), 0, got))
	assert.Equal(t, string(want), string(got))
	require.NoError(t, b.Read(t.Context(), 5, got[:3]))
	assert.Equal(t, string(want[5:8]), string(got[:3]))
	require.Error(t, b.Write(t.Context(), 20, []byte("xx")))
}

// adder is x + x.
func adder(t *testing.T, storage graph.DType) (p *compile.Program, x, y graph.Value) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x = b.Declare("x", graph.IO, graph.T, 1, 2, 8, 8, 4)
		y = b.Apply("twice", graph.Add{}, x, x)[0]
		b.Place(y, graph.IO)
		return []graph.Value{y}
	})
	require.NoError(t, err)
	p, err = compile.Compile(g, compile.Options{Storage: storage})
	require.NoError(t, err)
	return p, x, y
}

func TestAValueMayBeTwoOperands(t *testing.T) {
	d := opened(t)
	p, x, y := adder(t, graph.F32)
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	defer s.Close()
	in, out := make([]float32, 512), make([]float32, 512)
	for i := range in {
		in[i] = float32(i)
	}
	require.NoError(t, s.WriteF32(t.Context(), x, in))
	require.NoError(t, s.Run(t.Context()))
	require.NoError(t, s.ReadF32(t.Context(), y, out))
	assert.InDelta(t, 1022, out[511], 0)
}

func TestWhatDoesNotFitIsAnErrorOfCompileWithNumbers(t *testing.T) {
	d := opened(t)
	p, _, _ := adder(t, graph.F32)
	d.facts.bindingBytes = 1 << 10
	_, err := backend.NewSession(d, p, nil)
	require.ErrorContains(t, err, "node twice: Add: kernel add binds")
	d.facts.bindingBytes = 1 << 20
	d.facts.groups = 2
	_, err = backend.NewSession(d, p, nil)
	require.ErrorContains(t, err, "kernel add has 8 workgroups, the device starts 2×2")
}

func TestAStorageThatTheDeviceLacksIsAnErrorOfCompile(t *testing.T) {
	p, _, _ := adder(t, graph.BF16)
	_, err := backend.NewSession(opened(t), p, nil)
	require.ErrorContains(t, err, "this device stores f32 and f16")
}

func TestARunWithoutItsBuffersIsAnError(t *testing.T) {
	d := opened(t)
	p, _, _ := adder(t, graph.F32)
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
	defer e.Free()
	for _, list := range bind {
		for _, b := range list {
			b.Free()
		}
	}
	require.ErrorContains(t, e.Run(t.Context()), "freed")
}
