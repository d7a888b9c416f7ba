package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/servertest"
)

func TestServeAnswersUntilItIsTold(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "models"), 0o777))
	require.NoError(t, checkpoint.Save(filepath.Join(dir, "models", "tiny.gounet"), servertest.Model()))
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	code := make(chan int, 1)
	var log bytes.Buffer
	go func() {
		code <- run(ctx, []string{
			"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--models", filepath.Join(dir, "models"),
			"--device", "cpu", "--threads", "1", "--reserve-gb", "0", "--log", "json",
		}, w, &log)
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	address := strings.TrimSpace(strings.TrimPrefix(line, "serving"))
	require.True(t, strings.HasPrefix(address, "http://127.0.0.1:"), line)

	image := filepath.Join(dir, "Smith_John.nii.gz") // a name that must not come into a log
	require.NoError(t, scan.WriteImage(image, servertest.Scan([3]int{12, 10, 9}), nil))
	b, err := os.ReadFile(image)
	require.NoError(t, err)
	f := jobsFlags{server: address}
	answer, err := f.request(ctx, http.MethodPost, "/uploads?name=Smith_John.nii.gz", nil, bytes.NewReader(b))
	require.NoError(t, err)
	var u api.Upload
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&u))
	require.NoError(t, answer.Body.Close())
	var j api.Job
	submit := api.Submit{Model: "tiny", Inputs: []api.Input{{Upload: u.ID}}, Formats: []string{"nifti", "mesh"}}
	require.NoError(t, f.call(ctx, http.MethodPost, "/jobs", submit, &j))

	command := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		return run(ctx, append(append([]string{"jobs"}, args...), "--server", address), &out, &errs), out.String() + errs.String()
	}
	status, text := command("watch", j.ID)
	assert.Equal(t, exitOK, status, text)
	assert.Contains(t, text, "/results/Smith_John.nii.gz")
	assert.Contains(t, text, "Smith_John.glb")
	status, text = command("list")
	assert.Equal(t, exitOK, status)
	assert.Contains(t, text, j.ID)
	assert.Contains(t, text, api.JobDone)
	status, text = command("cancel", j.ID)
	assert.Equal(t, exitOK, status)
	assert.Contains(t, text, api.JobDone, "nothing happens to a job that is over")
	status, text = command("watch", "none")
	assert.Equal(t, exitError, status)
	assert.Contains(t, text, "404")
	stop()
	select {
	case status := <-code:
		assert.Equal(t, exitOK, status, log.String())
	case <-time.After(hangs):
		require.Fail(t, "it does not end")
	}
	assert.Contains(t, log.String(), `"AUDIT"`)
	assert.NotContains(t, log.String(), "Smith")
}

func TestServeLetsNobodyInByAccident(t *testing.T) {
	for name, args := range map[string][]string{
		"other machines without keys": {"--listen", ":0"},
		"a certificate without a key": {"--tls-cert", "x"},
		"a queue for all":             {"--nats-listen", ":0"},
		"an archive without address":  {"--archive", "pacs"},
		"a rate below none":           {"--rate", "-1"},
		"jobs below none":             {"--keep-jobs", "-1"},
		"nothing kept":                {"--keep", "-1h"},
		"fewer jobs a run than none":  {"--batch-jobs", "-1"},
		"an unknown device":           {"--device", "foo"},
		"one unknown of two":          {"--device", "cpu,foo"},
		"kernels that nobody has":     {"--device", "cpu:foo"},
		"a GPU without a number":      {"--device", "cuda:x"},
		"uploads below none":          {"--upload-gb", "-1"},
		"uploads above all":           {"--upload-gb", "1e30"},
		"no number":                   {"--upload-gb", "NaN"},
		"a volume above all":          {"--volume-gb", "1e30"},
		"a reserve below none":        {"--reserve-gb", "-5"},
		"a drain below none":          {"--drain", "-5s"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append([]string{"serve", "--device", "cpu", "--data", filepath.Join(t.TempDir(), "data")}, args...)
			assert.Equal(t, exitUsage, run(t.Context(), args, &out, &errs), errs.String())
		})
	}
	var out, errs bytes.Buffer
	assert.Equal(t, exitUsage, run(t.Context(), []string{"worker"}, &out, &errs))
}

// What a server refuses for good is said at once; a server that is away is asked again.
func TestWatchingAJobThatIsNotThereEndsAtOnce(t *testing.T) {
	for status, asked := range map[int]int32{http.StatusNotFound: 1, http.StatusUnauthorized: 1, http.StatusServiceUnavailable: 2} {
		var n atomic.Int32
		ctx, stop := context.WithCancel(t.Context())
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) == 2 {
				stop()
			}
			w.WriteHeader(status)
		}))
		var out, errs bytes.Buffer
		assert.NotEqual(t, exitOK, run(ctx, []string{"jobs", "watch", "none", "--server", web.URL}, &out, &errs))
		assert.Equal(t, asked, n.Load(), "status %d", status)
		web.Close()
		stop()
	}
}
