package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/half"
	"github.com/gounet/gounet/internal/pickle"
)

// savedKeys are the names in the state dict of a file of nnU-Net, with their shapes.
func savedKeys(t *testing.T, path string) map[string][]int {
	t.Helper()
	f, err := pickle.Open(path)
	require.NoError(t, err)
	defer f.Close()
	state, err := pickle.Lookup[*pickle.Dict](f.Value.(*pickle.Dict), "network_weights")
	require.NoError(t, err)
	keys := map[string][]int{}
	for k, v := range state.All() {
		keys[withoutWrappers(k.(string))] = v.(*pickle.Tensor).Shape
	}
	return keys
}

// TestExportedResultsAreThoseOfTheOriginal compares with the files that nnU-Net has
// written: the same names in the state dict, aliases included, and the same model.
func TestExportedResultsAreThoseOfTheOriginal(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(results, "*__*"))
	require.NoError(t, err)
	if data := os.Getenv("GOUNET_DATA"); data != "" {
		more, err := filepath.Glob(filepath.Join(data, "golden/nnunetv2_results/*/*__*"))
		require.NoError(t, err)
		folders = append(folders, more...)
	}
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			m, err := Open(folder)
			require.NoError(t, err)
			top, err := ExportNNUNet(t.TempDir(), m)
			require.NoError(t, err)
			assert.Equal(t, m.Trainer+"__"+m.Plan.Name+"__"+m.Configuration, filepath.Base(top))
			for _, f := range m.Folds {
				file := filepath.Join(foldPrefix+f.Name, nnunetFinal)
				if !folderHas(folder, file) {
					continue // it was opened by its best weights
				}
				assert.Equal(t, savedKeys(t, filepath.Join(folder, file)), savedKeys(t, filepath.Join(top, file)))
			}
			again, err := Open(top)
			require.NoError(t, err)
			assert.Equal(t, m.Folds, again.Folds)
			assert.Equal(t, m.Mirror, again.Mirror)
			assert.Equal(t, m.Configuration, again.Configuration)
			assert.Equal(t, m.Plan.Configuration(m.Configuration), again.Plan.Configuration(m.Configuration))
			assert.Equal(t, m.Plan.Labels, again.Plan.Labels)
			_, err = ExportNNUNet(filepath.Dir(top), m)
			assert.ErrorContains(t, err, "is there already")
		})
	}
}

// TestBatchNormsAreExportedAsNNUNetHasThem compares with a checkpoint of nnUNetTrainerBN.
func TestBatchNormsAreExportedAsNNUNetHasThem(t *testing.T) {
	m, err := Import("testdata/batchnorm.pth", ImportOptions{})
	require.NoError(t, err)
	top, err := ExportNNUNet(t.TempDir(), m)
	require.NoError(t, err)
	file := filepath.Join(top, "fold_0", nnunetFinal)
	keys := savedKeys(t, file)
	for name, shape := range savedKeys(t, "testdata/batchnorm.pth") {
		assert.Equal(t, shape, keys[name], name)
	}
	again, err := Open(top)
	require.NoError(t, err)
	assert.Equal(t, m.Folds, again.Folds)
	assert.Equal(t, m.Plan, again.Plan)
	plans, err := os.ReadFile(filepath.Join(top, nnunetPlans))
	require.NoError(t, err)
	assert.Contains(t, string(plans), `"torch.nn.modules.batchnorm.BatchNorm2d"`)
}

