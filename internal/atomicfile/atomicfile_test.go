package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
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

func TestWriteReplacesTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, Write(path, text("a long first content")))
	require.NoError(t, Write(path, text("second")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "second", string(got))
	assert.NoFileExists(t, path+Suffix)
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
	assert.NoFileExists(t, path+Suffix)
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

func TestWhatAKilledWriterLeftIsOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(path+Suffix, []byte("a long torn content"), 0o600))
	require.NoError(t, Write(path, text("new")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
	assert.NoFileExists(t, path+Suffix)
}

func TestMissingFolderIsAnErrorWithThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "a")
	require.ErrorContains(t, Write(path, text("x")), path)
}
