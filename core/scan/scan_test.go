package scan

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"image/color"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metaimage"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/nrrd"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

var ctx = context.Background()

// oblique is a small scan whose axes are turned, of c channels.
func oblique(c int) *volume.Image {
	g := volume.Grid{Shape: [3]int{3, 4, 5}, Spacing: [3]float64{2.5, 0.75, 0.5}}
	cos, sin := math.Cos(0.3), math.Sin(0.3)
	g.Affine = [4][4]float64{{-0.5 * cos, 0.75 * sin, 0, 12}, {0.5 * sin, 0.75 * cos, 0, -7.25}, {0, 0, 2.5, 100}, {0, 0, 0, 1}}
	im := volume.NewImage(g, c)
	for i := range im.Data {
		im.Data[i] = float32(i*7%101) - 30
	}
	return im
}

func labelsOf(g volume.Grid) *volume.Labels {
	l := volume.NewLabels(g)
	for i := range l.Data {
		l.Data[i] = uint8(i % 4)
	}
	return l
}

func open(t testing.TB, paths ...string) *Scan {
	t.Helper()
	s, err := Open(ctx, Options{}, paths...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestContentSaysWhatAFileIs(t *testing.T) {
	for kind, patterns := range map[Kind][]string{
		NRRD:      {"../nrrd/testdata/*.nrrd"},
		MetaImage: {"../metaimage/testdata/*.mha"},
		MGH:       {"../mgh/testdata/*.mg?"},
		PNG:       {"../raster/testdata/*.png"},
		TIFF:      {"../raster/testdata/grey*.tif", "../raster/testdata/rgb*.tif"},
	} {
		for _, pattern := range patterns {
			names, err := filepath.Glob(pattern)
			require.NoError(t, err)
			require.NotEmpty(t, names)
			for _, n := range names {
				b, err := os.ReadFile(n)
				require.NoError(t, err)
				path := filepath.Join(t.TempDir(), "scan.nii.gz") // the name lies
				require.NoError(t, os.WriteFile(path, b, 0o600))
				s := open(t, path)
				assert.Equal(t, kind, s.Kind, n)
				im, err := s.Image(ctx)
				require.NoError(t, err)
				assert.Equal(t, s.Grid, im.Grid, n)
				assert.Equal(t, s.Channels, im.C, n)
			}
		}
	}
}

func TestBothFilesOfAPairOpenIt(t *testing.T) {
	for _, name := range []string{"int16.hdr", "int16.img", "zipped.hdr.gz", "zipped.img.gz"} {
		s := open(t, "../analyze/testdata/"+name)
		assert.Equal(t, Analyze, s.Kind, name)
		assert.Equal(t, [3]int{2, 3, 4}, s.Grid.Shape)
	}
}

func TestEveryFormatHoldsTheSameScan(t *testing.T) {
	for _, c := range []int{1, 3} {
		im := oblique(c)
		for name, write := range map[string]func(string) error{
			"a.nii":    func(p string) error { return nifti.WriteImage(p, im, nil) },
			"a.nii.gz": func(p string) error { return nifti.WriteImage(p, im, nil) },
			"a.nrrd":   func(p string) error { return nrrd.WriteImage(p, im, nil) },
			"a.mha":    func(p string) error { return metaimage.WriteImage(p, im, nil) },
		} {
			path := filepath.Join(t.TempDir(), name)
			require.NoError(t, write(path))
			s := open(t, path)
			got, err := s.Image(ctx)
			require.NoError(t, err)
			assert.Equal(t, im.Data, got.Data, name)
			assert.Equal(t, "a", s.Name)
			assertSamePlace(t, im.Grid, got.Grid)
		}
	}
}

// assertSamePlace compares to the precision of NIfTI's float32 header.
func assertSamePlace(t *testing.T, a, b volume.Grid) {
	t.Helper()
	assert.Equal(t, a.Shape, b.Shape)
	for i := range 3 {
		assert.InDelta(t, a.Spacing[i], b.Spacing[i], 4*0x1p-24)
		for j := range 4 {
			assert.InDelta(t, a.Affine[i][j], b.Affine[i][j], 128*0x1p-24)
		}
	}
}

func TestLabelsAreWrittenWhereTheirScanLies(t *testing.T) {
	dir := t.TempDir()
	im := oblique(1)
	in := map[string]string{"nifti": "a.nii.gz", "nrrd": "b.nrrd", "mha": "c.mha"}
	require.NoError(t, nifti.WriteImage(filepath.Join(dir, in["nifti"]), im, nil))
	require.NoError(t, nrrd.WriteImage(filepath.Join(dir, in["nrrd"]), im, nil))
	require.NoError(t, metaimage.WriteImage(filepath.Join(dir, in["mha"]), im, nil))
	segments := []Segment{{Label: 1, Name: "liver", Color: color.NRGBA{255, 0, 51, 255}}, {Label: 2, Name: "spleen: left"}, {Label: 3}}
	for format, name := range in {
		s := open(t, filepath.Join(dir, name))
		assert.Equal(t, format, s.OwnFormat())
		l := labelsOf(s.Grid)
		for _, f := range Formats() {
			if f.Name == "png" {
				continue
			}
			for _, e := range f.Endings {
				path := filepath.Join(t.TempDir(), "out"+e)
				require.NoError(t, s.WriteLabels(path, l, segments))
				r := open(t, path)
				got, names, err := r.Labels()
				require.NoError(t, err)
				assert.Equal(t, l.Data, got.Data, e)
				want := s.Grid
				if f.Name == "tiff" {
					want.Affine = volume.Grid{}.Affine // it has none
				}
				assertSamePlace(t, want, r.Grid)
				if e == ".seg.nrrd" {
					require.Len(t, names, 3)
					assert.Equal(t, segments[0], names[0])
					assert.Equal(t, "spleen: left", names[1].Name)
					assert.Equal(t, "Segment_3", names[2].Name)
					assert.Equal(t, "seg.nrrd", r.OwnFormat())
				}
			}
		}
		l.Shape[0]--
		assert.ErrorContains(t, s.WriteLabels(filepath.Join(dir, "x.nrrd"), l, nil), "resample them first")
		_, err := os.Stat(filepath.Join(dir, "x.nrrd"))
		assert.ErrorIs(t, err, os.ErrNotExist)
		assert.ErrorContains(t, s.WriteLabels(filepath.Join(dir, "x.txt"), l, nil), "no format of labels ends so")
	}
	_, err := FormatOf(Formats(), "x.txt")
	assert.ErrorContains(t, err, ".seg.nrrd")
	f, err := FormatNamed(Formats(), "seg.nrrd")
	require.NoError(t, err)
	assert.Equal(t, ".seg.nrrd", f.Endings[0])
	_, err = FormatNamed(Formats(), "rtstruct")
	assert.ErrorContains(t, err, "wanted nifti, seg.nrrd")
}

func TestASegmentationOf3DSlicerKeepsItsTags(t *testing.T) {
	s := open(t, "../nrrd/testdata/slicer.seg.nrrd")
	l, segments, err := s.Labels()
	require.NoError(t, err)
	require.Len(t, segments, 7)
	segments[1].Color = color.NRGBA{1, 2, 3, 255}
	path := filepath.Join(t.TempDir(), "a.seg.nrrd")
	require.NoError(t, s.WriteLabels(path, l, segments))
	want, got := s.Header().(*nrrd.Header).Segments, open(t, path).Header().(*nrrd.Header).Segments
	require.Len(t, got, 7)
	for i := range got {
		got[i].Extent = want[i].Extent
		if i == 1 {
			assert.InDeltaSlice(t, []float64{1.0 / 255, 2.0 / 255, 3.0 / 255}, got[i].Color[:], 5e-8) // six digits are written
			got[i].Color, got[i].ColorAuto = want[i].Color, want[i].ColorAuto
		}
		assert.Equal(t, want[i], got[i])
	}
}

func TestAStackFindsItsSpacingAmongTheFiles(t *testing.T) {
	stack, err := os.ReadFile("../raster/testdata/stacks/bigtiff.tif")
	require.NoError(t, err)
	const spacing = `{"spacing": [3, 0.5, 0.25]}`
	for name, want := range map[string][3]float64{
		"case_0000.json": {3, 0.5, 0.25}, // its own
		"case.json":      {3, 0.5, 0.25}, // of all channels
		"other.json":     {1, 1, 1},
	} {
		fsys := fstest.MapFS{"in/case_0000.tif": {Data: stack}, "in/" + name: {Data: []byte(spacing)}}
		var files []voxel.File
		for _, n := range []string{"in/" + name, "in/case_0000.tif"} {
			f, err := voxel.InFS(fsys, n)
			require.NoError(t, err)
			files = append(files, f)
		}
		s, err := OpenFiles(ctx, Options{}, files)
		require.NoError(t, err, name)
		assert.Equal(t, TIFF, s.Kind)
		assert.Equal(t, "case", s.Name)
		assert.Equal(t, [3]int{4, 20, 37}, s.Grid.Shape)
		assert.Equal(t, want, s.Grid.Spacing, name)
		assert.Equal(t, want == [3]float64{1, 1, 1}, len(s.Warnings) > 0, name)
		assert.Equal(t, "tiff", s.OwnFormat())
		require.NoError(t, s.Close())
	}
	fsys := fstest.MapFS{"case_0000.tif": {Data: stack}, "case.json": {Data: []byte(`{"spacing": [0, 1, 1]}`)}}
	f, err := voxel.InFS(fsys, "case_0000.tif")
	require.NoError(t, err)
	_, err = OpenFiles(ctx, Options{}, []voxel.File{f})
	require.ErrorContains(t, err, "case.json: spacing [0 1 1], wanted positive numbers")
	big, err := os.ReadFile("../raster/testdata/stacks/bigtiff_big_endian.tif")
	require.NoError(t, err)
	assert.Equal(t, TIFF, Recognise(big))
	// A picture minds no file of its name that says something else.
	grey, err := os.ReadFile("../raster/testdata/grey8.tif")
	require.NoError(t, err)
	f, err = voxel.InFS(fstest.MapFS{"a.tif": {Data: grey}, "a.json": {Data: []byte(`{"shapes": []}`)}}, "a.tif")
	require.NoError(t, err)
	s, err := OpenFiles(ctx, Options{}, []voxel.File{f})
	require.NoError(t, err)
	assert.Equal(t, [3]float64{999, 1, 1}, s.Grid.Spacing)
	assert.Empty(t, s.Warnings)
}

func TestAPictureGetsItsLabelsAsPNG(t *testing.T) {
	s := open(t, "../raster/testdata/rgb.tif")
	assert.Equal(t, 3, s.Channels)
	path := filepath.Join(t.TempDir(), "a.png")
	require.NoError(t, s.WriteLabels(path, labelsOf(s.Grid), nil))
	l, _, err := open(t, path).Labels()
	require.NoError(t, err)
	assert.Equal(t, labelsOf(s.Grid), l)
}

func channelFiles(t *testing.T, dir, ending string, n int) (im *volume.Image, paths []string) {
	t.Helper()
	im = oblique(n)
	for c := range n {
		one := volume.NewImage(im.Grid, 1)
		for v := range one.Data {
			one.Data[v] = im.Data[v*n+c]
		}
		path := filepath.Join(dir, "case_7_000"+string(rune('0'+c))+ending)
		if ending == ".nrrd" {
			require.NoError(t, nrrd.WriteImage(path, one, nil))
		} else {
			require.NoError(t, nifti.WriteImage(path, one, nil))
		}
		paths = append(paths, path)
	}
	return im, paths
}

func TestNumbersOfFilesAreChannels(t *testing.T) {
	for _, ending := range []string{".nii.gz", ".nrrd"} {
		dir := t.TempDir()
		im, paths := channelFiles(t, dir, ending, 3)
		for _, p := range paths {
			s := open(t, p)
			got, err := s.Image(ctx)
			require.NoError(t, err)
			assert.Equal(t, im.Data, got.Data)
			assert.Equal(t, "case_7", s.Name)
			assert.Equal(t, paths, s.Files)
		}
		s := open(t, paths[2], paths[0]) // the order that was given
		got, err := s.Image(ctx)
		require.NoError(t, err)
		assert.Equal(t, []float32{im.Data[2], im.Data[0]}, got.Data[:2])
		require.NoError(t, os.Remove(paths[1]))
		_, err = Open(ctx, Options{}, paths[0])
		assert.ErrorContains(t, err, "has a channel 2 but no case_7_0001"+ending)
	}
}

func TestChannelsOfDifferentGridsAreRefused(t *testing.T) {
	dir := t.TempDir()
	a, b := oblique(1), oblique(1)
	b.Affine[0][3] += 0.01
	require.NoError(t, nifti.WriteImage(filepath.Join(dir, "a.nii"), a, nil))
	require.NoError(t, nrrd.WriteImage(filepath.Join(dir, "b.nrrd"), b, nil))
	_, err := Open(ctx, Options{}, filepath.Join(dir, "a.nii"), filepath.Join(dir, "b.nrrd"))
	assert.ErrorContains(t, err, "affine row 0")
	require.NoError(t, nifti.WriteImage(filepath.Join(dir, "c.nii"), oblique(2), nil))
	_, err = Open(ctx, Options{}, filepath.Join(dir, "a.nii"), filepath.Join(dir, "c.nii"))
	assert.ErrorContains(t, err, "2 channels, wanted 1")
}

func TestWhatIsNoScanIsNamed(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"":                       "is empty",
		"\xff\xd8\xff\xe0":       "JPEG",
		"hello, world":           `starts with "hello, world"`,
		"\x1f\x8b\x08\x00":       "gzip",
		"BM......":               "BMP",
		"PK\x03\x04nonsense":     "zip",
		"<html>" + dir[:1]:       "none of NIfTI",
		"\x93NUMPY\x01\x00v\x00": "numpy",
	} {
		path := filepath.Join(dir, "x.nii.gz")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := Open(ctx, Options{}, path)
		require.Error(t, err)
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "x.nii.gz")
	}
	_, err := Open(ctx, Options{}, filepath.Join(dir, "absent.nii"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(ctx, Options{}, t.TempDir())
	assert.ErrorContains(t, err, "no files")
}

func TestANIfTIWithoutAPlaceIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.nii")
	require.NoError(t, nifti.WriteImage(path, oblique(1), nil))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for rows, want := range map[[12]float32]string{
		{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0}:                    "lie in one plane",
		{1, 0, 0, 0, 0, float32(math.Inf(1)), 0, 0, 0, 0, 1, 0}: "not finite",
		{}: "lie in one plane",
	} {
		b := slices.Clone(whole)
		for i, v := range rows {
			binary.LittleEndian.PutUint32(b[280+4*i:], math.Float32bits(v)) // srow_x
		}
		require.NoError(t, os.WriteFile(path, b, 0o600))
		_, err := Open(ctx, Options{}, path)
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "a.nii: ")
	}
}