// TestWhatNNUNetCannotDoIsRefused names what it has not and what to write instead, and
// leaves nothing behind.
func TestWhatNNUNetCannotDoIsRefused(t *testing.T) {
	f := plan.Foreign{Patch: [3]int{1, 8, 12}, Spacing: [3]float64{1, 1, 1}}
	solid, brats := f, f
	solid.Patch[0], brats.Patch = 4, [3]int{8, 8, 16}
	groups := solid
	groups.Groups = 2
	for _, c := range []struct {
		model, want string
		foreign     plan.Foreign
	}{
		{"residual_batch.pt", "is a strided convolution, in ResidualEncoderUNet it is pooled", f},
		{"group.pt", "its norms are of groups of channels", groups},
		{"brats22.pt", "its norms are in front of the convolutions", brats},
		{"nvidia.ckpt", "its scans are cropped to positive voxels", solid},
	} {
		m, err := Import(filepath.Join(dynunet, c.model), ImportOptions{Foreign: c.foreign})
		require.NoError(t, err)
		dir := t.TempDir()
		_, err = ExportNNUNet(dir, m)
		require.ErrorIs(t, err, plan.ErrNotNNUNet)
		assert.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, "write it as ONNX, which is the network alone, or as a .gounet file")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

func folderHas(dir, file string) bool { return folder(dir).has(file) }

// withoutBiases is a model as DynUNet's: no bias in front of norms, one head.
func withoutBiases(t *testing.T) *Model {
	m := single(t)
	c := m.Plan.Configuration(m.Configuration)
	n := &c.Network
	n.ConvBias, n.UpBias, n.Heads = false, true, 1
	w := Weights{}
	for _, p := range Parameters(m.Plan, c) {
		w[p.Name] = m.Folds[0].Weights[p.Name]
	}
	m.Folds[0].Weights = w
	require.NoError(t, m.check())
	return m
}

func TestWhatNNUNetsNetworksHaveAndOursNotIsExportedAsZero(t *testing.T) {
	m := withoutBiases(t)
	top, err := ExportNNUNet(t.TempDir(), m)
	require.NoError(t, err)
	again, err := Open(top)
	require.NoError(t, err)
	for name, x := range again.Folds[0].Weights {
		if own, ok := m.Folds[0].Weights[name]; ok {
			assert.Equal(t, own, x, name)
			continue
		}
		assert.Equal(t, make([]float32, len(x.Data)), x.Data, name)
	}
	n := &m.Plan.Configuration(m.Configuration).Network
	n.DecoderKernels = slices.Clone(n.Kernels[:n.Stages()-1])
	n.DecoderKernels[0] = [3]int{1, 1, 1}
	k := m.Folds[0].Weights
	for _, p := range Parameters(m.Plan, m.Plan.Configuration(m.Configuration)) {
		k[p.Name] = Tensor{Shape: p.Shape, Data: make([]float32, product(p.Shape))}
	}
	_, err = ExportNNUNet(t.TempDir(), m)
	assert.ErrorContains(t, err, "nnU-Net's networks have the same in both")
}

func TestHalfIsHalfTheSizeAndRounded(t *testing.T) {
	m := tiny(t)
	dir := t.TempDir()
	whole, small := filepath.Join(dir, "whole.gounet"), filepath.Join(dir, "half.gounet")
	require.NoError(t, Save(whole, m))
	require.NoError(t, SaveHalf(small, m))
	got, err := Open(small)
	require.NoError(t, err)
	parameters := 0
	for i, f := range m.Folds {
		for name, x := range f.Weights {
			parameters += len(x.Data)
			y := got.Folds[i].Weights[name]
			for j := range x.Data {
				require.Equal(t, half.FromF16(half.ToF16(x.Data[j])), y.Data[j], name)
			}
		}
	}
	a, err := os.Stat(whole)
	require.NoError(t, err)
	b, err := os.Stat(small)
	require.NoError(t, err)
	assert.InDelta(t, 2*parameters, a.Size()-b.Size(), 256, "two bytes a weight less")

	m.Folds[1].Weights["decoder.seg_layers.0.bias"].Data[0] = 1e6
	assert.ErrorContains(t, SaveHalf(small, m), "has the value 1e+06")
}

// onnxFields calls use with each field of a message.
func onnxFields(t *testing.T, b []byte, use func(n protowire.Number, v []byte)) {
	t.Helper()
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		require.Positive(t, size)
		b = b[size:]
		size = protowire.ConsumeFieldValue(n, kind, b)
		require.Positive(t, size)
		if kind == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b)
			use(n, v)
		} else {
			use(n, nil)
		}
		b = b[size:]
	}
}

// onnxNodes counts the ops, and the elements of the initializers, of a file.
func onnxNodes(t *testing.T, file []byte) (ops map[string]int, order []string, bytes int) {
	ops = map[string]int{}
	onnxFields(t, file, func(n protowire.Number, graph []byte) {
		if n != 7 {
			return
		}
		onnxFields(t, graph, func(n protowire.Number, v []byte) {
			switch n {
			case 1:
				onnxFields(t, v, func(n protowire.Number, op []byte) {
					if n == 4 {
						ops[string(op)]++
						order = append(order, string(op))
					}
				})
			case 5:
				onnxFields(t, v, func(n protowire.Number, raw []byte) {
					if n == 9 {
						bytes += len(raw)
					}
				})
			}
		})
	})
	return ops, order, bytes
}

// TestONNXHasTheNodesOfTheOriginal compares with the file that PyTorch exported of
// the same network. bench/peers/export.py compares what onnxruntime makes of ours.
func TestONNXHasTheNodesOfTheOriginal(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA is not set: PyTorch's ONNX file lies there")
	}
	m, err := Open(filepath.Join(data, "golden/nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__3d_fullres"))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, SaveONNX(path, m))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(data, "golden/onnx/small3d.onnx"))
	require.NoError(t, err)
	ops, order, bytes := onnxNodes(t, got)
	wantOps, wantOrder, _ := onnxNodes(t, want)
	delete(ops, "Identity")
	assert.Equal(t, wantOps, ops)
	assert.Equal(t, wantOrder, order[:len(order)-1], "in the same order")
	c := m.Plan.Configuration(plan.ConfigFullRes)
	heads := 0
	for d := range c.Network.Stages() - 2 { // the lower ones are left out
		f := c.Network.Features[c.Network.Stages()-2-d]
		heads += 3*f + 3
	}
	assert.Equal(t, 4*(c.Network.Parameters(1, 3)-heads), bytes)

	two := *m
	two.Folds = append(slices.Clone(m.Folds), m.Folds[0])
	assert.ErrorContains(t, SaveONNX(path, &two), "an ONNX file has one network")
}
