package nifti

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryTypeReadsInBothOrdersAndVersions(t *testing.T) {
	for code, c := range map[int16]struct {
		voxels any
		want   []float64
	}{
		2:    {[]uint8{0, 255, 7, 1}, []float64{0, 255, 7, 1}},
		256:  {[]int8{-128, 127, -1, 0}, []float64{-128, 127, -1, 0}},
		4:    {[]int16{-32768, 32767, -2, 3}, []float64{-32768, 32767, -2, 3}},
		512:  {[]uint16{0, 65535, 258, 1}, []float64{0, 65535, 258, 1}},
		8:    {[]int32{math.MinInt32, math.MaxInt32, -2, 3}, []float64{math.MinInt32, math.MaxInt32, -2, 3}},
		768:  {[]uint32{0, math.MaxUint32, 66051, 1}, []float64{0, math.MaxUint32, 66051, 1}},
		1024: {[]int64{math.MinInt64, math.MaxInt64, -2, 3}, []float64{math.MinInt64, math.MaxInt64, -2, 3}},
		1280: {[]uint64{0, math.MaxUint64, 66051, 1}, []float64{0, math.MaxUint64, 66051, 1}},
		16:   {[]float32{-1.5, math.MaxFloat32, 0.1, 0}, []float64{-1.5, math.MaxFloat32, float64(float32(0.1)), 0}},
		64:   {[]float64{-1.5, math.MaxFloat64, 0.1, 0}, []float64{-1.5, math.MaxFloat64, 0.1, 0}},
	} {
		for _, version := range []int{1, 2} {
			for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
				t.Run(fmt.Sprintf("%s, version %d, %v", dtypes[code].name, version, order), func(t *testing.T) {
					b := vector{version: version, order: order, dim: []int64{2, 2, 1}, datatype: code, voxels: c.voxels}.bytes(t)
					s, err := openSingle(bytes.NewReader(b), "x.nii", true)
					require.NoError(t, err)
					assert.Equal(t, order == binary.BigEndian, s.h.BigEndian)
					assert.Equal(t, version, s.h.Version)
					require.NoError(t, s.values(func(_ int, v []float64) error {
						assert.Equal(t, c.want, v)
						return nil
					}))
				})
			}
		}
	}
}

func TestScalingFollowsNibabelsRules(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct{ slope, inter, want float64 }{
		{2, 1, 7}, {1, 0, 3}, {0, 5, 3}, {nan, 5, 3}, {inf, 5, 3}, {-1, 0, -3},
	} {
		b := vector{dim: []int64{1, 1, 1}, datatype: 4, voxels: []int16{3}, edit: func(r *header2) { r.SclSlope, r.SclInter = c.slope, c.inter }}.bytes(t)
		im, _, err := DecodeImage(bytes.NewReader(b), "x.nii")
		require.NoError(t, err)
		assert.Equal(t, []float32{float32(c.want)}, im.Data, "slope %g inter %g", c.slope, c.inter)
	}
	b := vector{dim: []int64{1, 1, 1}, datatype: 4, voxels: []int16{3}, edit: func(r *header2) { r.SclSlope, r.SclInter = 1, nan }}.bytes(t)
	_, err := DecodeHeader(bytes.NewReader(b), "x.nii")
	assert.ErrorContains(t, err, "scl_inter is NaN")
}

func TestFourthAndFifthAxesAreChannels(t *testing.T) {
	voxels := make([]int16, 2*3*4*2*2)
	for i := range voxels {
		voxels[i] = int16(i)
	}
	b := vector{dim: []int64{2, 3, 4, 2, 2}, datatype: 4, voxels: voxels}.bytes(t)
	im, h, err := DecodeImage(bytes.NewReader(b), "x.nii")
	require.NoError(t, err)
	assert.Equal(t, 4, h.Channels())
	assert.Equal(t, [3]int{4, 3, 2}, im.Shape)
	for x := range 2 {
		for y := range 3 {
			for z := range 4 {
				for c := range 4 {
					want := float32(x + 2*(y+3*(z+4*c)))
					assert.Equal(t, want, im.Data[((z*3+y)*2+x)*4+c])
				}
			}
		}
	}
}

