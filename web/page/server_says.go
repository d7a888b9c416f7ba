package page

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gounet/gounet/internal/api"
)

// Name of the server, for the diagnostics.
func (s *Server) Name() string {
	if s.There {
		return s.Info.Version
	}
	return "none"
}

// About says what computes there, and how many jobs wait or run.
func (s *Server) About() string {
	if s.Silent {
		return "It does not answer at the moment, and is asked again."
	}
	var names []string
	for _, d := range s.Info.Devices {
		names = append(names, plainDevice(d.Name))
	}
	ahead := "no job"
	if n := s.Info.Queued + s.Info.Running; n > 0 {
		ahead = Plural(n, "job", "jobs")
	}
	return strings.Join(append(names, ahead+" ahead of yours"), " · ")
}

// Step is the step of the way that is worked on, or at which it has stopped: upload,
// queue, tiles, result.
func (s *Server) Step() int {
	stage := s.Stage
	if stage == ServerFailed {
		stage = s.failedAt
	}
	return map[string]int{ServerQueue: 1, ServerRunning: 2, ServerResult: 3}[stage]
}

// StayText says that the scan stays here, as long as that is so.
func (p *Page) StayText() string {
	if p.Scan != nil && p.Scan.ToServer {
		return "This scan was sent to the server"
	}
	return "Your scan stays on this computer"
}

// SentText is how much the page has sent, since it was loaded.
func (p *Page) SentText() string {
	text := "Sent " + Size(p.Host.Facts().Sent)
	if s := p.Scan; s != nil && s.ToServer && p.Server.Step() > 0 && p.Host.Facts().Sent < s.Bytes {
		return text + " since it was loaded; the scan before"
	}
	return text
}

// HereStayText says it of a run here.
func (p *Page) HereStayText() string {
	if p.Scan != nil && p.Scan.ToServer {
		return "This run stays on this computer."
	}
	return "Your scan stays on this computer."
}

// Problem is why the server did not do something.
func Problem(status int, body []byte) string {
	var d api.Problem
	if json.Unmarshal(body, &d) == nil && d.Detail != "" {
		return d.Detail
	}
	if status == 0 {
		return "the server does not answer"
	}
	return "the server says " + strconv.Itoa(status)
}

// KeyText asks for the key of the server.
func (s *Server) KeyText() string {
	if s.KeyWrong {
		return "The server does not take this key. Is it whole, and of this server?"
	}
	return "The server wants a key before it segments. It is kept until this tab is closed, and sent to nobody else."
}

// answered is what the server says of a status, "" where it does not answer.
func answered(status int, body []byte) string {
	if status == 0 {
		return ""
	}
	return Problem(status, body)
}

// WaitTitle says why the server is waited for.
func (s *Server) WaitTitle() string {
	if s.Why == "" {
		return "The server does not answer"
	}
	return "The server cannot go on at the moment"
}

// WaitText says what becomes of the job meanwhile.
func (s *Server) WaitText() string {
	text := "Whether the job goes on there is seen when the server answers. The page asks again by itself."
	switch {
	case s.Stage == ServerUpload && s.Sent == 0:
		text = "Nothing has arrived there yet; the upload begins by itself."
	case s.Stage == ServerUpload && s.Sent < s.Of:
		text = fmt.Sprintf("%s of %s have arrived; the upload goes on by itself.", Size(s.Sent), Size(s.Of))
	case s.Stage == ServerUpload:
		text = "The scan has arrived; the job is asked for again by itself."
	}
	return strings.TrimSpace(sentence(s.Why) + " " + text)
}

// Figure is the first thing that the panel of the server says.
func (s *Server) Figure() string {
	switch {
	case s.Stage == ServerFailed:
		return "Stopped"
	case s.Waiting:
		return "Waiting"
	case s.Stage == ServerUpload:
		return "Sending"
	case s.Stage == ServerQueue && s.Job.Position > 0:
		return fmt.Sprintf("%s in the queue", ordinal(s.Job.Position+1))
	case s.Stage == ServerQueue:
		return "Next in the queue"
	case s.Stage == ServerResult:
		return "Getting the labels"
	case s.Left > 0:
		return Span(s.Left.Round(time.Second)) + " left"
	}
	return "Running"
}

func ordinal(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// Share is how much of the stage is done; false: it cannot be measured.
func (s *Server) Share() (float64, bool) {
	switch g := s.Job.Progress; {
	case s.Step() == 0 && s.Of > 0:
		return float64(s.Sent) / float64(s.Of), true
	case s.Stage == ServerRunning && g != nil && g.Stage == api.StageSegment && g.Of > 0:
		return float64(g.Done) / float64(g.Of), true
	}
	return 0, false
}

// Online tells that the network has come or gone.
func (p *Page) Online(yes bool) {
	p.Notice = ""
	if yes && !p.Server.There {
		p.findServer()
	}
	if !yes {
		stored := 0
		for _, m := range p.Models.List {
			if len(m.Files) > 0 {
				stored++
			}
		}
		p.Notice = "No network. Viewing, correcting and " + Plural(stored, "stored model", "stored models") + " work as before. Runs on the server wait."
	}
}
