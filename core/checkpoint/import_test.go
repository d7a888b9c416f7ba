package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/internal/pickle"
)

const dynunet = "testdata/dynunet"

// TestNetworksOfMONAIAreImportedWhole runs the network of each form on the input of
// make.py and compares with MONAI's output.
func TestNetworksOfMONAIAreImportedWhole(t *testing.T) {
	var f plan.Foreign
	require.NoError(t, ReadNVIDIAConfig(filepath.Join(dynunet, "config.pkl"), &f))
	assert.Equal(t, [3]int{4, 8, 12}, f.Patch)
	assert.Equal(t, [3]float64{3, 0.7, 0.8}, f.Spacing)
	f.Dataset, f.Labels = "Dataset004_X", []string{"a", "b"}
	zipped := filepath.Join(t.TempDir(), "bundle.zip")
	zipFolder(t, filepath.Join(dynunet, "bundle"), "mine", zipped)
	for name, foreign := range map[string]plan.Foreign{
		filepath.Join(dynunet, "nvidia.ckpt"): f, filepath.Join(dynunet, "legacy.pt"): f,
		filepath.Join(dynunet, "bundle"): {}, zipped: {Labels: []string{"a", "b"}},
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			m, err := Import(name, ImportOptions{Foreign: foreign})
			require.NoError(t, err)
			c, err := m.Config()
			require.NoError(t, err)
			assert.Equal(t, [3]int{4, 8, 12}, c.Patch)
			assert.Equal(t, [3]float64{3, 0.7, 0.8}, c.Spacing)
			assert.Equal(t, 2, c.Network.Outputs())
			assert.Equal(t, [][3]int{{3, 3, 3}, {3, 3, 3}}, c.Network.DecoderKernels, "the encoder has 1×3×3 there")
			sameAsMONAI(t, m, "io.json")
			path := filepath.Join(t.TempDir(), "model.gounet")
			require.NoError(t, Save(path, m))
			again, err := Open(path)
			require.NoError(t, err)
			assert.Equal(t, m, again)
		})
	}
	m, err := Import(filepath.Join(dynunet, "nvidia.ckpt"), ImportOptions{Foreign: f})
	require.NoError(t, err)
	assert.Equal(t, 7, m.Folds[0].Epoch)
	assert.Equal(t, []plan.Label{{Name: "background", Values: []int{0}}, {Name: "a", Values: []int{1}}, {Name: "b", Values: []int{2}}}, m.Plan.Labels)
	_, err = Import(filepath.Join(dynunet, "nvidia.ckpt"), ImportOptions{})
	assert.ErrorContains(t, err, "the patch is not known")
	assert.ErrorContains(t, err, "strides [[1 1 1] [1 2 2] [2 2 2]]", "what plan it would fit")
}

// TestBlocksAndNormsOfMONAIAreImported reads networks whose weights say that they have
// residual blocks and batch norms, and one of which it must be told that its norms are
// of groups.
func TestBlocksAndNormsOfMONAIAreImported(t *testing.T) {
	f := plan.Foreign{Patch: [3]int{1, 8, 12}, Spacing: [3]float64{1, 1, 1}}
	m, err := Import(filepath.Join(dynunet, "residual_batch.pt"), ImportOptions{Foreign: f})
	require.NoError(t, err)
	n := m.Plan.Configurations[0].Network
	assert.Equal(t, []string{plan.Strided, plan.BatchNorm}, []string{n.Kind, n.Norm})
	assert.Contains(t, m.Folds[0].Weights, "encoder.stages.2.blocks.0.skip.0.norm.running_var")
	sameAsMONAI(t, m, "residual_batch.json")
	path := filepath.Join(t.TempDir(), "model")
	require.NoError(t, Save(path, m))
	again, err := Open(path)
	require.NoError(t, err)
	assert.Equal(t, m, again)
	f.Groups = 2
	_, err = Import(filepath.Join(dynunet, "residual_batch.pt"), ImportOptions{Foreign: f})
	assert.ErrorContains(t, err, `groups is 2 with the norm "batch"`)
	f.Patch[0] = 4
	m, err = Import(filepath.Join(dynunet, "group.pt"), ImportOptions{Foreign: f})
	require.NoError(t, err)
	sameAsMONAI(t, m, "group.json")
	brats := plan.Foreign{Patch: [3]int{8, 8, 16}, Spacing: f.Spacing, Regions: [][]int{{1, 2, 3}, {1, 3}, {3}}, Order: []int{2, 1, 3}}
	m, err = Import(filepath.Join(dynunet, "brats22.pt"), ImportOptions{Foreign: brats})
	require.NoError(t, err)
	assert.Equal(t, plan.PreNorm, m.Plan.Configurations[0].Network.Kind)
	assert.Equal(t, 3, m.Plan.Configurations[0].Network.Outputs())
	sameAsMONAI(t, m, "brats22.json")

	in := len(m.Plan.Channels)
	brats.Channels = slices.Repeat([]string{"MRI"}, in-1)
	_, err = Import(filepath.Join(dynunet, "brats22.pt"), ImportOptions{Foreign: brats})
	assert.ErrorContains(t, err, "if the last is NVIDIA's channel of the foreground (--ohe), say so")
	brats.Ohe = true
	m, err = Import(filepath.Join(dynunet, "brats22.pt"), ImportOptions{Foreign: brats})
	require.NoError(t, err)
	assert.Equal(t, []int{in, in - 1}, []int{len(m.Plan.Channels), m.Plan.Scans()})
	assert.Equal(t, plan.NormForegroundLate, m.Plan.Channels[in-1].Normalization, "as the original makes it")
	sameAsMONAI(t, m, "brats22.json")
}

