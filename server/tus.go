package server

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// The protocol tus 1.0.0 (https://tus.io/protocols/resumable-upload) over uploads:
// what an answer says to have arrived is on the disk.

const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,creation-with-upload,termination,expiration"
	tusPath       = "/api/v1/tus"
	tusType       = "application/offset+octet-stream"
)

func (s *Server) tusRoutes(e *echo.Echo) {
	for _, root := range []string{tusPath, tusPath + "/"} {
		e.OPTIONS(root, s.tusOptions, tusHeaders)
		e.POST(root, s.tusCreate, tusHeaders)
	}
	e.HEAD(tusPath+"/:id", s.tusHead, tusHeaders)
	e.PATCH(tusPath+"/:id", s.tusPatch, tusHeaders)
	e.DELETE(tusPath+"/:id", s.tusDelete, tusHeaders)
}

// tusHeaders are those of all answers; a client of another version is refused.
func tusHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Tus-Resumable", tusVersion)
		h.Set(echo.HeaderCacheControl, "no-store")
		if c.Request().Method != http.MethodOptions && c.Request().Header.Get("Tus-Resumable") != tusVersion {
			h.Set("Tus-Version", tusVersion)
			return wrong(http.StatusPreconditionFailed, "the header Tus-Resumable has to be %s", tusVersion)
		}
		return next(c)
	}
}

func (s *Server) tusOptions(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Tus-Version", tusVersion)
	h.Set("Tus-Extension", tusExtensions)
	if most := s.o.Bounds.UploadBytes; most > 0 {
		h.Set("Tus-Max-Size", strconv.FormatInt(most, 10))
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) tusCreate(c echo.Context) error {
	r := c.Request()
	length, err := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
	if err != nil || length < 0 {
		return wrong(http.StatusBadRequest, "the header Upload-Length has to say how many bytes the file has")
	}
	name := ""
	for _, pair := range strings.Split(r.Header.Get("Upload-Metadata"), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		if b, err := base64.StdEncoding.DecodeString(value); err == nil && (key == "filename" || key == "name" && name == "") {
			name = string(b)
		}
	}
	u, err := s.begin(c, name, length)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, tusPath+"/"+u.ID)
	h.Set("Upload-Expires", u.Expires.Format(http.TimeFormat))
	if r.Header.Get(echo.HeaderContentType) == tusType && r.ContentLength != 0 {
		n, err := s.tusAppend(c, u, 0)
		h.Set("Upload-Offset", strconv.FormatInt(n, 10))
		if err != nil {
			return err
		}
	}
	return c.NoContent(http.StatusCreated)
}

func (s *Server) tusHead(c echo.Context) error {
	u, err := s.upload(c, c.Param("id"))
	if err != nil {
		return err
	}
	var n int64
	if unlock, ok := s.locks.try(u.ID); ok {
		n, err = s.offset(c.Request().Context(), u)
		unlock()
	} else { // bytes of it come at this moment
		n, err = s.arrived(u)
	}
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Upload-Offset", strconv.FormatInt(n, 10))
	h.Set("Upload-Length", strconv.FormatInt(u.Bytes, 10))
	h.Set("Upload-Expires", u.Expires.Format(http.TimeFormat))
	return c.NoContent(http.StatusOK)
}

func (s *Server) tusPatch(c echo.Context) error {
	if err := need(c, api.RoleUser); err != nil {
		return err
	}
	u, err := s.upload(c, c.Param("id"))
	if err != nil {
		return err
	}
	if t := c.Request().Header.Get(echo.HeaderContentType); t != tusType {
		return wrong(http.StatusUnsupportedMediaType, "the body of a PATCH has the type %s", tusType)
	}
	at, err := strconv.ParseInt(c.Request().Header.Get("Upload-Offset"), 10, 64)
	if err != nil || at < 0 {
		return wrong(http.StatusBadRequest, "the header Upload-Offset has to say where the bytes belong")
	}
	n, err := s.tusAppend(c, u, at)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Upload-Offset", strconv.FormatInt(n, 10))
	return c.NoContent(http.StatusNoContent)
}

// tusAppend appends the body at offset at, and says where to go on.
func (s *Server) tusAppend(c echo.Context, u *queue.UploadRecord, at int64) (int64, error) {
	unlock, ok := s.locks.try(u.ID)
	if !ok {
		return 0, later(http.StatusLocked, 1, "another request sends bytes of this upload: wait until it has ended")
	}
	defer unlock()
	have, err := s.offset(c.Request().Context(), u)
	if err != nil {
		return 0, err
	}
	if at != have {
		return have, wrong(http.StatusConflict, "%d bytes have arrived, these belong at %d: ask by HEAD where to go on", have, at)
	}
	if length := c.Request().ContentLength; length > u.Bytes-have {
		return have, wrong(http.StatusRequestEntityTooLarge, "%d bytes more than the Upload-Length of %d", length-(u.Bytes-have), u.Bytes)
	}
	if have == u.Bytes {
		return have, nil
	}
	if err := s.parts.Room(max(c.Request().ContentLength, 0)); err != nil {
		return have, err
	}
	n, err := s.appendBody(c, u.ID, u.Bytes-have)
	if err != nil {
		return n, bodyError(err)
	}
	if n == u.Bytes {
		_, err = s.complete(c.Request().Context(), u)
	}
	return n, err
}

func (s *Server) tusDelete(c echo.Context) error {
	if err := s.dropUpload(c, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
