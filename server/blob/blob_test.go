package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// breaks gives n bytes and then an error.
type breaks struct{ n int }

func (b *breaks) Read(p []byte) (int, error) {
	if b.n == 0 {
		return 0, errors.New("the network is gone")
	}
	n := min(b.n, len(p))
	b.n -= n
	return n, nil
}

// holds is what every Store has to do.
func holds(t *testing.T, s Store) {
	ctx := t.Context()
	list := func(prefix string) (names []string) {
		require.NoError(t, s.List(ctx, prefix, func(i Info) error {
			names = append(names, i.Name)
			return nil
		}))
		slices.Sort(names)
		return names
	}
	content := bytes.Repeat([]byte("gounet "), 100000)
	n, err := s.Put(ctx, "a/1/x.bin", bytes.NewReader(content))
	require.NoError(t, err)
	assert.EqualValues(t, len(content), n)
	o, err := s.Open(ctx, "a/1/x.bin")
	require.NoError(t, err)
	assert.EqualValues(t, len(content), o.Info().Size)
	b, err := io.ReadAll(o)
	require.NoError(t, err)
	assert.Equal(t, content, b)
	at := make([]byte, 7)
	_, err = o.ReadAt(at, 70)
	require.NoError(t, err)
	assert.Equal(t, "gounet ", string(at))
	_, err = o.Seek(-7, io.SeekEnd)
	require.NoError(t, err)
	b, err = io.ReadAll(o)
	require.NoError(t, err)
	assert.Len(t, b, 7)
	require.NoError(t, o.Close())

	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("of a file"), 0o600))
	require.NoError(t, s.PutFile(ctx, "a/2/y.bin", file))
	_, err = s.Put(ctx, "b", strings.NewReader("b"))
	require.NoError(t, err)
	_, err = s.Put(ctx, "a/3/broken", &breaks{1000})
	require.Error(t, err)
	assert.Equal(t, []string{"a/1/x.bin", "a/2/y.bin"}, list("a/"), "what broke is not there")
	assert.Equal(t, []string{"a/1/x.bin", "a/2/y.bin", "b"}, list(""))
	assert.Equal(t, []string{"a/2/y.bin"}, list("a/2"))
	assert.Equal(t, []string{"a/2/y.bin"}, list("a/2/"))
	assert.Equal(t, []string{"a/2/y.bin"}, list("a/2/y"))
	assert.Empty(t, list("a/none/of/them"))
	_, err = s.Put(ctx, "b", strings.NewReader("again"))
	require.NoError(t, err)

	_, err = s.Open(ctx, "none")
	require.ErrorIs(t, err, ErrNotFound)
	for range 2 {
		require.NoError(t, s.Delete(ctx, "a/1/x.bin"))
	}
	_, err = s.Open(ctx, "a/1/x.bin")
	require.ErrorIs(t, err, ErrNotFound)
	for _, name := range []string{"", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b"} {
		_, err := s.Put(ctx, name, strings.NewReader("x"))
		require.Error(t, err, name)
		_, err = s.Open(ctx, name)
		require.Error(t, err, name)
		require.Error(t, s.Delete(ctx, name), name)
		require.Error(t, s.PutFile(ctx, name, file), name)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.Put(ended, "c", bytes.NewReader(content))
	require.Error(t, err)
	assert.NotContains(t, list(""), "c")
	require.NoError(t, s.Check(ctx))
	for _, name := range list("") {
		require.NoError(t, s.Delete(ctx, name))
	}
}

func TestFolderHoldsBlobs(t *testing.T) {
	root := filepath.Join(t.TempDir(), "blobs")
	s, err := OpenFolder(root, 0)
	require.NoError(t, err)
	holds(t, s)
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	assert.Empty(t, entries, "neither temporary files nor empty folders stay")
}

// GOUNET_S3 is the address of a bucket that is empty, as OpenS3 takes it.
func TestS3HoldsBlobs(t *testing.T) {
	address := os.Getenv("GOUNET_S3")
	if address == "" {
		t.Skip("GOUNET_S3 names no bucket")
	}
	s, err := OpenS3(address)
	require.NoError(t, err)
	holds(t, s)
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	root := t.TempDir()
	left := filepath.Join(root, temporary+"4194305-1") // above the largest number of a process
	require.NoError(t, os.WriteFile(left, []byte("half"), 0o600))
	others := filepath.Join(root, temporary+"1-1") // of a process that lives
	require.NoError(t, os.WriteFile(others, []byte("half"), 0o600))
	_, err := OpenFolder(root, 0)
	require.NoError(t, err)
	assert.NoFileExists(t, left)
	assert.FileExists(t, others)
}

func TestTheReserveStaysFree(t *testing.T) {
	s, err := OpenFolder(t.TempDir(), 1<<62)
	require.NoError(t, err)
	_, err = s.Put(t.Context(), "x", strings.NewReader("x"))
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, s.Check(t.Context()), ErrFull)
}

func TestAnAddressOfS3IsNotShownWithItsSecret(t *testing.T) {
	for _, address := range []string{"s3://key:hidden@host", "s3://key:hid%zzden@host/b", "s3://"} {
		_, err := OpenS3(address)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hid")
	}
}
