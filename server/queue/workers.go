package queue

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gounet/gounet/internal/api"
)

const (
	// SignEvery is how often workers say that they are there.
	SignEvery = 5 * time.Second
	// signsFor is how long that is believed: two signs may get lost.
	signsFor = 3 * SignEvery
)

// workers are those that were heard of.
type workers struct {
	mu  sync.Mutex
	all map[string]sign // by their names
}

// sign is what a worker says of itself.
type sign struct {
	Worker  string             `json:"worker"`
	Devices []api.ServerDevice `json:"devices"` // none: it stops

	heard time.Time
}

// Announce says to all processes of the queue what the devices of this one do.
func (q *Queue) Announce(devices []api.ServerDevice) error {
	b, err := json.Marshal(sign{Worker: q.o.Worker, Devices: devices})
	if err != nil {
		return err
	}
	return q.nc.Publish(subjectWorkers, b)
}

// Others are the devices of the workers of other processes that were heard of a moment
// ago, by the names of the workers.
func (q *Queue) Others() map[string][]api.ServerDevice {
	return q.workers.there(time.Now(), q.o.Worker)
}

func (w *workers) there(now time.Time, but string) map[string][]api.ServerDevice {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.all, func(_ string, s sign) bool { return now.Sub(s.heard) > signsFor })
	out := map[string][]api.ServerDevice{}
	for name, s := range w.all {
		if name != but {
			out[name] = slices.Clone(s.Devices)
		}
	}
	return out
}

// heardWorker takes the sign of a worker.
func (q *Queue) heardWorker(msg *nats.Msg) {
	var s sign
	if json.Unmarshal(msg.Data, &s) == nil {
		q.workers.hear(s, time.Now())
	}
}

func (w *workers) hear(s sign, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[string]sign{}
	}
	s.heard = now
	if w.all[s.Worker] = s; len(s.Devices) == 0 {
		delete(w.all, s.Worker)
	}
}
