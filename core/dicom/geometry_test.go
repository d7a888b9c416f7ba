package dicom

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inverse is the inverse of an affine.
func inverse(a [4][4]float64) [4][4]float64 {
	x, y, z := vec{a[0][0], a[1][0], a[2][0]}, vec{a[0][1], a[1][1], a[2][1]}, vec{a[0][2], a[1][2], a[2][2]}
	t := vec{a[0][3], a[1][3], a[2][3]}
	det := x.dot(y.cross(z))
	var out [4][4]float64
	for i, r := range []vec{y.cross(z).scale(1 / det), z.cross(x).scale(1 / det), x.cross(y).scale(1 / det)} {
		out[i] = [4]float64{r[0], r[1], r[2], -r.dot(t)}
	}
	out[3][3] = 1
	return out
}

// requireSameInSpace demands that every voxel of got has the value that want has in
// the same place: axes may be flipped or swapped.
func requireSameInSpace(t *testing.T, want, got *volume.Image) {
	t.Helper()
	inv := inverse(want.Affine)
	var to [3][4]int // voxel (x, y, z) of got to that of want
	for i := range 3 {
		for k := range 4 {
			v := 0.0
			for n := range 4 {
				v += inv[i][n] * got.Affine[n][k]
			}
			// A hundredth of a voxel over the length of the axis; NIfTI has float32.
			length := 1.0
			if k < 3 {
				length = float64(got.Shape[2-k])
			}
			require.InDelta(t, math.Round(v), v, 0.01/length, "voxel to voxel, row %d column %d", i, k)
			to[i][k] = int(math.Round(v))
		}
	}
	require.Equal(t, want.C, got.C)
	require.Equal(t, want.Voxels(), got.Voxels())
	d, h, w := got.Shape[0], got.Shape[1], got.Shape[2]
	for z := range d {
		for y := range h {
			for x := range w {
				var at [3]int
				for i := range 3 {
					at[i] = to[i][0]*x + to[i][1]*y + to[i][2]*z + to[i][3]
					if at[i] < 0 || at[i] >= want.Shape[2-i] {
						require.Fail(t, "outside", "voxel %v", at)
					}
				}
				a := ((at[2]*want.Shape[1]+at[1])*want.Shape[2] + at[0]) * want.C
				b := ((z*h+y)*w + x) * got.C
				for c := range got.C {
					// NIfTI keeps slopes in float32: half a unit in the last place of both.
					if u, v := float64(want.Data[a+c]), float64(got.Data[b+c]); math.Abs(u-v) > 0x1p-23*math.Abs(u) {
						require.Equal(t, want.Data[a+c], got.Data[b+c], "x %d y %d z %d c %d", x, y, z, c)
					}
				}
			}
		}
	}
}

// openSeries reads the only series at paths.
func openSeries(t testing.TB, paths ...string) (*Series, *volume.Image) {
	t.Helper()
	c, err := Open(context.Background(), paths...)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	s, err := c.Scan()
	require.NoError(t, err)
	im, err := s.Image(context.Background())
	require.NoError(t, err)
	return s, im
}