func TestOddDimensionsAndSpacingsAreRepaired(t *testing.T) {
	b := vector{dim: []int64{2, 0, -3}, datatype: 2, voxels: []uint8{1, 2}, edit: func(r *header2) {
		r.Pixdim = [8]float64{0.5, -2, 0, math.NaN(), 1, 1, 1, 1}
	}}.bytes(t)
	im, h, err := DecodeImage(bytes.NewReader(b), "x.nii")
	require.NoError(t, err)
	assert.Equal(t, []int{2, 1, 1}, h.Shape)
	assert.Equal(t, []float64{2, 1, 1}, h.Spacing)
	assert.Equal(t, []float32{1, 2}, im.Data)
}

func TestLengthsInOtherUnitsBecomeMillimetres(t *testing.T) {
	b := vector{dim: []int64{1, 1, 1}, datatype: 2, voxels: []uint8{0}, edit: func(r *header2) {
		r.XYZTUnits = 3 // micrometres
		r.Pixdim = [8]float64{1, 250, 500, 1000, 1, 1, 1, 1}
		r.SformCode, r.Srow = 1, [3][4]float64{{250, 0, 0, 1000}, {0, 500, 0, 0}, {0, 0, 1000, 0}}
	}}.bytes(t)
	h, err := DecodeHeader(bytes.NewReader(b), "x.nii")
	require.NoError(t, err)
	assert.Equal(t, []float64{250, 500, 1000}, h.Spacing)
	g := h.Grid()
	assert.Equal(t, [3]float64{1, 0.5, 0.25}, g.Spacing)
	assert.Equal(t, [4][4]float64{{0.25, 0, 0, 1}, {0, 0.5, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}, g.Affine)
}

func TestPairsReadFromEitherName(t *testing.T) {
	for _, gz := range []string{"", ".gz"} {
		dir := t.TempDir()
		b := vector{dim: []int64{2, 1, 1}, datatype: 4, voxels: []int16{5, -6}, edit: func(r *header2) { r.VoxOffset = 4 }}.bytes(t)
		copy(b[magicAt1:], pair1)
		hdr, img := b[:size1], append([]byte("head"), b[size1+4:]...)
		if gz != "" {
			hdr, img = zipped(t, hdr), zipped(t, img)
		}
		h := save(t, dir, "x.hdr"+gz, hdr)
		i := save(t, dir, "x.img"+gz, img)
		for _, path := range []string{h, i} {
			im, head, err := ReadImage(path)
			require.NoError(t, err)
			assert.Equal(t, []float32{5, -6}, im.Data)
			assert.True(t, head.Pair)
		}
		require.NoError(t, os.Remove(i))
		_, _, err := ReadImage(h)
		assert.ErrorIs(t, err, os.ErrNotExist)
	}
}

func TestNameAndMagicMustAgree(t *testing.T) {
	b := vector{dim: []int64{1, 1, 1}, datatype: 2, voxels: []uint8{0}}.bytes(t)
	_, err := DecodeHeader(bytes.NewReader(b), "x.hdr")
	assert.ErrorContains(t, err, "rename it to .nii")
	copy(b[magicAt1:], pair1)
	_, err = DecodeHeader(bytes.NewReader(b), "x.nii")
	assert.ErrorContains(t, err, "rename it to .hdr")
}

// scan is a small valid file with an extension.
func scan(t testing.TB) []byte {
	ext := make([]byte, 32)
	binary.LittleEndian.PutUint32(ext, 32)
	binary.LittleEndian.PutUint32(ext[4:], 6)
	copy(ext[8:], "a comment")
	voxels := make([]int16, 3*4*5)
	for i := range voxels {
		voxels[i] = int16(i * i)
	}
	return vector{dim: []int64{3, 4, 5}, datatype: 4, ext: ext, voxels: voxels}.bytes(t)
}

func TestEveryTruncationIsAnError(t *testing.T) {
	plain := scan(t)
	for name, whole := range map[string][]byte{"x.nii": plain, "x.nii.gz": zipped(t, plain)} {
		_, _, err := DecodeImage(bytes.NewReader(whole), name)
		require.NoError(t, err)
		for n := range whole {
			for _, r := range []io.Reader{bytes.NewReader(whole[:n]), io.MultiReader(bytes.NewReader(whole[:n]))} {
				_, _, err := DecodeImage(r, name)
				require.ErrorContains(t, err, "nifti: "+name, "%d of %d bytes", n, len(whole))
			}
		}
	}
}

func TestTruncationNamesFileAndBytes(t *testing.T) {
	dir := t.TempDir()
	b := scan(t)
	path := save(t, dir, "cut.nii", b[:len(b)-20])
	_, _, err := ReadImage(path)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.ErrorContains(t, err, fmt.Sprintf("%s: file ends after %d of %d bytes", path, len(b)-20, len(b)))

	path = save(t, dir, "cut.nii.gz", zipped(t, b[:len(b)-20]))
	_, _, err = ReadImage(path)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.ErrorContains(t, err, path+": voxel data ends after 100 of 120 bytes")
}

func TestABadOffsetIsShownAsItIs(t *testing.T) {
	for _, v := range []struct {
		value float32
		want  string
	}{{-7.5, "vox_offset is -7.5,"}, {3e38, "vox_offset is 3e+38,"}, {float32(math.NaN()), "vox_offset is NaN,"}, {100, "vox_offset is 100,"}} {
		b := vector{dim: []int64{1, 1, 1}, datatype: 2, voxels: []uint8{1}}.bytes(t)
		binary.LittleEndian.PutUint32(b[108:], math.Float32bits(v.value))
		_, err := DecodeHeader(bytes.NewReader(b), "a.nii")
		assert.ErrorContains(t, err, v.want)
	}
}

func TestDamagedGzipIsAnError(t *testing.T) {
	z := zipped(t, scan(t))
	z[len(z)-5] ^= 1 // the checksum
	_, _, err := DecodeImage(bytes.NewReader(z), "x.nii.gz")
	assert.ErrorIs(t, err, gzip.ErrChecksum)
}

func TestSmallFilesNeverMakeLargeAllocations(t *testing.T) {
	huge := func(dim ...int64) []byte {
		return vector{version: 2, dim: dim, datatype: 64, voxels: []uint8{}}.bytes(t)
	}
	for name, b := range map[string][]byte{
		"large":            huge(1000, 1000, 1000),
		"large, zipped":    zipped(t, huge(1000, 1000, 1000)),
		"overflowing":      huge(math.MaxInt64, math.MaxInt64, math.MaxInt64),
		"far voxels":       vector{version: 2, dim: []int64{1, 1, 1}, datatype: 2, voxels: []uint8{}, edit: func(r *header2) { r.VoxOffset = math.MaxInt64 }}.bytes(t),
		"large extensions": vector{version: 2, dim: []int64{1, 1, 1}, datatype: 2, ext: make([]byte, 16), voxels: []uint8{}, edit: func(r *header2) { r.VoxOffset = maxOffset }}.bytes(t),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := DecodeImage(bytes.NewReader(b), "x.nii")
			_, _, blind := DecodeImage(io.MultiReader(bytes.NewReader(b)), "x.nii")
			runtime.ReadMemStats(&after)
			require.Error(t, err)
			require.Error(t, blind)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
		})
	}
}

