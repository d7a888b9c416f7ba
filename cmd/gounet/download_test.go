package main

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tarOf is a tar file of names and contents; a name that ends in @ is a link.
func tarOf(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg}
		if name, link := strings.CutSuffix(f[0], "@"); link {
			h = &tar.Header{Name: name, Linkname: f[1], Typeflag: tar.TypeSymlink}
		}
		require.NoError(t, w.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte(f[1]))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func sumOf(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// bucket serves one file. Its first answers break off after some bytes.
type bucket struct {
	file   []byte
	breaks int
	ranges []string
	whole  bool // it knows no ranges
}

func (s *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	if s.whole {
		r.Header.Del("Range")
	}
	if s.breaks > 0 {
		s.breaks--
		w = &cutOff{w, 3000}
	}
	http.ServeContent(w, r, "x.tar", time.Time{}, bytes.NewReader(s.file))
}

// cutOff closes the connection after so many bytes.
type cutOff struct {
	http.ResponseWriter
	left int
}

func (c *cutOff) Write(b []byte) (int, error) {
	if len(b) > c.left {
		_, _ = c.ResponseWriter.Write(b[:c.left])
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

func TestDownloadGoesOnWhereItBroke(t *testing.T) {
	file := tarOf(t, [2]string{"./Task04_Hippocampus/dataset.json", "{}"}, [2]string{"Task04_Hippocampus/imagesTr/._a.nii.gz", "x"}, [2]string{"Task04_Hippocampus/imagesTr/a.nii.gz", strings.Repeat("voxel", 2000)})
	for name, whole := range map[string]bool{"ranges": false, "no ranges": true} {
		t.Run(name, func(t *testing.T) {
			s := &bucket{file: file, breaks: 1, whole: whole}
			server := httptest.NewServer(s)
			defer server.Close()
			dir := t.TempDir()
			args := []string{"download", "--task", "4", "--output", dir, "--url", server.URL, "--md5", sumOf(file)}
			got := gounet(t, args...)
			require.Equal(t, exitOK, got.code, got.err)
			require.Len(t, s.ranges, 2)
			assert.NotEmpty(t, s.ranges[1], "the rest is asked for")
			b, err := os.ReadFile(filepath.Join(dir, "Task04_Hippocampus", "imagesTr", "a.nii.gz"))
			require.NoError(t, err)
			assert.Len(t, b, 10000)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, entries, 1, "neither the tar nor what was unpacked on the way stays")
			assert.NoFileExists(t, filepath.Join(dir, "Task04_Hippocampus", "imagesTr", "._a.nii.gz"))
			again := gounet(t, args...)
			assert.Equal(t, exitOK, again.code)
			assert.Contains(t, again.out, "is there already")
			assert.Len(t, s.ranges, 2, "nothing is asked for twice")
		})
	}
}

func TestDownloadsThatAreNotWhatTheyShouldBeLeaveNothing(t *testing.T) {
	good := tarOf(t, [2]string{"Task04_Hippocampus/dataset.json", "{}"})
	for want, c := range map[string]struct {
		file []byte
		sum  string
	}{
		"MD5 sum":                   {good, strings.Repeat("0", 32)},
		"leads out of the folder":   {tarOf(t, [2]string{"../evil", "x"}), ""},
		"neither a file nor":        {tarOf(t, [2]string{"Task04_Hippocampus/link@", "/etc"}), ""},
		"no such file or directory": {tarOf(t, [2]string{"Another/dataset.json", "{}"}), ""},
	} {
		server := httptest.NewServer(&bucket{file: c.file})
		dir := t.TempDir()
		if c.sum == "" {
			c.sum = sumOf(c.file)
		}
		got := gounet(t, "download", "--task", "04", "--output", dir, "--url", server.URL, "--md5", c.sum)
		server.Close()
		assert.Equal(t, exitError, got.code)
		assert.Contains(t, got.err, want)
		assert.NoDirExists(t, filepath.Join(dir, "Task04_Hippocampus"))
		assert.NoFileExists(t, filepath.Join(filepath.Dir(dir), "evil"))
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	empty := t.TempDir()
	got := gounet(t, "download", "--task", "04", "--output", empty, "--url", server.URL)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "404")
	assert.NotContains(t, got.err, "is kept in", "nothing came")
	left, err := os.ReadDir(empty)
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.Equal(t, exitUsage, gounet(t, "download", "--task", "13").code)
}
