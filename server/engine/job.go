package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/queue"
)

// job is a job on its way. Each of its fields is set by one stage and read by those
// after it.
type job struct {
	*queue.Delivery
	log   *slog.Logger
	begun time.Time
	stop  []func() // in the end

	ctx      context.Context
	model    *Model
	fetched  time.Duration // that the archive took
	scan     *scan.Scan
	image    *volume.Image // kept for statistics and preview
	pre      *volume.Preprocessed
	kind     kind // of jobs that go together, none: it goes alone
	labels   *volume.Labels
	granted  int64 // host memory
	device   string
	memory   predict.Memory
	times    api.Times
	results  []api.JobResult
	counted  []api.Label
	panicked bool
	err      error
}

// errDraining is the cause of the end of a job's context when the process ends.
var errDraining = errors.New("the server stops")

// follow makes the context of the job: it ends with working, too.
func (j *job) follow(working context.Context) {
	ctx, cancel := context.WithCancelCause(j.Context)
	j.ctx = ctx
	end := context.AfterFunc(working, func() { cancel(errDraining) })
	j.stop = append(j.stop, func() { end(); cancel(nil) })
}

// folder is where the files of a job are made.
func (o *owner) folder(j *job) string { return filepath.Join(o.o.Work, j.ID) }

// safely runs a stage of a job that nothing is wrong with. A panic ends the job, not
// the server.
func (o *owner) safely(j *job, stage func(*job) error) {
	if j.err != nil {
		return
	}
	if j.ctx.Err() != nil {
		j.err = context.Cause(j.ctx)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			j.log.Error("a job has crashed", "panic", p, "stack", string(debug.Stack()))
			j.panicked = true
			j.err = failed(api.FailedCrashed, fmt.Errorf("%v", p))
		}
	}()
	j.err = stage(j)
}

// end gives the job its final state, or back to the queue.
func (o *owner) end(j *job) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cause := context.Cause(j.ctx)
	if j.err == nil {
		cause = nil // it was done before the end of its context
	}
	o.free(j)
	state, f := api.JobDone, (*api.Failed)(nil)
	switch {
	case j.err == nil:
	case errors.Is(cause, queue.ErrNotOurs):
		j.log.Warn("the job is another worker's by now")
	case errors.Is(cause, queue.ErrCancelled):
		state, f = api.JobCancelled, &api.Failed{Code: api.FailedCancelled, Reason: "it was cancelled", Do: "submit it again"}
	case errors.Is(cause, errDraining):
		j.log.Info("job goes back to the queue")
		o.clean(ctx, j, false)
		o.report(j, j.Release(ctx, false, 0))
		return
	case again(j.err) && j.Attempts < o.o.Queue.Attempts():
		j.log.Warn("job is tried again", ofFailure(describeFailure(j.err))...)
		o.clean(ctx, j, false)
		o.report(j, j.Release(ctx, true, time.Second))
		return
	default:
		state, f = api.JobFailed, describeFailure(j.err)
		f.Reason = o.withoutPaths(j, f.Reason)
	}
	times := j.times // a copy: the record outlives the job
	err := j.Finish(ctx, func(r *queue.Record) {
		r.State, r.Failed, r.Device = state, f, j.device
		if state == api.JobDone {
			r.Results, r.Labels, r.Times, r.Memory = j.results, j.counted, &times, memoryOf(j.memory)
		}
	})
	o.report(j, err)
	o.clean(ctx, j, err == nil && state == api.JobDone)
	if err != nil {
		return
	}
	code := ""
	if f != nil {
		code = f.Code
		j.log.Info("job ends", append([]any{"state", state}, ofFailure(f)...)...)
	} else {
		j.log.Info("job ends", "state", state, "took", time.Since(j.begun).Round(time.Millisecond))
	}
	if o.o.Trace != nil {
		o.o.Trace(Span{
			Name: "job", Job: j.ID, Begun: j.begun, Took: time.Since(j.begun), Bad: state == api.JobFailed,
			Facts: map[string]string{"state": state, "code": code, "model": j.Submit.Model, "device": j.device},
		})
	}
}

// told are the codes of failures whose reasons are the machine's: those of the others name
// files and studies, which may be called as patients are. The job has them all, for its
// owner and for admins.
var told = map[string]bool{api.FailedModel: true, api.FailedMemory: true, api.FailedDevice: true, api.FailedLost: true}

