//go:build linux && amd64

package cuda

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cuda/nvrtc"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/shaders"
)

var (
	spills    = regexp.MustCompile(`(\d+) bytes spill stores, (\d+) bytes spill loads`)
	kinds     = regexp.MustCompile(`(?m)^using T = .*|^constexpr (int|bool) .*|^constexpr unsigned [KS][DHW] .*`)
	splits    = regexp.MustCompile(`(?m)^constexpr unsigned SPLITS .*`)
	types     = regexp.MustCompile(`(?m)^using T = \w+;`)
	waits     = regexp.MustCompile(`C75\d\d|serialized`) // what ptxas says of wgmma
	registers = regexp.MustCompile(`Used (\d+) registers`)
)

// realPlans are those whose kernels must compile well.
func realPlans() map[string]*plan.Configuration {
	cube, flat := [3]int{3, 3, 3}, [3]int{1, 3, 3}
	network := func(kernel [3]int, features []int, strides ...[3]int) plan.Network {
		n := plan.Network{Kind: plan.Plain, Features: features, ConvBias: true, NormEps: 1e-5, Slope: 0.01, Strides: strides}
		for i := range features {
			n.Kernels = append(n.Kernels, kernel)
			n.Convs = append(n.Convs, 2)
			if i > 0 {
				n.DecoderConvs = append(n.DecoderConvs, 2)
			}
		}
		return n
	}
	prenorm := network(cube, []int{64, 128, 256, 512}, k(1, 1, 1), k(2, 2, 2), k(2, 2, 2), k(2, 2, 2))
	prenorm.Kind, prenorm.Norm, prenorm.ConvBias, prenorm.Slope = plan.PreNorm, plan.BatchNorm, false, 0
	return map[string]*plan.Configuration{
		"pre-norm, top-k": {Name: "3d_fullres", Dim: 3, Patch: [3]int{64, 64, 64}, Batch: 2, Network: prenorm},
		"hippocampus": {
			Name: "3d_fullres", Dim: 3, Patch: [3]int{40, 56, 40}, Batch: 9,
			Network: network(cube, []int{32, 64, 128, 256}, k(1, 1, 1), k(2, 2, 2), k(2, 2, 2), k(2, 2, 2)),
		},
		"128³": {
			Name: "3d_fullres", Dim: 3, Patch: [3]int{128, 128, 128}, Batch: 2,
			Network: network(cube, []int{32, 64, 128, 256, 320, 320}, k(1, 1, 1), k(2, 2, 2), k(2, 2, 2), k(2, 2, 2), k(2, 2, 2), k(2, 2, 2)),
		},
		"192×160": {
			Name: "2d", Dim: 2, Patch: [3]int{1, 192, 160}, Batch: 64,
			Network: network(flat, []int{32, 64, 128, 256, 512, 512}, k(1, 1, 1), k(1, 2, 2), k(1, 2, 2), k(1, 2, 2), k(1, 2, 2), k(1, 2, 2)),
		},
	}
}

func k(d, h, w int) [3]int { return [3]int{d, h, w} }

// realLaunches are the kernels of training and of prediction with a plan.
func realLaunches(t *testing.T, c *plan.Configuration, storage graph.DType, to target) (all []launch) {
	for _, p := range realPrograms(t, c, storage) {
		ls, err := launchesOf(p, to)
		require.NoError(t, err)
		all = append(all, slices.DeleteFunc(ls.List, func(l launch) bool { return l.Reduce != nil })...)
	}
	return all
}

// otherLaunches are those that a GPU measures beside them.
func otherLaunches(t *testing.T, c *plan.Configuration, storage graph.DType, to target) (all []launch) {
	for _, p := range realPrograms(t, c, storage) {
		sites, err := sitesOf(p, to)
		require.NoError(t, err)
		for _, s := range sites {
			for _, w := range s.ways {
				all = append(all, w.List...)
			}
		}
	}
	return all
}

// realPrograms are training and prediction with a plan; where it has batch norms, training
// on two GPUs too.
func realPrograms(t *testing.T, c *plan.Configuration, storage graph.DType) (all []*compile.Program) {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(c.Dim)}
	for i := range 4 {
		p.Channels = append(p.Channels, plan.Channel{Name: fmt.Sprint(i)})
		p.Labels = append(p.Labels, plan.Label{Values: []int{i}})
	}
	if c.Network.Kind == plan.PreNorm {
		p.Recipe.Loss.Voxel, p.Recipe.Loss.TopK = plan.TopK, 0.1
		p.Recipe.Optimizer.Use(plan.Adan)
		p.Recipe.Augment(plan.AugmentDA5, 3)
	}
	train, err := unet.NewTrain(p, c, unet.TrainOptions{Store: 1 << 32}) // cases: 4 GiB of labels
	require.NoError(t, err)
	tile, err := unet.NewTile(p, c, unet.TileOptions{Rows: 2, Volume: [3]int{160, 240, 240}, Planes: 160})
	require.NoError(t, err)
	add := func(g *graph.Graph, world int) {
		program, err := compile.Compile(g, compile.Options{Storage: storage, Rematerialise: true, World: world, InPlace: true})
		require.NoError(t, err)
		all = append(all, program)
	}
	add(train.Graph, 1)
	add(tile.Graph, 1)
	if c.Network.Norm == plan.BatchNorm {
		add(train.Graph, 2)
	}
	return all
}

// compiled is a kernel of a plan for an architecture.
type compiled struct {
	kernel, source, plan string
	arch                 int
	chosen               bool // where nothing is measured and no rule is set
}

