package page

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/gounet/gounet/internal/api"
)

// sending is the JSON of what is asked of the server, which a reload may interrupt
// before there is a job.
type sending struct {
	Key    string // of the request: made twice, it is one job
	Name   string // of the scan
	Series string
	Model  string // its ID on the server
	SHA256 string // of the model
	Title  string // of the model
	Mirror bool
}

// arrived is the JSON of how far a scan has been sent.
type arrived struct {
	Uploads  []string // a file each; all but the last have arrived
	Sent, Of int64
}

const (
	sendKey    = "send/"    // and sending.Key: what is asked for, and the scan
	arrivedKey = "arrived/" // and sending.Key, beside it
)

// StartOnServer sends the scan and submits a job.
func (p *Page) StartOnServer() {
	m := p.Model()
	if m == nil || m.ID == "" {
		p.Alert = &Alert{Title: "The server does not have this model", Text: "Choose one of the server’s, or run here.", Do: "Choose another model", OnDo: func() { p.Go(PanelModels) }}
		return
	}
	p.stopCheck()
	if p.Run.Stage != "" {
		p.endRun()
	}
	p.beginSending(sending{
		Key: newKey(), Name: p.Scan.Name, Series: p.Scan.Series,
		Model: m.ID, SHA256: m.SHA256, Title: Title(m.Dataset), Mirror: p.Check.Mirror,
	})
	p.keepSending()
	p.upload(0, 0, "")
}

// beginSending shows the panel of the server.
func (p *Page) beginSending(what sending) {
	s := &p.Server
	*s = s.anew()
	s.There, s.Stage, s.Begun, s.scan, s.sending = true, ServerUpload, p.Host.Now(), p.Scan, what
	for _, f := range s.scan.Files {
		s.Of += f.Size
	}
	s.scan.ToServer = true
	p.Screen, p.Panel, p.Alert = ScreenWork, PanelServer, nil
	p.Host.Focus(".panel [data-first]")
}

// upload sends the i-th file and those after it, behind so many bytes. The i-th goes on
// in the upload with an ID, if there is one.
func (p *Page) upload(i int, before int64, id string) {
	s := &p.Server
	if i == len(s.scan.Files) {
		s.stop, s.rest = nil, nil
		s.Took = p.Host.Now().Sub(s.Begun)
		p.submit()
		return
	}
	f, still := s.scan.Files[i], s.turn.still()
	f.Path = path.Base(f.Path)
	rests := false
	stop := p.Host.Net().Upload(f, id, func(id string, arrived int64, waiting bool, why string) {
		if !still() {
			return
		}
		if s.waits(waiting, why); arrived >= 0 {
			p.arrives(i, id, before+arrived)
		}
	}, func(id string, err error) {
		if !still() {
			if err == nil && !rests {
				p.removeUpload(id, 0)
			}
			return
		}
		if err != nil {
			p.serverFailed("The scan could not be sent", err.Error())
			return
		}
		p.arrives(i, id, before+f.Size)
		p.upload(i+1, before+f.Size, "")
	})
	s.stop, s.rest = func() { stop(false) }, func() { rests = true; stop(true) }
}

// arrives takes how many bytes are there, the last of them of file i.
func (p *Page) arrives(i int, id string, bytes int64) {
	s := &p.Server
	before := s.Sent
	s.Sent = bytes
	if id == "" || len(s.uploads) > i && s.uploads[i] == id && before == bytes {
		return
	}
	s.uploads = append(s.uploads[:min(i, len(s.uploads))], id)
	p.keepArrived()
}