// TestBatchNormsOfNNUNetAreImported reads a checkpoint of nnUNetTrainerBN, whose plan
// says that it has instance norms.
func TestBatchNormsOfNNUNetAreImported(t *testing.T) {
	m, err := Import("testdata/batchnorm.pth", ImportOptions{})
	require.NoError(t, err)
	c, err := m.Config()
	require.NoError(t, err)
	assert.Equal(t, plan.BatchNorm, c.Network.Norm)
	assert.NotContains(t, m.Folds[0].Weights, "encoder.stages.0.0.convs.0.norm.num_batches_tracked")
	sameAsMONAI(t, m, "../batchnorm.json")
	path := filepath.Join(t.TempDir(), "model")
	require.NoError(t, Save(path, m))
	_, err = Open(path)
	require.NoError(t, err)
}

func sameAsMONAI(t *testing.T, m *Model, file string) {
	t.Helper()
	var io struct{ Input, Output []float32 }
	b, err := os.ReadFile(filepath.Join(dynunet, file))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &io))
	got := logitsOf(t, m, io.Input)
	require.Len(t, got, len(io.Output))
	largest := max(slices.Max(io.Output), -slices.Min(io.Output))
	for i, want := range io.Output {
		assert.InDelta(t, want, got[i], 2e-5*float64(largest), "golden/README.md derives this for float32")
	}
}

// logitsOf are those of a patch, [K D H W], that m's network gives for an input [C D H W].
func logitsOf(t *testing.T, m *Model, input []float32) []float32 {
	t.Helper()
	c, err := m.Config()
	require.NoError(t, err)
	channels, classes := m.Plan.InputChannels(c), m.Plan.Classes()
	var x graph.Value
	var logits, params []graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x = b.Declare("input", graph.IO, graph.T, 1, c.Patch[0], c.Patch[1], c.Patch[2], channels)
		logits, params = unet.Forward(b, c.Network, x, classes, 1)
		b.Place(logits[0], graph.IO)
		return logits
	})
	require.NoError(t, err)
	prog, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	dev := cpu.Open(cpu.Options{})
	defer dev.Close()
	s, err := backend.NewSession(dev, prog, nil)
	require.NoError(t, err)
	defer s.Close()
	for _, v := range params {
		name := g.Info(v).Name
		data, _, err := ToGraph(name, m.Folds[0].Weights[name])
		require.NoError(t, err)
		require.NoError(t, s.WriteWeight(t.Context(), v, data))
	}
	voxels := product(c.Patch[:])
	require.Len(t, input, channels*voxels)
	last := make([]float32, len(input))
	for i, v := range input {
		last[i%voxels*channels+i/voxels] = v
	}
	require.NoError(t, s.WriteF32(t.Context(), x, last))
	require.NoError(t, s.Run(t.Context()))
	last = make([]float32, classes*voxels)
	require.NoError(t, s.ReadF32(t.Context(), logits[0], last))
	first := make([]float32, len(last))
	for i := range first {
		first[i] = last[i%voxels*classes+i/voxels]
	}
	return first
}

func zipFolder(t *testing.T, dir, as, to string) {
	t.Helper()
	f, err := os.Create(to)
	require.NoError(t, err)
	z := zip.NewWriter(f)
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		w, err := z.Create(as + "/" + filepath.ToSlash(name))
		require.NoError(t, err)
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = w.Write(b)
		return err
	}))
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
}

