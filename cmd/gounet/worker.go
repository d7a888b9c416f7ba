package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/internal/filelock"
	"github.com/gounet/gounet/server"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// modelsEvery is how often the folder of models is looked at.
const modelsEvery = 5 * time.Second

// workerFlags are the flags of `gounet worker`.
type workerFlags struct {
	workFlags
	listen string
}

func newWorker(a *app) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker --nats URL --blobs URL",
		Short: "work off jobs of a server elsewhere",
		Long: `worker takes jobs from the queue of gounet serve, on this machine's devices. Any
number of workers share one queue; when one dies, its jobs are given to others.

It needs the same models as the server, the queue, and where uploads and results are
kept. SIGTERM lets jobs end. With --listen it answers at /metrics, /healthz and /readyz,
to everybody who reaches it: what they say is nothing of anybody's jobs.`,
		Example: `  gounet worker --nats nats://queue:4222 --blobs s3://KEY:SECRET@minio:9000/gounet --models models
  gounet worker --nats nats://queue:4222 --blobs /shared/blobs --data /var/lib/gounet/worker2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), a)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.listen, "listen", "", "`HOST:PORT` to answer at /metrics, /healthz and /readyz; none if not given")
	return cmd
}

func (f *workerFlags) run(ctx context.Context, a *app) error {
	if f.nats == "" || f.blobs == "" {
		return usagef("--nats and --blobs have to be given: those of the server")
	}
	o, err := f.options(a)
	if err != nil {
		return err
	}
	release, err := filelock.Take(filepath.Join(o.Data, "lock"))
	if err != nil {
		return fmt.Errorf("%s: another worker or server uses the folder, give each its own --data: %w", o.Data, err)
	}
	defer func() { _ = release() }() // the end of the process does it too
	models, err := engine.OpenModels(ctx, o.Models, filepath.Join(o.Data, "models"))
	if err != nil {
		return err
	}
	q, err := queue.Open(ctx, queue.Options{URL: o.NATS, Token: o.NATSToken, AckWait: o.AckWait})
	if err != nil {
		return err
	}
	trace, flush, err := tracer(ctx)
	if err != nil {
		return errors.Join(err, q.Close())
	}
	defer flush()
	disk, err := blob.OpenFolder(o.Data, o.Bounds.Reserve)
	if err != nil {
		return errors.Join(err, q.Close())
	}
	var e *engine.Engine
	monitor := server.NewMonitor(func() []api.ServerDevice { return e.Devices() }, func(at context.Context) error {
		if ctx.Err() != nil {
			return errors.New("the worker stops")
		}
		return errors.Join(q.Check(at), o.Blobs.Check(at), e.Check())
	})
	archives := server.Archives{Known: o.Archives, MostBytes: o.Bounds.UploadBytes, Idle: o.Bounds.ArchiveIdle, Disk: disk}
	e, err = engine.Start(engine.Options{
		Queue: q, Blobs: o.Blobs, Models: models, Devices: o.Devices, Work: filepath.Join(o.Data, "work"),
		Formats: o.Formats, Fetch: archives.Fetch, Store: archives.Store, HostBytes: o.Bounds.HostBytes, VolumeBytes: o.Bounds.VolumeBytes, Log: o.Log, Observe: monitor, Trace: trace,
	})
	if err != nil {
		return errors.Join(err, q.Close())
	}
	silence, err := f.show(a, monitor)
	if err != nil {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		e.Drain(stopped)
		return errors.Join(err, q.Close())
	}
	defer silence()
	fmt.Fprintf(a.out, "working   as %s for %s\n", q.Worker(), o.NATS)
	go models.Follow(ctx, modelsEvery)
	var restart error
	select {
	case restart = <-e.Over(): // its job is another worker's, or of the next start
	case <-ctx.Done():
	}
	until, cancel := context.WithTimeout(context.Background(), f.patience)
	defer cancel()
	e.Drain(until)
	return errors.Join(restart, q.Close())
}

// show answers at --listen until silence is called.
func (f *workerFlags) show(a *app, m *server.Monitor) (silence func(), err error) {
	if f.listen == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	h := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	go func() { _ = h.Serve(l) }() // until it is closed
	fmt.Fprintf(a.out, "showing   http://%s/metrics\n", l.Addr())
	return func() { _ = h.Close() }, nil // nobody waits for an answer
}
