package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/queue"
)

// cleanEvery is how often what has expired is looked for.
const cleanEvery = 10 * time.Minute

// LevelAudit is that of the audit log: shown at every level of the others.
const LevelAudit = slog.Level(12)

func auditAttrs(c echo.Context, action, kind, id string) []slog.Attr {
	return []slog.Attr{
		slog.String("user", who(c).user), slog.String("action", action), slog.String("kind", kind), slog.String("id", id),
		slog.String("from", c.RealIP()), slog.String("request_id", c.Response().Header().Get(echo.HeaderXRequestID)),
	}
}

// clean deletes what has expired, until ctx ends.
func (s *Server) clean(ctx context.Context) {
	for {
		if err := s.cleanOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("what has expired stays for now", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(cleanEvery):
		}
	}
}

// sweepParts removes files of uploads that nobody can go on with. No request may be
// under way: a file is there before its record.
func (s *Server) sweepParts() {
	left, _ := filepath.Glob(filepath.Join(s.partFolder(), "hand-*")) // the pattern is right
	for _, dir := range left {
		_ = os.RemoveAll(dir) // tried again at the next start
	}
	parts, _ := filepath.Glob(s.part("*")) // the pattern is right
	for _, path := range parts {
		if !s.queue.Uploads.Has(strings.TrimSuffix(filepath.Base(path), ".part")) {
			_ = os.Remove(path) // tried again at the next start
		}
	}
}

// cleanOnce deletes jobs, uploads and blobs that nobody can reach any more.
func (s *Server) cleanOnce(ctx context.Context, now time.Time) error {
	var jobs, uploads []string
	s.queue.Jobs.Each(func(id string, b queue.Brief) bool {
		if b.Over && now.Sub(time.Unix(0, b.Ends)) > s.o.Bounds.Keep {
			jobs = append(jobs, id)
		}
		return true
	})
	needed := s.needed()
	s.queue.Uploads.Each(func(id string, b queue.Brief) bool {
		if now.After(time.Unix(0, b.Ends)) && !needed[id] {
			uploads = append(uploads, id)
		}
		return true
	})
	for _, id := range jobs {
		if err := s.deleteJob(ctx, id); err != nil {
			return err
		}
	}
	for _, id := range uploads {
		if err := s.deleteUpload(ctx, id); err != nil {
			return err
		}
	}
	if err := s.cleanBlobs(ctx, now); err != nil {
		return err
	}
	if err := s.queue.Jobs.Compact(ctx); err != nil {
		return err
	}
	return s.queue.Uploads.Compact(ctx)
}

// cleanBlobs deletes blobs whose job or upload is gone: a server was killed between
// the one and the other. Young ones may be about to get their record.
func (s *Server) cleanBlobs(ctx context.Context, now time.Time) error {
	const young = time.Hour
	var names []string
	err := s.blobs.List(ctx, "", func(i blob.Info) error {
		parts := strings.Split(i.Name, "/")
		if len(parts) < 2 || now.Sub(i.Changed) < young {
			return nil
		}
		there := true
		switch parts[0] {
		case "results":
			there = s.queue.Jobs.Has(parts[1])
		case "uploads":
			there = s.queue.Uploads.Has(parts[1])
		}
		if !there {
			names = append(names, i.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.blobs.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
