package page

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gounet/gounet/internal/api"
)

// Check is what is known before a segmentation.
type Check struct {
	Busy     string // what is done now
	Result   *api.Checked
	Failed   *api.Failed
	Mirror   bool
	Device   string // api.DeviceWebGPU, api.DeviceCPU, or "": the worker's choice
	OnServer bool   // the place that is chosen
	id       int
}

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
	Left      time.Duration
	Begun     time.Time
	Tiles     time.Time // when the first tile began
	First     int64     // tiles that were done before
	Prepared  time.Duration
	SentAt    int64 // bytes the page had sent when it began
	Saved     *api.Saved
	ended     bool
	state     Blob
	id        int
	segment   api.Segment
	spoken    int64
	Device    string
	Last      *api.Done // of the last run
	LastModel string
	Shorter   bool // of less work a submit
}

// StartCheck asks what a segmentation takes.
func (p *Page) StartCheck() {
	p.stopCheck()
	p.Check.Result, p.Check.Failed = nil, nil
	if p.Model() == nil {
		return
	}
	if len(p.Model().Files) == 0 { // on the server only
		p.Check.OnServer = true
		return
	}
	p.Check.Busy = "Loading the model"
	p.withModel(func() {
		p.Check.Busy = "Measuring one tile"
		p.Check.id = p.Host.Ask(api.Request{PageRequest: api.PageRequest{Check: &api.Check{Segment: p.segment()}}}, nil, func(a api.Answer, _ []Bytes) {
			switch {
			case a.Checked != nil:
				p.Check.Busy, p.Check.Result = "", a.Checked
			case a.Failed != nil && a.Failed.Code != api.FailedCancelled:
				p.Check.Busy, p.Check.Failed = "", a.Failed
				p.Host.Focus(".panel [role=alert] button")
			}
		})
	}, func(f *api.Failed) { p.Check.Busy, p.Check.Failed = "", f })
}

func (p *Page) stopCheck() {
	if p.Check.Busy != "" && p.Check.id != 0 {
		p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: p.Check.id}}, nil, nil)
	}
	p.Check.Busy, p.Check.id = "", 0
}

// segment is the request of the options that are set.
func (p *Page) segment() api.Segment {
	return api.Segment{Device: p.Check.Device, NoMirror: !p.Check.Mirror, Page: true}
}

// SetMirror chooses between one look and one from each side.
func (p *Page) SetMirror(yes bool) {
	p.Check.Mirror = yes
	p.StartCheck()
}

// SetDevice chooses GPU or processor.
func (p *Page) SetDevice(kind string) {
	p.Check.Device, p.Check.OnServer = kind, false
	p.StartCheck()
}

// Times is how much longer mirrored tiles take.
func (m *Model) Times() int {
	if m.Patch[0] > 1 {
		return 8
	}
	return 4
}

// Estimate is how long a segmentation will take; false: it was not measured.
func (c *Check) Estimate() (time.Duration, bool) {
	if c.Result == nil || c.Result.TileMS == 0 {
		return 0, false
	}
	return ms(c.Result.TileMS * float64(c.Result.Rows)), true
}

// Start segments here.
func (p *Page) Start() {
	p.stopCheck()
	p.Run = Run{segment: p.segment(), Last: p.Run.Last, LastModel: p.Run.LastModel}
	if p.Run.Shorter {
		p.Run.segment.Memory = 0
	}
	p.keepScan()
	p.run(nil)
}

const (
	saveSeconds  = 15
	mostSaved    = 256 << 20 // bytes of a state that is kept in the browser as it runs
	runStore     = "runs"
	runKey       = "run"
	stateKey     = "state"
	spokenShares = 4 // of a segmentation are told of aloud
)

// run begins or goes on from a state.
func (p *Page) run(state Blob) {
	r := &p.Run
	r.Stage, r.Doing, r.Begun, r.ended = RunPreparing, api.StageRead, p.Host.Now(), false
	r.SentAt = p.Host.Facts().Sent
	p.Panel, p.Alert = PanelRun, nil
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
	p.withModel(func() {
		r.id = p.Host.Ask(api.Request{Segment: &s}, blobs, p.heard)
	}, p.stopped)
}

