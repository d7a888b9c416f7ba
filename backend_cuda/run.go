//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/backend"
)

// flight is a run that may not be done.
type flight struct {
	done cu.Event
	name string // of the program, for messages
}

// mostFlights are runs that the stream has at once: enough that the GPU does not
// wait for the host, and few enough that an error or a cancellation is not late.
const mostFlights = 4

// Run replays the graph of the program.
func (e *executable) Run(ctx context.Context) error {
	d := e.dev
	if err := e.alive(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cuda: before %s: %w", e.name(), err)
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer runtime.UnlockOSThread()
	if d.careful {
		return e.walk(ctx, nil)
	}
	if err := d.land(ctx, mostFlights-1); err != nil {
		return err
	}
	if err := d.told(e.name(), d.driver.error(d.driver.graphLaunch(e.graph, streamOf(d.stream)))); err != nil {
		return err
	}
	done, err := d.mark()
	if err != nil {
		return err
	}
	d.flights = append(d.flights, flight{done, e.name()})
	return nil
}

// land waits until no more than so many runs are under way.
func (d *device) land(ctx context.Context, left int) error {
	for len(d.flights) > left {
		f := d.flights[0]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cuda: during %s: %w", f.name, err)
		}
		d.flights, d.landed = d.flights[1:], d.landed+1
		err := d.wait(f.done, f.name)
		if gone := d.comm.trouble(); err == nil && gone != nil {
			err = fmt.Errorf("cuda: during %s: %w", f.name, gone)
		}
		if err != nil {
			if errors.Is(err, backend.ErrLost) {
				err = fmt.Errorf("%w (%swith CUDA_LAUNCH_BLOCKING=1 the op has a name)", err, d.marked())
				d.lost = err
			}
			return err
		}
	}
	return nil
}

// walk starts the launches one after the other, without the graph, and waits for
// those of a node before the next. Where there is a clock it is told.
func (e *executable) walk(ctx context.Context, clock func(node int) error) error {
	d := e.dev
	for rest := e.list; len(rest) > 0; {
		node := rest[0].Node
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cuda: before %s: %w", e.nodes[node], err)
		}
		for len(rest) > 0 && rest[0].Node == node {
			if err := e.start(rest[0], d.stream); err != nil {
				return err
			}
			rest = rest[1:]
		}
		if clock != nil {
			if err := clock(node); err != nil {
				return err
			}
			continue
		}
		if err := d.stream.Synchronize(); err != nil {
			return d.told(e.nodes[node], err)
		}
	}
	return nil
}

// Profile runs the program once, without the graph, and returns the seconds of each
// node by the clock of the GPU.
func (e *executable) Profile(ctx context.Context) ([]float64, error) {
	d := e.dev
	if err := e.alive(); err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer runtime.UnlockOSThread()
	if err := d.land(ctx, 0); err != nil {
		return nil, err
	}
	var events []cu.Event
	var nodes []int
	defer func() {
		for i := range events {
			_ = cu.DestroyEvent(&events[i]) // of a lost device it is gone already
		}
	}()
	stamp := func(node int) error {
		event, err := cu.MakeEvent(cu.DefaultEvent)
		if err != nil {
			return d.told("an event", err)
		}
		events, nodes = append(events, event), append(nodes, node)
		return d.told("an event", event.Record(d.stream))
	}
	if err := stamp(-1); err != nil {
		return nil, err
	}
	if err := e.walk(ctx, stamp); err != nil {
		return nil, err
	}
	if err := d.stream.Synchronize(); err != nil {
		return nil, d.told("profile of "+e.name(), err)
	}
	seconds := make([]float64, len(e.nodes))
	for i := 1; i < len(events); i++ {
		ms, err := events[i-1].Elapsed(events[i])
		if err != nil {
			return nil, d.told("profile of "+e.nodes[nodes[i]], err)
		}
		seconds[nodes[i]] += ms / 1000
	}
	return seconds, nil
}

// alive says no when a buffer of the program was freed.
func (e *executable) alive() error {
	if e.dev == nil {
		return errors.New("cuda: a program that was freed cannot run")
	}
	for _, b := range e.buffers {
		if b.m == 0 {
			return errors.New("cuda: a program whose buffers were freed cannot run")
		}
	}
	return nil
}
