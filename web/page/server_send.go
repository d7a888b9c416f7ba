package page

import (
	"encoding/json"
	"path"

	"github.com/gounet/gounet/internal/api"
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
	s := &p.Server
	*s = Server{There: true, Info: s.Info, Stage: ServerUpload, Begun: p.Host.Now(), scan: p.Scan, id: m.ID, model: Title(m.Dataset), mirror: p.Check.Mirror, turn: s.turn + 1}
	for _, f := range s.scan.Files {
		s.Of += f.Size
	}
	p.Screen, p.Panel, p.Alert = ScreenWork, PanelServer, nil
	p.Host.Focus(".panel [data-first]")
	p.upload(0, 0)
}

// upload sends the i-th file and those after it.
func (p *Page) upload(i int, before int64) {
	s := &p.Server
	if i == len(s.scan.Files) {
		s.Took = p.Host.Now().Sub(s.Begun)
		p.submit()
		return
	}
	f, still := s.scan.Files[i], s.turn.still()
	s.stop = p.Host.Net().Upload(path.Base(f.Path), f.Blob, func(arrived int64, waiting bool) {
		if still() {
			s.Sent, s.Waiting = before+arrived, waiting
		}
	}, func(id string, err error) {
		if !still() {
			if err == nil {
				p.removeUpload(id, 0)
			}
			return
		}
		if err != nil {
			p.serverFailed("The scan could not be sent", err.Error())
			return
		}
		s.uploads = append(s.uploads, id)
		s.Sent = before + f.Size
		p.upload(i+1, before+f.Size)
	})
}

func (p *Page) submit() {
	s := &p.Server
	still, uploads, mirror := s.turn.still(), s.uploads, s.mirror
	r := api.Submit{Model: s.id, Formats: []string{"nifti"}, Mirror: &mirror}
	for _, id := range uploads {
		r.Inputs = append(r.Inputs, api.Input{Upload: id})
	}
	if s.scan.Series != "" {
		r.Series = []string{s.scan.Series}
	}
	body, err := json.Marshal(r)
	if err != nil {
		p.serverFailed("The job could not be submitted", err.Error())
		return
	}
	p.Host.Net().JSON("POST", base+"jobs", body, func(status int, body []byte) {
		var j api.Job
		made := status/100 == 2 && json.Unmarshal(body, &j) == nil
		switch {
		case !still() && made:
			p.deleteJob(j.ID, uploads)
			return
		case !still():
			return
		case !made:
			p.serverFailed("The server refuses the job", problem(status, body))
			return
		}
		s.Job, s.Stage, s.queued = j, ServerQueue, p.Host.Now()
		p.keepJob()
		p.watch()
	})
}
