package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/servertest"
)

// The demo has the trained model and labels its scan, once: also where the server
// is started again.
func TestTheDemoIsSubmittedOnce(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, checkpoint.Save("demo/Dataset001_Test/fold_0", servertest.Model()))
	require.NoError(t, os.MkdirAll(filepath.Dir(demoScan), 0o777))
	require.NoError(t, scan.WriteImage(filepath.Join(filepath.Dir(demoScan), "a.nii.gz"), servertest.Scan([3]int{12, 10, 9}), nil))
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	code := make(chan int, 1)
	var log bytes.Buffer
	go func() {
		code <- run(ctx, []string{"serve", "--demo", "--listen", "127.0.0.1:0", "--data", "data", "--device", "cpu", "--threads", "1", "--reserve-gb", "0"}, w, &log)
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	f := jobsFlags{server: strings.TrimSpace(strings.TrimPrefix(line, "serving"))}
	var have api.JobList
	require.Eventually(t, func() bool {
		require.NoError(t, f.call(ctx, http.MethodGet, "/jobs", nil, &have))
		return len(have.Jobs) > 0 && have.Jobs[0].State == api.JobDone
	}, hangs, 20*time.Millisecond)
	assert.Equal(t, demoName, have.Jobs[0].Submit.Model)
	require.NoError(t, submitDemo(ctx, f.server)) // as the next start does
	require.NoError(t, f.call(ctx, http.MethodGet, "/jobs", nil, &have))
	assert.Len(t, have.Jobs, 1)
	stop()
	assert.Equal(t, exitOK, <-code, log.String())
}