func TestWhatFollowsTheVoxelsIsIgnored(t *testing.T) {
	b := append(scan(t), make([]byte, 1000)...)
	for _, b := range [][]byte{b, zipped(t, b)} {
		im, _, err := DecodeImage(bytes.NewReader(b), "x.nii")
		require.NoError(t, err)
		assert.Equal(t, float32(59*59), im.Data[59])
	}
}

func TestLabelsAreSmallWholeNumbers(t *testing.T) {
	for _, c := range []struct {
		value float32
		want  string
	}{
		{254, ""}, {255, "value 255"}, {-1, "value -1"}, {1.5, "value 1.5"}, {float32(math.NaN()), "value NaN"}, {float32(math.Inf(1)), "value +Inf"},
	} {
		voxels := make([]float32, 24)
		voxels[1+2*(2+3*3)] = c.value
		b := vector{dim: []int64{2, 3, 4}, datatype: 16, voxels: voxels}.bytes(t)
		l, _, err := DecodeLabels(bytes.NewReader(b), "seg.nii")
		if c.want == "" {
			require.NoError(t, err)
			assert.Equal(t, uint8(c.value), l.Data[23])
			continue
		}
		assert.ErrorContains(t, err, "nifti: seg.nii: "+c.want+" at voxel (x 1, y 2, z 3)")
	}
	b := vector{dim: []int64{1, 1, 1, 2}, datatype: 2, voxels: []uint8{1, 2}}.bytes(t)
	_, _, err := DecodeLabels(bytes.NewReader(b), "seg.nii")
	assert.ErrorContains(t, err, "2 values a voxel")
}