func (p *Page) submit() {
	s := &p.Server
	still, uploads, mirror := s.turn.still(), s.uploads, s.Mirror
	r := api.Submit{Model: s.sending.Model, Formats: []string{"nifti"}, Mirror: &mirror, Partial: true}
	for _, id := range uploads {
		r.Inputs = append(r.Inputs, api.Input{Upload: id})
	}
	if s.Series != "" {
		r.Series = []string{s.Series}
	}
	body, err := json.Marshal(r)
	if err != nil {
		p.serverFailed("The job could not be submitted", err.Error())
		return
	}
	p.Host.Net().Once(base+"jobs", s.Key, body, func(status int, body []byte) {
		var j api.Job
		made := status/100 == 2 && json.Unmarshal(body, &j) == nil
		switch {
		case !still() && made:
			p.deleteJob(j.ID, uploads)
			return
		case !still():
			return
		case !made && away(status): // asked again it is the same job
			s.waits(true, answered(status, body))
			p.Host.After(watchPause, func() {
				if still() {
					p.submit()
				}
			})
			return
		case !made:
			p.serverFailed("The server refuses the job", Problem(status, body))
			if status == 404 { // what was sent has just arrived: it is the model
				p.Alert.Title, p.Alert.Text = "The server does not have this model any more", "Choose another one of the server’s, or run here."
				p.Alert.Do, p.Alert.OnDo = "Choose another model", func() {
					p.closeJob()
					p.Go(PanelModels)
				}
			}
			return
		}
		s.waits(false, "")
		s.Job, s.Stage, s.queued = j, ServerQueue, p.Host.Now()
		p.placed(j.Position)
		p.keepJob()
		p.watch()
	})
}

// away tells by the status of an answer that the server will take it later: it is not
// there, or has enough to do.
func away(status int) bool { return status == 0 || status == 429 || status >= 502 && status <= 504 }

// keepSending keeps what is asked for and the scan, so that a reload goes on.
func (p *Page) keepSending() {
	s := &p.Server
	if meta, err := json.Marshal(s.sending); err == nil { // without it a reload begins anew
		p.Host.Put(runStore, Stored{Key: sendKey + s.Key, Meta: meta, Files: s.scan.Files}, func(error) {})
	}
}

func (p *Page) keepArrived() {
	s := &p.Server
	if meta, err := json.Marshal(arrived{s.uploads, s.Sent, s.Of}); err == nil {
		p.Host.Put(runStore, Stored{Key: arrivedKey + s.Key, Meta: meta}, func(error) {})
	}
}

// forgetSending forgets what was kept of a scan on its way.
func (p *Page) forgetSending(key string) {
	if key != "" {
		p.Host.Remove(runStore, sendKey+key)
		p.Host.Remove(runStore, arrivedKey+key)
	}
}

// halfSent is a scan on its way to the server.
type halfSent struct {
	sending
	arrived
}

// sendingOf is a scan that was on its way, unless it is sent now.
func (p *Page) sendingOf(s Stored, all map[string]Stored) *Interrupted {
	var h halfSent
	if !strings.HasPrefix(s.Key, sendKey) || json.Unmarshal(s.Meta, &h.sending) != nil || len(s.Files) == 0 || h.Key == p.Server.Key {
		return nil
	}
	if m := all[arrivedKey+h.Key].Meta; json.Unmarshal(m, &h.arrived) != nil || len(h.Uploads) > len(s.Files) {
		h.arrived = arrived{}
	}
	i := &Interrupted{files: s.Files, sent: &h}
	i.Name, i.Series = h.Name, h.Series
	return i
}

// text says how much has arrived.
func (h *halfSent) text() string {
	if h.Sent == 0 {
		return "It was on its way to the server. Nothing had arrived there."
	}
	return fmt.Sprintf("It was on its way to the server. %s of %s have arrived; the upload goes on from there.", Size(h.Sent), Size(h.Of))
}

// sendOn goes on sending.
func (p *Page) sendOn(h *halfSent) {
	p.beginSending(h.sending)
	p.chooseKnown(h.SHA256)
	s := &p.Server
	s.Sent, s.uploads = h.Sent, h.Uploads
	i, before, id := max(len(h.Uploads)-1, 0), int64(0), ""
	if len(h.Uploads) > 0 {
		id = h.Uploads[i]
	}
	for _, f := range s.scan.Files[:i] {
		before += f.Size
	}
	p.upload(i, before, id)
}

// chooseKnown makes a model the chosen one, if it is there.
func (p *Page) chooseKnown(sha string) {
	if p.model(sha) != nil {
		p.Models.Chosen = sha
	}
}
