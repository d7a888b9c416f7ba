package engine

import (
	"context"
	"time"

	"github.com/gounet/gounet/server/queue"
)

// announce says what the devices do to all who share the queue, until no more jobs are
// taken.
func (e *Engine) announce(taking context.Context) {
	every := time.NewTicker(queue.SignEvery)
	defer every.Stop()
	for {
		_ = e.o.Queue.Announce(e.Devices()) // who does not hear it hears the next
		select {
		case <-taking.Done():
			_ = e.o.Queue.Announce(nil) // else it is believed for a while
			return
		case <-every.C:
		}
	}
}
