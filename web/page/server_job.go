package page

import (
	"encoding/json"
	"strings"
	"time"
)

func (p *Page) serverFailed(title, why string) {
	p.endPart()
	if s := &p.Server; s.Stage != ServerFailed {
		s.failedAt, s.Stage = s.Stage, ServerFailed
	}
	p.Alert = &Alert{Title: title, Text: sentence(why), Do: "Try again", OnDo: func() {
		p.closeJob()
		p.StartOnServer()
	}}
	if p.CanRunHere() {
		p.Alert.Other, p.Alert.OnOther = "Run here instead", p.RunHereInstead
	}
	p.Host.Focus(".panel [role=alert] button")
}

// CanRunHere tells whether a job can be given up for this computer: the model is here, or
// the server answers and can be asked for it.
func (p *Page) CanRunHere() bool {
	m, s := p.Model(), &p.Server
	return m != nil && (len(m.Files) > 0 || !s.Waiting || s.Why != "")
}

// RunHereInstead ends the job, and checks what it takes here.
func (p *Page) RunHereInstead() {
	p.closeJob()
	p.Check.OnServer, p.Screen = false, ScreenWork
	p.Go(PanelCheck)
}

// CancelJob ends the job and deletes what is on the server.
func (p *Page) CancelJob() {
	p.closeJob()
	p.Go(PanelCheck)
}

// closeJob deletes job and scan from the server, and forgets them here.
func (p *Page) closeJob() {
	s := &p.Server
	p.endPart()
	s.endWatch()
	if id := s.Job.ID; id != "" {
		p.forgetJob(id, s.uploads)
	} else {
		p.removeUploads(s.uploads)
	}
	p.forgetSending(s.Key)
	*s = s.anew()
}

// leaveJob leaves a job, or a scan on its way to one, for another scan. It is found again.
func (p *Page) leaveJob() {
	s := &p.Server
	switch {
	case s.Stage == ServerUpload && s.rest != nil:
		s.rest()
		p.Notice = s.scan.Name + " was on its way to the server. That is offered again where scans are opened."
	case s.Job.ID == "":
		p.closeJob()
		return
	default:
		s.endWatch()
	}
	*s = s.anew()
}

// forgetJob deletes a job and its scan, here and on the server.
func (p *Page) forgetJob(id string, uploads []string) {
	p.deleteJob(id, uploads)
	p.Host.Remove(runStore, jobKey+id)
}

// What is left on a server is removed again and again where it does not answer; then
// it expires there.
const (
	removeTries = 60
	removePause = time.Second
)

func (p *Page) removeUploads(ids []string) {
	for _, id := range ids {
		p.removeUpload(id, 0)
	}
}

func (p *Page) removeUpload(id string, n int) {
	p.Host.Net().JSON("DELETE", base+"uploads/"+id, nil, func(status int, _ []byte) {
		if status == 0 && n < removeTries {
			p.Host.After(removePause, func() { p.removeUpload(id, n+1) })
		}
	})
}

// deleteJob cancels a job, and deletes it and its scan when it is over.
func (p *Page) deleteJob(id string, uploads []string) {
	var try func(n int)
	try = func(n int) {
		remove := func(int, []byte) {
			p.Host.Net().JSON("DELETE", base+"jobs/"+id, nil, func(status int, _ []byte) {
				const conflict = 409 // it is not over yet
				if (status == conflict || status == 0) && n < removeTries {
					p.Host.After(removePause, func() { try(n + 1) })
					return
				}
				p.removeUploads(uploads)
				p.refreshServer() // it has less to do
			})
		}
		p.Host.Net().JSON("POST", base+"jobs/"+id+"/cancel", nil, remove)
	}
	try(0)
}

// job is the JSON of a job that a reload may interrupt the watching of.
type job struct {
	sending
	ID      string
	Uploads []string
}

func (p *Page) keepJob() {
	s := &p.Server
	meta, err := json.Marshal(job{s.sending, s.Job.ID, s.uploads})
	if err != nil {
		return
	}
	key := s.Key
	p.Host.Put(runStore, Stored{Key: jobKey + s.Job.ID, Meta: meta, Files: s.scan.Files}, func(err error) {
		if err == nil { // else a reload finds the job by submitting it again
			p.forgetSending(key)
		}
	})
}

// jobOf is a job that is stored, unless it is watched now.
func (p *Page) jobOf(s Stored) *Interrupted {
	var j job
	if !strings.HasPrefix(s.Key, jobKey) || json.Unmarshal(s.Meta, &j) != nil || len(s.Files) == 0 || j.ID == p.Server.Job.ID {
		return nil
	}
	i := &Interrupted{files: s.Files, job: &j}
	i.Name, i.Series = j.Name, j.Series
	return i
}

// rejoin watches a job again.
func (p *Page) rejoin(j *job) {
	s := &p.Server
	*s = s.anew()
	s.There, s.Stage, s.uploads, s.scan, s.sending, s.queued = true, ServerQueue, j.Uploads, p.Scan, j.sending, p.Host.Now()
	s.Job.ID, s.scan.ToServer = j.ID, true
	p.chooseKnown(j.SHA256)
	p.Panel, p.Alert = PanelServer, nil
	p.watch()
}
