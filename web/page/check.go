package page

import (
	"time"

	"github.com/gounet/gounet/internal/api"
)

// Check is what is known before a segmentation.
type Check struct {
	Busy        string // what is done now
	Result      *api.Checked
	Failed      *api.Failed
	Mirror      bool
	Uncertainty bool   // a map of it is wanted
	Device      string // api.DeviceWebGPU, api.DeviceCPU, or "": the worker's choice
	OnServer    bool   // the place that is chosen
	id          int
	turn        turn
}

// StartCheck asks what a segmentation takes here, for which a model that only the server
// has is got first. The server is only where it is to run if somebody has chosen that.
func (p *Page) StartCheck() {
	p.stopCheck()
	p.Check.Result, p.Check.Failed = nil, nil
	m := p.Model()
	if m == nil {
		return
	}
	here, there := len(m.Files) > 0, p.Server.There && m.ID != ""
	p.Check.OnServer = there && p.Check.OnServer
	if there {
		p.followServer()
	}
	if !here {
		p.getModel()
		return
	}
	p.Check.Busy = "Loading the model"
	wanted := p.Check.turn.still()
	sha := m.SHA256
	p.withModel(*m, wanted, func() {
		p.Check.Busy = "Measuring one tile"
		p.Check.id = p.Host.Ask(api.Request{PageRequest: api.PageRequest{Check: &api.Check{Segment: p.segment()}}}, nil, func(a api.Answer, _ []Bytes) {
			switch {
			case !wanted():
			case a.Checked != nil:
				p.Check.Busy, p.Check.Result = "", a.Checked
				p.Models.need(sha, need{bytes: a.Checked.Memory.DeviceBytes})
			case a.Failed != nil:
				p.Check.Busy, p.Check.Failed = "", a.Failed
				p.Models.need(sha, need{bytes: a.Failed.Need, have: a.Failed.Have})
				p.Host.Focus(".panel [role=alert] button")
			}
		})
	}, func(f *api.Failed) { p.Check.Busy, p.Check.Failed = "", f })
}

// CanCheck tells whether the chosen model is one for the scan.
func (p *Page) CanCheck() bool {
	m := p.Model()
	return m != nil && !p.FitOf(m).Unable
}

// CanBegin tells whether a segmentation can begin where it was chosen to run.
func (p *Page) CanBegin() bool {
	m := p.Model()
	return m != nil && (p.Check.OnServer || p.Check.Failed == nil && len(m.Files) > 0)
}

// ChooseHere chooses this computer.
func (p *Page) ChooseHere() {
	p.Check.OnServer = false
	p.getModel()
}

// getModel gets the chosen model for a run here, if only the server has it.
func (p *Page) getModel() {
	if m := p.Model(); !p.Check.OnServer && m != nil && m.ID != "" && len(m.Files) == 0 && p.Models.Busy == "" {
		p.FetchModel(m)
	}
}

// HereText is what is done for a segmentation here, or what it would be done with.
func (p *Page) HereText() string {
	m := p.Model()
	switch here := m != nil && len(m.Files) > 0; {
	case p.Check.Busy != "":
		return p.Check.Busy
	case p.Check.Result != nil:
		return DeviceName(p.Check.Result.Device)
	case m != nil && !here && p.Models.Busy != "":
		return p.Models.Busy
	case m != nil && !here:
		return p.Adapter() + ". The model is got from the server first, " + Size(m.Bytes) + "."
	}
	return p.Adapter()
}

// Begin segments where it was chosen to run.
func (p *Page) Begin() {
	if !p.CanBegin() {
		return
	}
	start := p.Start
	if p.Check.OnServer {
		start = p.StartOnServer
	}
	if p.Result != nil && p.Result.Edited { // what was not corrected can be computed again
		p.unlessLost("Segment again?", "Segment without them", true, start)
		return
	}
	p.unlessKept(start)
}

func (p *Page) stopCheck() {
	if p.Check.Busy != "" && p.Check.id != 0 {
		p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: p.Check.id}}, nil, nil)
	}
	p.leaveNeeds()
	p.Check.Busy, p.Check.id = "", 0
	p.Check.turn++
}

// segment is the request of the options that are set.
func (p *Page) segment() api.Segment {
	return api.Segment{Device: p.Check.Device, NoMirror: !p.Check.Mirror, Page: true, Uncertainty: p.Check.Uncertainty}
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

// Advice is what to do where there is no WebGPU.
func (p *Page) Advice() string {
	if p.NoGPU() == "" {
		return ""
	}
	if p.softwareOnly() {
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
	server, onServer := p.serverFor(p.Model())
	if server != "" {
		a.Do, a.OnDo = server, onServer
	}
	switch f.Code {
	case api.FailedMemory:
		a.Title, a.Text, a.More = "Not enough memory", memoryText(f), lessMemory
		a.Need, a.Have = f.Need, f.Have
		if p.Check.Device == api.DeviceWebGPU || p.Check.Device == "" && p.NoGPU() == "" {
			a.Other, a.OnOther = "Try the processor", func() { p.SetDevice(api.DeviceCPU) }
		}
	case api.FailedDevice, api.FailedLost:
		a.Title, a.More = "The GPU cannot be used", "Viewing and correcting work without it."
		a.Other, a.OnOther = server, onServer
		a.Do, a.OnDo = "Use the processor", func() { p.SetDevice(api.DeviceCPU) }
	}
	return a
}
