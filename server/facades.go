package server

import (
	"encoding/json"
	"net/http"
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

// errorKeys are those below which protocols that have a form of their own say what is
// wrong, by the first part of their addresses.
var errorKeys = map[string]string{"v2": "error", "monai": "detail"}

// errorKey is that of the protocol that an address belongs to, whether there is anything
// at it or not.
func errorKey(r *http.Request) (key string, ok bool) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	key, ok = errorKeys[first]
	return key, ok
}

// facadeErrors is an error in the form of the protocol that a request belongs to.
func facadeErrors(r *http.Request, p *problem) ([]byte, bool) {
	key, ok := errorKey(r)
	if !ok {
		return nil, false
	}
	b, err := json.Marshal(map[string]string{key: p.detail})
	return b, err == nil
}
