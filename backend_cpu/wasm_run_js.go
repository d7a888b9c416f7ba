package cpu

import (
	"context"
	"fmt"
	"syscall/js"
	"time"

	"github.com/gounet/gounet/backend_cpu/wasm/kernel"
)

// yieldEvery is how long events may wait.
const yieldEvery = 40 * time.Millisecond

// Run runs the nodes in order. Between pieces of them it lets events in and looks
// whether ctx has ended.
func (e *wasmExecutable) Run(ctx context.Context) error {
	if err := e.begin(); err != nil {
		return err
	}
	last := time.Now()
	for i := 0; i < len(e.steps); {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cpu: before node %s: %w", e.names[e.steps[i].node], err)
		}
		end := e.piece(i, len(e.steps))
		if err := e.do(ctx, i, end); err != nil {
			return err
		}
		if i = end; time.Since(last) > yieldEvery {
			yield()
			last = time.Now()
		}
	}
	return nil
}

// Profile is Run with a clock, and without events.
func (e *wasmExecutable) Profile(ctx context.Context) ([]float64, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	seconds := make([]float64, len(e.names))
	for i := range e.steps {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("cpu: before node %s: %w", e.names[e.steps[i].node], err)
		}
		start := time.Now()
		if err := e.do(ctx, i, i+1); err != nil {
			return nil, err
		}
		seconds[e.steps[i].node] += time.Since(start).Seconds()
	}
	return seconds, nil
}

// begin tells the threads where their scratch is, and packs the weights if they
// were written.
func (e *wasmExecutable) begin() error {
	c := e.dev.crew
	if c.lost != nil {
		return c.lost
	}
	if e.many > 0 {
		c.set(kernel.CtlScratch, int(int32(e.scratch)))
		c.set(kernel.CtlStride, int(int32(e.perThread)))
	}
	for _, b := range e.written {
		b.writes++
	}
	stale := len(e.packed) != len(e.weights)
	for i := 0; i < len(e.weights) && !stale; i++ {
		stale = e.packed[i] != e.weights[i].writes
	}
	if !stale {
		return nil
	}
	if len(e.packs) > 0 {
		e.call(e.packs)
	}
	e.packed = e.packed[:0]
	for _, b := range e.weights {
		e.packed = append(e.packed, b.writes)
	}
	return nil
}

// piece is the end of the steps from i on that are done in one call.
func (e *wasmExecutable) piece(i, end int) int {
	if e.steps[i].staged != nil {
		return i + 1
	}
	most := pieceWork * int64(e.dev.crew.threads)
	work := e.steps[i].work
	for i++; i < end && e.steps[i].staged == nil && work+e.steps[i].work <= most; i++ {
		work += e.steps[i].work
	}
	return i
}

// do does the steps [from, to): one in plain Go, or records.
func (e *wasmExecutable) do(ctx context.Context, from, to int) error {
	if st := e.steps[from].staged; st != nil {
		if err := st.run(ctx, e.dev); err != nil {
			return fmt.Errorf("cpu: node %s: %w", e.names[e.steps[from].node], err)
		}
		return nil
	}
	e.call(e.steps[from:to])
	return nil
}

// call runs records that lie side by side, with all threads.
func (e *wasmExecutable) call(steps []step) {
	e.dev.crew.run.Invoke(steps[0].at, steps[len(steps)-1].at+kernel.RecSize)
}

// yield lets the events of the host in that have come meanwhile.
func yield() {
	done := make(chan struct{}, 1)
	f := js.FuncOf(func(js.Value, []js.Value) any {
		done <- struct{}{}
		return nil
	})
	defer f.Release()
	channel := js.Global().Get("MessageChannel").New()
	channel.Get("port1").Set("onmessage", f)
	channel.Get("port2").Call("postMessage", 0)
	<-done
	channel.Get("port1").Call("close")
}
