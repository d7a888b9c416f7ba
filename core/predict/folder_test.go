package predict

import (
	"archive/zip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
)

// scans writes noise of a few shapes and returns the cases.
func scans(t *testing.T, names ...string) []dataset.Case {
	t.Helper()
	dir := t.TempDir()
	for i, name := range names {
		im := noise([3]int{9, 10 + i%2, 13}, [3]float64{1, 1.5, 1}, 1, 1)
		require.NoError(t, nifti.WriteImage(filepath.Join(dir, name+"_0000.nii.gz"), im, nil))
	}
	cases, err := dataset.Scan(dir, ".nii.gz", 1)
	require.NoError(t, err)
	require.Len(t, cases, len(names))
	return cases
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFolderWritesWhatImageSays(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	cases := scans(t, "a", "b", "c")
	out := filepath.Join(t.TempDir(), "deep", "out")
	var seen []FolderProgress
	require.NoError(t, Folder(t.Context(), p, cases, out, FolderOptions{
		Probabilities: true, Progress: func(f FolderProgress) { seen = append(seen, f) },
	}))
	assert.Equal(t, []string{"a.nii.gz", "a.npz", "b.nii.gz", "b.npz", "c.nii.gz", "c.npz"}, files(t, out))
	assert.Equal(t, FolderProgress{Case: "c", N: 3, Total: 3}, seen[len(seen)-1])
	for _, c := range cases {
		sc, err := c.Open(t.Context())
		require.NoError(t, err)
		im, err := sc.Image(t.Context())
		require.NoError(t, err)
		header := sc.Header().(*nifti.Header)
		want := segment(t, p, im)
		have, h, err := nifti.ReadLabels(filepath.Join(out, c.ID+".nii.gz"))
		require.NoError(t, err)
		assert.Equal(t, want.Labels.Data, have.Data)
		assert.Equal(t, header.Affine, h.Affine)
		assert.Equal(t, header.Spacing, h.Spacing)
		shape, data := readNPZ(t, filepath.Join(out, c.ID+".npz"))
		assert.Equal(t, "(3, 9, "+map[bool]string{true: "11", false: "10"}[c.ID == "b"]+", 13)", shape)
		assert.Equal(t, asCZYX(want.Probabilities.Data, 3), data)
	}
}

// readNPZ reads what EncodeProbabilities writes, by the letter of the format.
func readNPZ(t *testing.T, path string) (shape string, data []float32) {
	t.Helper()
	z, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer z.Close()
	require.Len(t, z.File, 1)
	require.Equal(t, "probabilities.npy", z.File[0].Name)
	r, err := z.File[0].Open()
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "\x93NUMPY\x01\x00", string(b[:8]))
	n := 10 + int(binary.LittleEndian.Uint16(b[8:]))
	require.Zero(t, n%64)
	header := string(b[10:n])
	require.True(t, strings.HasPrefix(header, "{'descr': '<f4', 'fortran_order': False, 'shape': "))
	require.True(t, strings.HasSuffix(header, " \n"))
	shape = header[strings.Index(header, "("):]
	shape = shape[:strings.Index(shape, ")")+1]
	for i := n; i < len(b); i += 4 {
		data = append(data, math.Float32frombits(binary.LittleEndian.Uint32(b[i:])))
	}
	return shape, data
}

// plainNIfTI writes NIfTI that is not gzipped.
func plainNIfTI(*scan.Scan) []scan.Format {
	f := scan.Formats()[0]
	f.Endings = []string{".nii"}
	return []scan.Format{f}
}

