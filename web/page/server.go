package page

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/gounet/gounet/internal/api"
)

// Net talks to the server that the page came from.
type Net interface {
	// Key is shown to the server from now on, "" none.
	Key(key string)
	// JSON asks for JSON; got gets the status, 0 where nothing answered.
	JSON(method, path string, body []byte, got func(status int, body []byte))
	// Once posts JSON. Posts with the same key are one.
	Once(path, key string, body []byte, got func(status int, body []byte))
	// Upload sends a file so that it goes on after an interruption. With the ID of an
	// upload that was begun before it goes on there, if the server still has it. It tells
	// the ID as soon as there is one, how much has arrived, −1 while nobody knows,
	// whether the server is waited for, and why, "" where nothing answers. stop ends it,
	// and removes what has arrived unless that is kept.
	Upload(f File, id string, told func(id string, arrived int64, waiting bool, why string), got func(id string, err error)) (stop func(keep bool))
	Fetch(path string, got func(b Blob, size int64, err error))
	// Watch hears events of a stream until stop; ended tells that there come no more.
	Watch(path string, kinds []string, event func(kind string, data []byte), ended func()) (stop func())
}

const base = "api/v1/"

// Stages of Server.
const (
	ServerUpload  = "upload"
	ServerQueue   = "queue"
	ServerRunning = "running"
	ServerResult  = "result"
	ServerFailed  = "failed"
)

// Server is the one that the page came from, if it segments.
type Server struct {
	There    bool
	Info     api.Info
	Locked   bool   // it wants a key
	KeyWrong bool   // and not the one that was given
	Silent   bool   // it did not answer when it was asked for Info last
	failedAt string // the Stage before ServerFailed
	Stage    string // "": no job
	Job      api.Job
	Waiting  bool   // it is asked again
	Why      string // what it has answered instead; "": nothing
	Sent, Of int64
	Begun    time.Time
	Took     time.Duration // of the upload
	Left     time.Duration
	fetches  int // of the labels
	uploads  []string
	stop     func()
	rest     func() // from sending, which is gone on with later
	scan     *Scan  // that is sent
	sending
	turn   turn
	queued time.Time
	placed time.Time     // when it got its place in the queue
	starts time.Duration // from then on until it begins, about; 0: not known
	Waited time.Duration
	part   part
}

// Model is the name of the one that segments there.
func (s *Server) Model() string { return s.Title }

// anew is the server without a job.
func (s *Server) anew() Server {
	return Server{There: s.There, Info: s.Info, Locked: s.Locked, KeyWrong: s.KeyWrong, turn: s.turn + 1}
}

// waits takes whether it is waited for, and what it has answered meanwhile.
func (s *Server) waits(yes bool, why string) { s.Waiting, s.Why = yes, why }

// findServer asks whether the server segments, and which models it has.
func (p *Page) findServer() {
	p.Host.Net().JSON("GET", base+"info", nil, func(status int, body []byte) {
		p.Server.Locked = locked(status) || status == 403 && p.Server.KeyWrong // whose it is may do nothing
		if status != 200 || json.Unmarshal(body, &p.Server.Info) != nil {
			return
		}
		p.Server.There, p.Server.KeyWrong = true, false
		p.serverModels()
	})
}

// locked tells by the status of an answer that a key is wanted.
func locked(status int) bool { return status == 401 }

// UseKey shows the server a key.
func (p *Page) UseKey(key string) {
	p.EndTyping()
	key = strings.TrimSpace(key)
	if key == "" {
		return
	}
	p.Server.KeyWrong = true                                                         // until it is taken
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) { // no header may have it
		return
	}
	p.Host.Net().Key(key)
	p.findServer()
}

// infoEvery is how often the server is asked how many jobs are ahead while it can be
// chosen.
const infoEvery = 5 * time.Second

// followServer asks what the server has to do, as long as the check is shown.
func (p *Page) followServer() {
	still := p.Check.turn.still()
	wanted := func() bool { return still() && p.Screen == ScreenWork && p.Panel == PanelCheck }
	var ask func()
	ask = func() {
		if !wanted() {
			return
		}
		p.Host.Net().JSON("GET", base+"info", nil, func(status int, body []byte) {
			if !wanted() {
				return
			}
			var now api.Info
			if locked(status) {
				p.Server.There, p.Server.Locked, p.Check.OnServer = false, true, false
				return
			}
			if p.Server.Silent = status != 200 || json.Unmarshal(body, &now) != nil; !p.Server.Silent {
				p.Server.Info = now
			}
			p.Host.After(infoEvery, ask)
		})
	}
	ask()
}

