// Package engine works off the jobs of a queue on devices: it reads a scan, sends
// it through a model, and keeps the labels as blobs.
//
// The one idea: a device has one goroutine. Beside it one job is made ready, a few come
// from archives and a few are written, so that the device never waits for files; all
// share the host memory that was granted. Small jobs that are ready at the same time
// share the runs of the device.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/queue"
)

// Device is one that jobs run on. It is opened by the goroutine that owns it, and
// again after it was lost.
type Device struct {
	Name        string
	Open        func() (backend.Device, error)
	Storage     func(backend.Device) (graph.DType, error) // of activations
	MemoryBytes int64                                     // that may be taken; 0: what the device has
	BatchJobs   int                                       // jobs of one tile that share its runs, at most; 1: none do; 0: as many as fill it
}

// Options of an Engine.
type Options struct {
	Queue   *queue.Queue
	Blobs   blob.Store
	Models  *Models
	Devices []Device
	Work    string // folder for files that are being made

	// Formats are those in which labels can be written of a job; DICOM objects made
	// with one seed belong together.
	Formats func(s *api.Submit, p *plan.Plan, seed []byte) []scan.Format
	// Fetch gets a series of an archive as a zip or as files; nil: there are none.
	Fetch func(ctx context.Context, in *api.DICOMwebInput, folder string, told func(done, of int64)) error
	// Store sends a result back to the archive of an input.
	Store func(ctx context.Context, in *api.DICOMwebInput, object io.Reader) error

	HostBytes   int64 // for all scans in memory; 0: no bound
	VolumeBytes int64 // of one scan when it is decompressed; 0: no bound
	Log         *slog.Logger
	Observe     Observer
	Trace       func(Span) // nil: nobody wants to know
}

// Span is what took time: a stage of a job, or a request.
type Span struct {
	Name  string
	Job   string // id, which is its trace; "" of a request
	In    string // traceparent of a request, as its client sent it
	Begun time.Time
	Took  time.Duration
	Facts map[string]string // nothing of a patient
	Bad   bool
}

// Observer is told what the engine does, for metrics.
type Observer interface {
	Stage(stage string, took time.Duration)
	Tiles(n int)
}

// Engine is the goroutines of all devices.
type Engine struct {
	o    Options
	host *semaphore.Weighted // nil: no bound
	wg   sync.WaitGroup
	stop context.CancelFunc // no new jobs
	kill context.CancelFunc // no jobs
	over chan error         // why this process should end

	mu      sync.Mutex
	devices []api.ServerDevice
}

// Start begins to work off jobs.
func Start(o Options) (*Engine, error) {
	if len(o.Devices) == 0 {
		return nil, errors.New("engine: no devices")
	}
	if err := os.RemoveAll(o.Work); err != nil { // of a process that was killed
		return nil, fmt.Errorf("engine: %w", err)
	}
	if err := os.MkdirAll(o.Work, 0o700); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e := &Engine{o: o, devices: make([]api.ServerDevice, len(o.Devices)), over: make(chan error, len(o.Devices))}
	if o.HostBytes > 0 {
		e.host = semaphore.NewWeighted(o.HostBytes)
	}
	var taking, working context.Context
	working, e.kill = context.WithCancel(context.Background())
	taking, e.stop = context.WithCancel(working)
	for i, d := range o.Devices {
		own := &owner{Engine: e, index: i, device: d, log: o.Log.With("device", d.Name), line: newLine()}
		e.devices[i] = api.ServerDevice{Name: d.Name, Worker: o.Queue.Worker(), State: "idle"}
		e.wg.Go(func() { own.run(taking, working) })
	}
	e.wg.Go(func() { e.announce(taking) })
	return e, nil
}

// Drain takes no new jobs and waits for those that run, until ctx ends: then they
// go back to the queue.
func (e *Engine) Drain(ctx context.Context) {
	e.stop()
	done := make(chan struct{})
	go func() { e.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	e.kill()
	<-done
}

// Over hands out why another process should take the place of this one: a device is lost for as
// long as it lives. No new jobs are taken then; the job goes back to the queue.
func (e *Engine) Over() <-chan error { return e.over }

// Devices says what each device does.
func (e *Engine) Devices() []api.ServerDevice {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]api.ServerDevice(nil), e.devices...)
}

// Check says why no job can be worked on at the moment.
func (e *Engine) Check() error {
	for _, d := range e.Devices() {
		if d.State != "lost" {
			return nil
		}
	}
	return errors.New("engine: no device can be opened; it is tried again all the time")
}

// owner is a device with its goroutines.
type owner struct {
	*Engine
	index  int
	device Device
	log    *slog.Logger

	taking sync.Mutex // of the one that waits for a job
	turn   sync.Mutex // of the one that makes a job ready, got while taking is held
	line   *line      // of jobs that are ready

	gone bool           // this process cannot open the device again
	open backend.Device // nil: it is not
	warm []*warm        // the least recently used first
}