func TestGeometryAndValuesEqualDcm2niixs(t *testing.T) {
	for name, c := range map[string]struct {
		in, ref string
		volumes int
	}{
		"GE, 10 times":           {"series_ref/dcm_qa_nih/In/20180918GE/mr_0004", "series_ref/dcm_qa_nih/Ref/DCM2NIIX_regression_test_4.nii", 10},
		"Siemens mosaic, AP":     {"series_ref/dcm_qa_nih/In/20180918Si/mr_0003", "series_ref/dcm_qa_nih/Ref/EPI_PE=AP_3.nii", 2},
		"Siemens mosaic, PA":     {"series_ref/dcm_qa_nih/In/20180918Si/mr_0004", "series_ref/dcm_qa_nih/Ref/EPI_PE=PA_4.nii", 2},
		"Siemens mosaic, RL":     {"series_ref/dcm_qa_nih/In/20180918Si/mr_0005", "series_ref/dcm_qa_nih/Ref/EPI_PE=RL_5.nii", 2},
		"Siemens mosaic, LR":     {"series_ref/dcm_qa_nih/In/20180918Si/mr_0006", "series_ref/dcm_qa_nih/Ref/EPI_PE=LR_6.nii", 2},
		"mosaic, explicit":       {"transfer_syntaxes/dcm_qa_ts/In/1.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/1.nii", 1},
		"mosaic, implicit":       {"transfer_syntaxes/dcm_qa_ts/In/2.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/2.nii", 1},
		"mosaic, big endian":     {"transfer_syntaxes/dcm_qa_ts/In/3.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/3.nii", 1},
		"mosaic, RLE":            {"transfer_syntaxes/dcm_qa_ts/In/4.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/4.nii", 1},
		"mosaic, JPEG lossless":  {"transfer_syntaxes/dcm_qa_ts/In/5.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/5.nii", 1},
		"mosaic, JPEG lossless2": {"transfer_syntaxes/dcm_qa_ts/In/6.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/6.nii", 1},
		"mosaic, JPEG-LS":        {"transfer_syntaxes/dcm_qa_ts/In/7.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/7.nii", 1},
		"mosaic, JPEG-LS 2":      {"transfer_syntaxes/dcm_qa_ts/In/8.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/8.nii", 1},
		"mosaic, JPEG 2000":      {"transfer_syntaxes/dcm_qa_ts/In/9.dcm", "transfer_syntaxes/dcm_qa_ts/Ref/9.nii", 1},
		"hippocampus 1":          {"series_ref/udacity/Study1/13_HCropVolume", "dcm2niix_refs/udacity_Study1_13_HCropVolume/*.nii.gz", 1},
		"hippocampus 2":          {"series_ref/udacity/Study2/14_HCropVolume", "dcm2niix_refs/udacity_Study2_14_HCropVolume/*.nii.gz", 1},
		"hippocampus 3":          {"series_ref/udacity/Study3/11_HCropVolume", "dcm2niix_refs/udacity_Study3_11_HCropVolume/*.nii.gz", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, got := openSeries(t, data(t, c.in))
			assert.Len(t, s.Volumes, c.volumes)
			refs, err := filepath.Glob(data(t, c.ref))
			require.NoError(t, err)
			require.Len(t, refs, 1)
			want, _, err := nifti.ReadImage(refs[0])
			require.NoError(t, err)
			requireSameInSpace(t, want, got)
		})
	}
}

func TestObliqueSeriesEqualsDcm2niixs(t *testing.T) {
	_, got := openSeries(t, "testdata/rt-utils")
	want, _, err := nifti.ReadImage("testdata/rt-utils/dcm2niix.nii.gz")
	require.NoError(t, err)
	requireSameInSpace(t, want, got)
	assert.InDeltaSlice(t, want.Spacing[:], got.Spacing[:], 1e-5) // positions have seven digits behind the point
}

func TestCompressedCTLiesWhereItsSegmentationDoes(t *testing.T) {
	root := filepath.Join(data(t, ".."), "totalsegmentator_example")
	s, got := openSeries(t, filepath.Join(root, "example_ct_dicom"))
	seg, _, err := nifti.ReadLabels(filepath.Join(root, "example_seg_dicom.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, "HU", s.Volumes[0].Unit)
	assert.Equal(t, seg.Shape, got.Shape)
	assert.Equal(t, seg.Spacing, got.Spacing)
	inv := inverse(seg.Affine)
	corner := vec{got.Affine[0][3], got.Affine[1][3], got.Affine[2][3]}
	for i, n := range []int{0, got.Shape[1] - 1, 0} { // the segmentation counts rows from the other side
		assert.InDelta(t, n, vec(inv[i][:3]).dot(corner)+inv[i][3], 1e-3)
	}
}