// ofFailure is what the log says of a failure.
func ofFailure(f *api.Failed) []any {
	if !told[f.Code] {
		return []any{"code", f.Code}
	}
	return []any{"code", f.Code, "reason", f.Reason}
}

func (o *owner) report(j *job, err error) {
	if err != nil && !errors.Is(err, queue.ErrNotOurs) {
		j.log.Error("the end of the job is not written: it will be begun again", "error", err)
	}
}

// free gives back what a job took of this process.
func (o *owner) free(j *job) {
	for _, f := range j.stop {
		f()
	}
	if j.scan != nil {
		_ = j.scan.Close() // only read from
	}
	j.image, j.pre, j.labels = nil, nil, nil
	if j.granted > 0 {
		o.host.Release(j.granted)
		j.granted = 0
	}
	if err := os.RemoveAll(o.folder(j)); err != nil {
		j.log.Warn("files of the job stay", "error", err)
	}
}

// clean deletes the blobs of this attempt, or, if they are the result, those of
// all others.
func (o *owner) clean(ctx context.Context, j *job, done bool) {
	mine := ResultFolder(j.ID, j.Attempts)
	var old []string
	err := o.o.Blobs.List(ctx, ResultPrefix(j.ID), func(i blob.Info) error {
		if strings.HasPrefix(i.Name, mine) != done { // a later attempt may be another worker's
			old = append(old, i.Name)
		}
		return nil
	})
	for _, name := range old {
		err = errors.Join(err, o.o.Blobs.Delete(ctx, name))
	}
	if err != nil {
		j.log.Warn("blobs of the job stay", "error", err)
	}
}

// ResultPrefix begins the names of all blobs of a job's results.
func ResultPrefix(id string) string { return "results/" + id + "/" }

// ResultFolder begins those of one attempt.
func ResultFolder(id string, attempt int) string { return fmt.Sprintf("results/%s/%d/", id, attempt) }

// UploadBlob is the name of the blob of an upload.
func UploadBlob(id string) string { return "uploads/" + id }

// coded is an error of a kind.
type coded struct {
	code string
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

func failed(code string, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code, err}
}

// again says whether a job may go well when it is tried again.
func again(err error) bool {
	if errors.Is(err, backend.ErrLost) {
		return true
	}
	e := (*coded)(nil)
	return errors.As(err, &e) && e.code == api.FailedFetch
}

// advice is what a user can do, by code.
var advice = map[string]string{
	api.FailedRequest: "ask for something else",
	api.FailedModel:   "choose another model, or tell who runs this server",
	api.FailedScan:    "choose another scan, or the one that the model is for",
	api.FailedMemory:  "take a model with a smaller patch or fewer classes, or a server with more memory",
	api.FailedDevice:  "tell who runs this server: its log says more",
	api.FailedLost:    "submit it again; if that fails too, tell who runs this server",
	api.FailedFetch:   "look whether the archive answers and has the series, and submit it again",
	api.FailedDisk:    "delete jobs and uploads that are not needed any more, and submit it again",
	api.FailedCrashed: "this is a fault of the program: tell who runs this server, whose log says more",
}

// withoutPaths is the reason of a failure without the folders of this machine: those who
// read it have the names of files only.
func (o *owner) withoutPaths(j *job, reason string) string {
	if e := (*fs.PathError)(nil); errors.As(j.err, &e) {
		reason = strings.ReplaceAll(reason, e.Path, filepath.Base(e.Path))
	}
	for _, folder := range []string{"out", "in", ""} {
		reason = strings.ReplaceAll(reason, filepath.Join(o.folder(j), folder)+string(filepath.Separator), "")
	}
	return reason
}

func describeFailure(err error) *api.Failed {
	f := &api.Failed{Code: api.FailedDevice, Reason: err.Error()}
	if e := (*coded)(nil); errors.As(err, &e) {
		f.Code = e.code
	}
	if e := (*predict.MemoryError)(nil); errors.As(err, &e) {
		f.Code, f.Need, f.Have = api.FailedMemory, e.Need, e.Have
	}
	if errors.Is(err, backend.ErrLost) {
		f.Code = api.FailedLost
	}
	if errors.Is(err, blob.ErrFull) {
		f.Code = api.FailedDisk
	}
	f.Do = advice[f.Code]
	return f
}

func memoryOf(m predict.Memory) *api.Memory {
	return &api.Memory{DeviceBytes: m.Total(), HostBytes: m.Host, Tiles: m.Tiles, Runs: m.Runs, Planes: m.Planes, Depth: m.Depth}
}
