package page

import "github.com/gounet/gounet/internal/api"

// need is what a model takes for the scan that is open.
type need struct {
	bytes, have int64 // have: there is no more; 0: it suffices
	asked       bool  // whatever came of it
}

func (m *Models) need(sha string, n need) {
	if m.needs == nil {
		m.needs = map[string]need{}
	}
	n.asked = true
	m.needs[sha] = n
}

// NeedText is what a model takes for the scan, or for a usual one if nobody here knows
// more, "" where neither is known.
func (p *Page) NeedText(m *Model) string {
	if n := p.Models.needs[m.SHA256]; n.bytes > 0 {
		return "needs " + Size(n.bytes)
	}
	if m.Usual > 0 {
		return "needs about " + Size(m.Usual)
	}
	return ""
}

// findNeeds asks what the models that are stored here take for the scan, one after the
// other and the chosen one first, as long as they are chosen from and the worker has
// nothing else to do.
func (p *Page) findNeeds() {
	m := p.unknownNeed()
	if m == nil || p.Models.asking != 0 || p.Screen != ScreenWork || p.Panel != PanelModels || p.Models.Busy != "" || p.computes() {
		return
	}
	scan, sha := p.Scan, m.SHA256
	found := func(n need) {
		p.Models.asking = 0
		if p.Scan == scan {
			p.Models.need(sha, n)
		}
		p.findNeeds()
	}
	failed := func(f *api.Failed) {
		if f.Code == api.FailedCancelled { // it is asked for again
			p.Models.asking = 0
			p.findNeeds()
			return
		}
		found(need{bytes: f.Need, have: f.Have})
	}
	if p.Models.loaded != sha {
		p.Models.asking = p.load(m.Files, "", func(l api.Loaded) {
			p.Models.asking = 0
			if l.SHA256 != sha { // the check says so
				found(need{})
				return
			}
			p.findNeeds()
		}, failed)
		return
	}
	c := &api.Check{Segment: p.segment(), Plan: true}
	p.Models.asking = p.ask(api.Request{PageRequest: api.PageRequest{Check: c}}, nil, func(a api.Answer, _ []Bytes) {
		if a.Checked != nil {
			found(need{bytes: a.Checked.Memory.DeviceBytes})
		}
	}, failed)
}

// unknownNeed is a stored model for the scan of which nobody has asked yet what it takes.
func (p *Page) unknownNeed() (next *Model) {
	if p.Scan == nil {
		return nil
	}
	for i := range p.Models.List {
		m := &p.Models.List[i]
		if len(m.Files) == 0 || p.Models.needs[m.SHA256].asked || p.FitOf(m).Unable {
			continue
		}
		if m.SHA256 == p.Models.Chosen {
			return m
		}
		if next == nil {
			next = m
		}
	}
	return next
}

// leaveNeeds ends what is asked for the needs of models: the worker is wanted.
func (p *Page) leaveNeeds() {
	if m := &p.Models; m.asking != 0 && m.given != m.asking {
		m.given = m.asking
		p.Host.Ask(api.Request{Cancel: &api.Cancel{Request: m.asking}}, nil, nil)
	}
}

// computes tells whether the worker segments.
func (p *Page) computes() bool {
	s := p.Run.Stage
	return s == RunPreparing || s == RunTiles || s == RunPausing
}
