package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// files lists the folder of path.
func files(t *testing.T, path string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	return list
}

func TestWriteReplacesTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, Write(path, text("a long first content")))
	require.NoError(t, Write(path, text("second")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "second", string(got))
	assert.Equal(t, []string{path}, files(t, path))
}

func TestLinksAreFollowedAndPermissionsKept(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(real, []byte("old"), 0o600))
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
	}
	require.NoError(t, Write(link, text("new")))
	got, err := os.ReadFile(real)
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
	st, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, st.Mode()&os.ModeSymlink)
	st, err = os.Stat(real)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, os.FileMode(0o600), st.Mode())
	}
}

func TestAPipeIsWrittenToAndStaysOne(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	path := fmt.Sprintf("/dev/fd/%d", w.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs /dev/fd: %v", err)
	}
	require.NoError(t, Write(path, text("through")))
	require.NoError(t, w.Close())
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "through", string(got))
}

func TestTheLongestNameIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 255))
	require.NoError(t, Write(path, text("a")))
	require.NoError(t, Write(path, text("b")))
	assert.Equal(t, []string{path}, files(t, path))
}

func TestFullDiskLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, Write(path, text("old")))
	err := Write(path, func(w io.Writer) error {
		return errors.Join(text(strings.Repeat("x", 3*bufferBytes))(w), syscall.ENOSPC)
	})
	require.ErrorIs(t, err, syscall.ENOSPC)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "old", string(got))
	assert.Equal(t, []string{path}, files(t, path))
}

func TestErrorsOfTheDeviceItselfArrive(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full, a device without space")
	}
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	require.ErrorIs(t, fill(f, text("anything")), syscall.ENOSPC)
}

func TestWhatAKilledWriterLeftIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	// Above the largest number of a process on Linux, our own, and none.
	for _, who := range []string{".99999999", "." + strconv.Itoa(os.Getpid()), ""} {
		require.NoError(t, os.WriteFile(path+who+Suffix, []byte("a long torn content"), 0o600))
	}
	require.NoError(t, Write(path, text("new")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
	assert.Equal(t, []string{path}, files(t, path))
}

func TestWhatOthersWriteIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	keep := []string{path + "." + strconv.Itoa(os.Getppid()) + Suffix, path + ".b.99999999" + Suffix, path + "b" + Suffix}
	for _, k := range keep {
		require.NoError(t, os.WriteFile(k, []byte("in work"), 0o600))
	}
	require.NoError(t, Write(path, text("new")))
	assert.ElementsMatch(t, append(keep, path), files(t, path))
}

func TestMissingFolderIsAnErrorWithThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "a")
	require.ErrorContains(t, Write(path, text("x")), path)
}