// refreshServer asks once more where its answer is shown.
func (p *Page) refreshServer() {
	if p.Screen != ScreenWork || p.Panel != PanelCheck || !p.Server.There {
		return
	}
	p.Host.Net().JSON("GET", base+"info", nil, func(status int, body []byte) {
		var now api.Info
		if status == 200 && json.Unmarshal(body, &now) == nil {
			p.Server.Info = now
		}
	})
}

func (p *Page) serverModels() {
	p.Host.Net().JSON("GET", base+"models", nil, func(status int, body []byte) {
		var list []api.Model
		if status != 200 || json.Unmarshal(body, &list) != nil {
			return
		}
		for _, m := range list {
			if m.Problem != "" {
				continue
			}
			var patch [3]int
			copy(patch[:], m.Patch)
			n := Model{ID: m.ID, From: "from the server", Usual: m.MemoryBytes, Loaded: shown(api.Loaded{
				Dataset: m.Dataset, Description: m.Description, Licence: m.Licence, Configuration: m.Configuration, Folds: m.Folds, Patch: patch, Channels: m.Channels, Labels: m.Labels,
				Bytes: m.Bytes, SHA256: m.SHA256,
			})}
			for _, have := range p.Models.List {
				if have.SHA256 == n.SHA256 {
					n.Files, n.Added, n.From = have.Files, have.Added, have.From
				}
			}
			p.Models.put(n)
			if p.Models.Chosen == "" {
				p.Models.Chosen = n.SHA256
			}
		}
	})
}

// FetchModel stores a model of the server in this browser.
func (p *Page) FetchModel(m *Model) {
	sha, id := m.SHA256, m.ID
	p.Models.Busy = "Getting " + Title(m.Dataset) + ", " + Size(m.Bytes)
	p.Host.Net().Fetch(base+"models/"+id+"/file", func(b Blob, size int64, err error) {
		p.Models.Busy = ""
		if err != nil {
			p.Alert = &Alert{Title: "The model did not arrive", Text: sentence(err.Error()), Do: "Try again", OnDo: func() {
				p.Alert = nil
				if m := p.model(sha); m != nil {
					p.FetchModel(m)
				}
			}}
			return
		}
		files := []File{{Path: id + ".gounet", Size: size, Blob: b}}
		p.load(files, sha, func(l api.Loaded) {
			n := Model{Loaded: shown(l), Files: files, Added: p.Host.Now(), From: "from the server", ID: id}
			p.Models.put(n)
			p.keep(n)
			if m := p.Model(); p.Panel == PanelCheck && m != nil && (m.SHA256 == sha || len(m.Files) == 0) {
				p.StartCheck() // or that of another model that was chosen since is got now
			}
			p.findNeeds()
		}, func(f *api.Failed) {
			p.Alert = &Alert{Title: "The model that arrived cannot be used", Text: sentence(f.Reason), More: sentence(f.Do)}
		})
	})
}

// serverFor is how a model can be run on the server: the name of a button and what it
// does, or nothing.
func (p *Page) serverFor(m *Model) (string, func()) {
	if !p.Server.There || m == nil || m.ID == "" {
		return "", nil
	}
	sha := m.SHA256
	return "Run on the server", func() {
		p.Models.Chosen = sha
		p.StartOnServer()
	}
}

// watch follows the job.
func (p *Page) watch() {
	s := &p.Server
	still := s.turn.still()
	wanted := func() bool { return still() && s.stop != nil }
	s.stop = p.Host.Net().Watch(base+"jobs/"+s.Job.ID+"/events", []string{api.EventJob, api.EventProgress}, func(kind string, data []byte) {
		if !wanted() {
			return
		}
		s.waits(false, "")
		if kind == api.EventProgress {
			var g api.Progress
			if json.Unmarshal(data, &g) == nil {
				s.Job.Progress, s.Left = &g, ms(g.LeftMS)
				s.running(p.Host.Now())
				p.askPart()
			}
			return
		}
		var j api.Job
		if json.Unmarshal(data, &j) == nil {
			p.jobIs(j)
		}
	}, func() {
		if wanted() {
			s.waits(true, "")
			s.endWatch()
			p.watchAgain(still)
		}
	})
}

