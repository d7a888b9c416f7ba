//go:build cuda && linux

package cuda

import (
	"cmp"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// tunedProgram has a convolution that several tilings fit.
func tunedProgram(t *testing.T) (v normed, p *compile.Program) {
	p = v.program(t, graph.F16, 1, k(4, 16, 16), k(3, 3, 3), k(1, 1, 1), 16, 40)
	return v, p
}

// runTuned runs the program on a device with that cache, and returns its result and what it has measured.
func runTuned(t *testing.T, folder string, o Options) (d *device, y []float32, measured int64) {
	e := emulatedOnly(t)
	e.set("time", 1000)
	d, err := open(e.driver, e.compiler, &cache{folder: folder}, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	before := e.calls("cuEventElapsedTime")
	y = runOn(t, d)
	return d, y, e.calls("cuEventElapsedTime") - before
}

// runOn is the result of the program on d.
func runOn(t *testing.T, d *device) (y []float32) {
	v, p := tunedProgram(t)
	s := session(t, d, p)
	r := rand.New(rand.NewPCG(5, 6))
	for i, info := range p.Values {
		if w := graph.Value(i + 1); info.Region == graph.Weights || w == v.x {
			f := make([]float32, info.Type.Shape.Elems())
			for i := range f {
				f[i] = float32(r.NormFloat64())
			}
			if w == v.x {
				require.NoError(t, s.WriteFloats(t.Context(), w, f))
			} else {
				require.NoError(t, s.WriteWeight(t.Context(), w, f))
			}
		}
	}
	require.NoError(t, s.Run(t.Context()))
	y = make([]float32, p.Type(v.y).Shape.Elems())
	require.NoError(t, s.ReadFloats(t.Context(), v.y, y))
	return y
}

// What is chosen by measuring, on a GPU by its own clock, makes the numbers of what the
// model chooses, in another order of sums: one step of a half.
func TestWhatIsMeasuredMakesTheSameNumbers(t *testing.T) {
	open := func(folder string) *device {
		if os.Getenv(onGPU) == "" {
			d, _, _ := runTuned(t, folder, Options{})
			return d
		}
		d, err := openOn(folder)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		return d
	}
	want := runOn(t, closing(t))
	d := open(t.TempDir())
	got := runOn(t, d)
	assert.Len(t, d.tiles.chosen, 1)
	t.Logf("measured: %v", d.tiles.chosen)
	for i := range want {
		require.InDelta(t, want[i], got[i], 0x1p-10*math.Abs(float64(want[i]))+0x1p-14)
	}
}

// openOn opens the GPU with a cache of its own.
func openOn(folder string) (*device, error) {
	driver, err := openDriver()
	if err != nil {
		return nil, err
	}
	c, err := openCompiler()
	if err != nil {
		return nil, err
	}
	return open(driver, c, &cache{folder: folder}, Options{})
}

// kept is the file of the choices in a folder.
func keptTiles(t *testing.T, folder string) string {
	files, err := filepath.Glob(filepath.Join(folder, "*.tiles"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	return files[0]
}

// On the emulated GPU a kernel takes as long as it has shared memory: the tiling with the
// least is the choice, once for all devices with that cache.
func TestTilesAreMeasuredOnceAndKept(t *testing.T) {
	folder := t.TempDir()
	d, first, measured := runTuned(t, folder, Options{})
	assert.Positive(t, measured)
	_, p := tunedProgram(t)
	all, err := sitesOf(p, target{Arch: d.facts.arch, SMs: d.facts.sms})
	require.NoError(t, err)
	require.Len(t, all, 1)
	shared := func(w way) (n uint32) {
		for _, l := range w.List {
			n += l.Shared
		}
		return n
	}
	want := slices.MinFunc(all[0].ways, func(a, b way) int { return cmp.Compare(shared(a), shared(b)) })
	require.NotEqual(t, all[0].ways[0].tiling, want.tiling, "the model chooses something else")
	assert.Equal(t, want.tiling, d.tiles.chosen[all[0].key])
	ls, err := launchesOf(p, target{Arch: d.facts.arch, SMs: d.facts.sms, Tiles: d.tiles.chosen})
	require.NoError(t, err)
	assert.True(t, slices.ContainsFunc(ls.List, func(l launch) bool { return l.Shared > 0 && l.Shared <= shared(want) }))

	_, again, measured := runTuned(t, folder, Options{})
	assert.Zero(t, measured, "it was measured before")
	assert.Equal(t, first, again)

	_, other, measured := runTuned(t, folder, Options{Untuned: true})
	assert.Zero(t, measured)
	for i := range first { // in another order of sums: one step of a half
		require.InDelta(t, first[i], other[i], 0x1p-10*math.Abs(float64(first[i]))+0x1p-14)
	}
}

// What is kept of another GPU or source, and what is damaged, is measured again and
// replaced.
func TestTilesOfOthersAreReplaced(t *testing.T) {
	folder := t.TempDir()
	d, _, _ := runTuned(t, folder, Options{})
	file := keptTiles(t, folder)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	c := &cache{folder: folder}
	key, best := "", ""
	for key, best = range d.tiles.chosen { // there is one
	}
	for name, spoil := range map[string]func(){
		"damaged": func() {
			require.NoError(t, os.WriteFile(file, slices.Concat(whole[:40], []byte("x"), whole[41:]), 0o600))
		},
		"short": func() { require.NoError(t, os.WriteFile(file, whole[:10], 0o600)) },
		"empty": func() { require.NoError(t, os.WriteFile(file, nil, 0o600)) },
		"of another GPU": func() {
			c.put(d.tiles.name, []byte(strings.Replace(d.tiles.header, "emulated", "another", 1)+"\n"+key+"\t"+best+"\n"))
		},
		"of another tiling": func() { c.put(d.tiles.name, []byte(d.tiles.header+"\n"+key+"\tin thirds\n")) },
	} {
		spoil()
		_, _, measured := runTuned(t, folder, Options{})
		assert.Positive(t, measured, name)
		now, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(whole), string(now), name)
	}
	_, _, measured := runTuned(t, folder, Options{})
	assert.Zero(t, measured)
}

// Without a place to keep choices none is made: two runs would not have the same bits.
func TestNothingIsMeasuredThatIsNotKept(t *testing.T) {
	_, _, measured := runTuned(t, "", Options{})
	assert.Zero(t, measured)
}

// Gradients of weights are measured too.
func TestGradientsOfWeightsHaveWays(t *testing.T) {
	var f folded
	all, err := sitesOf(f.program(t, compile.Options{Storage: graph.F16}, k(6, 6, 20)), target{Arch: 90, SMs: 4})
	require.NoError(t, err)
	kernels := map[string]bool{}
	for _, s := range all {
		for _, w := range s.ways {
			for _, l := range w.List {
				if strings.HasPrefix(s.key, "gradient of weights") {
					kernels[l.Kernel] = true
				}
			}
		}
	}
	assert.Equal(t, map[string]bool{"conv3d_grad_weight_wgmma": true, "conv3d_grad_weight_mma": true, "fold": true}, kernels)
}

// Who measures at the same time waits, and has the same choices: four devices measure
// once.
func TestDevicesThatStartTogetherChooseTogether(t *testing.T) {
	e := emulatedOnly(t)
	e.set("time", 1000)
	folder := t.TempDir()
	_, p := tunedProgram(t)
	before := e.calls("cuEventElapsedTime")
	results := make(chan map[string]string, 4)
	for range cap(results) {
		go func() {
			d, err := open(e.driver, e.compiler, &cache{folder: folder}, Options{})
			if !assert.NoError(t, err) {
				results <- nil
				return
			}
			s, err := backend.NewSession(d, p, nil)
			assert.NoError(t, err)
			if err == nil {
				s.Close()
			}
			assert.NoError(t, d.Close())
			results <- d.tiles.chosen
		}()
	}
	first := <-results
	require.Len(t, first, 1)
	for range cap(results) - 1 {
		assert.Equal(t, first, <-results)
	}
	all, err := sitesOf(p, target{Arch: 90, SMs: 4})
	require.NoError(t, err)
	assert.Equal(t, before+int64(runs*len(all[0].ways)), e.calls("cuEventElapsedTime"))
}

// Choices of several processes come together.
func TestChoicesOfOthersStay(t *testing.T) {
	c := &cache{folder: t.TempDir()}
	one, two := &choices{"h", "n.tiles", map[string]string{"a": "1"}}, &choices{"h", "n.tiles", map[string]string{"b": "2", "a": "3"}}
	one.write(c)
	two.write(c)
	three := &choices{"h", "n.tiles", map[string]string{}}
	three.read(c)
	assert.Equal(t, map[string]string{"a": "3", "b": "2"}, three.chosen)
}

// A way that makes other numbers than that by the instructions which all GPUs have is not
// chosen, however fast it is, and is named with its device.
func TestAWayThatIsWrongIsNotChosen(t *testing.T) {
	e := emulatedOnly(t)
	_, p := tunedProgram(t)
	all, err := sitesOf(p, target{Arch: 90, SMs: 4})
	require.NoError(t, err)
	byGroups := func(l launch) bool { return l.Kernel == "conv3d_wgmma" }
	wrong := map[string]bool{}
	for _, w := range all[0].ways {
		if slices.ContainsFunc(w.List, byGroups) {
			wrong[w.tiling] = true
		}
	}
	require.NotEmpty(t, wrong)
	i := slices.IndexFunc(faults, func(f fault) bool { return f.kernel == "conv3d_wgmma" && f.name == "rows of taps for planes" })
	e.compiler.fault = func(kernel, source string) string {
		if kernel == faults[i].kernel {
			return strings.ReplaceAll(source, faults[i].old, faults[i].new)
		}
		return source
	}
	defer func() { e.compiler.fault = nil }()
	var said []string
	d, _, _ := runTuned(t, t.TempDir(), Options{Warn: func(text string) { said = append(said, text) }})
	assert.NotContains(t, wrong, d.tiles.chosen[all[0].key])
	require.Len(t, said, len(wrong))
	assert.Contains(t, said[0], "cuda: emulated: ")
	assert.Contains(t, said[0], "kernel conv3d_wgmma (groups ")
	assert.Contains(t, said[0], "makes other numbers than warps")
}

// A way that is fatal to the GPU is named with its node and kernel.
func TestAFaultWhileWaysAreMeasuredHasAName(t *testing.T) {
	e := emulatedOnly(t)
	d, err := open(e.driver, e.compiler, &cache{folder: t.TempDir()}, Options{})
	require.NoError(t, err)
	_, p := tunedProgram(t)
	e.inject(700, 12)
	_, err = backend.NewSession(d, p, nil)
	require.ErrorIs(t, err, backend.ErrLost)
	require.Regexp(t, `node \w+: Conv3D: kernel conv3d_w?g?mma: cuda: emulated: measuring (groups|warps) .*: CUDA error 700`, err.Error())
	require.NoError(t, d.Close())
}

func TestKernelsCanBeLeftOut(t *testing.T) {
	e := emulatedOnly(t)
	_, p := tunedProgram(t)
	for name, want := range map[string]string{"": "conv3d_wgmma", "all": "conv3d_wgmma", "warps": "conv3d_mma", "simple": "conv3d"} {
		d, err := open(e.driver, e.compiler, &cache{}, Options{Kernels: name})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		s := session(t, d, p)
		require.NoError(t, s.Run(t.Context()))
		used := map[string]bool{}
		for k := range d.functions {
			kernel, _, _ := strings.Cut(k, "\n")
			used[kernel] = true
		}
		assert.True(t, used[want], "%q: %v", name, used)
		assert.Equal(t, want == "conv3d_wgmma", d.Name() == "cuda (emulated)")
	}
	_, err := open(e.driver, e.compiler, &cache{}, Options{Kernels: "none"})
	require.ErrorContains(t, err, `kernels "none", wanted all, warps or simple`)
}
