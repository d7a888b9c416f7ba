package webgpu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gounet/gounet/core/graph"
)

// flight is a submit that may not be done.
type flight struct {
	submitted
	at     time.Time
	work   float64
	within string // its nodes, for messages
}

// mostFlights are submits that the queue has at once: one that runs, and one
// after it, so that the device does not wait for the host.
const mostFlights = 2

// Run starts the dispatches in order, as many at once as the pace of the device
// allows, and returns when the last are handed over.
func (e *executable) Run(ctx context.Context) error {
	if err := e.alive(); err != nil {
		return err
	}
	d := e.dev
	for rest, row := e.list, 0; len(rest) > 0; {
		name := e.nodes[rest[0].node]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("webgpu: before %s: %w", name, err)
		}
		if err := d.land(ctx, mostFlights-1); err != nil {
			return err
		}
		now, left, next, work := d.pace.cut(rest, row)
		within := name
		if last := e.nodes[now[len(now)-1].node]; last != name {
			within = name + " to " + last
		}
		s, err := d.gpu.submit(now)
		if err != nil {
			return fmt.Errorf("webgpu: %s: %w", within, err)
		}
		d.flights = append(d.flights, flight{s, time.Now(), work, within})
		rest, row = left, next
	}
	return nil
}

// land waits until no more than so many submits are under way, and keeps the pace.
func (d *device) land(ctx context.Context, left int) error {
	for len(d.flights) > left {
		f := d.flights[0]
		err := f.wait(ctx)
		if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return fmt.Errorf("webgpu: during %s: %w", f.within, err)
		}
		d.flights = d.flights[1:]
		if err != nil {
			return fmt.Errorf("webgpu: %s: %w", f.within, err)
		}
		now := time.Now()
		begun := f.at
		if d.landed.After(begun) { // it waited for the one before
			begun = d.landed
		}
		d.pace.took(f.work, now.Sub(begun))
		d.landed = now
	}
	return nil
}

// workOf is the work of a node: floating-point operations, and bytes counted as
// the ten that a GPU does in the time that it moves one.
func workOf(c graph.Cost) float64 { return float64(c.FLOP) + 10*float64(c.Bytes) }
