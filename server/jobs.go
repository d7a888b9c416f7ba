package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// rest implements the routes of openapi.yaml.
type rest struct{ *Server }

// GetInfo says what the server is.
func (s rest) GetInfo(c echo.Context) error {
	i := who(c)
	info := api.Info{
		Version: s.o.Version, User: i.user, Role: i.role, Formats: s.o.FormatNames, Devices: s.devices(),
		JobSeconds: s.meter.last.median(),
		Limits:     api.Limits{UploadBytes: s.o.Bounds.UploadBytes, VolumeBytes: s.o.Bounds.VolumeBytes, Jobs: s.o.Bounds.Jobs},
	}
	for name := range s.o.Archives {
		info.Dicomweb = append(info.Dicomweb, name)
	}
	slices.Sort(info.Dicomweb)
	s.queue.Jobs.EachOpen(func(_ string, r *queue.Record) bool {
		switch r.State {
		case api.JobQueued:
			info.Queued++
		case api.JobRunning:
			info.Running++
		}
		return true
	})
	return c.JSON(http.StatusOK, info)
}

// ListModels lists the models.
func (s rest) ListModels(c echo.Context) error {
	out := []api.Model{}
	for _, m := range s.models.All() {
		out = append(out, m.Model)
	}
	return c.JSON(http.StatusOK, out)
}

// model finds a model that can be used.
func (s *Server) model(id string) (*engine.Model, error) {
	m, ok := s.models.Get(id)
	if !ok {
		return nil, wrong(http.StatusNotFound, "there is no model %.100q: /api/v1/models lists those that there are", id)
	}
	return m, nil
}

// GetModel describes a model.
func (s rest) GetModel(c echo.Context, id api.ModelID) error {
	m, err := s.model(id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, m.Model)
}

// job finds a job that the one who asks may see.
func (s *Server) job(c echo.Context, id string) (*queue.Record, error) {
	r, err := s.queue.Jobs.Get(c.Request().Context(), id)
	if err != nil {
		return nil, err
	}
	if i := who(c); r.Owner != i.user && i.role != api.RoleAdmin {
		return nil, queue.ErrNotFound
	}
	return r, nil
}

// mostListed is how many rows a page of a list has at most.
const mostListed = 1000

// limitOf is how many rows a page is to have: the limit that was asked for, or as many as
// there are if none was.
func limitOf(c echo.Context, limit, ifNone int) (int, error) {
	if !c.QueryParams().Has("limit") {
		return ifNone, nil
	}
	if limit < 1 || limit > mostListed {
		return 0, wrong(http.StatusUnprocessableEntity, "limit is %d, wanted 1 to %d", limit, mostListed)
	}
	return limit, nil
}

// ListJobs lists jobs, the newest first.
func (s rest) ListJobs(c echo.Context, p api.ListJobsParams) error {
	if p.All {
		if err := need(c, api.RoleAdmin); err != nil {
			return err
		}
	}
	if p.State != "" && !slices.Contains(api.JobStates, p.State) {
		return wrong(http.StatusUnprocessableEntity, "state %.40q is unknown: wanted %s", p.State, strings.Join(api.JobStates, ", "))
	}
	limit, err := limitOf(c, p.Limit, 100)
	if err != nil {
		return err
	}
	if p.After != "" {
		if _, err := s.job(c, p.After); err != nil {
			return err
		}
	}
	user := who(c).user
	ids := s.queue.Jobs.Newest(limit+1, p.After, func(b queue.Brief) bool {
		return (b.Of(user) || p.All) && (p.State == "" || b.State.Value() == p.State) && (!p.Dead || b.Dead)
	})
	out := api.JobList{Jobs: []api.Job{}}
	if len(ids) > limit {
		ids = ids[:limit]
		out.Next = ids[limit-1]
	}
	for r, err := range s.queue.Jobs.Rows(c.Request().Context(), ids) {
		if err != nil {
			return err
		}
		out.Jobs = append(out.Jobs, *s.queue.View(r))
	}
	return c.JSON(http.StatusOK, out)
}

// mostSubmit is enough for a job with the files of the largest study.
const mostSubmit = 8 << 20

