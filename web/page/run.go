package page

import (
	"fmt"
	"time"

	"github.com/gounet/gounet/internal/api"
)

// Stages of a Run.
const (
	RunPreparing = "preparing"
	RunTiles     = "tiles"
	RunPausing   = "pausing"
	RunPaused    = "paused"
	RunStopped   = "stopped"
)

// Run is a segmentation in this browser.
type Run struct {
	Stage     string // "": none
	Doing     string // of the stages of package api
	Done, Of  int64
	Network   int // of a cascade: the one at work
	Networks  int // of it; 0: another model
	Left      time.Duration
	Begun     time.Time
	Tiles     time.Time // when the first tile began
	First     int64     // tiles that were done before
	Prepared  time.Duration
	Saved     *api.Saved
	Kept      int64 // tiles that a reload goes on after; 0: it begins anew
	scanKept  bool
	key       string // of what is kept
	turn      turn
	state     Blob
	id        int
	segment   api.Segment
	model     Model // whatever is chosen since
	spoken    int64
	Last      *api.Done // of the last run
	LastModel string
	next      *api.Box // the tile that is in work
	partial   *Result  // colours of labels of the tiles that are done; nil: none are shown
}

// Model is the name of the one that segments.
func (r *Run) Model() string { return Title(r.model.Dataset) }

// Start segments here.
func (p *Page) Start() {
	m := p.Model()
	if m == nil || len(m.Files) == 0 {
		return
	}
	p.stopCheck()
	p.Run = Run{segment: p.segment(), model: *m, key: "/" + newKey(), Last: p.Run.Last, LastModel: p.Run.LastModel, turn: p.Run.turn}
	p.View.Unsure = false
	p.Host.Viewer().Labels(nil)
	p.Host.Viewer().Surfaces(nil)
	p.run(nil)
	p.keepScan()
}

const (
	saveSeconds  = 15
	mostSaved    = 256 << 20 // bytes of a state that is kept in the browser as it runs
	runStore     = "runs"
	runKey       = "run"   // and Run.key
	stateKey     = "state" // too
	spokenShares = 4       // of a segmentation are told of aloud
)

// run begins or goes on from a state.
func (p *Page) run(state Blob) {
	r := &p.Run
	r.Stage, r.Doing, r.Begun, r.id = RunPreparing, api.StageRead, p.Host.Now(), 0
	p.Screen, p.Panel, p.Alert = ScreenWork, PanelRun, nil
	p.Host.Focus(".panel [data-first]")
	s := r.segment
	if c := p.Check.Result; c == nil || c.State <= mostSaved {
		s.SaveSeconds = saveSeconds
	}
	var blobs []Blob
	if state != nil {
		s.Resume = &api.File{Name: "state"}
		blobs = []Blob{state}
	}
	r.turn++
	wanted := r.turn.still()
	p.withModel(r.model, wanted, func() {
		r.id = p.Host.Ask(api.Request{Segment: &s}, blobs, func(a api.Answer, b []Bytes) {
			if wanted() {
				p.heard(a, b)
			}
		})
	}, p.stopped)
}

// heard takes the answers of a segmentation.
func (p *Page) heard(a api.Answer, b []Bytes) {
	switch {
	case a.Progress != nil:
		p.progress(a.Progress)
	case a.Partial != nil:
		p.partial(a.Partial, b[0])
	case a.Saved != nil:
		p.Run.Saved, p.Run.state = a.Saved, b[0].Blob()
		p.keepState(a.Saved, p.Run.state)
	case a.Done != nil:
		p.finished(a.Done, b)
	case a.Failed != nil:
		p.stopped(a.Failed)
	}
}

func (p *Page) progress(g *api.Progress) {
	r := &p.Run
	now := p.Host.Now()
	r.Doing = g.Stage
	if g.Stage != api.StageSegment {
		return
	}
	if r.Stage == RunPreparing {
		r.Stage, r.Tiles, r.Prepared, r.First = RunTiles, now, now.Sub(r.Begun), g.Done
		if r.First > 0 && r.Saved == nil {
			r.First = 0
		}
	}
	r.Done, r.Of, r.Left, r.next = g.Done, g.Of, ms(g.LeftMS), g.Next
	if g.Network != r.Network {
		r.Network, r.Networks = g.Network, g.Networks
		p.Host.Announce(r.NetworkText())
	}
	if g.Of > 0 {
		if share := g.Done * spokenShares / g.Of; share > r.spoken {
			r.spoken = share
			p.Host.Announce(fmt.Sprintf("%d percent of the tiles are done", share*100/spokenShares))
		}
	}
}

// partial shows labels of the tiles that are done.
func (p *Page) partial(part *api.Partial, b Bytes) {
	r := &p.Run
	lo, n := part.Lo, part.Shape
	p.Host.Viewer().Box([3]int{lo[2], lo[1], lo[0]}, [3]int{n[2], n[1], n[0]}, b)
	if r.partial == nil {
		r.partial = resultOf(r.Model(), r.model.Labels, nil)
		p.paint()
	}
}

// endPartial shows the result that there was before, if there was one.
func (p *Page) endPartial() {
	p.Run.partial = nil
	p.Host.Viewer().Labels(nil)
	if p.Result != nil {
		p.Host.Viewer().Labels(p.Result.Map)
		p.paint()
		p.measure(false)
	}
}