// wantedImages are the kernels of all plans, each once.
func wantedImages(t *testing.T) []compiled {
	var images []compiled
	seen := map[string]bool{}
	for name, c := range realPlans() {
		for _, arch := range []int{75, 80, 90, 100} { // Volta, 70, is none of CUDA 13's
			for _, storage := range []graph.DType{graph.F32, graph.F16, graph.BF16} {
				if storage == graph.BF16 && arch < 80 || testing.Short() && arch != 90 {
					continue
				}
				to := target{Arch: arch, SMs: 132}
				all := to
				all.Fold = always
				list := realLaunches(t, c, storage, to)
				chosen := len(list)
				list = append(list, realLaunches(t, c, storage, all)...)
				if os.Getenv("GOUNET_LONG") != "" { // of those that differ by sizes alone one
					list = append(list, slices.DeleteFunc(otherLaunches(t, c, storage, to), func(l launch) bool {
						kind := fmt.Sprint(arch, l.Kernel, kinds.FindAllString(l.Prelude, -1))
						again := seen[kind]
						seen[kind] = true
						return again
					})...)
				}
				list = append(list, marking, comparing)
				for i, l := range list {
					source, err := shaders.CUDA(l.Kernel, l.Prelude)
					require.NoError(t, err)
					w := compiled{l.Kernel, source, name, arch, i < chosen}
					if key := fmt.Sprint(arch, source); !seen[key] {
						seen[key] = true
						images = append(images, w)
					}
				}
			}
		}
	}
	for _, arch := range []int{75, 80, 90, 100} {
		for _, storage := range []graph.DType{graph.F32, graph.F16, graph.BF16} {
			if storage == graph.BF16 && arch < 80 {
				continue
			}
			products, _, err := multiplyPeak(target{Arch: arch, SMs: 132}, storage, peakRounds)
			require.NoError(t, err)
			moves, _ := movePeak(peakBytes)
			for _, l := range []launch{products, moves} {
				source, err := shaders.CUDA(l.Kernel, l.Prelude)
				require.NoError(t, err)
				images = append(images, compiled{l.Kernel, source, "peaks", arch, true})
			}
		}
	}
	slices.SortFunc(images, func(a, b compiled) int {
		return cmp.Or(cmp.Compare(a.arch, b.arch), cmp.Compare(a.kernel, b.kernel), cmp.Compare(a.source, b.source))
	})
	return images
}

// picked are those of a list that are compiled. Shapes do not change what registers an
// elementwise kernel needs: one of a kind. Those that multiply matrices are tiled by shapes; in
// a short run, all of a Hopper's for one plan, and of those that are chosen one of a kind: f16
// stands for bf16. Of products of groups one of a kind and number of splits, chosen or not.
func picked(list []compiled, long bool) []compiled {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(w compiled) bool {
		tiled, groups := strings.HasSuffix(w.kernel, "mma"), strings.HasSuffix(w.kernel, "wgmma")
		half := types.FindString(w.source)
		key := fmt.Sprint(w.kernel, w.arch)
		switch {
		case long:
			key += half
		case groups && half == "using T = f16;":
			key += fmt.Sprint(kinds.FindAllString(w.source, -1), splits.FindString(w.source))
		case tiled && w.chosen && half != "using T = bf16;":
			key += fmt.Sprint(kinds.FindAllString(w.source, -1))
		}
		again := seen[key]
		seen[key] = true
		every := tiled && (long || !groups && w.arch == 90 && w.plan == "128³" && half == "using T = f16;")
		return again && !every
	})
}

// Every kernel of real plans compiles for Turing, Ampere, Hopper and Blackwell, and
// keeps its variables in registers.
func TestKernelsOfRealPlansCompile(t *testing.T) {
	t.Parallel()
	n, err := nvrtc.Open(0)
	if err != nil {
		t.Skip(err)
	}
	header, err := shaders.CUDAHeader()
	require.NoError(t, err)
	list := picked(wantedImages(t), os.Getenv("GOUNET_LONG") != "")
	t.Logf("%d kernels", len(list))
	said := openLogs(n)
	most := map[string]int{}
	var mutex sync.Mutex
	var wait sync.WaitGroup
	work := make(chan compiled)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for w := range work {
				s := nvrtc.Source{Name: w.kernel + ".cu", Text: w.source, Header: "device.cuh", HeaderText: header}
				log, err := said.of(s, append(nvrtc.Options(w.arch), "--ptxas-options=-v"))
				assert.NoError(t, err)
				for _, m := range spills.FindAllStringSubmatch(log, -1) {
					assert.Equal(t, []string{"0", "0"}, m[1:], "%s of %s for %d spills registers\n%s", w.kernel, w.plan, w.arch, log)
				}
				assert.NotRegexp(t, waits, log, "%s of %s: products of groups follow each other", w.kernel, w.plan)
				if m := registers.FindStringSubmatch(log); assert.NotNil(t, m, log) {
					used, _ := strconv.Atoi(m[1])
					mutex.Lock()
					key := fmt.Sprintf("%s for %d", w.kernel, w.arch)
					most[key] = max(most[key], used)
					mutex.Unlock()
				}
			}
		})
	}
	for _, w := range list {
		work <- w
	}
	close(work)
	wait.Wait()
	for _, key := range slices.Sorted(maps.Keys(most)) {
		t.Logf("%s: at most %d registers", key, most[key])
	}
}
