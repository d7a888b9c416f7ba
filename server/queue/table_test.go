package queue

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// openTest is a queue of its own; Close may be called twice.
func openTest(t testing.TB, o Options) *Queue {
	t.Helper()
	if o.Dir == "" && o.URL == "" {
		o.Dir = filepath.Join(t.TempDir(), "queue")
	}
	q, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

func record(owner, priority string) *Record {
	return &Record{Job: api.Job{
		ID: ID(), Owner: owner, State: api.JobQueued, Created: time.Now().UTC(), Submit: api.Submit{Priority: priority},
	}}
}

// open lists the rows that are not over, as the table says and as its rows are.
func open(t *Table[Record]) (said, are map[string]bool) {
	said, are = map[string]bool{}, map[string]bool{}
	t.EachOpen(func(id string, _ *Record) bool { said[id] = true; return true })
	t.Each(func(id string, b Brief) bool {
		if !api.JobOver(b.State.Value()) {
			are[id] = true
		}
		return true
	})
	return said, are
}

// Each of many updates at the same time counts, in every process that has the table.
func TestUpdatesAtOnceAllCount(t *testing.T) {
	q := openTest(t, Options{Listen: "127.0.0.1:-1"})
	other := openTest(t, Options{URL: q.server.ClientURL()})
	r := record("a", "")
	require.NoError(t, q.Jobs.Create(t.Context(), r.ID, r))
	require.ErrorIs(t, other.Jobs.Create(t.Context(), r.ID, r), ErrExists)
	const writers, times = 4, 10
	var wg sync.WaitGroup
	for n := range writers {
		table := []*Table[Record]{q.Jobs, other.Jobs}[n%2]
		wg.Go(func() {
			for range times {
				_, err := table.Update(t.Context(), r.ID, func(r *Record) error { r.Attempts++; return nil })
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	for _, table := range []*Table[Record]{q.Jobs, other.Jobs} {
		assert.Eventually(t, func() bool {
			have, err := table.Get(t.Context(), r.ID)
			return err == nil && have.Attempts == writers*times
		}, 2*time.Minute, time.Millisecond)
	}
	unchanged := errors.New("not this one")
	_, err := q.Jobs.Update(t.Context(), r.ID, func(r *Record) error { r.Attempts = 0; return unchanged })
	require.ErrorIs(t, err, unchanged)
	have, err := other.Jobs.Read(t.Context(), r.ID)
	require.NoError(t, err)
	assert.Equal(t, writers*times, have.Attempts)
}

// A row that is deleted while others change it is gone in the end, everywhere, and
// the rows that are not over are those that the table says.
func TestDeletesWinOverUpdates(t *testing.T) {
	q := openTest(t, Options{Listen: "127.0.0.1:-1"})
	other := openTest(t, Options{URL: q.server.ClientURL()})
	var wg sync.WaitGroup
	states := []string{api.JobRunning, api.JobDone}
	kept := map[string]bool{}
	for n := range 12 {
		r := record(fmt.Sprint(n), "")
		require.NoError(t, q.Jobs.Create(t.Context(), r.ID, r))
		kept[r.ID] = n%3 != 0
		wg.Go(func() {
			for i := range 6 {
				_, err := other.Jobs.Update(t.Context(), r.ID, func(r *Record) error { r.State = states[i%2]; return nil })
				if !errors.Is(err, ErrNotFound) {
					assert.NoError(t, err)
				}
			}
		})
		if !kept[r.ID] {
			wg.Go(func() { assert.NoError(t, q.Jobs.Delete(t.Context(), r.ID)) })
		}
	}
	wg.Wait()
	for id, stays := range kept {
		_, err := q.Jobs.Read(t.Context(), id)
		if stays {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, q.Jobs.Delete(t.Context(), id), "there is none: no error")
	}
	for _, table := range []*Table[Record]{q.Jobs, other.Jobs} {
		assert.Eventually(t, func() bool {
			for id, stays := range kept {
				if r, err := table.Get(t.Context(), id); (err == nil) != stays || stays && r.State != api.JobDone {
					return false
				}
			}
			said, are := open(table)
			return len(said) == 0 && len(are) == 0
		}, 2*time.Minute, time.Millisecond)
	}
}

// The answer to a write may be read after the watch has told of what came later.
func TestWhatIsHeardLateChangesNothing(t *testing.T) {
	table := newTable((*Record).brief)
	var told []*Record
	table.changed = func(_ string, _ Brief, r *Record) { told = append(told, r) }
	first, second := record("a", ""), record("a", "")
	table.apply("x", second, 0, 6)
	table.apply("x", first, 0, 5)
	have, err := table.Get(t.Context(), "x")
	require.NoError(t, err)
	assert.Same(t, second, have)
	table.apply("x", nil, 0, 7)
	table.apply("x", second, 0, 6)
	assert.False(t, table.Has("x"), "it is deleted")
	said, are := open(table)
	assert.Empty(t, said)
	assert.Empty(t, are)
	assert.Equal(t, []*Record{second, nil}, told)
}

// Who is told of changes sees the last one last.
func TestChangesAreToldInTheirOrder(t *testing.T) {
	table := newTable((*Record).brief)
	first, second := record("a", ""), record("a", "")
	var told []*Record // when it has been told
	var later sync.WaitGroup
	table.changed = func(_ string, _ Brief, r *Record) {
		if r == first {
			later.Go(func() { table.apply("x", second, 0, 2) })
			for range 1000 { // it waits for this, or comes now
				runtime.Gosched()
			}
		}
		told = append(told, r)
	}
	table.apply("x", first, 0, 1)
	later.Wait()
	assert.Equal(t, []*Record{first, second}, told)
}

// Of a job that is over and that nobody watches, no events are kept.
func TestProgressIsNotToldBehindTheEnd(t *testing.T) {
	q := &Queue{Jobs: newTable((*Record).brief), Hub: newHub()}
	q.Jobs.changed = q.jobChanged
	runs, done := record("a", ""), record("a", "")
	runs.State, done.State = api.JobRunning, api.JobDone
	slow := []byte("{" + strings.Repeat(" ", 1<<20) + "}") // to read: the end comes meanwhile
	for range 10 {
		id := ID()
		q.Jobs.apply(id, runs, 0, 1)
		var both sync.WaitGroup
		both.Go(func() { q.heard(&nats.Msg{Subject: subjectProcess + "." + id, Data: slow}) })
		runtime.Gosched()
		both.Go(func() { q.Jobs.apply(id, done, 0, 2) })
		both.Wait()
	}
	assert.Empty(t, q.Hub.jobs)
}

// What was written is there after a restart, and what is over is not among the open.
func TestATableIsReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	q := openTest(t, Options{Dir: dir})
	waits, done := record("a", ""), record("a", "")
	done.State = api.JobDone
	for _, r := range []*Record{waits, done} {
		require.NoError(t, q.Jobs.Create(t.Context(), r.ID, r))
	}
	require.NoError(t, q.Close())
	q = openTest(t, Options{Dir: dir})
	have, err := q.Jobs.Get(t.Context(), done.ID)
	require.NoError(t, err)
	assert.Equal(t, done, have)
	said, are := open(q.Jobs)
	assert.Equal(t, are, said)
	assert.Equal(t, map[string]bool{waits.ID: true}, said)
}

func contextFor(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
