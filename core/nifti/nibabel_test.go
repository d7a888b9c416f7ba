package nifti

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unreadable says whether nibabel reads what this package refuses: other formats,
// and voxels that are no intensities.
func unreadable(e expectation) bool {
	return !strings.HasPrefix(e.Class, "Nifti") || strings.HasPrefix(e.DiskDType, "complex") || strings.HasPrefix(e.DiskDType, "[(")
}

// numpyName is the type of h as numpy prints it.
func numpyName(h *Header) string {
	if !h.BigEndian || strings.HasSuffix(h.DType, "int8") {
		return h.DType
	}
	return map[string]string{"int16": ">i2", "float32": ">f4"}[h.DType]
}

func TestFilesReadAsNibabelReadsThem(t *testing.T) {
	dir := dataDir(t)
	for name, want := range expectations(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			if want.Error != "" || unreadable(want) {
				_, _, err := ReadImage(path)
				require.ErrorContains(t, err, "nifti: "+path)
				_, _, err = ReadLabels(path)
				require.Error(t, err)
				_, _, err = ReadStatistics(path)
				require.Error(t, err)
				return
			}
			s, err := open(path, true)
			require.NoError(t, err)
			defer s.close()
			sum := sha256.New()
			var b []byte
			require.NoError(t, s.values(func(_ int, v []float64) error {
				b = b[:0]
				for _, x := range v {
					b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
				}
				sum.Write(b)
				return nil
			}))
			assert.Equal(t, want.SHA256, hex.EncodeToString(sum.Sum(nil)), "values")

			st, h, err := ReadStatistics(path)
			require.NoError(t, err)
			assert.Equal(t, want.Shape, h.Shape)
			assert.Equal(t, want.Zooms, h.Spacing)
			assert.Equal(t, want.DiskDType, numpyName(h))
			for i := range 4 {
				for j := range 4 {
					// Printed with six decimals; nibabel multiplies qforms in float32.
					assert.InDelta(t, want.Affine[i][j], h.Affine[i][j], 1e-6+0x1p-22*math.Abs(want.Affine[i][j]), "affine %d %d", i, j)
				}
			}
			assert.Equal(t, *want.Min, st.Min)
			assert.Equal(t, *want.Max, st.Max)
			// The order of summation differs.
			assert.InDelta(t, *want.Mean, st.Mean, 1e-12*max(math.Abs(st.Min), math.Abs(st.Max)))
			assert.Equal(t, want.NaN, st.NaN)
		})
	}
}

func TestRefusedTypesStillHaveAHeader(t *testing.T) {
	dir := dataDir(t)
	for name, want := range map[string]string{
		"complex/complex32.nii": "complex64", "complex/complex64.nii": "complex128",
		"rgb/3D.nii": "rgb24", "rgb/4D.nii": "rgb24", "rgba/4D.nii": "rgba32",
	} {
		path := filepath.Join(dir, "nifti", "nifti-rs", name)
		h, err := ReadHeader(path)
		require.NoError(t, err, name)
		assert.Equal(t, want, h.DType)
		assert.Equal(t, expectations(t)["nifti/nifti-rs/"+name].Shape, h.Shape)
		_, _, err = ReadImage(path)
		assert.ErrorContains(t, err, "voxels of type "+want)
	}
}

func TestOtherFormatsAreNamed(t *testing.T) {
	dir := filepath.Join(dataDir(t), "nifti")
	for name, want := range map[string]string{
		"nibabel/analyze.hdr":           "Analyze 7.5",
		"nibabel/test.mgz":              "FreeSurfer MGH",
		"nibabel/row_major.dconn.nii":   "CIFTI-2",
		"nifti-reader-js/not-nifti.nii": "not a NIfTI file",
	} {
		_, err := ReadHeader(filepath.Join(dir, name))
		assert.ErrorContains(t, err, want, name)
	}
	_, err := ReadHeader(filepath.Join(dir, "nibabel/nifti2.hdr"))
	require.NoError(t, err)
	_, _, err = ReadImage(filepath.Join(dir, "nibabel/nifti2.hdr"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestInputsThatCrashedAnotherParserAreErrors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(dataDir(t), "nifti", "nifti-rs", "fuzz_artifacts", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		_, _, err := ReadImage(path)
		t.Log(err)
		assert.Error(t, err)
	}
}

func TestRewrittenFilesReadTheSame(t *testing.T) {
	dir, out := dataDir(t), t.TempDir()
	for name, want := range expectations(t) {
		if want.Error != "" || unreadable(want) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "5D_zeros") {
				t.Skip("33 million zeros: 5D_small has its axes and more to see")
			}
			im, h, err := ReadImage(filepath.Join(dir, name))
			require.NoError(t, err)
			path := filepath.Join(out, "copy.nii")
			require.NoError(t, WriteImage(path, im, h))
			again, g, err := ReadImage(path)
			require.NoError(t, err)
			assert.Equal(t, im.Grid, again.Grid)
			assert.Equal(t, im.C, again.C)
			assert.True(t, equalBits(im.Data, again.Data), "voxels")
			assert.Equal(t, h.Shape, g.Shape)
			assert.Equal(t, h.Spacing, g.Spacing)
			assert.Equal(t, h.Affine, g.Affine)
			assert.Equal(t, h.Version, g.Version)
			assert.Equal(t, h.raw.QformCode, g.raw.QformCode)
			assert.Equal(t, h.raw.SformCode, g.raw.SformCode)
			assert.Equal(t, h.raw.Quatern, g.raw.Quatern)
			assert.Equal(t, h.raw.Descrip, g.raw.Descrip)
			assert.Equal(t, h.Extensions, g.Extensions)
		})
	}
}

func equalBits(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}

func TestLabelMapsReadWithTheirCounts(t *testing.T) {
	// Counts of the data's MANIFEST; two cases of Task04 have float32 labels.
	dir := dataDir(t)
	l, _, err := ReadLabels(filepath.Join(dir, "volumes", "niivue", "lesion.nii.gz"))
	require.NoError(t, err)
	var count [4]int
	for _, v := range l.Data {
		count[v]++
	}
	assert.Equal(t, []int{1125, 27069, 4287}, count[1:])

	paths, err := filepath.Glob(filepath.Join(dir, "msd_task04_hippocampus", "labelsTr", "*.nii.gz"))
	require.NoError(t, err)
	require.Len(t, paths, 260)
	var total [3]int
	floats := 0
	for _, path := range paths {
		l, h, err := ReadLabels(path)
		require.NoError(t, err)
		if h.DType == "float32" {
			floats++
		}
		for _, v := range l.Data {
			total[v]++
		}
	}
	assert.Equal(t, []int{445938, 410816}, total[1:])
	assert.Equal(t, 2, floats)
}
