package predict

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

// cascade is where make.py left two networks of random weights, and what nnU-Net v2
// makes of a scan with them. Their labels change from voxel to voxel, so that more
// of them than usual hang on nnU-Net's sums in half precision.
const (
	cascade       = "testdata/cascade"
	cascadeBorder = 0.998 // Dice
)

func cascadeModel(t *testing.T, configuration string) *checkpoint.Model {
	t.Helper()
	m, err := checkpoint.Open(filepath.Join(cascade, "T__P__"+configuration))
	require.NoError(t, err)
	return m
}

func cascadeLabels(t *testing.T, name string) *volume.Labels {
	t.Helper()
	l, _, err := nifti.ReadLabels(filepath.Join(cascade, name, "scan.nii.gz"))
	require.NoError(t, err)
	return l
}

// TestResidualEncodersLabelAsNNUNet uses the network of testdata/resenc/make.py.
func TestResidualEncodersLabelAsNNUNet(t *testing.T) {
	m, err := checkpoint.Open("testdata/resenc/T__P__3d_fullres")
	require.NoError(t, err)
	require.Equal(t, plan.Residual, m.Plan.Configurations[0].Network.Kind)
	p := newTest(t, m, Options{})
	r, err := p.Image(t.Context(), read(t, filepath.Join(cascade, "scan_0000.nii.gz")), ImageOptions{})
	require.NoError(t, err)
	want, _, err := nifti.ReadLabels("testdata/resenc/labels/scan.nii.gz")
	require.NoError(t, err)
	sameLabels(t, want.Data, r.Labels.Data)
}

func sameLabels(t *testing.T, want, got []uint8) {
	t.Helper()
	require.Len(t, got, len(want))
	scores, differ := dice(want, got, 3)
	t.Logf("%d of %d voxels differ, Dice %.5f", differ, len(want), scores)
	for _, s := range scores {
		assert.GreaterOrEqual(t, s, cascadeBorder)
	}
}

func TestFirstStageGivesTheSecondWhatNNUNetGives(t *testing.T) {
	p := newTest(t, cascadeModel(t, plan.ConfigLowRes), Options{})
	im := read(t, filepath.Join(cascade, "scan_0000.nii.gz"))
	r, err := p.Image(t.Context(), im, ImageOptions{})
	require.NoError(t, err)
	sameLabels(t, cascadeLabels(t, "lowres").Data, r.Labels.Data)

	pre, err := p.Preprocess(im)
	require.NoError(t, err)
	want := cascadeLabels(t, "next")
	got, err := p.Onto(t.Context(), pre, want.Shape)
	require.NoError(t, err)
	sameLabels(t, want.Data, got)
}

func TestSecondStageLabelsAsNNUNet(t *testing.T) {
	p := newTest(t, cascadeModel(t, plan.ConfigCascade), Options{})
	im := read(t, filepath.Join(cascade, "scan_0000.nii.gz"))
	r, err := p.Image(t.Context(), im, ImageOptions{Previous: cascadeLabels(t, "lowres")})
	require.NoError(t, err)
	sameLabels(t, cascadeLabels(t, "cascade").Data, r.Labels.Data)

	other, err := p.Image(t.Context(), im, ImageOptions{Previous: volume.NewLabels(im.Grid)})
	require.NoError(t, err)
	assert.NotEqual(t, r.Labels.Data, other.Labels.Data, "the labels of the first stage count")
	_, err = p.Image(t.Context(), im, ImageOptions{})
	assert.ErrorContains(t, err, "needs the labels of 3d_lowres")
}

// TestAModelOfBothStagesNeedsNothingElse runs both stages one after the other.
func TestAModelOfBothStagesNeedsNothingElse(t *testing.T) {
	m := cascadeModel(t, plan.ConfigCascade)
	first := cascadeModel(t, plan.ConfigLowRes)
	require.NoError(t, m.SetBefore(first))
	im := read(t, filepath.Join(cascade, "scan_0000.nii.gz"))
	labels, err := newTest(t, first, Options{}).Image(t.Context(), im, ImageOptions{})
	require.NoError(t, err)
	p := newTest(t, m, Options{})
	want, err := p.Image(t.Context(), im, ImageOptions{Previous: labels.Labels})
	require.NoError(t, err)
	var seen []int
	for range 2 { // the network of the first stage comes and goes
		got, err := p.Image(t.Context(), im, ImageOptions{Progress: func(p Progress) { seen = append(seen, p.Done) }})
		require.NoError(t, err)
		assert.Equal(t, want.Labels.Data, got.Labels.Data)
	}
	assert.NotEmpty(t, seen)
}
