package worker

import (
	"context"
	"errors"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/api"
)

// coded is an error of a kind.
type coded struct {
	code string
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

func fail(code string, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code, err}
}

// advice is what a user can do, by code.
var advice = map[string]string{
	api.FailedRequest:   "ask for something else",
	api.FailedModel:     "choose another model, or get this one again",
	api.FailedScan:      "choose another scan, or the one that the model is for",
	api.FailedMemory:    "hand the scan to a server, or take a model with a smaller patch or fewer classes",
	api.FailedDevice:    "take the CPU, or hand the scan to a server",
	api.FailedLost:      "try again: the device is opened anew, and what was saved is gone on with",
	api.FailedFetch:     "look at the network and at the address, and try again",
	api.FailedCancelled: "ask again",
}

// failed tells of an error. A lost device is forgotten, with the model on it.
func (w *Worker) failed(j *job, err error) *api.Failed {
	f := &api.Failed{Code: api.FailedDevice, Reason: err.Error()}
	if e := (*coded)(nil); errors.As(err, &e) {
		f.Code = e.code
	}
	if errors.Is(err, backend.ErrMemory) {
		f.Code = api.FailedMemory
	}
	if e := (*predict.MemoryError)(nil); errors.As(err, &e) {
		f.Code, f.Need, f.Have = api.FailedMemory, e.Need, e.Have
	}
	if e := (*tooLarge)(nil); errors.As(err, &e) {
		f.Code, f.Need, f.Have = api.FailedMemory, e.need, e.have
	}
	if context.Cause(j.ctx) != nil || errors.Is(err, predict.ErrPaused) {
		f.Code, f.Reason = api.FailedCancelled, errCancelled.Error()
	}
	if errors.Is(err, backend.ErrLost) {
		f.Code = api.FailedLost
		w.lose()
	}
	f.Do = advice[f.Code]
	return f
}
