package page

// Net talks to the server that the page came from.
type Net interface {
	// JSON asks for JSON; got gets the status, 0 where nothing answered.
	JSON(method, path string, body []byte, got func(status int, body []byte))
}

// Server is the one that the page came from, if it segments.
type Server struct {
	There bool
}

// Name of the server.
func (s *Server) Name() string {
	if s.There {
		return "there"
	}
	return "none"
}

// findServer asks whether the server segments.
func (p *Page) findServer() {}

// Online tells that the network has come or gone.
func (p *Page) Online(yes bool) {
	p.Notice = ""
	if !yes {
		p.Notice = "No network. Viewing, correcting and " + Plural(len(p.Models.List), "stored model works", "stored models work") + " as before."
	}
}

// About says what computes there.
func (s *Server) About() string { return "" }

// StartOnServer segments there.
func (p *Page) StartOnServer() {}
