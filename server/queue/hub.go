package queue

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/gounet/gounet/internal/api"
)

// Event is one thing that happened to a job.
type Event struct {
	ID   string // for Last-Event-ID
	Name string // api.EventJob or api.EventProgress
	Data []byte // JSON
	Last bool   // the job is over
}

// mostEvents of a job are kept for those who reconnect; who missed more gets the
// job as it is.
const mostEvents = 64

// Hub hands events to those who watch jobs.
type Hub struct {
	boot string // events of another process are not ours

	mu   sync.Mutex
	n    int64
	jobs map[string]*topic
}

// topic is a job that is watched, or not over.
type topic struct {
	events   []Event
	progress *api.Progress
	watchers map[chan struct{}]bool
}

func newHub() *Hub { return &Hub{boot: ID()[:8], jobs: map[string]*topic{}} }

func (h *Hub) topic(id string) *topic {
	t := h.jobs[id]
	if t == nil {
		t = &topic{watchers: map[chan struct{}]bool{}}
		h.jobs[id] = t
	}
	return t
}

// add appends an event and wakes those who watch.
func (h *Hub) add(id, name string, data []byte, last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topic(id)
	h.n++
	t.events = append(t.events, Event{fmt.Sprintf("%s-%d", h.boot, h.n), name, data, last})
	if len(t.events) > mostEvents {
		t.events = append(t.events[:0:0], t.events[1:]...)
	}
	for w := range t.watchers {
		select {
		case w <- struct{}{}:
		default: // it has not looked since the last
		}
	}
	if last && len(t.watchers) == 0 {
		delete(h.jobs, id)
	}
}

// Watch returns a channel that has something when there are new events. Stop must
// be called.
func (h *Hub) Watch(id string) (wake <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	h.topic(id).watchers[c] = true
	h.mu.Unlock()
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		t := h.jobs[id]
		if t == nil {
			return
		}
		delete(t.watchers, c)
		if n := len(t.events); len(t.watchers) == 0 && (n == 0 || t.events[n-1].Last) {
			delete(h.jobs, id)
		}
	}
}

// Since returns the events behind the one of id last. Known is false if that is not
// among those that are kept: the caller has missed some, or is new.
func (h *Hub) Since(job, last string) (events []Event, known bool) {
	boot, number, _ := strings.Cut(last, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if boot != h.boot || err != nil {
		return nil, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.jobs[job]
	if t == nil {
		return nil, false
	}
	for i, e := range t.events {
		_, number, _ := strings.Cut(e.ID, "-")
		at, _ := strconv.ParseInt(number, 10, 64) // ours
		switch {
		case at > n && i == 0 && len(t.events) == mostEvents: // those before it are gone
			return nil, false
		case at > n:
			return append(events, t.events[i:]...), true
		}
	}
	return nil, true
}

// Now is the id of the newest event of any job: what happens from now on is behind
// it.
func (h *Hub) Now() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("%s-%d", h.boot, h.n)
}

// Progress is the last that was told of a job, nil if nothing was.
func (h *Hub) Progress(id string) *api.Progress {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.jobs[id]; t != nil {
		return t.progress
	}
	return nil
}

// heard takes progress that a worker told.
func (q *Queue) heard(msg *nats.Msg) {
	id := msg.Subject[strings.LastIndex(msg.Subject, ".")+1:]
	p := new(api.Progress)
	if json.Unmarshal(msg.Data, p) != nil {
		return
	}
	q.Jobs.between(func() { // not after the end, which a job has no events behind
		if r, ok := q.Jobs.Open(id); !ok || r.State != api.JobRunning {
			return
		}
		q.Hub.mu.Lock()
		q.Hub.topic(id).progress = p
		q.Hub.mu.Unlock()
		q.Hub.add(id, api.EventProgress, msg.Data, false)
	})
}

// jobChanged is called with each new state of a job; nil: it was deleted.
func (q *Queue) jobChanged(id string, was Brief, r *Record) {
	if q.o.Ended != nil && r != nil && api.JobOver(r.State) && !was.Over {
		q.o.Ended(r)
	}
	if d := q.running.get(id); d != nil {
		d.told(r)
	}
	if r == nil {
		q.Hub.add(id, api.EventJob, []byte("null"), true)
		return
	}
	if r.State == api.JobQueued {
		q.pick.add(laneOf(r))
	}
	b, err := json.Marshal(q.View(r))
	if err != nil {
		return
	}
	q.Hub.add(id, api.EventJob, b, api.JobOver(r.State))
}

// View is the job as it is shown, with its place in the queue and its progress.
func (q *Queue) View(r *Record) *api.Job {
	j := r.Job
	switch j.State {
	case api.JobQueued:
		j.Position = q.Waiting(j.ID)
	case api.JobRunning:
		j.Progress = q.Hub.Progress(j.ID)
	}
	if j.Results == nil {
		j.Results = []api.JobResult{}
	}
	return &j
}
