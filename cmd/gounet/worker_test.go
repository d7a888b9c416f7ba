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

	nats "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A worker shows how it is where it is told to.
func TestAWorkerShowsHowItIs(t *testing.T) {
	ns, err := nats.NewServer(&nats.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	ns.Start()
	defer ns.Shutdown()
	require.True(t, ns.ReadyForConnections(time.Minute))
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "models"), 0o777))
	start := func(stopped context.Context, listen string, out io.Writer) (int, string) {
		var log bytes.Buffer
		code := run(stopped, []string{
			"worker", "--nats", ns.ClientURL(), "--blobs", filepath.Join(dir, "blobs"), "--data", filepath.Join(dir, "data"), "--models", filepath.Join(dir, "models"),
			"--device", "cpu", "--threads", "1", "--reserve-gb", "0", "--listen", listen,
		}, out, &log)
		return code, log.String()
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		status, _ := start(ctx, "127.0.0.1:0", w)
		code <- status
	}()
	lines := bufio.NewReader(r)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	address := strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(line, "showing")), "/metrics")
	get := func(path string) (int, string) {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+path, nil)
		require.NoError(t, err)
		a, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		defer func() { _ = a.Body.Close() }()
		b, err := io.ReadAll(a.Body)
		require.NoError(t, err)
		return a.StatusCode, string(b)
	}
	status, text := get("/readyz")
	assert.Equal(t, http.StatusOK, status, text)
	status, text = get("/metrics")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, "gounet_device_up{")
	stop()
	select {
	case status := <-code:
		assert.Equal(t, exitOK, status)
	case <-time.After(hangs):
		require.Fail(t, "it does not end")
	}
	status, text = start(t.Context(), strings.TrimPrefix(ns.ClientURL(), "nats://"), io.Discard)
	assert.Equal(t, exitError, status, "the address is taken")
	assert.Contains(t, text, "--listen")
}
