package queue

import (
	"os/signal"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gounet/gounet/internal/api"
)

// full makes every write to a file of this process fail, as a full disk does, until
// room is called.
func full(t *testing.T) (room func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ) // then writes have an error
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &was))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: was.Max}))
	room = func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &was)) }
	t.Cleanup(room)
	return room
}

// A queue whose disk was full says so meanwhile, takes jobs when there is room again,
// also from other processes, and has those that it had.
func TestAQueueIsThereAgainAfterAFullDisk(t *testing.T) {
	q := openTest(t, Options{Listen: "127.0.0.1:-1", AckWait: 10 * time.Second})
	other := openTest(t, Options{URL: q.server.ClientURL(), AckWait: 10 * time.Second})
	before := submit(t, q, "a", "")
	inHand := next(t, q)
	require.Equal(t, before.ID, inHand.ID)

	room := full(t)
	refused := record("a", "")
	_, err := q.Submit(contextFor(t, time.Second), refused)
	require.Error(t, err)
	require.Eventually(t, func() bool { return q.Check(contextFor(t, time.Second)) != nil }, time.Minute, 10*time.Millisecond, "it says that it is ready")
	room()

	require.Eventually(t, func() bool { return q.Check(contextFor(t, time.Second)) == nil }, 2*time.Minute, 100*time.Millisecond)
	finish(t, inHand)
	later := submit(t, q, "b", "")
	var d *Delivery
	require.Eventually(t, func() bool {
		d, err = other.Next(contextFor(t, 5*time.Second))
		return err == nil
	}, 2*time.Minute, time.Millisecond)
	assert.Equal(t, later.ID, d.ID, "not the one that was refused")
	finish(t, d)
	_, err = q.Jobs.Read(t.Context(), refused.ID)
	require.ErrorIs(t, err, ErrNotFound)
	done, err := q.Jobs.Read(t.Context(), before.ID)
	require.NoError(t, err)
	assert.Equal(t, api.JobDone, done.State)
	nothing(t, q)
}
