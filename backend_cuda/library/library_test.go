//go:build linux

package library

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Wheels are found beside the interpreter in PATH, in a virtual environment that is
// hidden, and in the user's own folder.
func TestWheelsAreFoundWherePythonHasThem(t *testing.T) {
	const name = "libsome.so.1"
	dir := t.TempDir()
	make := func(parts ...string) string {
		file := filepath.Join(append([]string{dir}, parts...)...)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, nil, 0o755))
		return file
	}
	wheel := filepath.Join("lib", "python3.12", "site-packages", "nvidia", "cu13", "lib", name)
	toolkit := make("toolkit", "lib64", name)
	active := make("active", wheel)
	inPath := make("torch", ".venv", wheel)
	base := make("base", wheel)
	own := make("home", ".local", wheel)
	python := make("base", "bin", "python3.12")
	link := filepath.Join(dir, "torch", ".venv", "bin", "python3")
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	require.NoError(t, os.Symlink(python, link))

	t.Setenv("CUDA_HOME", filepath.Join(dir, "toolkit"))
	t.Setenv("CUDA_PATH", "")
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "active"))
	t.Setenv("CONDA_PREFIX", "")
	t.Setenv("PATH", filepath.Dir(link))
	t.Setenv("HOME", filepath.Join(dir, "home"))
	assert.Equal(t, []string{toolkit, active, inPath, base, own}, Find(name))

	t.Setenv("VIRTUAL_ENV", "")
	t.Setenv("PATH", "")
	assert.Equal(t, []string{toolkit, own}, Find(name), "without an interpreter")
}
