package server

import (
	"encoding/json"
	"strings"

	"github.com/labstack/echo/v4"
)

// facades are the routes of protocols of others.
func (s *Server) facades(e *echo.Echo) {
	s.kserveRoutes(e)
	s.monaiRoutes(e)
	s.volviewRoutes(e)
	s.dicomwebRoutes(e)
}

// facadeErrors is an error in the form of the protocol that a path belongs to.
func facadeErrors(path string, p *problem) ([]byte, bool) {
	key := ""
	switch {
	case strings.HasPrefix(path, "/v2"):
		key = "error"
	case strings.HasPrefix(path, "/monai"):
		key = "detail"
	default:
		return nil, false
	}
	b, err := json.Marshal(map[string]string{key: p.detail})
	return b, err == nil
}
