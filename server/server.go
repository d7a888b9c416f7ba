// Package server takes scans and hands out labels over HTTP: uploads, durable jobs,
// events, results, and the protocols that viewers speak already. What computes is
// in engine, what lasts in queue and blob; this package is the door.
//
// The one idea: openapi.yaml is the contract. Every other protocol here is a thin
// translation to the same jobs.
package server

//go:generate go tool -C gen oapi-codegen -config types.yaml ../openapi.yaml
//go:generate go tool -C gen oapi-codegen -config server.yaml ../openapi.yaml

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/internal/filelock"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// Options of a Server. Data, Models and Formats have to be given.
type Options struct {
	Version string
	Data    string       // folder of all that is kept
	Models  string       // folder of models
	Page    http.Handler // the page and its files; nil: a plain page of status
	Log     *slog.Logger

	Devices []engine.Device // none: workers elsewhere do the work
	Formats func(s *api.Submit, p *plan.Plan, seed []byte) []scan.Format
	// FormatNames are the names of what Formats returns.
	FormatNames []string

	NATS       string // URL of a cluster to use instead of the embedded queue
	NATSListen string // host:port at which the embedded queue takes workers
	NATSToken  string
	Replicas   int
	Blobs      blob.Store // nil: a folder in Data
	AckWait    time.Duration
	Attempts   int

	Trace func(engine.Span) // is told of requests and stages of jobs; may be nil

	Auth     Auth
	Archives map[string]Archive // DICOMweb archives by their names
	Bounds   Bounds
}

// Bounds are those of what is taken.
type Bounds struct {
	UploadBytes int64         // of a file
	VolumeBytes int64         // of a scan when it is decompressed
	HostBytes   int64         // of all scans in memory
	Reserve     int64         // of the disk that stays free
	Jobs        int           // of a user that are not over
	Streams     int           // of events of a user
	Rate        float64       // requests of a user in a second; 0: any
	Keep        time.Duration // of uploads, jobs and results after their end
	Kept        int           // jobs that are over, and as many uploads: of more, the oldest of who has most go before their time; 0: any
	Idle        time.Duration // without a byte of a body until it is given up
	ArchiveIdle time.Duration // the same of an archive, which may have to find its files first
}

// DefaultBounds are those for one machine.
func DefaultBounds() Bounds {
	return Bounds{
		UploadBytes: 16 << 30, VolumeBytes: 16 << 30, Reserve: 1 << 30,
		Jobs: 100, Streams: 100, Rate: 200, Keep: 7 * 24 * time.Hour, Kept: 100_000, Idle: 30 * time.Second, ArchiveIdle: 2 * time.Minute,
	}
}

// Server is the handler of all requests, with all that works behind it.
type Server struct {
	o      Options
	echo   *echo.Echo
	queue  *queue.Queue
	blobs  blob.Store
	parts  *blob.Folder // guards the disk of uploads that are arriving
	models *engine.Models
	engine *engine.Engine // nil: the work is done elsewhere
	auth   *authenticator
	meter  *meter
	locks  keyed
	claims claims
	stream counted
	parsed parsed

	tensors *tensors

	unlock   func() error
	stop     context.CancelFunc
	wg       sync.WaitGroup
	draining chan struct{}
	once     sync.Once
}

