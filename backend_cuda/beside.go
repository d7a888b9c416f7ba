//go:build cuda && linux

package cuda

import (
	"gorgonia.org/cu"
)

// startBeside starts all launches in order, each AllReduce on the side stream: beside the
// launches behind it, until one must wait for it. It is the graph's, where events are
// edges:
//
//	stream  … last term ─┬─ backward pass goes on ──┬─ first reader …
//	side                 └─ AllReduce ─ AllReduce ──┘
func (e *executable) startBeside() error {
	d := e.dev
	type transfer struct {
		until int
		done  cu.Event
	}
	var open []transfer // that the stream does not wait for yet, in order
	var events []cu.Event
	defer func() { d.spare = append(d.spare, events...) }()
	after := func(waits, other cu.Stream) error { // what waits does next is after what other has
		event, err := d.markOn(other)
		if err != nil {
			return err
		}
		events = append(events, event)
		return d.told("an event", waits.Wait(event, 0))
	}
	// settle lets the stream wait for what node must not run before.
	settle := func(node int) error {
		for i := len(open) - 1; i >= 0; i-- {
			if one := open[i]; one.until <= node { // and those before it, as they are in order
				open = open[i+1:]
				return d.told("an event", d.stream.Wait(one.done, 0))
			}
		}
		return nil
	}
	length := e.partLength()
	for i, s := range e.list {
		if i%length == 0 {
			if err := e.mark(i / length); err != nil {
				return err
			}
		}
		if s.Reduce == nil {
			if err := settle(s.Node); err != nil {
				return err
			}
			if err := e.start(s, d.stream); err != nil {
				return err
			}
			continue
		}
		if err := after(d.side, d.stream); err != nil {
			return err
		}
		if err := e.start(s, d.side); err != nil {
			return err
		}
		done, err := d.markOn(d.side)
		if err != nil {
			return err
		}
		events, open = append(events, done), append(open, transfer{s.until, done})
	}
	return settle(len(e.nodes))
}