// heard takes the answers of a segmentation.
func (p *Page) heard(a api.Answer, b []Bytes) {
	switch {
	case a.Progress != nil:
		p.progress(a.Progress)
	case a.Saved != nil:
		p.Run.Saved, p.Run.state = a.Saved, b[0].Blob()
		p.keepState(a.Saved, p.Run.state)
	case a.Done != nil:
		p.finished(a.Done, b[0])
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
	r.Done, r.Of, r.Left = g.Done, g.Of, ms(g.LeftMS)
	if g.Of > 0 {
		if share := g.Done * spokenShares / g.Of; share > r.spoken {
			r.spoken = share
			p.Host.Announce(fmt.Sprintf("%d percent of the tiles are done", share*100/spokenShares))
		}
	}
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
	if p.Run.Stage != RunTiles && p.Run.Stage != RunPreparing {
		return
	}
	p.Run.Stage = RunPausing
	p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: p.Run.id, Save: true}}, nil, nil)
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
	r := &p.Run
	if r.Stage == RunTiles || r.Stage == RunPreparing || r.Stage == RunPausing {
		p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: r.id}}, nil, nil)
	}
	r.ended = true
	r.Stage, r.state, r.Saved = "", nil, nil
	p.forgetRun()
	p.Go(PanelCheck)
}