// NetworkText says which network of a cascade is at work, "" of other models.
func (r *Run) NetworkText() string {
	if r.Networks < 2 {
		return ""
	}
	return fmt.Sprintf("stage %d of %d", r.Network, r.Networks)
}

// PerTile is the time of a tile so far.
func (r *Run) PerTile(now time.Time) time.Duration {
	if n := r.Done - r.First; n > 0 && !r.Tiles.IsZero() {
		return now.Sub(r.Tiles) / time.Duration(n)
	}
	return 0
}

// Pause keeps the tiles that are done, and frees the device.
func (p *Page) Pause() {
	r := &p.Run
	switch {
	case r.Stage != RunTiles && r.Stage != RunPreparing:
	case r.id == 0: // the worker was not asked yet
		r.turn++
		p.paused()
	default:
		r.Stage = RunPausing
		p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: r.id, Save: true}}, nil, nil)
	}
}

func (p *Page) paused() {
	p.Run.Stage = RunPaused
	p.Host.Focus("#continue")
}

// GoOn goes on where it was paused or stopped.
func (p *Page) GoOn() { p.run(p.Run.state) }

// AskCancel asks first if more than a minute of work would go.
func (p *Page) AskCancel() {
	const ask = time.Minute
	if !p.Run.Begun.IsZero() && p.Host.Now().Sub(p.Run.Begun) > ask {
		p.Show(DialogCancel)
		return
	}
	p.Cancel()
}

// Cancel ends the segmentation, of which nothing is kept.
func (p *Page) Cancel() {
	p.Dialog = NoDialog
	p.endRun()
	p.Go(PanelCheck)
}

// endRun ends the segmentation and shows what there was before it.
func (p *Page) endRun() {
	r := &p.Run
	if r.Stage == RunTiles || r.Stage == RunPreparing || r.Stage == RunPausing {
		p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: r.id}}, nil, nil)
	}
	r.turn++
	r.Stage, r.state, r.Saved, r.Kept = "", nil, nil, 0
	p.forgetRun()
	p.endPartial()
}

// stopped takes the end without a result.
func (p *Page) stopped(f *api.Failed) {
	r := &p.Run
	p.over(DialogCancel)
	if f.Code == api.FailedCancelled {
		if r.Stage == RunPausing {
			p.paused()
		}
		return
	}
	r.Stage = RunStopped
	if f.Code != api.FailedLost { // only then it is gone on with
		p.endPartial()
	}
	server, onServer := p.serverFor(p.model(r.model.SHA256))
	kept := int64(0)
	if r.Saved != nil {
		kept = r.Saved.Done
	}
	p.Alert = &Alert{Title: "The segmentation has stopped", Text: sentence(f.Reason), More: sentence(f.Do), Do: "Try again", OnDo: p.GoOn}
	switch f.Code {
	case api.FailedLost:
		p.Alert.Title = "The GPU stopped answering"
		p.Alert.Text = fmt.Sprintf("It happened in tile %d of %d. %s", r.Done+1, r.Of, keptText(kept))
		p.Alert.More = "Often another program, a driver update or sleep."
		if kept > 0 {
			p.Alert.Do = fmt.Sprintf("Go on at tile %d", kept+1)
		}
		p.Alert.Other, p.Alert.OnOther = "On the processor", func() {
			r.segment.Device = api.DeviceCPU
			p.run(nil)
		}
		p.Alert.Third, p.Alert.OnThird = server, onServer
	case api.FailedMemory:
		p.Models.need(r.model.SHA256, need{bytes: f.Need, have: f.Have})
		p.Alert.Title, p.Alert.Text, p.Alert.More = "Not enough memory", memoryText(f), lessMemory
		p.Alert.Need, p.Alert.Have = f.Need, f.Have
		p.Alert.Do, p.Alert.OnDo = "Choose another model", func() { p.Go(PanelModels) }
		p.Alert.Other, p.Alert.OnOther = server, onServer
	case api.FailedScan, api.FailedModel, api.FailedRequest:
		p.Alert.Do, p.Alert.OnDo = "Back", func() { p.Go(PanelModels) }
	}
	p.Host.Focus(".panel .primary")
}

func keptText(n int64) string {
	if n == 0 {
		return "No tile was kept."
	}
	return fmt.Sprintf("The %s before it are kept.", Plural(int(n), "tile", "tiles"))
}

const lessMemory = "A model with a smaller patch or fewer labels takes less."

// memoryText says what is wanted and what is there.
func memoryText(f *api.Failed) string {
	if f.Need == 0 {
		return sentence(f.Reason)
	}
	return fmt.Sprintf("This model needs %s for this scan; %s are available.", Size(f.Need), Size(f.Have))
}

// finished takes the labels.
func (p *Page) finished(d *api.Done, b []Bytes) {
	p.Run.Last, p.Run.LastModel, p.Run.Stage, p.Run.partial = d, p.Run.Model(), "", nil
	p.forgetRun()
	p.over(DialogCancel)
	p.Host.Announce("The labels are there")
	p.setResult(d.Labels, b[0], p.Run.LastModel)
	if d.Uncertainty && len(b) > 1 {
		p.Result.Unsure = b[1].Copy()
	}
	p.keepLabels()
	p.KeepAtOnce()
}
