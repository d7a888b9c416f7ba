package webgpu

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// timer is a gpu whose adapter may have timestamp queries.
type timer interface {
	// timed runs dispatches in order, waits for them, and returns the seconds from the
	// start of the first to the end of the last; or ErrNoTimestamps.
	timed(ctx context.Context, list []dispatch) (seconds float64, err error)
}

// ErrNoTimestamps is in the chain of the error of Profile where the adapter cannot
// tell.
var ErrNoTimestamps = errors.New("the adapter has no timestamp queries")

// Profile runs the program once, each node by itself in slabs as Run cuts them, and
// returns the seconds of each node by the clock of the device.
func (e *executable) Profile(ctx context.Context) ([]float64, error) {
	d := e.dev
	t, ok := d.gpu.(timer)
	if !ok {
		return nil, fmt.Errorf("webgpu: profile: %w", ErrNoTimestamps)
	}
	if err := e.alive(); err != nil {
		return nil, err
	}
	if err := d.land(ctx, 0); err != nil {
		return nil, err
	}
	seconds := make([]float64, len(e.nodes))
	for rest := e.list; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].node == rest[0].node {
			n++
		}
		for node, row := rest[:n], 0; len(node) > 0; {
			now, left, next, work := d.pace.cut(node, row)
			s, err := t.timed(ctx, now)
			if err != nil {
				return nil, fmt.Errorf("webgpu: profile: %s: %w", e.nodes[rest[0].node], err)
			}
			d.pace.took(work, time.Duration(s*float64(time.Second)))
			seconds[rest[0].node] += s
			node, row = left, next
		}
		rest = rest[n:]
	}
	return seconds, nil
}

// alive says no when a buffer of the program was freed.
func (e *executable) alive() error {
	for _, b := range e.buffers {
		if b.m == nil {
			return errors.New("webgpu: a program whose buffers were freed cannot run")
		}
	}
	return nil
}
