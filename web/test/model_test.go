package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
)

// data is a file of the shared reference data.
func data(t testing.TB, path ...string) string {
	t.Helper()
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with the shared test data")
	}
	return filepath.Join(append([]string{dir}, path...)...)
}

// gounetFile is the small model of the hippocampus that the repository has.
func gounetFile(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../testdata/model/hippocampus.gounet")
	require.NoError(t, err)
	return path
}

// built is the folder of program.
var built string

// program is the command line, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gounet")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "gounet")
	c := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "./cmd/gounet")
	c.Dir, c.Stderr = "../..", os.Stderr
	return path, c.Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	closing()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// native is the label map that the command line makes of a scan.
func native(t testing.TB, scanPath string, flags ...string) []byte {
	t.Helper()
	gounet, err := program()
	require.NoError(t, err)
	out := t.TempDir()
	c := exec.Command(gounet, append([]string{"predict", "--model", gounetFile(t), "--input", scanPath, "--output", out}, flags...)...)
	text, err := c.CombinedOutput()
	require.NoError(t, err, "%s", text)
	list, err := filepath.Glob(filepath.Join(out, "*.nii.gz"))
	require.NoError(t, err)
	require.Len(t, list, 1)
	l, err := scan.ReadLabels(list[0])
	require.NoError(t, err)
	return l.Data
}
