//go:build linux && amd64

package cuda

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cuda/nvrtc"
	"github.com/gounet/gounet/internal/atomicfile"
)

// logs are what NVRTC said of the kernels that it compiled, in the cache of the user; without
// a folder none are kept. A name is the SHA-256 of all that a log depends on.
type logs struct {
	folder  string
	version string // of NVRTC
	compile func(nvrtc.Source, []string) (code []byte, log string, err error)
}

// keptFor is how long a log is believed.
const keptFor = 30 * 24 * time.Hour

// openLogs removes what is old.
func openLogs(n *nvrtc.NVRTC) logs {
	l := logs{version: fmt.Sprint(n.Major, n.Minor), compile: n.Compile}
	if info, err := os.Stat(n.Path); err == nil {
		l.version += fmt.Sprint(" ", info.Size(), info.ModTime().UnixNano())
	}
	if folder, err := os.UserCacheDir(); err == nil {
		l.folder = filepath.Join(folder, "gounet", "nvrtc")
		l.clean(time.Now())
	}
	return l
}

// clean removes what is too old at a time.
func (l logs) clean(now time.Time) {
	files, _ := os.ReadDir(l.folder)
	for _, f := range files {
		if info, err := f.Info(); err == nil && now.Sub(info.ModTime()) > keptFor {
			_ = os.Remove(filepath.Join(l.folder, f.Name())) // else it is believed once more
		}
	}
}

// of is what NVRTC says of a kernel that it compiles: of others there is no log.
func (l logs) of(s nvrtc.Source, options []string) (string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", l.version, s, options))
	file := filepath.Join(l.folder, hex.EncodeToString(sum[:]))
	if l.folder != "" {
		if text, err := os.ReadFile(file); err == nil {
			return string(text), nil
		}
	}
	_, log, err := l.compile(s, options)
	if err != nil || l.folder == "" || os.MkdirAll(l.folder, 0o700) != nil {
		return log, err
	}
	_ = atomicfile.Write(file, func(w io.Writer) error { // without it the next run compiles again
		_, err := io.WriteString(w, log)
		return err
	})
	return log, nil
}

// A kernel is compiled once: again when its source, what it includes, an option or the
// compiler is another, when the log is old, or when it did not compile.
func TestALogIsOfOneKernel(t *testing.T) {
	var compiled int
	fail := false
	l := logs{folder: filepath.Join(t.TempDir(), "logs"), version: "13.0"}
	l.compile = func(s nvrtc.Source, options []string) ([]byte, string, error) {
		compiled++
		if fail {
			return nil, "", assert.AnError
		}
		return nil, fmt.Sprint(s, options, compiled), nil
	}
	s, options := nvrtc.Source{Name: "k.cu", Text: "text", Header: "h", HeaderText: "header"}, []string{"sm_75"}
	times := func(want int, l logs, s nvrtc.Source, options ...string) {
		t.Helper()
		log, err := l.of(s, options)
		require.NoError(t, err)
		again, err := l.of(s, options)
		require.NoError(t, err)
		assert.Equal(t, log, again)
		assert.Equal(t, want, compiled)
	}
	times(1, l, s, options...)
	times(1, l, s, options...)
	other, included, newer := s, s, l
	other.Text, included.HeaderText, newer.version = "another", "another", "13.1"
	times(2, l, other, options...)
	times(3, l, included, options...)
	times(4, l, s, "sm_80")
	times(5, newer, s, options...)
	l.clean(time.Now())
	times(5, l, s, options...)
	l.clean(time.Now().Add(keptFor + time.Minute))
	times(6, l, s, options...)
	fail = true
	s.Text = "of no sense"
	_, err := l.of(s, options)
	require.Error(t, err)
	fail = false
	times(8, l, s, options...)
	l.folder = ""
	_, err = l.of(s, options)
	require.NoError(t, err)
	assert.Equal(t, 9, compiled)
}
