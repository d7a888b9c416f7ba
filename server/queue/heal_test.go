package queue

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errNoRecord = errors.New("no record")

// noRecords is a bucket that takes no new rows while it is closed.
type noRecords struct {
	jetstream.KeyValue
	closed *atomic.Bool
}

func (n noRecords) Create(ctx context.Context, key string, value []byte, o ...jetstream.KVCreateOpt) (uint64, error) {
	if n.closed.Load() {
		return 0, errNoRecord
	}
	return n.KeyValue.Create(ctx, key, value, o...)
}

// A job that was answered with an error is not worked on, and may be submitted again.
func TestAJobThatWasRefusedIsNotThere(t *testing.T) {
	q := openTest(t, Options{})
	r := record("a", "")
	closed := new(atomic.Bool)
	closed.Store(true)
	q.Jobs.kv = noRecords{q.Jobs.kv, closed}
	_, err := q.Submit(t.Context(), r)
	require.ErrorIs(t, err, errNoRecord)
	closed.Store(false)
	nothing(t, q)
	_, err = q.Submit(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, r.ID, next(t, q).ID)
}
