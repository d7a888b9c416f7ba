package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/internal/filelock"
	"github.com/gounet/gounet/server"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// modelsEvery is how often the folder of models is looked at.
const modelsEvery = 5 * time.Second

// workerFlags are the flags of `gounet worker`.
type workerFlags struct{ workFlags }

func newWorker(a *app) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use:   "worker --nats URL --blobs URL",
		Short: "work off jobs of a server elsewhere",
		Long: `worker takes jobs from the queue of gounet serve, on this machine's devices. Any
number of workers share one queue; when one dies, its jobs are given to others.

It needs the same models as the server, the queue, and where uploads and results are
kept. SIGTERM lets jobs end.`,
		Example: `  gounet worker --nats nats://queue:4222 --blobs s3://KEY:SECRET@minio:9000/gounet --models models
  gounet worker --nats nats://queue:4222 --blobs /shared/blobs --data /var/lib/gounet/worker2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), a)
		},
	}
	f.add(cmd)
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
	archives := server.Archives{Known: o.Archives, MostBytes: o.Bounds.UploadBytes, Idle: o.Bounds.ArchiveIdle, Disk: disk}
	e, err := engine.Start(engine.Options{
		Queue: q, Blobs: o.Blobs, Models: models, Devices: o.Devices, Work: filepath.Join(o.Data, "work"),
		Formats: o.Formats, Fetch: archives.Fetch, Store: archives.Store, HostBytes: o.Bounds.HostBytes, VolumeBytes: o.Bounds.VolumeBytes, Log: o.Log, Trace: trace,
	})
	if err != nil {
		return errors.Join(err, q.Close())
	}
	fmt.Fprintf(a.out, "working   as %s for %s\n", q.Worker(), o.NATS)
	go models.Follow(ctx, modelsEvery)
	<-ctx.Done()
	until, cancel := context.WithTimeout(context.Background(), f.patience)
	defer cancel()
	e.Drain(until)
	return q.Close()
}
