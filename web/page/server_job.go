package page

import (
	"encoding/json"
	"time"
)

func (p *Page) serverFailed(title, why string) {
	p.Server.Stage = ServerFailed
	p.Alert = &Alert{Title: title, Text: sentence(why), Do: "Try again", OnDo: func() {
		p.closeJob()
		p.StartOnServer()
	}, Other: "Run here instead", OnOther: func() {
		p.closeJob()
		p.Check.OnServer = false
		p.Go(PanelCheck)
	}}
	p.Host.Focus(".panel [role=alert] button")
}

// CancelJob ends the job and deletes what is on the server.
func (p *Page) CancelJob() {
	p.closeJob()
	p.Go(PanelCheck)
}

// closeJob deletes job and scan from the server, and forgets them here.
func (p *Page) closeJob() {
	s := &p.Server
	s.endWatch()
	none := func(int, []byte) {}
	uploads, id := s.uploads, s.Job.ID
	removeUploads := func() {
		for _, u := range uploads {
			p.Host.Net().JSON("DELETE", base+"uploads/"+u, nil, none)
		}
	}
	if id == "" {
		removeUploads()
	} else {
		p.deleteJob(id, removeUploads)
	}
	*s = Server{There: s.There, Info: s.Info}
	p.Host.Remove(runStore, jobKey)
	p.Host.Remove(runStore, runKey)
}

// deleteJob cancels a job, and deletes it when it is over.
func (p *Page) deleteJob(id string, then func()) {
	const tries, pause = 60, time.Second
	var try func(n int)
	try = func(n int) {
		p.Host.Net().JSON("DELETE", base+"jobs/"+id, nil, func(status int, _ []byte) {
			const conflict = 409 // it is not over yet
			if status == conflict && n < tries {
				p.Host.After(pause, func() { try(n + 1) })
				return
			}
			then()
		})
	}
	p.Host.Net().JSON("POST", base+"jobs/"+id+"/cancel", nil, func(int, []byte) { try(0) })
}

// job is the JSON of a job that a reload may interrupt the watching of.
type job struct {
	ID, Name, Series, Model string
	Uploads                 []string
}

func (p *Page) keepJob() {
	meta, err := json.Marshal(job{p.Server.Job.ID, p.Scan.Name, p.Scan.Series, p.Server.model, p.Server.uploads})
	if err != nil {
		return
	}
	p.Host.Put(runStore, Stored{Key: jobKey, Meta: meta, Files: p.Scan.Files}, func(error) {}) // without it a reload does not find the job
}

// ofJob takes a job that was found at the start.
func (p *Page) ofJob(s Stored) {
	var j job
	if json.Unmarshal(s.Meta, &j) != nil || len(s.Files) == 0 {
		return
	}
	i := &Interrupted{files: s.Files}
	i.Name, i.Series, i.job = j.Name, j.Series, &j
	p.Open.interrupted = i
}

// rejoin watches a job again.
func (p *Page) rejoin(j *job) {
	s := &p.Server
	*s = Server{There: true, Info: s.Info, Stage: ServerQueue, uploads: j.Uploads, model: j.Model, queued: p.Host.Now()}
	s.Job.ID = j.ID
	p.Panel, p.Alert = PanelServer, nil
	p.watch()
}