func TestZipsOfNNUNetAreImported(t *testing.T) {
	name := "nnUNetTrainer__nnUNetPlans__2d"
	want, err := Open(filepath.Join(results, name))
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "export.zip")
	zipFolder(t, results, "Dataset001_Tiny", file)
	_, err = Import(file, ImportOptions{})
	assert.ErrorContains(t, err, "2 models match", "which of them is not said")
	got, err := Import(file, ImportOptions{Model: "__2d"})
	require.NoError(t, err)
	assert.Equal(t, want, got)

	bad := filepath.Join(t.TempDir(), "bad.zip")
	f, err := os.Create(bad)
	require.NoError(t, err)
	z := zip.NewWriter(f)
	for _, entry := range []string{"../x/plans.json", "plans.json"} {
		_, err := z.Create(entry)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
	_, err = Import(bad, ImportOptions{})
	assert.ErrorContains(t, err, "not a plain relative path")
}

// TestOneFileOfNNUNetIsEnough takes the real checkpoint out of its folder.
func TestOneFileOfNNUNetIsEnough(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA is not set: a real checkpoint of nnU-Net lies there")
	}
	folder := filepath.Join(data, "golden/nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__3d_fullres")
	alone := filepath.Join(t.TempDir(), "alone.pth")
	copyFile(t, filepath.Join(folder, "fold_0", nnunetFinal), alone)
	got, err := Import(alone, ImportOptions{})
	require.NoError(t, err)
	want, err := Open(folder)
	require.NoError(t, err)
	assert.Equal(t, want.Folds, got.Folds)
	assert.Equal(t, want.Plan.Configuration(want.Configuration), got.Plan.Configuration(got.Configuration))
	assert.Equal(t, want.Mirror, got.Mirror)
}

func TestAllThatIsWrongWithAStateDictIsListed(t *testing.T) {
	f, err := pickle.Open(filepath.Join(dynunet, "legacy.pt"))
	require.NoError(t, err)
	defer f.Close()
	d, err := readDynUNet(f.Value.(*pickle.Dict))
	require.NoError(t, err)
	delete(d.tensors, "downsamples.0.norm2.bias")
	d.tensors["bottleneck.conv2.conv.weight"] = d.tensors["bottleneck.conv1.conv.weight"]
	d.tensors["attention.weight"] = d.tensors["input_block.norm1.bias"]
	p, err := plan.Foreign{Patch: [3]int{4, 8, 12}, Spacing: [3]float64{1, 1, 1}}.Plan(d.network, d.dim, d.in, d.classes)
	require.NoError(t, err)
	_, err = d.weights(filepath.Join(dynunet, "legacy.pt"), p, &p.Configurations[0])
	require.Error(t, err)
	for _, want := range []string{"3 problems", "downsamples.0.norm2.bias: missing", "bottleneck.conv2.conv.weight: shape is", "attention.weight: shape"} {
		assert.ErrorContains(t, err, want)
	}
	_, err = Import(filepath.Join(dynunet, "config.pkl"), ImportOptions{})
	assert.Error(t, err)
	assert.True(t, strings.HasPrefix(ForeignName(&plan.Network{Features: make([]int, 3)}, "decoder.seg_layers.1.bias"), "output_block"))
}

// FuzzStateDictsAreReadOrAreAnError changes a small state dict.
func FuzzStateDictsAreReadOrAreAnError(f *testing.F) {
	var b bytes.Buffer
	a := &pickle.Array{Shape: []int{1, 1, 1, 1}, Data: []float32{1}}
	names := []string{"input_block.conv1.conv.weight", "bottleneck.conv1.conv.weight", "upsamples.0.transp_conv.conv.weight", "upsamples.0.conv_block.conv1.conv.weight"}
	m := pickle.Mapping{{Key: "output_block.conv.conv.weight", Value: &pickle.Array{Shape: []int{2, 1, 1, 1}, Data: []float32{1, 2}}}}
	for _, n := range names {
		m = append(m, pickle.Member{Key: n, Value: a})
	}
	require.NoError(f, pickle.Write(&b, "x", m))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := pickle.New(bytes.NewReader(b), int64(len(b)), "x")
		if err != nil {
			return
		}
		top, ok := file.Value.(*pickle.Dict)
		if !ok {
			return
		}
		d, err := readDynUNet(top)
		if err != nil {
			return
		}
		p, err := plan.Foreign{Patch: [3]int{1, 8, 8}, Spacing: [3]float64{1, 1, 1}}.Plan(d.network, d.dim, d.in, d.classes)
		if err == nil {
			_, err = d.weights(os.DevNull, p, &p.Configurations[0])
			require.Error(t, err, "some tensor is always missing")
		}
	})
}
