package page

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"

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
	key   string // in the store
	files []File
	state Blob
	job   *job      // on the server
	sent  *halfSent // on its way there
}

// newKey tells what is kept of one run or one way to the server from all others.
func newKey() string { return strconv.FormatUint(rand.Uint64(), 36) }

func (p *Page) keepScan() {
	p.forgetEarlier()
	meta, err := json.Marshal(interrupted{Name: p.Scan.Name, Series: p.Scan.Series, Model: p.Run.model.SHA256, Segment: p.Run.segment})
	if err != nil {
		return
	}
	still := p.Run.turn.still()
	p.Host.Put(runStore, Stored{Key: runKey + p.Run.key, Meta: meta, Files: p.Scan.Files}, func(err error) {
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
	p.Host.Put(runStore, Stored{Key: stateKey + p.Run.key, Meta: meta, Files: []File{{Path: "state", Size: s.Bytes, Blob: state}}}, func(err error) {
		if r := &p.Run; err == nil && still() && r.scanKept {
			r.Kept = s.Done
		}
	})
}

// forgetEarlier forgets what is kept of all runs but the one that begins, and those of
// other tabs.
func (p *Page) forgetEarlier() {
	own := p.Run.key
	p.Host.All(runStore, func(list []Stored, _ error) {
		for _, s := range list {
			if key, ok := strings.CutPrefix(s.Key, runKey); ok && key != own {
				p.forgetKept(key)
			}
		}
	})
}

// forgetKept forgets a run by what follows runKey.
func (p *Page) forgetKept(key string) {
	p.Host.Remove(runStore, runKey+key)
	p.Host.Remove(runStore, stateKey+key)
}

func (p *Page) forgetRun() {
	p.forgetKept(p.Run.key)
	if i := p.Open.interrupted; i != nil && i.here() {
		p.Open.interrupted = nil
	}
}

// findInterrupted looks for a segmentation that a reload or another scan has
// interrupted, and that is not the one that runs.
func (p *Page) findInterrupted() {
	p.Host.All(runStore, func(list []Stored, err error) {
		if err != nil || p.Screen != ScreenOpen {
			return
		}
		byKey := map[string]Stored{}
		for _, s := range list {
			byKey[s.Key] = s
		}
		for _, s := range list {
			if i := cmp.Or(p.jobOf(s), p.sendingOf(s, byKey), p.runOf(s, byKey)); i != nil {
				i.key = s.Key
				p.Open.interrupted = i
				return
			}
		}
	})
}

// runOf is a run of this browser that is stored, unless one is under way.
func (p *Page) runOf(s Stored, all map[string]Stored) *Interrupted {
	key, ok := strings.CutPrefix(s.Key, runKey)
	found := &Interrupted{files: s.Files}
	if !ok || len(s.Files) == 0 || p.Run.Stage != "" || json.Unmarshal(s.Meta, &found.interrupted) != nil {
		return nil
	}
	var kept interrupted
	if s := all[stateKey+key]; json.Unmarshal(s.Meta, &kept) == nil && len(s.Files) == 1 {
		found.Done, found.Of, found.state = kept.Done, kept.Of, s.Files[0].Blob
	}
	return found
}

// Interrupted is a segmentation that can be gone on with, or nil.
func (p *Page) Interrupted() *Interrupted { return p.Open.interrupted }

// here tells whether it ran in this browser.
func (i *Interrupted) here() bool { return i.job == nil && i.sent == nil }

// Text says how far it was.
func (i *Interrupted) Text() string {
	switch {
	case i.job != nil:
		return "It goes on on the server. The scan and the labels are there until you close the job."
	case i.sent != nil:
		return i.sent.text()
	}
	if i.Of == 0 {
		return "It was interrupted before its first tile was kept."
	}
	return Count(i.Done) + " of " + Plural(int(i.Of), "tile", "tiles") + " are kept on this computer."
}

// ResumeInterrupted opens the scan again and goes on.
func (p *Page) ResumeInterrupted() {
	i := p.Open.interrupted
	if i == nil {
		return
	}
	if i.here() {
		p.Models.Chosen = i.Model
	}
	var series []string
	if i.Series != "" {
		series = []string{i.Series}
	}
	p.Open.resuming = i
	p.Host.Hold(i.key)
	p.openFiles(i.files, series, i.Name)
}

// resumeShown goes on with i, if there is one, as soon as its scan is there.
func (p *Page) resumeShown(i *Interrupted) {
	switch {
	case i == nil:
		return
	case i.job != nil:
		p.rejoin(i.job)
		return
	case i.sent != nil:
		p.sendOn(i.sent)
		return
	}
	m := p.model(i.Model)
	if m == nil || len(m.Files) == 0 {
		p.Notice = "The model of this segmentation is not stored in this browser any more. Add it again, and segment anew."
		return
	}
	p.Run = Run{segment: i.Segment, model: *m, state: i.state, Done: i.Done, Of: i.Of, Kept: i.Done, scanKept: true, key: strings.TrimPrefix(i.key, runKey), turn: p.Run.turn}
	if i.state != nil {
		p.Run.Saved = &api.Saved{Done: i.Done, Of: i.Of}
	}
	p.run(i.state)
}

// DropInterrupted forgets it.
func (p *Page) DropInterrupted() {
	switch i := p.Open.interrupted; {
	case i == nil:
	case i.here():
		p.forgetKept(strings.TrimPrefix(i.key, runKey))
	case i.job != nil:
		p.forgetJob(i.job.ID, i.job.Uploads)
	default:
		p.removeUploads(i.sent.Uploads)
		p.forgetSending(i.sent.Key)
	}
	p.Open.interrupted = nil
	p.findInterrupted() // another one
	p.Host.Focus(".open [data-first]")
}
