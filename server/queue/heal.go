package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JetStream's store takes no more writes to a stream after one that failed, also when
// there is room again. So the queue writes to each stream as soon as a write fails, and
// now and then; while that fails it says so by Check, and the embedded server is opened
// anew, which reads what is on the disk as the next start would.

// subjectProbe has no consumer, and no message but for a moment.
const subjectProbe = subjectJobs + ".probe"

// probeKey is a row that nobody sees: its value is no JSON.
const probeKey = "-probe"

const (
	probeEvery = time.Minute
	probeTime  = 5 * time.Second // a write that takes longer is none
	probeSize  = 1 << 20         // bytes that have to fit onto the disk before the server is opened anew
)

// health is whether the queue can write.
type health struct {
	doubts chan struct{} // a write has failed
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	bad     error              // why it cannot; nil: it can
	refused map[string]*Record // jobs that were answered with an error, and may be half there
}

// doubt has the queue looked at.
func (h *health) doubt() {
	select {
	case h.doubts <- struct{}{}:
	default:
	}
}

func (h *health) set(err error) { h.mu.Lock(); h.bad = err; h.mu.Unlock() }
func (h *health) why() error    { h.mu.Lock(); defer h.mu.Unlock(); return h.bad }

// refuse remembers a job that must not be worked on, until it is undone.
func (h *health) refuse(r *Record) { h.mu.Lock(); h.refused[r.ID] = r; h.mu.Unlock() }
func (h *health) undone(id string) { h.mu.Lock(); delete(h.refused, id); h.mu.Unlock() }

// refusal is the job of an id that was refused and is not undone, nil if there is none.
func (h *health) refusal(id string) *Record { h.mu.Lock(); defer h.mu.Unlock(); return h.refused[id] }

func (h *health) allRefused() []*Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.refused))
}

// probe writes to each stream.
func (q *Queue) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	for _, kv := range []jetstream.KeyValue{q.Jobs.kv, q.Uploads.kv} {
		if _, err := kv.PutString(ctx, probeKey, "written now and then"); err != nil {
			return fmt.Errorf("queue: %s cannot be written: %w", kv.Bucket(), err)
		}
	}
	_, err := q.js.PublishMsg(ctx, &nats.Msg{Subject: subjectProbe})
	if err == nil || isOnce(err) { // another process probes, too
		err = q.stream.Purge(ctx, jetstream.WithPurgeSubject(subjectProbe))
	}
	if err != nil {
		return fmt.Errorf("queue: %s cannot be written: %w", streamName, err)
	}
	return nil
}

// heal looks after the queue until ctx ends.
func (q *Queue) heal(ctx context.Context) {
	often := time.NewTicker(probeEvery)
	defer often.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.health.doubts:
		case <-often.C:
		}
		for n, wait := 0, time.Second; ; n, wait = n+1, min(2*wait, 5*time.Second) {
			err := q.probe(ctx)
			if ctx.Err() != nil {
				return
			}
			q.health.set(err)
			if err == nil {
				q.undoRefused(ctx)
				break
			}
			if n > 0 { // not for one slow write
				if err := q.reopen(); err != nil {
					q.health.set(err)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

// reopen opens the embedded server anew, if there is room on its disk. The connection
// finds the new one by itself.
func (q *Queue) reopen() error {
	if q.server == nil {
		return nil
	}
	if err := room(q.o.Dir); err != nil {
		return fmt.Errorf("queue: the disk takes no writes: make room on that of --data: %w", err)
	}
	q.serving.Lock()
	defer q.serving.Unlock()
	q.server.Shutdown()
	q.server.WaitForShutdown()
	s, err := startServer(q.so)
	if err != nil {
		return err
	}
	q.server = s
	return nil
}

// room makes sure that a folder takes writes.
func room(dir string) error {
	path := filepath.Join(dir, ".room")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

// startServer starts an embedded server.
func startServer(so server.Options) (*server.Server, error) {
	s, err := server.NewServer(&so)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(startTime) {
		s.Shutdown()
		return nil, fmt.Errorf("the queue in %s does not start within %v: is another server using the folder, or the disk full?", so.StoreDir, startTime)
	}
	return s, nil
}

// InProcessConn connects to the embedded server that there is at the moment; it
// implements nats.InProcessConnProvider.
func (q *Queue) InProcessConn() (net.Conn, error) {
	q.serving.Lock()
	defer q.serving.Unlock()
	return q.server.InProcessConn()
}

// undo removes what there is of a job that was refused: message and record.
func (q *Queue) undo(ctx context.Context, r *Record) error {
	err := q.stream.Purge(ctx, jetstream.WithPurgeSubject(subjectOf(r)))
	if err == nil {
		if _, _, err = q.Jobs.read(ctx, r.ID); err == nil {
			err = q.Jobs.Delete(ctx, r.ID)
		}
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	if err == nil {
		q.health.undone(r.ID)
	}
	return err
}

func (q *Queue) undoRefused(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	for _, r := range q.health.allRefused() {
		if q.undo(ctx, r) != nil {
			q.health.doubt() // tried again
			return
		}
	}
}