// set says what the device does.
func (o *owner) set(change func(*api.ServerDevice)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.devices[o.index])
}

// writers of results: small ones wait for the disk most of the time, and not for each
// other.
const writers = 4

// waitingResults are those of a large group: it does not hold up the device.
const waitingResults = 32

// run works off jobs until taking ends, and the ones in hand until working does.
func (o *owner) run(taking, working context.Context) {
	finished := make(chan *job, waitingResults)
	var wg, preparing sync.WaitGroup
	for range preparers {
		preparing.Go(func() { o.prepareAll(taking, working) })
	}
	wg.Go(func() { preparing.Wait(); o.line.close() })
	for range writers {
		wg.Go(func() {
			for j := range finished {
				o.safely(j, o.write)
				o.end(j)
			}
		})
	}
	o.keepOpen(taking)
	for group := o.line.take(); group != nil; group = o.line.take() {
		if len(group) > 1 {
			o.busy(func() bool { return o.together(group) })
			if !slices.ContainsFunc(group, func(j *job) bool { return errors.Is(j.err, backend.ErrRestart) }) {
				o.keepOpen(working) // if it was lost
			}
		}
		for _, j := range group {
			if j.err == nil && j.labels == nil {
				o.busy(func() bool {
					o.safely(j, o.segment)
					return errors.Is(j.err, backend.ErrLost) || j.panicked
				})
			}
			if errors.Is(j.err, backend.ErrRestart) && !o.gone {
				o.gone = true
				o.stop()
				o.over <- fmt.Errorf("engine: %w", j.err)
			}
			finished <- j
			o.keepOpen(working)
		}
	}
	close(finished)
	wg.Wait()
	o.shut()
}

// busy lets the device work, which is lost if work says so.
func (o *owner) busy(work func() (lost bool)) {
	o.set(func(d *api.ServerDevice) { d.State = "busy" })
	if work() {
		o.lose()
		return
	}
	o.set(func(d *api.ServerDevice) { d.State = "idle" })
}

// preparers take jobs: one at a time makes one ready, one has the next, the others wait
// for archives.
const preparers = 4

// prepareAll takes jobs and makes them ready, one ahead of the device, or as many as go
// together, and in the order in which they were taken; but while an archive sends a scan those behind it go on.
func (o *owner) prepareAll(taking, working context.Context) {
	for {
		o.taking.Lock()
		o.turn.Lock()
		o.turn.Unlock() //nolint:staticcheck // the one before is with the device now, or may have company: which is the next is decided late
		d := o.take(taking)
		if d == nil {
			o.taking.Unlock()
			return
		}
		j := &job{Delivery: d, log: o.log.With("job", d.ID, "attempt", d.Attempts), begun: time.Now()}
		j.follow(working)
		j.log.Info("job begins", "model", d.Submit.Model)
		if o.safely(j, o.begin); j.archive() != nil {
			o.taking.Unlock()
			o.safely(j, o.fetch)
			o.turn.Lock()
		} else {
			o.turn.Lock()
			o.taking.Unlock()
		}
		o.safely(j, o.prepare)
		isReady := j.err == nil
		if isReady {
			j.kind = kindOf(j)
			o.line.put(j)
		}
		o.turn.Unlock()
		if !isReady {
			o.end(j)
		}
	}
}

// take waits for a job, nil if no more are to be taken.
func (o *owner) take(taking context.Context) *queue.Delivery {
	for {
		d, err := o.o.Queue.Next(taking)
		if taking.Err() != nil {
			if d != nil {
				_ = d.Release(context.WithoutCancel(taking), false, 0) // else its message is given to another later
			}
			return nil
		}
		if err == nil {
			return d
		}
		o.log.Warn("the queue does not answer", "error", err)
		select {
		case <-taking.Done():
		case <-time.After(time.Second):
		}
	}
}

// keepOpen opens the device, as often as it takes.
func (o *owner) keepOpen(ctx context.Context) {
	for wait := time.Second; o.open == nil && !o.gone && ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		dev, err := o.device.Open()
		if err == nil {
			o.open = dev
			o.set(func(d *api.ServerDevice) { d.State, d.Name, d.TotalBytes = "idle", dev.Name(), dev.Limits().TotalBytes })
			return
		}
		o.log.Error("the device cannot be opened", "error", err, "again_in", wait)
		o.set(func(d *api.ServerDevice) { d.State = "lost" })
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// lose forgets a device that is gone, and what was on it. Jobs are taken while it is opened
// anew: it counts as lost when that fails.
func (o *owner) lose() {
	o.log.Error("the device is lost; it is opened anew, by the next process where this one cannot")
	o.shut()
}

func (o *owner) shut() {
	o.evict(len(o.warm))
	if o.open != nil {
		_ = o.open.Close() // nothing is left to lose
		o.open = nil
	}
}
