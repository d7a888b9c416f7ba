// Package worker answers the messages of package api: it loads a model, opens a
// scan and segments it on the devices of its host. It knows no JavaScript; what
// carries messages and bytes is the program around it.
//
// The one idea: a worker is a function of messages to messages. Requests wait in a
// queue for the one goroutine that owns devices, model and scan; only Cancel does
// not wait.
package worker

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
)

// Blob is bytes that came with a message or were fetched.
type Blob struct {
	Size int64
	io.ReaderAt
}

// Host is what a worker runs on.
type Host struct {
	Version string
	// WebGPU opens a GPU, and with software also an adapter that is none.
	WebGPU func(software bool) (backend.Device, error)
	CPU    func() (backend.Device, error)
	// Fetch gets what is at an address and shows each piece to see as it arrives,
	// with the size of the whole, 0 if that is unknown. Nil: addresses are refused.
	Fetch func(ctx context.Context, url string, see func(piece []byte, of int64) error) (Blob, error)
	// Send takes an answer and the buffers that it refers to, which are its to keep.
	// It is called by one goroutine at a time.
	Send func(a api.Answer, buffers ...[]byte)
	// Rest lets messages in while one goroutine computes, where that needs help; may
	// be nil.
	Rest func()
	// Bytes bounds what a scan may take beside the device; 0: no bound.
	Bytes int64
	// StartMS is how long the program took to start, at the call of Run.
	StartMS func() float64
}

// Worker is the state between messages.
type Worker struct {
	host Host
	wake chan struct{} // there is something in the queue

	mu    sync.Mutex // of the queue
	queue []*job     // the first is being worked on

	now  atomic.Pointer[job] // that is being worked on
	read atomic.Int64        // bytes of blobs since the last rest

	// What follows belongs to the goroutine of Run.
	devices map[string]*opened
	model   *model
	scan    *scan.Scan
	ready   *ready
	seen    *seen             // of the scan; nil: nobody has looked
	listed  *dicom.Collection // of the last List
}

// job is a request on its way.
type job struct {
	api.Request
	blobs  []Blob
	ctx    context.Context
	cancel context.CancelCauseFunc
	save   chan struct{} // closed: save, and end
	once   sync.Once
}

// model is one that was loaded.
type model struct {
	*checkpoint.Model
	sha string
}

// ready is a model on a device, for requests like the last one.
type ready struct {
	*predict.Predictor
	dev *opened
	o   predict.Options
}

// New is a worker on a host. Run makes it work.
func New(h Host) *Worker {
	return &Worker{host: h, wake: make(chan struct{}, 1), devices: map[string]*opened{}}
}

// Post takes a request and the blobs that it refers to. It does not wait, and may
// be called by any goroutine.
func (w *Worker) Post(r api.Request, blobs []Blob) {
	if r.Cancel != nil {
		w.cancel(*r.Cancel)
		return
	}
	j := &job{Request: r, blobs: blobs, save: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	w.mu.Lock()
	w.queue = append(w.queue, j)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

var errCancelled = errors.New("cancelled")

// cancel ends the jobs of an ID. One that is over already is no error.
func (w *Worker) cancel(c api.Cancel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, j := range w.queue {
		switch {
		case j.ID != c.Request:
		case c.Save && i == 0 && j.Segment != nil:
			j.once.Do(func() { close(j.save) })
		default:
			j.cancel(errCancelled)
		}
	}
}

// Run sends Ready and works off requests until ctx ends, and then closes all.
func (w *Worker) Run(ctx context.Context) {
	w.host.Send(api.Answer{Ready: w.hello()})
	defer w.close()
	for {
		j := w.next(ctx)
		if j == nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { j.cancel(context.Cause(ctx)) })
		w.now.Store(j)
		w.do(j)
		stop()
		w.mu.Lock()
		w.queue = w.queue[1:]
		w.mu.Unlock()
		j.cancel(nil)
	}
}

// next waits for a job; nil: ctx has ended.
func (w *Worker) next(ctx context.Context) *job {
	for {
		w.mu.Lock()
		var j *job
		if len(w.queue) > 0 {
			j = w.queue[0]
		}
		w.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		if j != nil {
			return j
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
	}
}

// do answers a request.
func (w *Worker) do(j *job) {
	answer := api.Answer{}
	var buffers [][]byte
	err := context.Cause(j.ctx)
	if err == nil {
		switch {
		case j.Load != nil:
			answer.Loaded, err = w.load(j)
		case j.Open != nil:
			answer.Opened, err = w.open(j)
		case j.Segment != nil:
			answer.Done, buffers, err = w.segment(j)
		case j.PageRequest != api.PageRequest{}:
			buffers, err = w.serve(j, &answer)
		default:
			err = fail(api.FailedRequest, errors.New("the request asks for nothing: one of load, open, segment and cancel was wanted"))
		}
	}
	if err != nil {
		answer, buffers = api.Answer{Failed: w.failed(j, err)}, nil
	}
	answer.ID = j.ID
	w.host.Send(answer, buffers...)
}

// rest lets messages in, and says whether one of them has cancelled the job.
func (w *Worker) rest() error {
	if w.host.Rest != nil {
		w.host.Rest()
	}
	return context.Cause(w.now.Load().ctx)
}

// restBytes are read from blobs between two rests: a tenth of a second.
const restBytes = 16 << 20

// restful is a blob whose reading can be cancelled.
type restful struct {
	io.ReaderAt
	w *Worker
}

func (r restful) ReadAt(p []byte, off int64) (int, error) {
	if r.w.read.Add(int64(len(p))) >= restBytes {
		r.w.read.Store(0)
		if err := r.w.rest(); err != nil {
			return 0, err
		}
	}
	return r.ReaderAt.ReadAt(p, off)
}

// tell sends what is not the last answer to a job.
func (w *Worker) tell(j *job, a api.Answer, buffers ...[]byte) {
	a.ID = j.ID
	w.host.Send(a, buffers...)
}

func (w *Worker) close() {
	w.forget()
	w.shut()
	for _, d := range w.devices {
		_ = d.Close() // nothing is left to lose
	}
	w.devices = nil
}

// forget closes the predictor.
func (w *Worker) forget() {
	if w.ready != nil {
		w.ready.Close()
		w.ready = nil
	}
}

// shut closes the scan.
func (w *Worker) shut() {
	if w.scan != nil {
		_ = w.scan.Close() // it was only read from
		w.scan, w.seen = nil, nil
	}
}
