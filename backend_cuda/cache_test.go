//go:build cuda && linux

package cuda

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
)

// An image is compiled once for a GPU and a driver; a file that is not what was put
// there, or that the driver refuses, is compiled again.
func TestImagesAreKeptOnDisk(t *testing.T) {
	e := emulatedOnly(t)
	kept := &cache{folder: filepath.Join(t.TempDir(), "images")}
	p, _, _ := doubling(t, 64)
	made := func() int {
		before := e.compiler.made
		d, err := open(e.driver, e.compiler, kept, Options{})
		require.NoError(t, err)
		s, err := backend.NewSession(d, p, nil)
		require.NoError(t, err)
		require.NoError(t, s.Run(t.Context()))
		s.Close()
		require.NoError(t, d.Close())
		return e.compiler.made - before
	}
	assert.Equal(t, 2, made(), "with that of marks")
	assert.Equal(t, 0, made())
	files, err := filepath.Glob(filepath.Join(kept.folder, "*.cubin"))
	require.NoError(t, err)
	require.Len(t, files, 2)

	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(files[0], content[:len(content)-1], 0o600))
	assert.Equal(t, 1, made(), "half a file")
	kept.put(filepath.Base(files[0]), []byte("of another driver"))
	assert.Equal(t, 1, made(), "an image that does not load")
	assert.Equal(t, 0, made())

	e.set("arch", 80)
	assert.Equal(t, 2, made(), "another GPU")
	kept.folder = filepath.Join(files[0], "no folder")
	assert.Equal(t, 2, made(), "a folder that cannot be")
}

// A device that meets ever new sizes keeps the kernels of programs that are there, and a few
// of those that were there last.
func TestKernelsOfNoProgramAreUnloaded(t *testing.T) {
	e := emulatedOnly(t)
	d := closing(t)
	d.idle = 3
	p, x, y := doubling(t, 64)
	stays := session(t, d, p)
	before := e.calls("cuModuleUnload")
	for n := 65; n < 75; n++ {
		p, _, _ := doubling(t, n)
		s, err := backend.NewSession(d, p, nil)
		require.NoError(t, err)
		require.NoError(t, s.Run(t.Context()))
		s.Close()
	}
	assert.EqualValues(t, 10-3, e.calls("cuModuleUnload")-before)
	assert.Len(t, d.functions, 1+1+3, "of the program, of marks, and the last three")
	loads := e.calls("cuModuleLoadData")
	last, _, _ := doubling(t, 74)
	session(t, d, last)
	assert.Equal(t, loads, e.calls("cuModuleLoadData"), "the last is there")
	out := make([]float32, 64)
	out[0] = 3
	require.NoError(t, stays.WriteF32(t.Context(), x, out))
	require.NoError(t, stays.Run(t.Context()))
	require.NoError(t, stays.ReadF32(t.Context(), y, out))
	assert.EqualValues(t, 6, out[0])
}

// Files that nobody used for long go, and so do the oldest of too many; what is used is young.
func TestTheCacheIsBounded(t *testing.T) {
	c := &cache{folder: t.TempDir()}
	now := time.Now()
	days := func(n int) time.Time { return now.Add(-time.Duration(n) * 24 * time.Hour) }
	for name, age := range map[string]int{"old.cubin": 91, "a.cubin": 40, "b.cubin": 20, "used.cubin": 89, "old.tiles": 100, "tiles.lock": 200} {
		c.put(name, make([]byte, 1000))
		require.NoError(t, os.Chtimes(filepath.Join(c.folder, name), days(age), days(age)))
	}
	_, ok := c.get("used.cubin")
	require.True(t, ok)
	left := func() (names []string) {
		entries, err := os.ReadDir(c.folder)
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	c.prune(now, 1<<20)
	assert.Equal(t, []string{"a.cubin", "b.cubin", "tiles.lock", "used.cubin"}, left())
	c.prune(now, 2500)
	assert.Equal(t, []string{"b.cubin", "tiles.lock", "used.cubin"}, left())
	c.pruned = false
	require.NoError(t, os.Chtimes(filepath.Join(c.folder, "b.cubin"), days(91), days(91)))
	c.put("new.cubin", make([]byte, 1000))
	assert.Equal(t, []string{"new.cubin", "tiles.lock", "used.cubin"}, left(), "a cache that grows is pruned")
}
