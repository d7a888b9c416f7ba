package queue

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

func submit(t *testing.T, q *Queue, owner, priority string) *Record {
	t.Helper()
	r, err := q.Submit(t.Context(), record(owner, priority))
	require.NoError(t, err)
	return r
}

func next(t *testing.T, q *Queue) *Delivery {
	t.Helper()
	d, err := q.Next(contextFor(t, 2*time.Minute))
	require.NoError(t, err)
	return d
}

func finish(t *testing.T, d *Delivery) {
	t.Helper()
	require.NoError(t, d.Finish(t.Context(), func(r *Record) { r.State = api.JobDone }))
}

// nothing says that no job can be had, also not by looking for what is left.
func nothing(t *testing.T, q *Queue) {
	t.Helper()
	_, err := q.Next(contextFor(t, lookEvery+500*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// High before normal before low; in a class users take turns, and a user's own jobs
// come in the order of their submission, whatever that of the classes was.
func TestLanesAreServedInOrder(t *testing.T) {
	q := openTest(t, Options{})
	low := submit(t, q, "a", api.PriorityLow)
	var a, b []string
	for range 3 {
		a = append(a, submit(t, q, "a", "").ID)
	}
	for range 3 {
		b = append(b, submit(t, q, "b", "").ID)
	}
	high := submit(t, q, "c", api.PriorityHigh)
	assert.Equal(t, 0, q.Waiting(high.ID))
	assert.Equal(t, 1+2+3, q.Waiting(a[2]), "the high one, two of its own, and three of the other's in turn")
	assert.Equal(t, 7, q.Waiting(low.ID))

	assert.Equal(t, high.ID, next(t, q).ID)
	var order []string
	for range 6 {
		d := next(t, q)
		order = append(order, d.ID)
		assert.Equal(t, 0, q.Waiting(d.ID), "it does not wait any more")
	}
	assert.Equal(t, a, only(order, a))
	assert.Equal(t, b, only(order, b))
	for at := 0; at < 6; at += 2 {
		assert.NotEqual(t, slices.Contains(a, order[at]), slices.Contains(a, order[at+1]), "one of each")
	}
	assert.Equal(t, low.ID, next(t, q).ID)
	nothing(t, q)
}

func only(all, wanted []string) (out []string) {
	for _, id := range all {
		if slices.Contains(wanted, id) {
			out = append(out, id)
		}
	}
	return out
}

// A job that is submitted many times at once, by several processes, is one job and
// is worked on once.
func TestADuplicateIsTheSameJob(t *testing.T) {
	q := openTest(t, Options{Listen: "127.0.0.1:-1"})
	other := openTest(t, Options{URL: q.server.ClientURL()})
	r := record("a", "")
	var wg sync.WaitGroup
	var mu sync.Mutex
	isNew := 0
	for n := range 8 {
		wg.Go(func() {
			mine := *r
			mine.Created = r.Created.Add(time.Duration(n)) // as each process has its own clock
			have, err := []*Queue{q, other}[n%2].Submit(t.Context(), &mine)
			if err == nil {
				mu.Lock()
				isNew++
				mu.Unlock()
			} else {
				assert.ErrorIs(t, err, ErrExists)
			}
			assert.Equal(t, r.ID, have.ID)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, isNew)
	finish(t, next(t, q))
	nothing(t, other)
	_, err := q.Submit(t.Context(), r)
	require.ErrorIs(t, err, ErrExists, "nor is it begun again when it is over")
	nothing(t, q)
}

// A worker that gives no sign of life loses its job to another, and can change
// nothing of it from then on.
func TestTheJobOfADeadWorkerIsAnothers(t *testing.T) {
	t.Parallel()
	const wait = 5 * time.Second // a machine that is busy gives signs of life late
	q := openTest(t, Options{Listen: "127.0.0.1:-1", AckWait: wait})
	other := openTest(t, Options{URL: q.server.ClientURL(), AckWait: wait})
	r := submit(t, q, "a", "")
	dead := next(t, q)
	dead.Abandon()
	d := next(t, other)
	assert.Equal(t, r.ID, d.ID)
	assert.Equal(t, 2, d.Attempts)
	require.ErrorIs(t, dead.Update(t.Context(), func(r *Record) { r.Device = "dead" }), ErrNotOurs)
	_, err := q.Next(contextFor(t, 2*wait)) // for as long as it works, it gives signs of life
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, d.Context.Err())
	finish(t, d)
	nothing(t, q)
	have, err := q.Jobs.Read(t.Context(), r.ID)
	require.NoError(t, err)
	assert.Equal(t, api.JobDone, have.State)
	assert.Empty(t, have.Device)
}

// A job that is given back is begun again; whether it counts as an attempt is said.
func TestReleasedJobsComeBack(t *testing.T) {
	q := openTest(t, Options{})
	submit(t, q, "a", "")
	for _, c := range []struct {
		counts   bool
		attempts int
	}{{false, 1}, {true, 1}, {true, 2}, {true, 3}} {
		d := next(t, q)
		assert.Equal(t, c.attempts, d.Attempts)
		require.NoError(t, d.Release(t.Context(), c.counts, 0))
		require.Error(t, d.Context.Err())
	}
	// Three attempts are enough: who looks for a job finds none, and the end of this one.
	for limit, state := contextFor(t, 2*time.Minute), ""; state != api.JobFailed; {
		require.NoError(t, limit.Err())
		nothing(t, q)
		q.Jobs.Each(func(_ string, b Brief) bool {
			state = b.State.Value()
			assert.Equal(t, state == api.JobFailed, b.Dead)
			return true
		})
	}
}

// lateMsg is a message whose giver is slow: what it gives back is taken before it goes on.
type lateMsg struct {
	jetstream.Msg
	given func()
}

func (m lateMsg) NakWithDelay(d time.Duration) error {
	err := m.Msg.NakWithDelay(d)
	m.given()
	return err
}

// A job that is given back can be had at once, also by the process that gives it.
func TestAReleasedJobIsFreeAtOnce(t *testing.T) {
	q := openTest(t, Options{AckWait: time.Hour})
	submit(t, q, "a", "")
	d := next(t, q)
	var again *Delivery
	d.msg = lateMsg{d.msg, func() { again = next(t, q) }}
	require.NoError(t, d.Release(t.Context(), true, 0))
	assert.Equal(t, d.ID, again.ID)
	assert.Equal(t, 2, again.Attempts)
	require.NoError(t, again.Context.Err())
	finish(t, again)
}

// A job that is cancelled where it runs ends its context; where it waits it is never
// begun, though its message is still there.
func TestCancelledJobsAreNotBegun(t *testing.T) {
	q := openTest(t, Options{Listen: "127.0.0.1:-1"})
	other := openTest(t, Options{URL: q.server.ClientURL()})
	runs := submit(t, q, "a", "")
	d := next(t, other)
	waits := submit(t, q, "a", "")
	for _, id := range []string{runs.ID, waits.ID} {
		_, err := q.Cancel(t.Context(), id)
		require.NoError(t, err)
	}
	<-d.Context.Done()
	require.ErrorIs(t, context.Cause(d.Context), ErrCancelled)
	require.NoError(t, d.Finish(t.Context(), func(r *Record) { r.State = api.JobCancelled }))
	nothing(t, q)
	for _, id := range []string{runs.ID, waits.ID} {
		have, err := q.Jobs.Read(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, api.JobCancelled, have.State)
	}
}