const watchPause = 5 * time.Second

// watchAgain asks for the job after a pause, until the server answers.
func (p *Page) watchAgain(still func() bool) {
	s := &p.Server
	p.Host.After(watchPause, func() {
		if !still() {
			return
		}
		p.Host.Net().JSON("GET", base+"jobs/"+s.Job.ID, nil, func(status int, body []byte) {
			var j api.Job
			switch {
			case !still():
			case status == 200 && json.Unmarshal(body, &j) == nil:
				p.watch()
				s.waits(false, "")
				p.jobIs(j)
			case locked(status):
				p.Server.Locked = true
				p.serverFailed("The server does not take the key any more", Problem(status, body))
			case status/100 == 4 && !away(status):
				p.serverFailed("The job is not on the server any more", Problem(status, body))
			default:
				s.waits(true, answered(status, body))
				p.watchAgain(still)
			}
		})
	})
}

func (s *Server) running(now time.Time) {
	if s.Stage == ServerQueue {
		s.Stage, s.Waited = ServerRunning, now.Sub(s.queued)
	}
}

func (p *Page) jobIs(j api.Job) {
	s, was := &p.Server, p.Server.Job.Position
	if j.Progress == nil {
		j.Progress = s.Job.Progress
	}
	s.Job = j
	switch j.State {
	case api.JobQueued:
		p.placed(was)
	case api.JobRunning:
		s.running(p.Host.Now())
		p.askPart()
	case api.JobDone:
		s.endWatch()
		p.fetchResult()
	case api.JobFailed:
		s.endWatch()
		why := "the server does not say why"
		if j.Failed != nil {
			why = j.Failed.Reason
		}
		p.serverFailed("The server could not segment the scan", why)
	case api.JobCancelled:
		s.endWatch()
		p.serverFailed("The job was cancelled on the server", "another page or who runs the server has cancelled it")
	}
}

func (s *Server) endWatch() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

func (p *Page) fetchResult() {
	s := &p.Server
	s.Stage = ServerResult
	still := s.turn.still()
	for _, r := range s.Job.Results {
		if r.Format != "nifti" {
			continue
		}
		p.Host.Net().Fetch(base+"jobs/"+s.Job.ID+"/results/"+r.Name, func(b Blob, size int64, err error) {
			if !still() || s.scan.gone { // then the job is found again
				return
			}
			if err != nil {
				p.labelsLost(err, still)
				return
			}
			files := []File{{Path: r.Name, Size: size, Blob: b}}
			list, blobs := sent(files)
			p.ask(api.Request{PageRequest: api.PageRequest{Read: &api.Read{Files: list}}}, blobs, func(a api.Answer, got []Bytes) {
				if a.ReadLabels == nil || !still() {
					return
				}
				labels, model := s.Job.Labels, s.Title
				s.part.shown, p.Run.partial = false, nil // they are replaced
				p.closeJob()
				p.setResult(labels, got[0], model+", on the server")
				p.keepLabels()
				p.KeepAtOnce()
				p.Host.Announce("The labels are there")
			}, func(f *api.Failed) {
				if still() {
					p.serverFailed("The labels that came do not fit the scan", f.Reason)
				}
			})
		})
		return
	}
	p.serverFailed("The job has no labels", "the server lists no NIfTI among its results")
}

// mostFetches of labels are made before somebody is asked.
const mostFetches = 3

// labelsLost looks for the job again, or asks whether to.
func (p *Page) labelsLost(err error, still func() bool) {
	s := &p.Server
	if s.fetches++; s.fetches < mostFetches {
		s.waits(true, "")
		p.watchAgain(still)
		return
	}
	p.serverFailed("The labels did not arrive", err.Error())
	p.Alert.Do, p.Alert.OnDo = "Get them again", func() {
		p.Alert, s.fetches = nil, 0
		p.fetchResult()
	}
}

const jobKey = "job/" // and the ID
