package filelock_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/filelock"
)

func TestOneHasTheLockAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	// A process that was killed left its number, which is longer than ours.
	require.NoError(t, os.WriteFile(path, []byte("123456789012\n"), 0o600))
	release, err := filelock.Take(path)
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strconv.Itoa(os.Getpid()), strings.TrimSpace(string(b)))

	_, err = filelock.Take(path)
	if runtime.GOOS == "linux" {
		var held *filelock.HeldError
		require.ErrorAs(t, err, &held)
		assert.Equal(t, os.Getpid(), held.PID)
	}
	require.NoError(t, release())
	release, err = filelock.Take(path)
	require.NoError(t, err)
	require.NoError(t, release())
}

const holder = "GOUNET_TEST_LOCK"

// TestMain makes the process one that holds a lock until it is killed, where a
// test asks for it.
func TestMain(m *testing.M) {
	path := os.Getenv(holder)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := filelock.Take(path); err != nil {
		panic(err)
	}
	os.Stdout.WriteString("held\n")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the test ends
}

func TestAKilledProcessGivesTheLockBack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files are not locked here")
	}
	path := filepath.Join(t.TempDir(), "lock")
	out, childOut, err := os.Pipe()
	require.NoError(t, err)
	childIn, in, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	p, err := os.StartProcess(os.Args[0], os.Args[:1], &os.ProcAttr{
		Env: append(os.Environ(), holder+"="+path), Files: []*os.File{childIn, childOut, os.Stderr},
	})
	require.NoError(t, err)
	require.NoError(t, errors.Join(childIn.Close(), childOut.Close()))
	require.True(t, bufio.NewScanner(out).Scan())
	_, err = filelock.Take(path)
	var held *filelock.HeldError
	require.ErrorAs(t, err, &held)
	assert.Equal(t, p.Pid, held.PID)
	require.NoError(t, p.Kill())
	_, err = p.Wait()
	require.NoError(t, err)
	release, err := filelock.Take(path)
	require.NoError(t, err)
	require.NoError(t, errors.Join(release(), out.Close()))
}
