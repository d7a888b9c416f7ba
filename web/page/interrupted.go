package page

import (
	"encoding/json"
	"fmt"

	"github.com/gounet/gounet/internal/api"
)

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
	p.Host.Remove(runStore, stateKey) // of an earlier one
	meta, err := json.Marshal(interrupted{Name: p.Scan.Name, Series: p.Scan.Series, Model: p.Run.model.SHA256, Segment: p.Run.segment})
	if err != nil {
		return
	}
	still := p.Run.turn.still()
	p.Host.Put(runStore, Stored{Key: runKey, Meta: meta, Files: p.Scan.Files}, func(err error) {
		if still() {
			p.Run.scanKept = err == nil
		}
	})
}

func (p *Page) keepState(s *api.Saved, state Blob) {
	meta, err := json.Marshal(interrupted{Done: s.Done, Of: s.Of})
	if err != nil || s.Bytes > mostSaved {
		return
	}
	still := p.Run.turn.still()
	p.Host.Put(runStore, Stored{Key: stateKey, Meta: meta, Files: []File{{Path: "state", Size: s.Bytes, Blob: state}}}, func(err error) {
		if r := &p.Run; err == nil && still() && r.scanKept {
			r.Kept = s.Done
		}
	})
}

func (p *Page) forgetRun() {
	p.Host.Remove(runStore, runKey)
	p.Host.Remove(runStore, stateKey)
	if i := p.Open.interrupted; i != nil && i.job == nil {
		p.Open.interrupted = nil
	}
}

// findInterrupted looks for a segmentation that a reload or another scan has interrupted.
func (p *Page) findInterrupted() {
	p.Host.All(runStore, func(list []Stored, err error) {
		if err != nil || p.Screen != ScreenOpen {
			return
		}
		byKey := map[string]Stored{}
		for _, s := range list {
			byKey[s.Key] = s
			if i := p.jobOf(s); i != nil {
				p.Open.interrupted = i
				return
			}
		}
		found := &Interrupted{}
		if s := byKey[runKey]; json.Unmarshal(s.Meta, &found.interrupted) == nil {
			found.files = s.Files
		}
		var kept interrupted
		if s := byKey[stateKey]; json.Unmarshal(s.Meta, &kept) == nil && len(s.Files) == 1 {
			found.Done, found.Of, found.state = kept.Done, kept.Of, s.Files[0].Blob
		}
		if len(found.files) > 0 && p.Run.Stage == "" {
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
	if i == nil {
		return
	}
	m := p.model(i.Model)
	if m == nil || len(m.Files) == 0 {
		p.Notice = "The model of this segmentation is not stored in this browser any more. Add it again, and segment anew."
		return
	}
	p.Run = Run{segment: i.Segment, model: *m, state: i.state, Done: i.Done, Of: i.Of, Kept: i.Done, scanKept: true, turn: p.Run.turn}
	if i.state != nil {
		p.Run.Saved = &api.Saved{Done: i.Done, Of: i.Of}
	}
	p.run(i.state)
}

// DropInterrupted forgets it.
func (p *Page) DropInterrupted() {
	if i := p.Open.interrupted; i != nil && i.job != nil {
		p.forgetJob(i.job.ID, i.job.Uploads)
		p.Open.interrupted = nil
	} else {
		p.forgetRun()
	}
	p.findInterrupted() // another one
	p.Host.Focus(".open [data-first]")
}
