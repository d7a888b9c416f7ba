package page

import (
	"time"

	"github.com/gounet/gounet/internal/api"
)

const (
	partEvery  = 3 * time.Second // that labels are got while the server computes; more seldom of large scans:
	partVoxels = 16 << 20        // so much longer for as many voxels, which are put on the screen at once
)

// part is what of a job is seen while it runs.
type part struct {
	shown  bool
	asked  time.Time // when labels were got last
	asking bool
}

// askPart gets the labels of the tiles that the server has done, if it is time and they
// would be seen.
func (p *Page) askPart() {
	s := &p.Server
	g := s.Job.Progress
	if s.part.asking || g == nil || g.Stage != api.StageSegment || g.Done >= g.Of || !p.seesJob() {
		return
	}
	n := s.scan.Look.Grid.Shape
	pause := partEvery * time.Duration(1+n[0]*n[1]*n[2]/partVoxels)
	now := p.Host.Now()
	if now.Sub(s.part.asked) < pause {
		return
	}
	s.part.asking, s.part.asked = true, now
	still := s.turn.still()
	over := func() bool { // and the next may be asked for
		if still() {
			s.part.asking = false
		}
		return !still() || !p.seesJob()
	}
	p.Host.Net().Fetch(base+"jobs/"+s.Job.ID+"/partial", func(b Blob, size int64, err error) {
		if err != nil || size == 0 || !still() || !p.seesJob() { // there are none yet, or the job is over
			over()
			return
		}
		list, blobs := sent([]File{{Path: "labels.nii.gz", Size: size, Blob: b}})
		p.ask(api.Request{PageRequest: api.PageRequest{Read: &api.Read{Files: list}}}, blobs, func(a api.Answer, got []Bytes) {
			if !over() && a.ReadLabels != nil {
				p.showPart(got[0])
			}
		}, func(*api.Failed) { over() })
	})
}

// seesJob tells whether the scan that the server segments is what is looked at.
func (p *Page) seesJob() bool {
	s := &p.Server
	return s.Stage == ServerRunning && p.Screen == ScreenWork && p.Panel == PanelServer && p.Scan != nil && p.Scan == s.scan && !p.Scan.gone
}

func (p *Page) showPart(b Bytes) {
	m := b.Copy()
	var list []api.Label
	if chosen := p.Model(); chosen != nil {
		list = chosen.Labels
	}
	p.Server.part.shown = true
	p.Run.partial = resultOf(p.Server.Title, list, m)
	p.Host.Viewer().Labels(m)
	p.paint()
}

// endPart shows the result that there was before, if there was one.
func (p *Page) endPart() {
	if p.Server.part.shown {
		p.Server.part.shown = false
		p.endPartial()
	}
}
