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
	}, Other: "Run here instead", OnOther: p.RunHereInstead}
	p.Host.Focus(".panel [role=alert] button")
}

// RunHereInstead ends the job, and checks what it takes here.
func (p *Page) RunHereInstead() {
	p.closeJob()
	p.Check.OnServer = false
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
	s.endWatch()
	uploads, id := s.uploads, s.Job.ID
	removeUploads := func() {
		for _, u := range uploads {
			p.removeUpload(u, 0)
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

// What is left on a server is removed again and again where it does not answer; then
// it expires there.
const (
	removeTries = 60
	removePause = time.Second
)

func (p *Page) removeUpload(id string, n int) {
	p.Host.Net().JSON("DELETE", base+"uploads/"+id, nil, func(status int, _ []byte) {
		if status == 0 && n < removeTries {
			p.Host.After(removePause, func() { p.removeUpload(id, n+1) })
		}
	})
}

// deleteJob cancels a job, and deletes it when it is over.
func (p *Page) deleteJob(id string, then func()) {
	var try func(n int)
	try = func(n int) {
		remove := func(int, []byte) {
			p.Host.Net().JSON("DELETE", base+"jobs/"+id, nil, func(status int, _ []byte) {
				const conflict = 409 // it is not over yet
				if (status == conflict || status == 0) && n < removeTries {
					p.Host.After(removePause, func() { try(n + 1) })
					return
				}
				then()
			})
		}
		p.Host.Net().JSON("POST", base+"jobs/"+id+"/cancel", nil, remove)
	}
	try(0)
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
