package server

import (
	"context"
	_ "embed"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
)

//go:embed openapi.yaml
var openAPI []byte

// policy is what the plain pages may do, which have styles and no scripts. Options.Page
// has one of its own.
const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// headers are those of every answer.
func headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		if c.IsTLS() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(c)
	}
}

// routes makes the handler.
func (s *Server) routes() {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.IPExtractor = echo.ExtractIPDirect()
	e.Use(middleware.RequestID(), s.impatient, s.observe, headers, s.recovered, s.guard)
	s.echo = e

	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "alive\n") })
	e.GET("/readyz", func(c echo.Context) error {
		if err := s.ready(c.Request().Context()); err != nil {
			return later(http.StatusServiceUnavailable, 10, "not ready: %v", err)
		}
		if s.workers() == 0 { // one may be started for the jobs that wait
			return c.String(http.StatusOK, "ready, but no worker is there: jobs wait for one\n")
		}
		return c.String(http.StatusOK, "ready\n")
	})
	e.GET("/metrics", echo.WrapHandler(s.meter.handler()))
	e.GET("/api", s.apiPage)
	e.GET("/api/", s.apiPage)
	e.GET("/api/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", openAPI)
	})
	RegisterHandlersWithBaseURL(e, rest{s}, "/api/v1")
	e.HEAD("/api/v1/jobs/:id/results/:name", (&ServerInterfaceWrapper{Handler: rest{s}}).GetResult)
	s.tusRoutes(e)
	s.facades(e)
	if s.o.Page != nil {
		e.Match([]string{http.MethodGet, http.MethodHead}, "/*", s.page)
	} else {
		e.GET("/", s.statusPage)
	}
}

// page has the page and its files, and nothing below the protocols of others.
func (s *Server) page(c echo.Context) error {
	if _, ok := errorKey(c.Request()); ok {
		return echo.ErrNotFound
	}
	s.o.Page.ServeHTTP(c.Response(), c.Request())
	return nil
}

// public are the routes that show nothing of anybody's: all others want to know who
// asks.
var public = map[string]bool{"/": true, "/*": true, "/healthz": true, "/readyz": true, "/api": true, "/api/": true, "/api/openapi.yaml": true}

// guard lets nobody unknown pass but to public routes.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	guarded := s.auth.handle(next)
	return func(c echo.Context) error {
		if public[c.Path()] {
			return next(c)
		}
		return guarded(c)
	}
}

// recovered makes an answer of a panic in a handler.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisableErrorHandler: true,
		LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
			s.o.Log.Error("a handler has crashed", "route", c.Path(), "error", err, "stack", string(stack))
			return err
		},
	})(next)
}

// observe counts requests and writes them to the log: never their addresses, which
// may have names of files and patients.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begun := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		took := time.Since(begun)
		status := c.Response().Status
		s.meter.request(c.Request().Method, c.Path(), status, took)
		if s.o.Trace != nil {
			s.o.Trace(engine.Span{
				Name: c.Request().Method + " " + c.Path(), In: c.Request().Header.Get("Traceparent"), Begun: begun, Took: took, Bad: status >= http.StatusInternalServerError,
				Facts: map[string]string{"http.response.status_code": strconv.Itoa(status), "request_id": c.Response().Header().Get(echo.HeaderXRequestID)},
			})
		}
		s.o.Log.Debug("request", "method", c.Request().Method, "route", c.Path(), "status", status, "ms", took.Milliseconds(),
			"user", who(c).user, "request_id", c.Response().Header().Get(echo.HeaderXRequestID))
		return nil
	}
}

// audit writes who did what to which object. Objects are named by ids, which say
// nothing of a patient.
func (s *Server) audit(c echo.Context, action, kind, id string) {
	s.o.Log.LogAttrs(context.Background(), LevelAudit, "audit", auditAttrs(c, action, kind, id)...)
}

// GetModelFile hands out a model.
func (s rest) GetModelFile(c echo.Context, id api.ModelID) error {
	m, err := s.model(id)
	if err != nil {
		return err
	}
	if m.Problem != "" {
		return wrong(http.StatusUnprocessableEntity, "model %s cannot be used: %s", id, m.Problem)
	}
	f, err := os.Open(m.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "application/octet-stream")
	h.Set("ETag", `"`+m.SHA256+`"`)
	h.Set(echo.HeaderCacheControl, "private, no-cache")
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, f)
	return nil
}