func TestAPairOfABrowserIsTheOneOfADisk(t *testing.T) {
	dir := filepath.Join(dataDir(t), "nifti")
	fsys := os.DirFS(dir)
	n := 0
	require.NoError(t, fs.WalkDir(fsys, ".", func(name string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		hdr, img, pair := nifti.PairNames(name)
		if !pair || hdr != name {
			return nil
		}
		want, err := Open(ctx, Options{}, filepath.Join(dir, name))
		if err != nil || want.Kind != NIfTI {
			return nil // half of a pair, or Analyze
		}
		image, err := want.Image(ctx)
		if err != nil {
			return nil // colours, or damaged on purpose
		}
		n++
		for _, names := range [][]string{{hdr, img}, {img, hdr}} {
			var files []voxel.File
			for _, name := range names {
				f, err := voxel.InFS(fsys, name)
				require.NoError(t, err)
				files = append(files, f)
			}
			s, err := OpenFiles(ctx, Options{}, files)
			require.NoError(t, err, name)
			got, err := s.Image(ctx)
			require.NoError(t, err, name)
			assert.Equal(t, image.Grid, got.Grid, name)
			assert.Equal(t, bits(image.Data), bits(got.Data), name)
			assert.Equal(t, want.Grid, s.Grid)
		}
		return nil
	}))
	assert.GreaterOrEqual(t, n, 4, "gzipped ones among them")

	header, err := voxel.InFS(fsys, "nifti-reader-js/air2.hdr.gz")
	require.NoError(t, err)
	header.Folder = nil
	_, err = OpenFiles(ctx, Options{}, []voxel.File{header})
	assert.ErrorContains(t, err, "give both files")
}

