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

// Table is a bucket of JetStream whose rows are in memory as well, kept up to date
// by a watch. Writes return when they are on the disk.
type Table[T any] struct {
	kv      jetstream.KeyValue
	watch   jetstream.KeyWatcher
	changed func(id string, row *T) // nil row: it was deleted

	telling sync.Mutex // changed is called for one row at a time, in the order of the revisions

	mu   sync.RWMutex
	rows map[string]versioned[T]
	open map[string]*T // rows that are not over
	over func(*T) bool
}

// versioned is a row as it was last heard of. A deleted one is remembered for a while:
// a writer may hear of its revision after the watch has told of the deletion.
type versioned[T any] struct {
	row      *T // nil: it was deleted
	revision uint64
	heard    time.Time
}

// openTable reads the bucket; follow has to be called when changed may be. Over says
// which rows EachOpen leaves out; nil: none.
func openTable[T any](ctx context.Context, js jetstream.JetStream, bucket string, replicas int, over func(*T) bool, changed func(string, *T)) (*Table[T], error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, History: 1, Storage: jetstream.FileStorage, Replicas: replicas})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	t := &Table[T]{kv: kv, rows: map[string]versioned[T]{}, open: map[string]*T{}, over: over}
	if t.watch, err = kv.WatchAll(context.WithoutCancel(ctx)); err != nil {
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
		t.apply(entry.Key(), nil, entry.Revision())
		return
	}
	row := new(T)
	if err := json.Unmarshal(entry.Value(), row); err != nil {
		return // of a later version; it stays where it is
	}
	t.apply(entry.Key(), row, entry.Revision())
}

// apply makes row the one of id, nil deletes it, unless a later one is known.
func (t *Table[T]) apply(id string, row *T, revision uint64) {
	t.telling.Lock()
	defer t.telling.Unlock()
	t.mu.Lock()
	before := t.rows[id]
	if before.revision >= revision {
		t.mu.Unlock()
		return
	}
	t.rows[id] = versioned[T]{row, revision, time.Now()}
	if row == nil || t.over != nil && t.over(row) {
		delete(t.open, id)
	} else {
		t.open[id] = row
	}
	t.mu.Unlock()
	if t.changed != nil && (row != nil || before.row != nil) {
		t.changed(id, row)
	}
}

// between calls f while no change is told: what f sees, changed was called with.
func (t *Table[T]) between(f func()) {
	t.telling.Lock()
	defer t.telling.Unlock()
	f()
}

// Get returns the row of id, which must not be changed.
func (t *Table[T]) Get(id string) (*T, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v := t.rows[id]
	return v.row, v.row != nil
}

// Each calls f for every row, which must not be changed, until it returns false.
func (t *Table[T]) Each(f func(id string, row *T) bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, v := range t.rows {
		if v.row != nil && !f(id, v.row) {
			return
		}
	}
}

// EachOpen is Each for the rows that are not over, of which there are few.
func (t *Table[T]) EachOpen(f func(id string, row *T) bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, row := range t.open {
		if !f(id, row) {
			return
		}
	}
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
		return fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
	}
	t.apply(id, row, revision)
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
		return fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
	}
	t.apply(id, row, revision)
	return nil
}

// Read asks the bucket itself: what another process has written a moment ago, the
// watch may not have told of.
func (t *Table[T]) Read(ctx context.Context, id string) (*T, error) {
	row, _, err := t.read(ctx, id)
	return row, err
}

func (t *Table[T]) read(ctx context.Context, id string) (*T, uint64, error) {
	entry, err := t.kv.Get(ctx, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
	}
	row := new(T)
	if err := json.Unmarshal(entry.Value(), row); err != nil {
		return nil, 0, fmt.Errorf("queue: %s: %s: %w", t.kv.Bucket(), id, err)
	}
	return row, entry.Revision(), nil
}

// Update changes a row, whoever else does so at the same time: change is called
// with the newest, and again if that was not the newest any more. An error of
// change leaves the row as it is.
func (t *Table[T]) Update(ctx context.Context, id string, change func(*T) error) (*T, error) {
	for {
		row, revision, err := t.read(ctx, id)
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
		next, err := t.kv.Update(ctx, id, b, revision)
		if errors.Is(err, jetstream.ErrKeyExists) { // another was faster
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
		}
		t.apply(id, row, next)
		return row, nil
	}
}

// Delete deletes a row; that there is none is no error.
func (t *Table[T]) Delete(ctx context.Context, id string) error {
	t.mu.RLock()
	revision := t.rows[id].revision
	t.mu.RUnlock()
	if err := t.kv.Purge(ctx, id); err != nil {
		return fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
	}
	t.apply(id, nil, revision+1) // the deletion has this revision or a later one, which the watch tells
	return nil
}

// Compact forgets what is left of rows that were deleted an hour ago.
func (t *Table[T]) Compact(ctx context.Context) error {
	t.mu.Lock()
	maps.DeleteFunc(t.rows, func(_ string, v versioned[T]) bool { return v.row == nil && time.Since(v.heard) > time.Hour })
	t.mu.Unlock()
	if err := t.kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(time.Hour)); err != nil {
		return fmt.Errorf("queue: %s: %w", t.kv.Bucket(), err)
	}
	return nil
}
