package test

import (
	"encoding/json"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quiet tells whether this machine does nothing else, which GOUNET_QUIET=1 says: only
// there can times of the clock be held against limits.
func quiet() bool { return os.Getenv("GOUNET_QUIET") != "" }

// event is one of Chromium's trace.
type event struct {
	Name, Ph string
	PID, TID int
	Dur      float64 // µs, of the clock
	TDur     float64 // µs that the thread computed
}

// mark is an event of the thread that is watched.
const mark = "watched"

// watched is drawn, and on a quiet machine holds also the time by the clock against the
// limit: for what waits for no image, which here the processor draws and not a GPU.
func (p *tab) watched(when string, most float64, f func()) {
	p.t.Helper()
	if clock := p.drawn(when, most, f); quiet() {
		assert.Less(p.t, clock, most, when)
	}
}

// drawn runs f and holds the longest task of the page's main thread against a limit in
// ms: what the thread computed itself, which a machine that does other things does not
// change much. The longest by the clock is returned.
func (p *tab) drawn(when string, most float64, f func()) (clock float64) {
	p.t.Helper()
	events := p.trace(func() {
		f()
		clock = eval[float64](p, `tasks.longest()`)
	})
	of := slices.IndexFunc(events, func(e event) bool { return e.Name == mark })
	require.GreaterOrEqual(p.t, of, 0, "the page's thread tells itself apart from those of other pages")
	tasks, computed := 0, 0.
	for _, e := range events {
		if e.Ph == "X" && e.PID == events[of].PID && e.TID == events[of].TID {
			tasks++
			computed = max(computed, e.TDur/1000)
		}
	}
	require.Positive(p.t, tasks)
	p.t.Logf("while %s: longest of %d tasks of the main thread computed for %.0f ms; longest by the clock %.0f ms (0: less than 50)", when, tasks, computed, clock)
	assert.Less(p.t, computed, most, when)
	return clock
}

// trace is what the browser's threads do while f runs.
func (p *tab) trace(f func()) []event {
	p.t.Helper()
	eval[bool](p, `(tasks.forget(), true)`)
	var mu sync.Mutex
	var events []event
	done := make(chan struct{}, 1)
	require.NoError(p.t, chromedp.ListenBrowser(p.ctx, func(ev any) {
		switch ev := ev.(type) {
		case *tracing.EventDataCollected:
			mu.Lock()
			defer mu.Unlock()
			for _, v := range ev.Value {
				var e event
				if json.Unmarshal(v, &e) == nil { // what is not one is of no interest
					events = append(events, e)
				}
			}
		case *tracing.EventTracingComplete:
			select {
			case done <- struct{}{}:
			default:
			}
		}
	}))
	_, err := chromedp.CallBrowser(p.ctx, tracing.Start, tracing.StartParams{
		TransferMode: tracing.StartTransferModeReportEvents, TraceConfig: &tracing.TraceConfig{IncludedCategories: []string{"toplevel", "blink.user_timing"}},
	})
	require.NoError(p.t, err)
	eval[bool](p, `(performance.mark("`+mark+`"), true)`)
	f()
	eval[bool](p, `new Promise(r => setTimeout(r, 0, true))`) // a task later: one that answers is in the trace when it has ended
	_, err = chromedp.CallBrowser(p.ctx, tracing.End, struct{}{})
	require.NoError(p.t, err)
	select {
	case <-done:
	case <-time.After(patience):
		p.fail("the trace does not end")
	}
	mu.Lock()
	defer mu.Unlock()
	return events
}

func TestTheLongestTaskIsSeen(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	const busy = 300 // ms
	events := p.trace(func() {
		eval[bool](p, `(() => { const begun = performance.now(); while (performance.now() < begun + 300); return true; })()`)
	})
	longest := 0.
	for _, e := range events {
		longest = max(longest, e.Dur/1000)
	}
	assert.GreaterOrEqual(t, longest, float64(busy))
}