// bits are values that may be NaN.
func bits(v []float32) (out []uint32) {
	for _, x := range v {
		out = append(out, math.Float32bits(x))
	}
	return out
}

func TestATruncatedFileIsCalledSo(t *testing.T) {
	whole, err := os.ReadFile("../../testdata/hippocampus/labelsTr/hippocampus_003.nii.gz")
	require.NoError(t, err)
	for _, n := range []int{1, 12, 40, 100, len(whole) / 2} {
		path := filepath.Join(t.TempDir(), "a.nii.gz")
		require.NoError(t, os.WriteFile(path, whole[:n], 0o666))
		_, err := ReadLabels(path)
		require.ErrorContains(t, err, "a.nii.gz")
		if n > 2 { // its mark
			assert.ErrorContains(t, err, "truncated", "%d bytes", n)
		}
	}
}

func TestFilesOfABrowserAreAScan(t *testing.T) {
	dir := t.TempDir()
	im, paths := channelFiles(t, dir, ".nrrd", 2)
	fsys := fstest.MapFS{}
	var files []voxel.File
	for _, p := range []string{paths[1], paths[0]} {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		fsys[filepath.Base(p)] = &fstest.MapFile{Data: b}
		f, err := voxel.InFS(fsys, filepath.Base(p))
		require.NoError(t, err)
		files = append(files, f)
	}
	s, err := OpenFiles(ctx, Options{}, files)
	require.NoError(t, err)
	got, err := s.Image(ctx)
	require.NoError(t, err)
	assert.Equal(t, im.Data, got.Data)
}

