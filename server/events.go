package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

const (
	// aliveEvery is how often a silent stream says that it is there.
	aliveEvery = 15 * time.Second
	// positionEvery is how often the place in the queue is looked at.
	positionEvery = 2 * time.Second
)

// stream is an answer of server-sent events.
type stream struct{ c echo.Context }

func (s stream) send(e queue.Event) error {
	text := "event: " + e.Name + "\ndata: " + string(e.Data) + "\n\n"
	if e.ID != "" {
		text = "id: " + e.ID + "\n" + text
	}
	return s.write(text)
}

func (s stream) write(text string) error {
	if _, err := fmt.Fprint(s.c.Response(), text); err != nil {
		return err
	}
	s.c.Response().Flush()
	return nil
}

// WatchJob streams what happens to a job.
func (s rest) WatchJob(c echo.Context, id api.ObjectID, p api.WatchJobParams) error {
	if _, err := s.job(c, id); err != nil {
		return err
	}
	user := who(c).user
	leave, ok := s.stream.enter(user, s.o.Bounds.Streams)
	if !ok {
		return later(http.StatusTooManyRequests, 10, "%s has %d streams of events open, which is as many as one may have here: close one", user, s.o.Bounds.Streams)
	}
	defer leave()
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set("X-Accel-Buffering", "no") // of proxies
	c.Response().WriteHeader(http.StatusOK)
	err := s.follow(c, stream{c}, id, p.LastEventID)
	if err != nil {
		s.o.Log.Debug("a stream of events ends", "job", id, "error", err)
	}
	return nil // the answer has begun
}

// follow sends events until the job is over or one side has enough.
func (s *Server) follow(c echo.Context, to stream, id, last string) error {
	wake, stop := s.queue.Hub.Watch(id)
	defer stop()
	alive, place := time.NewTicker(aliveEvery), time.NewTicker(positionEvery)
	defer alive.Stop()
	defer place.Stop()
	position := -1
	for {
		events, known := s.queue.Hub.Since(id, last)
		if _, isOpen := s.queue.Jobs.Open(id); !known || len(events) == 0 && !isOpen { // over before it was watched
			last = s.queue.Hub.Now()
			e, err := s.snapshot(c.Request().Context(), id, last)
			if err != nil {
				return err
			}
			events = []queue.Event{e}
		}
		for _, e := range events {
			if err := to.send(e); err != nil {
				return err
			}
			if e.Last {
				return nil
			}
			last = e.ID
		}
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-s.draining:
			return nil // the client comes again with Last-Event-ID
		case <-wake:
		case <-alive.C:
			if err := to.write(": alive\n\n"); err != nil {
				return err
			}
		case <-place.C:
			if now := s.queue.Waiting(id); now != position {
				position = now
				if e, err := s.snapshot(c.Request().Context(), id, ""); err == nil && !e.Last {
					if err := to.send(e); err != nil {
						return err
					}
				}
			}
		}
	}
}

// snapshot is the job as it is, as an event.
func (s *Server) snapshot(ctx context.Context, id, event string) (queue.Event, error) {
	r, err := s.queue.Jobs.Get(ctx, id)
	if errors.Is(err, queue.ErrNotFound) {
		return queue.Event{ID: event, Name: api.EventJob, Data: []byte("null"), Last: true}, nil
	}
	if err != nil {
		return queue.Event{}, err
	}
	b, err := json.Marshal(s.queue.View(r))
	return queue.Event{ID: event, Name: api.EventJob, Data: b, Last: api.JobOver(r.State)}, err
}