// SubmitJob submits a job.
func (s rest) SubmitJob(c echo.Context, p api.SubmitJobParams) error {
	var submit api.Submit
	d := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, mostSubmit))
	d.DisallowUnknownFields()
	if err := d.Decode(&submit); err != nil {
		if asProblem(err).status == http.StatusRequestEntityTooLarge {
			return err
		}
		return wrong(http.StatusUnprocessableEntity, "the body is no Submit as /api describes it: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return wrong(http.StatusUnprocessableEntity, "the body goes on behind the Submit: send one a request")
	}
	if len(p.IdempotencyKey) > mostName {
		return wrong(http.StatusUnprocessableEntity, "the Idempotency-Key has %d bytes, wanted at most %d", len(p.IdempotencyKey), mostName)
	}
	r, isNew, err := s.submit(c, submit, p.IdempotencyKey)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	c.Response().Header().Set(echo.HeaderLocation, "/api/v1/jobs/"+r.ID)
	return c.JSON(status, s.queue.View(r))
}

// submit checks and submits a job for the one who asks. With a key, the job that was
// submitted with it before is returned.
func (s *Server) submit(c echo.Context, submit api.Submit, key string) (r *queue.Record, isNew bool, err error) {
	if err := need(c, api.RoleUser); err != nil {
		return nil, false, err
	}
	i := who(c)
	b, err := json.Marshal(submit)
	if err != nil {
		return nil, false, err
	}
	r = &queue.Record{Job: api.Job{ID: queue.ID(), Owner: i.user, State: api.JobQueued, Submit: submit, Created: time.Now().UTC()}}
	sum := sha256.Sum256(b)
	r.Fingerprint = hex.EncodeToString(sum[:])
	if key != "" {
		h := sha256.Sum256([]byte(i.user + "\x00" + key))
		r.ID = hex.EncodeToString(h[:16])
		have, err := s.queue.Jobs.Get(c.Request().Context(), r.ID)
		if err == nil {
			return same(have, r)
		}
		if !errors.Is(err, queue.ErrNotFound) {
			return nil, false, err
		}
	}
	if err := s.acceptable(c, &submit); err != nil {
		return nil, false, err
	}
	if err := s.ready(c.Request().Context()); err != nil {
		return nil, false, later(http.StatusServiceUnavailable, 10, "the server takes no jobs at the moment (%v): try again later", err)
	}
	defer s.locks.lock("jobs of " + i.user)() // so that two at once do not pass the limit
	if n := s.unfinished(i.user); s.o.Bounds.Jobs > 0 && n >= s.o.Bounds.Jobs {
		return nil, false, later(http.StatusTooManyRequests, 10, "%d jobs of %s are not over, which is as many as one may have here: wait for one, or cancel one", n, i.user)
	}
	have, err := s.queue.Submit(context.WithoutCancel(c.Request().Context()), r)
	if errors.Is(err, queue.ErrExists) {
		return same(have, r)
	}
	if err != nil {
		return nil, false, err
	}
	s.audit(c, "submit", "job", r.ID)
	return r, true, nil
}

// same returns the job of a key, if it was submitted with the same body.
func same(have, r *queue.Record) (*queue.Record, bool, error) {
	if have.Fingerprint != r.Fingerprint {
		return nil, false, wrong(http.StatusUnprocessableEntity, "job %s was submitted with this Idempotency-Key and another body: take another key", have.ID)
	}
	return have, false, nil
}

// unfinished counts the jobs of a user that are not over.
func (s *Server) unfinished(user string) (n int) {
	s.queue.Jobs.EachOpen(func(_ string, r *queue.Record) bool {
		if r.Owner == user {
			n++
		}
		return true
	})
	return n
}

