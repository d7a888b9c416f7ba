package server

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

const (
	mostStaged = 4096 // files of a form: a study in single slices; of more there is a zip
	mostFields = 64   // of a form that are no files
)

// form reads a form of least to most files, which become uploads, and of fields of text.
// Of a form that is refused nothing stays.
func (s *Server) form(c echo.Context, least, most int) (files []*queue.UploadRecord, text map[string]string, err error) {
	if err := need(c, api.RoleUser); err != nil { // before its bytes come
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			s.forgetFiles(c, files)
		}
	}()
	if strings.HasPrefix(c.Request().Header.Get(echo.HeaderContentType), "multipart/") {
		files, text, err = s.formParts(c, most)
	} else {
		text, err = s.fields(c) // MONAI Label's client sends params so where there is no file
	}
	if err == nil && len(files) < least {
		err = wrong(http.StatusBadRequest, "%d files in the form, wanted %d: a scan in one file, or a zip of DICOM", len(files), least)
	}
	return files, text, err
}

// fields reads a form without files.
func (s *Server) fields(c echo.Context) (map[string]string, error) {
	b, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, mostHeader))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errFields
	}
	if err != nil {
		return nil, bodyError(err)
	}
	text := map[string]string{}
	values, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, wrong(http.StatusBadRequest, "the body is no form")
	}
	for k := range values {
		text[k] = values.Get(k)
	}
	return text, nil
}

var errFields = wrong(http.StatusRequestEntityTooLarge, "the fields of the form have more than %d KiB or are more than %d: send a scan as a file of the form", mostHeader>>10, mostFields)

// formParts reads a form of parts; also with an error, files are the uploads that were made.
func (s *Server) formParts(c echo.Context, most int) (files []*queue.UploadRecord, text map[string]string, err error) {
	r, err := c.Request().MultipartReader()
	if err != nil {
		return nil, nil, wrong(http.StatusBadRequest, "the body is no form: %v", err)
	}
	text = map[string]string{}
	left, fields := mostHeader, 0
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return files, text, nil
		}
		if err != nil {
			return files, nil, wrong(http.StatusBadRequest, "the form ends too early: %v", err)
		}
		if part.FileName() == "" {
			value, err := formField(part, left)
			if err != nil {
				return files, nil, err
			}
			text[part.FormName()] = value
			left, fields = left-len(part.FormName())-len(value), fields+1
			if left < 0 || fields > mostFields {
				return files, nil, errFields
			}
			continue
		}
		if len(files) == most {
			return files, nil, wrong(http.StatusBadRequest, "more files in the form than %d: send a zip of them", most)
		}
		u, err := s.monaiFile(c, part.FileName(), part)
		if err != nil {
			return files, nil, err
		}
		files = append(files, u)
	}
}

// formField is the text of a part of at most so many bytes.
func formField(part *multipart.Part, most int) (string, error) {
	b, err := io.ReadAll(io.LimitReader(part, int64(most)+1))
	if err != nil {
		return "", wrong(http.StatusBadRequest, "the form ends too early: %v", err)
	}
	if len(b) > most {
		return "", errFields
	}
	return string(b), nil
}

// forgetFiles deletes the uploads of a form that is refused.
func (s *Server) forgetFiles(c echo.Context, files []*queue.UploadRecord) {
	for _, u := range files {
		_ = s.deleteUpload(context.WithoutCancel(c.Request().Context()), u.ID) // it expires otherwise
	}
}
