package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
)

// piped is what the program says with file on its standard input.
func piped(t *testing.T, file string, args ...string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdin = bytes.NewReader(b)
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	return string(text)
}

func TestAScanIsReadFromAStream(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	out, file := filepath.Join(t.TempDir(), "out.nii"), filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz")
	assert.Contains(t, piped(t, file, "info", "-"), "34 × 52 × 35 voxels")
	piped(t, file, "convert", "-", out)
	want, _, err := nifti.ReadImage(file)
	require.NoError(t, err)
	got, _, err := nifti.ReadImage(out)
	require.NoError(t, err)
	assert.Equal(t, want.Data, got.Data)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestFilesOfOneSeriesAreConvertedAsOne(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(series(t), "*", "*.dcm"))
	require.NoError(t, err)
	dir := t.TempDir()
	one, many := filepath.Join(dir, "one.nii"), filepath.Join(dir, "many.nii")
	require.Equal(t, exitOK, gounet(t, "convert", series(t), one).code)
	got := gounet(t, append(append([]string{"convert"}, files...), many)...)
	require.Equal(t, exitOK, got.code, got.err)
	a, err := os.ReadFile(one)
	require.NoError(t, err)
	b, err := os.ReadFile(many)
	require.NoError(t, err)
	assert.Equal(t, a, b)
}
