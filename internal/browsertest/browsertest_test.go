package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// built is testdata/program for js/wasm, made once; tests share it.
var built = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "browsertest_program")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "program.wasm")
	c := exec.Command("go", "build", "-o", path, "./testdata/program")
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// ran runs the program in a browser, or skips where there is none.
func ran(ctx context.Context, t *testing.T, p Program) (string, int, error) {
	if _, err := Find(); err != nil {
		t.Skip(err)
	}
	wasm, err := built()
	require.NoError(t, err)
	// A t.TempDir is too long for the path of Chromium's socket.
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Dir(wasm)), "bt")
	require.NoError(t, err)
	defer os.RemoveAll(tmp)
	t.Setenv("TMPDIR", tmp)
	var out bytes.Buffer
	p.Wasm, p.Output = wasm, &out
	code, err := Run(ctx, p)
	left, readErr := os.ReadDir(tmp)
	require.NoError(t, readErr)
	assert.Empty(t, left, "the browser's folder is removed")
	return out.String(), code, err
}

func TestOutputComesInTheOrderOfTheWrites(t *testing.T) {
	out, code, err := ran(t.Context(), t, Program{Args: []string{"print"}, Env: map[string]string{"GREETING": "hé"}})
	require.NoError(t, err)
	assert.Zero(t, code)
	var want strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&want, "line %d hé\nbeside %d\n", i, i)
	}
	assert.Equal(t, want.String(), out)
}

func TestExitCodesComeBack(t *testing.T) {
	_, code, err := ran(t.Context(), t, Program{Args: []string{"exit"}})
	require.NoError(t, err)
	assert.Equal(t, 3, code)
	out, code, err := ran(t.Context(), t, Program{Args: []string{"panic"}})
	require.NoError(t, err)
	assert.Equal(t, 2, code, "Go's exit code of a panic")
	assert.Contains(t, out, "panic: on purpose")
	assert.Contains(t, out, "main.main()", "with the stack")
}

func TestFilesBelowTheRootsAreReadAndNoOthers(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "a.txt"), []byte("inside"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(other, "b.txt"), []byte("outside"), 0o666))
	require.NoError(t, os.Symlink(filepath.Join(other, "b.txt"), filepath.Join(root, "link.txt")))
	up, err := filepath.Rel(root, filepath.Join(other, "b.txt"))
	require.NoError(t, err)
	p := Program{Dir: root, Roots: []string{root}, Args: []string{"read", "a.txt", "./x/../a.txt", up, "link.txt", filepath.Join(other, "b.txt")}}
	out, _, err := ran(t.Context(), t, p)
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(out, `"inside" <nil>`))
	assert.Equal(t, 3, strings.Count(out, "No such file"))
	assert.NotContains(t, out, "outside\"")
	assert.Contains(t, out, "1 a.txt <nil>", "the folder is listed")
	p.Args = []string{"write"}
	out, _, err = ran(t.Context(), t, p)
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(out, "Read-only file system"), out)
}

func TestThePageHasWebGPUAndSharedMemory(t *testing.T) {
	out, _, err := ran(t.Context(), t, Program{Args: []string{"page"}})
	require.NoError(t, err)
	assert.Equal(t, "true true\n", out)
}

func TestAProgramThatHangsIsStopped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	_, _, err := ran(ctx, t, Program{Args: []string{"hang"}})
	require.ErrorContains(t, err, "stopped: context deadline exceeded")
}

func TestABrowserThatEndsIsAnError(t *testing.T) {
	t.Setenv("CHROME", "true") // a program that ends at once
	_, err := Run(t.Context(), Program{})
	require.ErrorContains(t, err, "the browser has ended")
}

func TestNoBrowserIsToldApart(t *testing.T) {
	t.Setenv("CHROME", "")
	t.Setenv("PATH", t.TempDir())
	_, err := Run(t.Context(), Program{})
	require.ErrorIs(t, err, ErrNoBrowser)
	t.Setenv("CHROME", "no-such-browser")
	_, err = Run(t.Context(), Program{})
	require.ErrorIs(t, err, ErrNoBrowser)
	require.ErrorContains(t, err, "no-such-browser")
}

func TestWhoDoesNotKnowTheSecretReadsNothing(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "a.txt"), []byte("inside"), 0o666))
	s, err := newServer(Program{Roots: []string{root}})
	require.NoError(t, err)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	query := "read?path=" + url.QueryEscape(filepath.Join(root, "a.txt"))
	assert.Equal(t, "inside", get(s.prefix+query).Body.String())
	assert.Equal(t, http.StatusNotFound, get("/"+query).Code)
	assert.Equal(t, http.StatusNotFound, get("/").Code)
}
