package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// workChild is a worker that is there to be killed.
func workChild(p plainOptions) {
	fatal := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	blobs, err := blob.OpenFolder(p.Blobs, 0)
	fatal(err)
	models, err := engine.OpenModels(context.Background(), p.Models, filepath.Join(p.Data, "models"))
	fatal(err)
	q, err := queue.Open(context.Background(), queue.Options{URL: p.NATS, AckWait: p.AckWait, Attempts: p.Attempts})
	fatal(err)
	o, goOn := halting(complete(Options{}))
	go func() {
		for _, err := os.Stat(p.Halt); err == nil; _, err = os.Stat(p.Halt) {
			time.Sleep(10 * time.Millisecond)
		}
		goOn()
	}()
	_, err = engine.Start(engine.Options{
		Queue: q, Blobs: blobs, Models: models, Devices: o.Devices, Work: filepath.Join(p.Data, "work"), Formats: o.Formats,
		Log: slog.New(slog.DiscardHandler),
	})
	fatal(err)
	fmt.Println(q.Worker())
	select {} // until it is killed
}

// elsewhere are options of a server without devices, whose queue is another process's and
// whose blobs are in a folder that all share.
func elsewhere(t *testing.T) (o Options, shared string) {
	t.Helper()
	ns, err := nats.NewServer(&nats.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, SyncAlways: true})
	require.NoError(t, err)
	ns.Start()
	t.Cleanup(ns.Shutdown)
	require.True(t, ns.ReadyForConnections(time.Minute))
	o, shared = testOptions(t), t.TempDir()
	o.Blobs, err = blob.OpenFolder(shared, 0)
	require.NoError(t, err)
	o.NATS, o.Devices = ns.ClientURL(), nil
	return o, shared
}

// A queue of its own process's, blobs in a shared folder, and two workers of which
// one is killed while it works: all jobs are done.
func TestWorkersElsewhereShareTheQueue(t *testing.T) {
	o, shared := elsewhere(t)
	r := start(t, o)
	halt := filepath.Join(t.TempDir(), "halt")
	require.NoError(t, os.WriteFile(halt, nil, 0o666))
	worker := func() *child {
		return startChild(t, plainOptions{Data: t.TempDir(), Models: o.Models, AckWait: o.AckWait, NATS: o.NATS, Blobs: shared, Worker: true, Halt: halt})
	}
	first, second := worker(), worker()
	defer second.kill(t)
	u := r.upload(nifti(t, large)).ID
	var ids []string
	for range 4 {
		ids = append(ids, r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u}}}).ID)
	}
	require.Eventually(t, func() bool {
		for _, id := range ids {
			if r.job(id).Worker == first.address {
				return true
			}
		}
		return false
	}, 2*time.Minute, 10*time.Millisecond)
	first.kill(t)
	require.NoError(t, os.Remove(halt))
	workers, attempts := map[string]bool{}, 0
	want := labelsOf(t, large)
	for _, id := range ids {
		j := r.wait(id)
		require.Equal(t, api.JobDone, j.State, "%+v", j.Failed)
		workers[j.Worker] = true
		attempts += j.Attempts
		assert.Equal(t, want, r.result(j, "nifti"))
	}
	assert.True(t, workers[second.address])
	assert.Greater(t, attempts, len(ids), "the killed worker's job was begun again")
}