// New opens all that the server has, and begins to work.
func New(ctx context.Context, o Options) (*Server, error) {
	s := &Server{o: o, tensors: newTensors(o.Bounds), draining: make(chan struct{}), stop: func() {}, unlock: func() error { return nil }}
	if s.o.Log == nil {
		s.o.Log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("server: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.partFolder(), 0o700); err != nil {
		return err
	}
	if s.unlock, err = lockFolder(s.o.Data); err != nil {
		return err
	}
	if s.parts, err = blob.OpenFolder(s.partFolder(), s.o.Bounds.Reserve); err != nil {
		return err
	}
	if s.blobs = s.o.Blobs; s.blobs == nil {
		if s.blobs, err = blob.OpenFolder(filepath.Join(s.o.Data, "blobs"), s.o.Bounds.Reserve); err != nil {
			return err
		}
	}
	if s.models, err = engine.OpenModels(ctx, s.o.Models, filepath.Join(s.o.Data, "models")); err != nil {
		return err
	}
	if len(s.models.All()) == 0 {
		s.o.Log.Warn("there are no models; those that come are taken", "folder", s.o.Models)
	}
	worker, err := workerName(s.o.Data)
	if err != nil {
		return err
	}
	s.meter = newMeter(s)
	s.queue, err = queue.Open(ctx, queue.Options{
		Dir: filepath.Join(s.o.Data, "queue"), URL: s.o.NATS, Listen: s.o.NATSListen, Token: s.o.NATSToken, Worker: worker,
		AckWait: s.o.AckWait, Attempts: s.o.Attempts, Replicas: s.o.Replicas, Ended: s.meter.over,
	})
	if err != nil {
		return err
	}
	if s.auth, err = newAuthenticator(ctx, s.o.Auth, s.o.Bounds.Rate); err != nil {
		return err
	}
	s.auth.refused = func(c echo.Context) { s.audit(c, "refuse", "route", c.Path()) }
	if len(s.o.Devices) > 0 {
		archives := Archives{s.o.Archives, s.o.Bounds.UploadBytes, s.o.Bounds.ArchiveIdle, s.parts}
		s.engine, err = engine.Start(engine.Options{
			Queue: s.queue, Blobs: s.blobs, Models: s.models, Devices: s.o.Devices, Work: filepath.Join(s.o.Data, "work"),
			Formats: s.o.Formats, Fetch: archives.Fetch, Store: archives.Store,
			HostBytes: s.o.Bounds.HostBytes, VolumeBytes: s.o.Bounds.VolumeBytes, Log: s.o.Log, Observe: s.meter, Trace: s.o.Trace,
		})
		if err != nil {
			return err
		}
	}
	s.sweepParts()
	s.routes()
	life, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.wg.Go(func() { s.models.Follow(life, modelsEvery) })
	s.wg.Go(func() { s.clean(life) })
	return nil
}

// modelsEvery is how often the folder of models is looked at.
const modelsEvery = 5 * time.Second

func (s *Server) partFolder() string { return filepath.Join(s.o.Data, "uploads") }

// lockTime is how long a process that was killed may take to let go of its files.
const lockTime = 3 * time.Second

// lockFolder makes sure that no other server uses the folder.
func lockFolder(dir string) (release func() error, err error) {
	held := (*filelock.HeldError)(nil)
	for until := time.Now().Add(lockTime); ; time.Sleep(lockTime / 50) {
		release, err = filelock.Take(filepath.Join(dir, "lock"))
		if !errors.As(err, &held) || time.Now().After(until) {
			break
		}
	}
	if err != nil {
		return func() error { return nil }, fmt.Errorf("%s: another server uses the folder, give each its own --data: %w", dir, err)
	}
	return release, nil
}

// workerName is the name of the worker of a data folder, which stays over restarts.
func workerName(dir string) (string, error) {
	path := filepath.Join(dir, "worker")
	if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
		return string(b), nil
	}
	host, _ := os.Hostname() // a name is as good as none
	name := host + "-" + queue.ID()[:8]
	return name, os.WriteFile(path, []byte(name), 0o600)
}

// Handler answers all requests.
func (s *Server) Handler() http.Handler { return s.echo }

// Serve answers the requests of l until ctx ends; then it drains: no new jobs, those
// that run have as long as patience to end, and the rest waits for the next start.
func (s *Server) Serve(ctx context.Context, l net.Listener, patience time.Duration) error {
	h := &http.Server{
		Handler: s.echo, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	var over <-chan error
	if s.engine != nil {
		over = s.engine.Over()
	}
	var restart error
	select {
	case err := <-failed:
		return fmt.Errorf("server: %w", err)
	case restart = <-over:
		restart = fmt.Errorf("server: start it again, it goes on with its jobs: %w", restart)
	case <-ctx.Done():
	}
	s.o.Log.Info("draining", "patience", patience)
	until, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Drain(until)
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := h.Shutdown(end); err != nil {
		_ = h.Close() // who holds on to a connection loses it
	}
	return restart
}

// Drain takes no new jobs and waits for those that run, until ctx ends. The server
// says that it is not ready, and answers all the same.
func (s *Server) Drain(ctx context.Context) {
	s.once.Do(func() { close(s.draining) })
	if s.engine != nil {
		s.engine.Drain(ctx)
	}
}

// Close ends all that New began.
func (s *Server) Close() error {
	s.once.Do(func() { close(s.draining) })
	if s.engine != nil {
		at, cancel := context.WithCancel(context.Background())
		cancel()
		s.engine.Drain(at)
	}
	s.stop()
	s.wg.Wait()
	var err error
	if s.queue != nil {
		err = s.queue.Close()
	}
	return errors.Join(err, s.unlock())
}

// ready says why the server cannot take jobs at the moment.
func (s *Server) ready(ctx context.Context) error {
	select {
	case <-s.draining:
		return errors.New("the server stops")
	default:
	}
	err := errors.Join(s.queue.Check(ctx), s.blobs.Check(ctx))
	if s.engine != nil {
		err = errors.Join(err, s.engine.Check())
	}
	return err
}
