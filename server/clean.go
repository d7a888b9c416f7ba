package server

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unique"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/queue"
)

const (
	// cleanEvery is how often records that have expired are looked for.
	cleanEvery = time.Minute
	// blobsEvery is how many times less often all blobs are.
	blobsEvery = 10
)

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
	for n := 0; ; n++ {
		err := s.cleanRecords(ctx, time.Now())
		if n%blobsEvery == 0 {
			err = errors.Join(err, s.cleanBlobs(ctx, time.Now()), s.queue.Jobs.Compact(ctx), s.queue.Uploads.Compact(ctx))
		}
		if err != nil && ctx.Err() == nil {
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

// cleanRecords deletes jobs and uploads whose time is over, and where there are too many
// the oldest of who has most.
func (s *Server) cleanRecords(ctx context.Context, now time.Time) error {
	over := func(b queue.Brief) bool { return b.Over }
	ended := func(b queue.Brief) bool { return now.Sub(time.Unix(0, b.Ends)) > s.o.Bounds.Keep }
	for _, id := range gone(s.queue.Jobs, over, s.o.Bounds.Kept, ended) {
		if err := s.deleteJob(ctx, id); err != nil {
			return err
		}
	}
	needed := s.needed()
	expired := func(b queue.Brief) bool { return now.After(time.Unix(0, b.Ends)) }
	for _, id := range gone(s.queue.Uploads, anyRow, s.o.Bounds.Kept, expired) {
		if needed[id] {
			continue
		}
		if err := s.deleteUpload(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func anyRow(queue.Brief) bool { return true } // uploads that are arriving, too

// gone are the rows of a table that go: of those that count, the ones that are too many
// or have expired.
func gone[T any](t *queue.Table[T], counts func(queue.Brief) bool, kept int, expired func(queue.Brief) bool) (ids []string) {
	var rows []string
	var briefs []queue.Brief
	var owners []unique.Handle[string]
	for _, id := range t.Newest(math.MaxInt, "", counts) {
		if b, ok := t.Brief(id); ok {
			rows, briefs, owners = append(rows, id), append(briefs, b), append(owners, b.Owner)
		}
	}
	for i, tooMany := range excess(owners, kept) {
		if tooMany || expired(briefs[i]) {
			ids = append(ids, rows[i])
		}
	}
	return ids
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