func TestOneBadCaseDoesNotStopTheOthers(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	cases := scans(t, "a", "b", "c", "d", "e")
	require.NoError(t, os.Truncate(cases[1].Images[0], 100))
	bad := noise([3]int{9, 9, 9}, mm, 1, 0)
	bad.Data[7] = float32(math.Inf(1))
	require.NoError(t, nifti.WriteImage(cases[3].Images[0], bad, nil))
	out := t.TempDir()
	var failed []string
	err := Folder(t.Context(), p, cases, out, FolderOptions{Formats: plainNIfTI, Progress: func(f FolderProgress) {
		if f.Err != nil {
			failed = append(failed, f.Case)
		}
	}})
	require.ErrorContains(t, err, "predict: 2 of 5 cases have no labels:\n")
	require.ErrorContains(t, err, "b_0000.nii.gz")
	require.ErrorContains(t, err, "\nd: volume: preprocess: 1 values are NaN or infinite")
	require.ErrorContains(t, err, "("+cases[3].Images[0]+")")
	var notFinite *volume.NotFiniteError
	require.ErrorAs(t, err, &notFinite)
	assert.Equal(t, []string{"a.nii", "c.nii", "e.nii"}, files(t, out))
	assert.Equal(t, []string{"b", "d"}, failed)
}

func TestAFullDiskStopsTheFolder(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	cases := scans(t, "a", "b", "c", "d", "e", "f", "g", "h")
	written := 0
	err := Folder(t.Context(), p, cases, t.TempDir(), FolderOptions{Formats: plainNIfTI, Written: func(Labelled) error {
		written++
		return &os.PathError{Op: "write", Path: "a.json", Err: syscall.ENOSPC}
	}})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "the scans after it are not labelled")
	require.NotErrorIs(t, err, context.Canceled)
	assert.Less(t, written, len(cases)/2, "at most the one that was ready is tried")
}

func TestTheFirstCaseIsToldOfOnce(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	cases, out := scans(t, "a", "b"), t.TempDir()
	told := 0
	o := FolderOptions{Formats: plainNIfTI, First: func() error {
		told++
		assert.Equal(t, []string{"a.nii"}, files(t, out))
		return nil
	}}
	require.NoError(t, Folder(t.Context(), p, cases, out, o))
	assert.Equal(t, 1, told)
	o.Continue = true
	require.NoError(t, Folder(t.Context(), p, cases, out, o))
	assert.Equal(t, 1, told, "nothing was written")
}

func TestContinueLeavesOutWhatIsThere(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	cases := scans(t, "a", "b")
	out := t.TempDir()
	path := filepath.Join(out, "a.nii.gz")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o666))
	require.NoError(t, Folder(t.Context(), p, cases, out, FolderOptions{Continue: true}))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(b))
	assert.Equal(t, []string{"a.nii.gz", "b.nii.gz"}, files(t, out))

	require.NoError(t, Folder(t.Context(), p, cases, out, FolderOptions{Continue: true, Probabilities: true}))
	_, _, err = nifti.ReadLabels(path)
	require.NoError(t, err, "without its probabilities it was not complete")
}

func TestCancelEndsAFolder(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	out := t.TempDir()
	err := Folder(ctx, p, scans(t, "a", "b", "c"), out, FolderOptions{Progress: func(f FolderProgress) {
		if f.N == 1 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, []string{"a.nii.gz"}, files(t, out), "what was done is there, and nothing half")
}

// lost is a device that is gone after a few runs.
type lost struct {
	noHalf
	runs *int
}

func (d lost) NewBuffer(n int64) (backend.Buffer, error) {
	*d.runs--
	if *d.runs < 0 {
		return nil, errors.Join(errors.New("unplugged"), backend.ErrLost)
	}
	return d.noHalf.NewBuffer(n)
}

func TestALostDeviceEndsAFolder(t *testing.T) {
	runs := 10 // buffers of the weights and the first shape
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{Device: lost{noHalf{openCPU(t)}, &runs}})
	over := 0
	err := Folder(t.Context(), p, scans(t, "a", "b", "c", "d"), t.TempDir(), FolderOptions{Progress: func(f FolderProgress) { over = f.N }})
	require.ErrorIs(t, err, backend.ErrLost)
	assert.Equal(t, 1, over)
}

func TestFoldersThatCannotBeAreErrors(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	require.ErrorContains(t, Folder(t.Context(), p, nil, t.TempDir(), FolderOptions{}), "no cases")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	require.ErrorContains(t, Folder(t.Context(), p, scans(t, "a"), filepath.Join(file, "x"), FolderOptions{}), "not a directory")
}