// TestALieInAGzippedNIfTITakesNoMemory has a header of 1 GiB over as many bytes as
// could hold it, but do not.
func TestALieInAGzippedNIfTITakesNoMemory(t *testing.T) {
	var head bytes.Buffer
	require.NoError(t, nifti.EncodeLabels(&head, "a.nii", volume.NewLabels(volume.Grid{Shape: [3]int{1, 1, 1}, Spacing: [3]float64{1, 1, 1}}), nil))
	b := head.Bytes()
	copy(b[42:], []byte{0, 4, 0, 4, 0, 1}) // 1024 × 1024 × 256
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.NoCompression)
	require.NoError(t, err)
	_, err = w.Write(append(b, make([]byte, 1<<20)...))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	s, err := OpenFiles(ctx, Options{}, []voxel.File{voxel.InMemory("a.nii.gz", z.Bytes())})
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = s.Image(ctx)
	runtime.ReadMemStats(&after)
	require.Error(t, err)
	assert.ErrorContains(t, err, "truncated")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*z.Len()+64<<20))
}

func FuzzOpenFiles(f *testing.F) {
	for _, pattern := range []string{"../nrrd/testdata/itk*.nrrd", "../metaimage/testdata/*.mha", "../mgh/testdata/*.mg?", "../raster/testdata/*.png"} {
		names, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, n := range names {
			b, err := os.ReadFile(n)
			require.NoError(f, err)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := OpenFiles(ctx, Options{}, []voxel.File{voxel.InMemory("a", b)})
		if err != nil {
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*len(b)+64<<20))
			return
		}
		if s.Grid.Voxels()*s.Channels > 1<<22 {
			return // deflate may really hold them; it takes its time
		}
		im, err := s.Image(ctx)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*len(b)+64<<20))
		if err == nil {
			require.Equal(t, s.Grid, im.Grid)
		}
		_, _, _ = s.Labels()
		require.NoError(t, s.Close())
	})
}
