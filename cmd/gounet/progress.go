package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// plainEvery is the time between two lines of progress where bars cannot be
// drawn: seldom enough for a log file, often enough to see that it lives.
const plainEvery = 15 * time.Second

// progress shows how far the work is: bars on a terminal, else a plain line now
// and then, and nothing but warnings under --quiet. It is safe for use by several goroutines.
type progress struct {
	out   io.Writer
	bars  *mpb.Progress // nil where none are drawn
	quiet bool
	now   func() time.Time
}

// newProgress returns a progress on out. Wait must be called in the end.
func newProgress(out io.Writer, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet, now: time.Now}
	if !quiet && isTerminal(out) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(200*time.Millisecond))
	}
	return p
}

// progressOf is the progress of the command that runs.
func (a *app) progressOf() *progress {
	return newProgress(a.err, a.quiet())
}

// lines is a progress without bars, beside which others may draw theirs.
func (a *app) lines() *progress {
	return &progress{out: a.err, quiet: a.quiet(), now: time.Now}
}

// quiet is --quiet.
func (a *app) quiet() bool {
	quiet, _ := a.settings.values["quiet"].(bool)
	return quiet
}

// wait draws the bars a last time.
func (p *progress) wait() {
	if p.bars != nil {
		p.bars.Wait()
	}
}

// print writes a line that stays, above the bars. Nothing under --quiet.
func (p *progress) print(format string, args ...any) {
	if !p.quiet {
		p.write(format, args...)
	}
}

// warn prints a line that is about the results: also under --quiet.
func (p *progress) warn(format string, args ...any) { p.write("warning   "+format, args...) }

func (p *progress) write(format string, args ...any) {
	line := printable(fmt.Sprintf(format, args...)) + "\n"
	if p.bars != nil {
		_, _ = io.WriteString(p.bars, line) // progress is no result: the work goes on without it
		return
	}
	_, _ = io.WriteString(p.out, line)
}

// warnCases prints what scans warn of, a line a sentence: with the first of its cases,
// and how many there are.
func (p *progress) warnCases(warnings map[string][]string) {
	for _, w := range slices.Sorted(maps.Keys(warnings)) {
		cases := warnings[w]
		others := ""
		if n := len(cases) - 1; n > 0 {
			others = "; so it is of " + count(n, "other case")
		}
		p.warn("%s: %s%s", slices.Min(cases), w, others)
	}
}

// task is one bar: name, done of total units, and a note such as a loss.
type task struct {
	p     *progress
	name  string
	unit  string
	total int

	mu      sync.Mutex
	bar     *mpb.Bar
	note    string
	done    int
	start   time.Time
	printed time.Time
	ended   bool
}

// start begins a task of total units; unit is their plural, for the plain lines. A
// total of 0 is not known, or not yet: see expect.
func (p *progress) start(name, unit string, total int) *task {
	t := &task{p: p, name: name, unit: unit, total: total, start: p.now()}
	t.printed = t.start
	if p.bars != nil {
		t.bar = p.bars.AddBar(int64(total),
			mpb.PrependDecorators(
				decor.Name(name, decor.WCSyncSpaceR),
				decor.Any(t.counted, decor.WCSyncSpace),
			),
			mpb.AppendDecorators(
				decor.OnComplete(decor.Any(t.remaining, decor.WCSyncSpace), "done"),
				decor.Any(func(decor.Statistics) string { return t.shownNote() }),
			),
		)
	}
	return t
}

// expect says how many units there are, where that was not known in the beginning.
func (t *task) expect(total int) {
	t.mu.Lock()
	same, bar := t.total == total, t.bar
	t.total = total
	t.mu.Unlock()
	if bar != nil && !same {
		bar.SetTotal(int64(total), false)
	}
}

// follow is a dataset.Progress.
func (t *task) follow(n, total int, what string) {
	t.expect(total)
	t.set(n, what)
}

// counted is "3/8", or "3" of an unknown total.
func (t *task) counted(s decor.Statistics) string { return outOf(int(s.Current), int(s.Total)) }

func outOf(done, total int) string {
	if total <= 0 {
		return strconv.Itoa(done)
	}
	return fmt.Sprintf("%d/%d", done, total)
}

// set says that done units are done; note, if not empty, replaces the one shown.
func (t *task) set(done int, note string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = done
	if note != "" {
		t.note = printable(note)
	}
	if t.bar != nil {
		// The bar asks for the note while it draws: outside the lock.
		bar := t.bar
		t.mu.Unlock()
		bar.SetCurrent(int64(done))
		t.mu.Lock()
		return
	}
	if now := t.p.now(); !t.p.quiet && !t.ended && now.Sub(t.printed) >= plainEvery && (done < t.total || t.total == 0) {
		t.printed = now
		t.p.print("%s", t.line(now))
	}
}

// end finishes the task, done or not, and leaves its last state on the screen.
func (t *task) end() {
	t.mu.Lock()
	ended, bar := t.ended, t.bar
	t.ended = true
	now := t.p.now()
	line := t.line(now)
	t.mu.Unlock()
	switch {
	case ended:
	case bar != nil:
		bar.Abort(false) // a bar that is complete stays so
		bar.Wait()
	case !t.p.quiet:
		t.p.print("%s", line)
	}
}

// line is the state in words: "train 30/1600 steps, 12s, 10m left, loss 0.3".
func (t *task) line(now time.Time) string {
	parts := []string{fmt.Sprintf("%s %s %s", t.name, outOf(t.done, t.total), t.unit), seconds(now.Sub(t.start))}
	if left, ok := timeLeft(now.Sub(t.start), t.done, t.total); ok && t.done < t.total {
		parts = append(parts, seconds(left)+" left")
	}
	if t.note != "" {
		parts = append(parts, t.note)
	}
	return strings.Join(parts, ", ")
}

func (t *task) remaining(s decor.Statistics) string {
	left, ok := timeLeft(t.p.now().Sub(t.start), int(s.Current), t.total)
	if !ok {
		return "–"
	}
	return seconds(left) + " left"
}

func (t *task) shownNote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.note == "" {
		return ""
	}
	return "  " + t.note
}

// timeLeft extrapolates from the units that are done.
func timeLeft(spent time.Duration, done, total int) (time.Duration, bool) {
	if done <= 0 {
		return 0, false
	}
	return time.Duration(float64(spent) / float64(done) * float64(total-done)), true
}

// seconds is d as people say it: 0.4s, 12s, 3m05s, 2h10m.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// isTerminal tells whether w is a screen.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
