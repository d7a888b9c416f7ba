package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// VolView's backend contract 0.2 below /volview: a task a model, with one image as
// its parameter, which is named by the address of an upload of this server.

func (s *Server) volviewRoutes(e *echo.Echo) {
	e.GET("/volview/tasks", s.volviewTasks)
	e.GET("/volview/tasks/:model/spec", s.volviewSpec)
	e.POST("/volview/tasks/:model/run", s.volviewRun)
	e.GET("/volview/jobs", s.volviewJobs)
	e.GET("/volview/jobs/:id", s.volviewJob)
	e.GET("/volview/jobs/:id/detail", s.volviewJob)
	e.GET("/volview/jobs/:id/results", s.volviewResults)
	e.POST("/volview/jobs/:id/cancel", s.volviewCancel)
	e.DELETE("/volview/jobs/:id", s.volviewDelete)
	e.POST("/volview/stage", s.volviewStage)
}

func (s *Server) volviewTasks(c echo.Context) error {
	out := []map[string]any{}
	for _, m := range s.models.All() {
		if m.Problem == "" {
			out = append(out, map[string]any{"id": m.ID, "title": m.ID, "description": m.Dataset + ", " + m.Configuration})
		}
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Server) volviewSpec(c echo.Context) error {
	m, err := s.model(c.Param("model"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{
		"id": m.ID, "title": m.ID,
		"parameters": []map[string]any{{"id": "image", "title": "Image", "type": "sourceRef", "sourceType": "image", "multiple": len(m.Channels) > 1, "required": true}},
	})
}

// sourceRef names data of a client: by addresses on this server.
type sourceRef struct {
	Type   string   `json:"type"`
	Format string   `json:"format"`
	URIs   []string `json:"uris"`
}

func (s *Server) volviewRun(c echo.Context) error {
	m, err := s.model(c.Param("model"))
	if err != nil {
		return err
	}
	var body struct {
		Values map[string]json.RawMessage `json:"values"`
	}
	in := http.MaxBytesReader(c.Response(), c.Request().Body, mostHeader)
	if err := json.NewDecoder(in).Decode(&body); err != nil {
		return wrong(http.StatusUnprocessableEntity, "the body has to be {values: {image: …}}: %v", err)
	}
	var refs []sourceRef
	raw := body.Values["image"]
	if json.Unmarshal(raw, &refs) != nil {
		refs = make([]sourceRef, 1)
		if err := json.Unmarshal(raw, &refs[0]); err != nil {
			return wrong(http.StatusUnprocessableEntity, "image has to be {type, format, uris}")
		}
	}
	submit := api.Submit{Model: m.ID, Formats: []string{"seg.nrrd"}}
	for _, ref := range refs {
		for _, uri := range ref.URIs {
			id := uri[strings.LastIndex(uri, "/")+1:]
			if !strings.Contains(uri, "/uploads/") && !strings.Contains(uri, "/tus/") {
				return wrong(http.StatusUnprocessableEntity, "uri %.200q is no upload of this server: stage the image first", uri)
			}
			submit.Inputs = append(submit.Inputs, api.Input{Upload: id})
		}
	}
	r, _, err := s.submit(c, submit, c.Request().Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.volviewView(r))
}

// volviewStates are the words of the contract.
var volviewStates = map[api.JobState]string{
	api.JobQueued: "pending", api.JobRunning: "running", api.JobDone: "success", api.JobFailed: "error", api.JobCancelled: "cancelled",
}

func (s *Server) volviewView(r *queue.Record) map[string]any {
	j := s.queue.View(r)
	out := map[string]any{"jobId": j.ID, "taskId": j.Submit.Model, "state": volviewStates[j.State], "resultState": "none", "progress": 0.0, "createdAt": j.Created}
	switch {
	case j.State == api.JobDone:
		out["resultState"], out["progress"] = "available", 1.0
	case j.Progress != nil && j.Progress.Of > 0:
		out["progress"] = float64(j.Progress.Done) / float64(j.Progress.Of)
	}
	if j.Failed != nil {
		out["message"] = j.Failed.Reason + ": " + j.Failed.Do
	}
	return out
}

func (s *Server) volviewJobs(c echo.Context) error {
	user := who(c).user
	ids := s.queue.Jobs.Newest(100, "", func(b queue.Brief) bool { return b.Of(user) })
	out := []map[string]any{}
	for r, err := range s.queue.Jobs.Rows(c.Request().Context(), ids) {
		if err != nil {
			return err
		}
		out = append(out, s.volviewView(r))
	}
	return c.JSON(http.StatusOK, map[string]any{"jobs": out})
}

func (s *Server) volviewJob(c echo.Context) error {
	r, err := s.job(c, c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.volviewView(r))
}

func (s *Server) volviewResults(c echo.Context) error {
	r, err := s.job(c, c.Param("id"))
	if err != nil {
		return err
	}
	if r.State != api.JobDone {
		return wrong(http.StatusConflict, "job %s is %s: it has no results", r.ID, r.State)
	}
	segments := []map[string]any{}
	for _, l := range r.Labels {
		rgba := []int{0, 0, 0, 255}
		for i := range 3 {
			v, _ := strconv.ParseUint(l.Color[1+2*i:3+2*i], 16, 8) // ours
			rgba[i] = int(v)
		}
		segments = append(segments, map[string]any{"value": l.Value, "name": l.Name, "rgba": rgba, "visible": true})
	}
	out := []map[string]any{}
	for _, f := range r.Results {
		if strings.HasSuffix(f.Name, ".nrrd") || f.Format == "nifti" {
			out = append(out, map[string]any{"intent": "add-segment-group", "name": f.Name, "uri": f.URL, "segments": segments})
		}
	}
	return c.JSON(http.StatusOK, map[string]any{"results": out})
}

func (s *Server) volviewCancel(c echo.Context) error {
	r, err := s.cancel(c, c.Param("id"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, s.volviewView(r))
}

func (s *Server) volviewDelete(c echo.Context) error {
	if err := s.forget(c, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// volviewStage takes files of a form and says by which addresses a run can name them.
func (s *Server) volviewStage(c echo.Context) error {
	files, _, err := s.form(c, 0, mostStaged)
	if err != nil {
		return err
	}
	uris := []string{}
	for _, u := range files {
		uris = append(uris, "/api/v1/uploads/"+u.ID)
	}
	return c.JSON(http.StatusOK, map[string]any{"uris": uris})
}
