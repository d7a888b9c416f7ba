package server

import (
	"context"
	"net/http"
	"os"
	"path/filepath"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// What the protocols of others need of jobs: they hand over a scan, wait, and take
// the labels.

// hand makes an upload of a file that write makes.
func (s *Server) hand(c echo.Context, name string, write func(path string) error) (u *queue.UploadRecord, err error) {
	if u, err = s.begin(c, name, -1); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(s.part(u.ID)) // swept at the next start
		}
	}()
	dir, err := os.MkdirTemp(s.partFolder(), "hand-")
	if err != nil {
		return u, err
	}
	defer func() { _ = os.RemoveAll(dir) }()   // swept at the next start
	path := filepath.Join(dir, "image.nii.gz") // errors name it, and name may be a patient's
	if err := write(path); err != nil {
		return u, err
	}
	if err := os.Rename(path, s.part(u.ID)); err != nil {
		return u, err
	}
	done, err := s.complete(c.Request().Context(), u)
	if err != nil {
		return u, err
	}
	s.audit(c, "create", "upload", done.ID)
	return done, nil
}

// await waits until a job is over. If the client goes away the job is cancelled:
// nobody else knows of it.
func (s *Server) await(c echo.Context, id string) (*queue.Record, error) {
	wake, stop := s.queue.Hub.Watch(id)
	defer stop()
	for {
		r, err := s.queue.Jobs.Get(context.WithoutCancel(c.Request().Context()), id)
		if err != nil {
			return nil, err
		}
		if api.JobOver(r.State) {
			return r, jobError(r)
		}
		select {
		case <-wake:
		case <-s.draining:
			return nil, later(http.StatusServiceUnavailable, 10, "the server stops; job %s goes on at its next start", id)
		case <-c.Request().Context().Done():
			_, err := s.queue.Cancel(context.WithoutCancel(c.Request().Context()), id)
			if err == nil {
				err = c.Request().Context().Err()
			}
			return nil, err
		}
	}
}

// jobError is why a job that is over has no result.
func jobError(r *queue.Record) error {
	if r.State == api.JobDone {
		return nil
	}
	f := r.Failed
	if f == nil {
		return wrong(http.StatusConflict, "job %s is %s", r.ID, r.State)
	}
	switch f.Code {
	case api.FailedScan, api.FailedRequest, api.FailedMemory, api.FailedModel, api.FailedFetch:
		return wrong(http.StatusUnprocessableEntity, "%s: %s", f.Reason, f.Do)
	case api.FailedCancelled:
		return wrong(http.StatusConflict, "the job was cancelled: submit it again")
	}
	return &discreet{wrong(http.StatusInternalServerError, "%s: %s", f.Reason, f.Do), "job " + r.ID + " has failed: " + f.Code}
}

// discreet is an error that may name files, and what the log says of it instead.
type discreet struct {
	error
	log string
}

func (d *discreet) Unwrap() error { return d.error }

// label submits a job for uploads and waits for its end.
func (s *Server) label(c echo.Context, submit api.Submit) (*queue.Record, error) {
	r, _, err := s.submit(c, submit, "")
	if err != nil {
		return nil, err
	}
	return s.await(c, r.ID)
}

// labels reads the label map that a job made in a format.
func (s *Server) labels(c echo.Context, r *queue.Record, format string) ([]uint8, error) {
	dir, err := os.MkdirTemp(s.partFolder(), "hand-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // swept at the next start
	for _, f := range r.Results {
		if f.Format != format {
			continue
		}
		b, err := s.openResult(c, r, f)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, f.Name)
		_, err = save(path, b, 0, s.parts)
		if err2 := b.Close(); err == nil {
			err = err2
		}
		if err != nil {
			return nil, err
		}
		l, err := scan.ReadLabels(path)
		if err != nil {
			return nil, err
		}
		return l.Data, nil
	}
	return nil, queue.ErrNotFound
}