// acceptable says what is wrong with a job before it is taken.
func (s *Server) acceptable(c echo.Context, submit *api.Submit) error {
	i := who(c)
	refuse := func(format string, args ...any) error { return wrong(http.StatusUnprocessableEntity, format, args...) }
	m, err := s.model(submit.Model)
	if err != nil {
		return err
	}
	switch p := submit.Priority; {
	case m.Problem != "":
		return refuse("model %s cannot be used: %s", m.ID, m.Problem)
	case p != "" && p != api.PriorityLow && p != api.PriorityNormal && p != api.PriorityHigh:
		return refuse("priority %.20q: wanted low, normal or high", p)
	case p == api.PriorityHigh && i.role != api.RoleAdmin:
		return wrong(http.StatusForbidden, "priority high takes the role admin: submit it with normal")
	case submit.Step != 0 && !(submit.Step >= leastStep && submit.Step <= 1):
		return refuse("step %v: wanted 0 (the model's) or %v to 1 patch", submit.Step, leastStep)
	case len(submit.Inputs) == 0 || len(submit.Inputs) > mostInputs:
		return refuse("%d inputs, wanted 1 to %d", len(submit.Inputs), mostInputs)
	case len(submit.Name) > mostName || len(submit.Series) > 64 || len(submit.Formats) > 16:
		return refuse("a name of more than %d bytes, more than 64 series or more than 16 formats", mostName)
	case slices.ContainsFunc(submit.Series, func(s string) bool { return len(s) > mostName }):
		return refuse("a series of more than %d bytes: wanted its number or UID", mostName)
	}
	seen := map[string]bool{}
	for _, f := range submit.Formats {
		if !slices.Contains(s.o.FormatNames, f) || seen[f] {
			return refuse("format %.40q is unknown or comes twice: wanted %s", f, strings.Join(s.o.FormatNames, ", "))
		}
		seen[f] = true
	}
	uploads := map[string]bool{}
	for n, in := range submit.Inputs {
		if in.Upload != "" && uploads[in.Upload] {
			return refuse("input %d: upload %.64q comes twice", n, in.Upload)
		}
		uploads[in.Upload] = true
		if (in.Upload == "") == (in.Dicomweb == nil) {
			return refuse("input %d: wanted either upload or dicomweb", n)
		}
		if d := in.Dicomweb; d != nil {
			if err := s.acceptableSeries(d, len(submit.Inputs)); err != nil {
				return err
			}
			continue
		}
		u, err := s.queue.Uploads.Get(c.Request().Context(), in.Upload)
		if err != nil && !errors.Is(err, queue.ErrNotFound) {
			return err
		}
		if err != nil || u.Owner != i.user {
			return wrong(http.StatusNotFound, "input %d: there is no upload %.64q of yours: it was deleted, has expired, or was never there", n, in.Upload)
		}
		if !u.Complete {
			return wrong(http.StatusConflict, "input %d: upload %s has not arrived whole: send the rest of it first", n, in.Upload)
		}
	}
	return nil
}

const (
	leastStep  = 0.1 // patches: 1000 times as many tiles as with 1
	mostInputs = 1 << 16
	mostName   = 255 // bytes
)

// GetJob shows a job.
func (s rest) GetJob(c echo.Context, id api.ObjectID) error {
	r, err := s.job(c, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.queue.View(r))
}

// CancelJob cancels a job.
func (s rest) CancelJob(c echo.Context, id api.ObjectID) error {
	r, err := s.cancel(c, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.queue.View(r))
}

func (s *Server) cancel(c echo.Context, id string) (*queue.Record, error) {
	if err := need(c, api.RoleUser); err != nil {
		return nil, err
	}
	if _, err := s.job(c, id); err != nil {
		return nil, err
	}
	s.audit(c, "cancel", "job", id)
	return s.queue.Cancel(context.WithoutCancel(c.Request().Context()), id)
}

// DeleteJob forgets a job.
func (s rest) DeleteJob(c echo.Context, id api.ObjectID) error {
	if err := s.forget(c, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) forget(c echo.Context, id string) error {
	if err := need(c, api.RoleUser); err != nil {
		return err
	}
	r, err := s.job(c, id)
	if err != nil {
		return err
	}
	if !api.JobOver(r.State) {
		return wrong(http.StatusConflict, "job %s is %s: cancel it first", id, r.State)
	}
	s.audit(c, "delete", "job", id)
	return s.deleteJob(context.WithoutCancel(c.Request().Context()), id)
}

// deleteJob deletes the record first: without it nobody can reach the results.
func (s *Server) deleteJob(ctx context.Context, id string) error {
	if err := s.queue.Jobs.Delete(ctx, id); err != nil {
		return err
	}
	return s.deleteBlobs(ctx, engine.ResultPrefix(id))
}

func (s *Server) deleteBlobs(ctx context.Context, prefix string) error {
	var names []string
	err := s.blobs.List(ctx, prefix, func(i blob.Info) error {
		names = append(names, i.Name)
		return nil
	})
	for _, name := range names {
		err = errors.Join(err, s.blobs.Delete(ctx, name))
	}
	return err
}
