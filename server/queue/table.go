package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Errors of tables.
var (
	ErrNotFound = errors.New("there is none of that id")
	ErrExists   = errors.New("there is one of that id")
)

// Table is a bucket of JetStream. In memory are the rows that are not over, of which
// there are few, those that were wanted last, and a Brief of each of the others, kept
// up to date by a watch. Writes return when they are on the disk.
type Table[T any] struct {
	kv      jetstream.KeyValue
	watch   jetstream.KeyWatcher
	brief   func(*T) Brief
	changed func(id string, was Brief, row *T) // nil row: it was deleted
	doubt   func()                             // a write has failed

	telling sync.Mutex // changed is called for one row at a time, in the order of the revisions

	mu     sync.RWMutex
	rows   map[string]versioned
	gone   map[string]deleted
	open   map[string]*T // rows that are not over
	recent recent[T]     // rows that are
}

func newTable[T any](brief func(*T) Brief) *Table[T] {
	return &Table[T]{
		brief: brief, doubt: func() {}, rows: map[string]versioned{}, gone: map[string]deleted{}, open: map[string]*T{},
		recent: recent[T]{rows: map[string]*T{}},
	}
}

// openTable reads the bucket; follow has to be called when changed may be.
func openTable[T any](ctx context.Context, js jetstream.JetStream, bucket string, replicas int, brief func(*T) Brief, changed func(string, Brief, *T)) (t *Table[T], err error) {
	t = newTable(brief)
	t.kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, History: 1, Storage: jetstream.FileStorage, Replicas: replicas})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	if t.watch, err = t.kv.WatchAll(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	for entry := range t.watch.Updates() {
		if entry == nil { // all that there was
			break
		}
		t.see(entry)
	}
	t.changed = changed
	return t, nil
}

// follow keeps the rows up to date from now on.
func (t *Table[T]) follow() {
	go func() {
		for entry := range t.watch.Updates() {
			if entry != nil {
				t.see(entry)
			}
		}
	}()
}

// see takes what the watch tells.
func (t *Table[T]) see(entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		t.apply(entry.Key(), nil, 0, entry.Revision())
		return
	}
	t.mu.RLock()
	known := t.revision(entry.Key()) >= entry.Revision() // our own, most of the time
	t.mu.RUnlock()
	if known {
		return
	}
	row := new(T)
	if err := json.Unmarshal(entry.Value(), row); err != nil {
		return // of a later version; it stays where it is
	}
	t.apply(entry.Key(), row, len(entry.Value()), entry.Revision())
}

// between calls f while no change is told: what f sees, changed was called with.
func (t *Table[T]) between(f func()) {
	t.telling.Lock()
	defer t.telling.Unlock()
	f()
}

// unwritten is the error of a write, which has the queue looked at.
func (t *Table[T]) unwritten(err error) error {
	t.doubt()
	return fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
}

// Create adds a row, or returns ErrExists.
func (t *Table[T]) Create(ctx context.Context, id string, row *T) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	revision, err := t.kv.Create(ctx, id, b)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return ErrExists
	}
	if err != nil {
		return t.unwritten(err)
	}
	t.apply(id, row, len(b), revision)
	return nil
}

// Put makes row the one of id, whatever was there.
func (t *Table[T]) Put(ctx context.Context, id string, row *T) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	revision, err := t.kv.Put(ctx, id, b)
	if err != nil {
		return t.unwritten(err)
	}
	t.apply(id, row, len(b), revision)
	return nil
}

// Read asks the bucket itself: what another process has written a moment ago, the
// watch may not have told of.
func (t *Table[T]) Read(ctx context.Context, id string) (*T, error) {
	row, _, err := t.read(ctx, id)
	return row, err
}

func (t *Table[T]) read(ctx context.Context, id string) (*T, jetstream.KeyValueEntry, error) {
	entry, err := t.kv.Get(ctx, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
		return nil, nil, ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
	}
	row := new(T)
	if err := json.Unmarshal(entry.Value(), row); err != nil {
		return nil, nil, fmt.Errorf("queue: %s: %s: %w", t.kv.Bucket(), id, err)
	}
	return row, entry, nil
}

// Update changes a row, whoever else does so at the same time: change is called
// with the newest, and again if that was not the newest any more. An error of
// change leaves the row as it is.
func (t *Table[T]) Update(ctx context.Context, id string, change func(*T) error) (*T, error) {
	for {
		row, entry, err := t.read(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := change(row); err != nil {
			return row, err
		}
		b, err := json.Marshal(row)
		if err != nil {
			return nil, err
		}
		next, err := t.kv.Update(ctx, id, b, entry.Revision())
		if errors.Is(err, jetstream.ErrKeyExists) { // another was faster
			continue
		}
		if err != nil {
			return nil, t.unwritten(err)
		}
		t.apply(id, row, len(b), next)
		return row, nil
	}
}

// Delete deletes a row; that there is none is no error.
func (t *Table[T]) Delete(ctx context.Context, id string) error {
	t.mu.RLock()
	revision := t.revision(id)
	t.mu.RUnlock()
	if err := t.kv.Purge(ctx, id); err != nil {
		return t.unwritten(err)
	}
	t.apply(id, nil, 0, revision+1) // the deletion has this revision or a later one, which the watch tells
	return nil
}

// Compact forgets what is left of rows that were deleted an hour ago.
func (t *Table[T]) Compact(ctx context.Context) error {
	t.mu.Lock()
	maps.DeleteFunc(t.gone, func(_ string, d deleted) bool { return time.Since(d.heard) > time.Hour })
	t.mu.Unlock()
	if err := t.kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(time.Hour)); err != nil {
		return fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
	}
	return nil
}