func TestStatisticsLeaveOutNaN(t *testing.T) {
	nan := float32(math.NaN())
	b := vector{dim: []int64{4, 1, 1}, datatype: 16, voxels: []float32{nan, -1, 4, nan}}.bytes(t)
	st, _, err := DecodeStatistics(bytes.NewReader(b), "x.nii")
	require.NoError(t, err)
	assert.Equal(t, &Statistics{Min: -1, Max: 4, Mean: 1.5, Values: 4, NaN: 2}, st)
	b = vector{dim: []int64{1, 1, 1}, datatype: 16, voxels: []float32{nan}}.bytes(t)
	st, _, err = DecodeStatistics(bytes.NewReader(b), "x.nii")
	require.NoError(t, err)
	assert.True(t, math.IsNaN(st.Min) && math.IsNaN(st.Max) && math.IsNaN(st.Mean))
}

func TestBrokenExtensionsAreErrors(t *testing.T) {
	for _, size := range []uint32{7, 33, 1 << 31} {
		b := scan(t)
		binary.LittleEndian.PutUint32(b[size1+4:], size)
		_, err := DecodeHeader(bytes.NewReader(b), "x.nii")
		assert.ErrorContains(t, err, "header extension 0")
	}
}

func TestFilesThatAreNotNIfTIAreErrors(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty.nii": "", "short.nii": "n+1", "text.nii": strings.Repeat("no scan ", 100), "empty.nii.gz": "\x1f\x8b"} {
		path := save(t, dir, name, []byte(content))
		_, _, err := ReadImage(path)
		assert.ErrorContains(t, err, "nifti: "+path)
	}
	_, _, err := ReadImage(filepath.Join(dir, "absent.nii"))
	assert.True(t, errors.Is(err, os.ErrNotExist))
	_, _, err = ReadImage(dir)
	assert.Error(t, err)
}

func FuzzDecode(f *testing.F) {
	b := scan(f)
	f.Add(b)
	f.Add(zipped(f, b))
	f.Add(b[:400])
	f.Add(vector{version: 2, order: binary.BigEndian, dim: []int64{2, 1, 3, 2}, datatype: 64, voxels: make([]float64, 12)}.bytes(f))
	f.Add(vector{dim: []int64{2, 2}, datatype: 1280, voxels: make([]uint64, 4), edit: func(r *header2) {
		r.QformCode, r.Quatern = 1, [3]float64{0.6, 0, 0.8}
	}}.bytes(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"x.nii", "x.hdr"} {
			h, err := DecodeHeader(bytes.NewReader(b), name)
			if err == nil {
				h.Grid()
			}
		}
		_, _, _ = DecodeLabels(bytes.NewReader(b), "x.nii")
		_, _, _ = DecodeStatistics(bytes.NewReader(b), "x.nii")
		im, h, err := DecodeImage(bytes.NewReader(b), "x.nii")
		if err != nil {
			return
		}
		var out bytes.Buffer
		require.NoError(t, EncodeImage(&out, "x.nii", im, h))
		again, g, err := DecodeImage(&out, "x.nii")
		require.NoError(t, err)
		require.True(t, equalBits(im.Data, again.Data))
		require.Equal(t, im.Grid, again.Grid)
		require.Equal(t, h.Shape, g.Shape)
		require.Equal(t, len(h.Extensions), len(g.Extensions))
	})
}

func BenchmarkReadImage(b *testing.B) {
	path := filepath.Join(dataDir(b), "abdomen_ct", "chaos_ct.nii.gz")
	var im *volume.Image
	for b.Loop() {
		var err error
		im, _, err = ReadImage(path)
		require.NoError(b, err)
	}
	b.SetBytes(int64(2 * len(im.Data)))
}

func TestValuesThatFloat32CannotHoldAreErrors(t *testing.T) {
	for _, c := range []int{1, 2} {
		im := volume.NewImage(volume.Grid{Shape: [3]int{1, 1, 2}, Spacing: [3]float64{1, 1, 1}}, c)
		im.Data[len(im.Data)-1] = math.MaxFloat32
		var b bytes.Buffer
		require.NoError(t, EncodeImage(&b, "a.nii", im, nil))
		data := b.Bytes()
		binary.LittleEndian.PutUint32(data[112:], math.Float32bits(2)) // scl_slope
		_, _, err := DecodeImage(bytes.NewReader(data), "a.nii")
		assert.ErrorContains(t, err, "at voxel (x 1, y 0, z 0) is too large for float32")
	}
}