// stopped takes the end without a result.
func (p *Page) stopped(f *api.Failed) {
	r := &p.Run
	if r.ended {
		return
	}
	if f.Code == api.FailedCancelled {
		if r.Stage == RunPausing {
			r.Stage = RunPaused
			p.Host.Focus(".panel .primary")
		}
		return
	}
	r.Stage = RunStopped
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
	case api.FailedMemory:
		p.Alert.Title = "Not enough memory"
		p.Alert.Text = memoryText(f)
		p.Alert.Do, p.Alert.OnDo = "Choose another model", func() { p.Go(PanelModels) }
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

// memoryText says what is wanted and what is there.
func memoryText(f *api.Failed) string {
	if f.Need == 0 {
		return sentence(f.Reason)
	}
	return fmt.Sprintf("This model needs %s for this scan; %s are available.", Size(f.Need), Size(f.Have))
}

// finished takes the labels.
func (p *Page) finished(d *api.Done, labels Bytes) {
	p.Run.Last, p.Run.Stage = d, ""
	m := p.Model()
	if m != nil {
		p.Run.LastModel = Title(m.Dataset)
	}
	p.forgetRun()
	p.Host.Announce("The labels are there")
	p.setResult(d.Labels, labels, p.Run.LastModel)
}

// interrupted is the JSON of a segmentation that a reload may interrupt.
type interrupted struct {
	Name    string
	Series  string
	Model   string // SHA-256
	Segment api.Segment
	Done    int64
	Of      int64
}

// Interrupted is one that was found at the start.
type Interrupted struct {
	interrupted
	files []File
	state Blob
	job   *job // on the server
}

func (p *Page) keepScan() {
	m := p.Model()
	if m == nil || p.Scan == nil {
		return
	}
	meta, err := json.Marshal(interrupted{Name: p.Scan.Name, Series: p.Scan.Series, Model: m.SHA256, Segment: p.Run.segment})
	if err != nil {
		return
	}
	p.Host.Put(runStore, Stored{Key: runKey, Meta: meta, Files: p.Scan.Files}, func(error) {}) // where there is no room a reload begins anew
}

func (p *Page) keepState(s *api.Saved, state Blob) {
	meta, err := json.Marshal(interrupted{Done: s.Done, Of: s.Of})
	if err != nil || s.Bytes > mostSaved {
		return
	}
	p.Host.Put(runStore, Stored{Key: stateKey, Meta: meta, Files: []File{{Path: "state", Size: s.Bytes, Blob: state}}}, func(error) {})
}

func (p *Page) forgetRun() {
	p.Host.Remove(runStore, runKey)
	p.Host.Remove(runStore, stateKey)
	p.Open.interrupted = nil
}

// findInterrupted looks for a segmentation that a reload has interrupted.
func (p *Page) findInterrupted() {
	p.Host.All(runStore, func(list []Stored, err error) {
		if err != nil {
			return
		}
		byKey := map[string]Stored{}
		for _, s := range list {
			byKey[s.Key] = s
		}
		if s, ok := byKey[jobKey]; ok {
			p.ofJob(s)
			return
		}
		found := &Interrupted{}
		if s := byKey[runKey]; json.Unmarshal(s.Meta, &found.interrupted) == nil {
			found.files = s.Files
		}
		var kept interrupted
		if s := byKey[stateKey]; json.Unmarshal(s.Meta, &kept) == nil && len(s.Files) == 1 {
			found.Done, found.Of, found.state = kept.Done, kept.Of, s.Files[0].Blob
		}
		if len(found.files) > 0 && p.Screen == ScreenOpen && p.Run.Stage == "" {
			p.Open.interrupted = found
		}
	})
}

// Interrupted is a segmentation that can be gone on with, or nil.
func (p *Page) Interrupted() *Interrupted { return p.Open.interrupted }

// Text says how far it was.
func (i *Interrupted) Text() string {
	if i.job != nil {
		return "It goes on on the server. The scan and the labels are there until you close the job."
	}
	if i.Of == 0 {
		return "It was interrupted before its first tile was kept."
	}
	return fmt.Sprintf("%d of %s are kept on this computer.", i.Done, Plural(int(i.Of), "tile", "tiles"))
}

// ResumeInterrupted opens the scan again and goes on.
func (p *Page) ResumeInterrupted() {
	i := p.Open.interrupted
	if i == nil {
		return
	}
	if i.job == nil {
		p.Models.Chosen = i.Model
	}
	var series []string
	if i.Series != "" {
		series = []string{i.Series}
	}
	p.Open.resuming = i
	p.openFiles(i.files, series, i.Name)
}

// resumeShown goes on as soon as the scan is there.
func (p *Page) resumeShown() {
	i := p.Open.resuming
	p.Open.resuming, p.Open.interrupted = nil, nil
	if i != nil && i.job != nil {
		p.rejoin(i.job)
		return
	}
	if i == nil || p.Model() == nil {
		return
	}
	p.Run = Run{segment: i.Segment, state: i.state, Done: i.Done, Of: i.Of}
	if i.state != nil {
		p.Run.Saved = &api.Saved{Done: i.Done, Of: i.Of}
	}
	p.run(i.state)
}

// DropInterrupted forgets it.
func (p *Page) DropInterrupted() {
	if i := p.Open.interrupted; i != nil && i.job != nil {
		p.Server.Job.ID, p.Server.uploads = i.job.ID, i.job.Uploads
		p.closeJob()
	}
	p.forgetRun()
}

// Advice is what to do where there is no WebGPU.
func (p *Page) Advice() string {
	why := p.NoGPU()
	if why == "" {
		return ""
	}
	if strings.Contains(why, "software") {
		return "This browser offers WebGPU by software only. The processor is faster, and is taken."
	}
	return "This browser has no WebGPU, so the processor computes. Chrome and Edge from 113 on have it; in Firefox and Safari it depends on the system. Viewing and correcting work without it."
}

// CheckAlert says why a segmentation cannot begin, and what else there is.
func (p *Page) CheckAlert() *Alert {
	f := p.Check.Failed
	if f == nil {
		return nil
	}
	a := &Alert{Title: "This cannot run here", Text: sentence(f.Reason), More: sentence(f.Do), Do: "Choose another model", OnDo: func() { p.Go(PanelModels) }}
	switch f.Code {
	case api.FailedMemory:
		a.Title, a.Text = "Not enough memory", memoryText(f)
		if p.Check.Device != api.DeviceCPU {
			a.Other, a.OnOther = "Try the processor", func() { p.SetDevice(api.DeviceCPU) }
		}
	case api.FailedDevice, api.FailedLost:
		a.Title = "The GPU cannot be used"
		a.Do, a.OnDo = "Use the processor", func() { p.SetDevice(api.DeviceCPU) }
	}
	return a
}
