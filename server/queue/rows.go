package queue

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"
	"unique"
)

// What memory has of a table.

// Brief is what memory has of every row: enough to list, count and clean. The row
// itself is read from the bucket when somebody wants it.
type Brief struct {
	Owner   unique.Handle[string]
	State   unique.Handle[string] // of a job
	Created int64                 // Unix time, ns
	Ends    int64                 // Unix time, ns: when a job was over, or an upload expires
	Over    bool                  // nothing happens to it any more
	Dead    bool                  // a job that crashed its workers
	DICOM   bool                  // a job with results for DICOMweb
}

// Of says whether the row is of a user.
func (b Brief) Of(user string) bool { return b.Owner.Value() == user }

// versioned is a row as it was last heard of.
type versioned struct {
	Brief
	revision uint64
}

// deleted is remembered for a while: a writer may hear of its revision after the watch
// has told of the deletion.
type deleted struct {
	revision uint64
	heard    time.Time
}

// recent are the last mostRecent rows, for those who ask again.
type recent[T any] struct {
	rows  map[string]*T
	order [mostRecent]string
	next  int
}

const (
	mostRecent     = 256
	mostRecentSize = 16 << 10 // bytes of JSON: a row with thousands of inputs is read again
)

func (r *recent[T]) put(id string, row *T) {
	delete(r.rows, r.order[r.next])
	r.order[r.next] = id
	r.next = (r.next + 1) % mostRecent
	r.rows[id] = row
}

// revision is that of a row, or of its deletion, as it was last heard of.
func (t *Table[T]) revision(id string) uint64 {
	if v, ok := t.rows[id]; ok {
		return v.revision
	}
	return t.gone[id].revision
}

// apply makes row, of so many bytes of JSON, the one of id, nil deletes it, unless a
// later one is known.
func (t *Table[T]) apply(id string, row *T, size int, revision uint64) {
	t.telling.Lock()
	defer t.telling.Unlock()
	t.mu.Lock()
	if t.revision(id) >= revision {
		t.mu.Unlock()
		return
	}
	was, had := t.rows[id]
	delete(t.rows, id)
	delete(t.gone, id)
	delete(t.open, id)
	delete(t.recent.rows, id)
	if row == nil {
		t.gone[id] = deleted{revision, time.Now()}
	} else {
		b := t.brief(row)
		t.rows[id] = versioned{b, revision}
		switch {
		case !b.Over:
			t.open[id] = row
		case size <= mostRecentSize:
			t.recent.put(id, row)
		}
	}
	t.mu.Unlock()
	if t.changed != nil && (row != nil || had) {
		t.changed(id, was.Brief, row)
	}
}

// Open returns the row of id, which must not be changed, if it is not over.
func (t *Table[T]) Open(id string) (*T, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	row, ok := t.open[id]
	return row, ok
}

// Brief is what memory has of the row of id.
func (t *Table[T]) Brief(id string) (b Brief, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.rows[id]
	return v.Brief, ok
}

// Has says whether there is a row of id.
func (t *Table[T]) Has(id string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ok := t.rows[id]
	return ok
}

// Get returns the row of id, which must not be changed, or ErrNotFound.
func (t *Table[T]) Get(ctx context.Context, id string) (*T, error) {
	t.mu.RLock()
	_, ok := t.rows[id]
	row := t.open[id]
	if row == nil {
		row = t.recent.rows[id]
	}
	t.mu.RUnlock()
	if !ok || row != nil {
		if row == nil {
			return nil, ErrNotFound
		}
		return row, nil
	}
	row, entry, err := t.read(ctx, id)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.rows[id]; ok && v.Over && v.revision == entry.Revision() && len(entry.Value()) <= mostRecentSize {
		t.recent.put(id, row)
	}
	return row, nil
}

// Each calls f for every row until it returns false.
func (t *Table[T]) Each(f func(id string, b Brief) bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, v := range t.rows {
		if !f(id, v.Brief) {
			return
		}
	}
}

// EachOpen calls f for each row that is not over, which must not be changed, until it
// returns false.
func (t *Table[T]) EachOpen(f func(id string, row *T) bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, row := range t.open {
		if !f(id, row) {
			return
		}
	}
}

// Newest are the ids of at most n rows that are wanted, the newest first; those behind
// the row after, if there is one of that id.
func (t *Table[T]) Newest(n int, after string, want func(Brief) bool) []string {
	type row struct {
		created int64
		id      string
	}
	order := func(a, b row) int { return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.id, b.id)) }
	var all []row
	cut := func() {
		slices.SortFunc(all, order)
		all = all[:min(n, len(all))]
	}
	t.mu.RLock()
	last, isPage := t.rows[after]
	for id, v := range t.rows {
		r := row{v.Created, id}
		if !want(v.Brief) || isPage && order(r, row{last.Created, after}) <= 0 {
			continue
		}
		if all = append(all, r); len(all)-n > 1024 { // so that few are held
			cut()
		}
	}
	t.mu.RUnlock()
	cut()
	ids := make([]string, len(all))
	for i, r := range all {
		ids[i] = r.id
	}
	return ids
}

// Rows reads those of ids one after the other, which must not be changed; one that was
// deleted meanwhile is left out.
func (t *Table[T]) Rows(ctx context.Context, ids []string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for _, id := range ids {
			row, err := t.Get(ctx, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
