package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// MONAI Label's REST below /monai: what 3D Slicer's and OHIF's plugins ask to have a
// scan labelled. An image of the datastore is an upload, and so is a session; an
// image may also be named by its upload's id. There is no training here, and the
// lists of what it would have are empty.

func (s *Server) monaiRoutes(e *echo.Echo) {
	e.GET("/monai/info", s.monaiInfo)
	e.GET("/monai/info/", s.monaiInfo)
	for _, root := range []string{"/monai/datastore", "/monai/datastore/"} {
		e.GET(root, s.monaiList)
		e.PUT(root, s.monaiPut)
	}
	e.GET("/monai/datastore/image", s.monaiImage)
	e.HEAD("/monai/datastore/image", s.monaiImage)
	e.PUT("/monai/datastore/image", s.monaiPut)
	for _, path := range []string{"/monai/datastore", "/monai/datastore/", "/monai/datastore/image"} {
		e.DELETE(path, s.monaiDelete)
	}
	e.GET("/monai/datastore/label", s.monaiGetLabel)
	e.HEAD("/monai/datastore/label", s.monaiGetLabel)
	e.PUT("/monai/datastore/label", s.monaiPutLabel)
	e.DELETE("/monai/datastore/label", s.monaiDropLabel)
	for _, root := range []string{"/monai/session", "/monai/session/"} {
		e.PUT(root, s.monaiSession)
	}
	e.GET("/monai/session/:id", s.monaiGetSession)
	e.DELETE("/monai/session/:id", s.monaiDropSession)
	e.POST("/monai/infer/:model", s.monaiInfer)
}

func (s *Server) monaiInfo(c echo.Context) error {
	models := map[string]any{}
	labels := map[string]bool{}
	for _, m := range s.models.All() {
		if m.Problem != "" {
			continue
		}
		values := map[string]int{}
		for _, l := range m.Labels {
			values[l.Name] = l.Value
			labels[l.Name] = true
		}
		models[m.ID] = map[string]any{
			"type": "segmentation", "labels": values, "dimension": 3, "description": m.Dataset + ", " + m.Configuration, "config": map[string]any{},
		}
	}
	names := []string{}
	for l := range labels {
		names = append(names, l)
	}
	return c.JSON(http.StatusOK, map[string]any{
		"name": "gounet", "description": "nnU-Net models of gounet serve", "version": s.o.Version, "labels": names, "models": models,
		"trainers": map[string]any{}, "strategies": map[string]any{}, "scoring": map[string]any{}, "train_stats": map[string]any{}, "datastore": map[string]any{},
	})
}

// monaiFind finds the upload of an image: by its id, or the newest of that name.
func (s *Server) monaiFind(c echo.Context, image string) (*queue.UploadRecord, error) {
	if u, err := s.upload(c, image); err == nil && u.Complete {
		return u, nil
	}
	for u, err := range s.monaiUploads(c) {
		if err != nil {
			return nil, err
		}
		if u.Label == nil && image != "" && caseOf(u.Name) == caseOf(image) {
			return u, nil
		}
	}
	return nil, wrong(http.StatusNotFound, "there is no image %.100q: put it into the datastore, or make a session", image)
}

// monaiUploads are the uploads of the one who asks, images and labels, the newest first.
func (s *Server) monaiUploads(c echo.Context) iter.Seq2[*queue.UploadRecord, error] {
	user := who(c).user
	ids := s.queue.Uploads.Newest(math.MaxInt, "", func(b queue.Brief) bool { return b.Of(user) && b.Over })
	return s.queue.Uploads.Rows(c.Request().Context(), ids)
}

// caseOf is the name of an image without its endings.
func caseOf(name string) string {
	name, _, _ = strings.Cut(filepath.Base(name), ".")
	return name
}

// monaiFile is an upload of a file of a form.
func (s *Server) monaiFile(c echo.Context, name string, part *multipart.Part) (*queue.UploadRecord, error) {
	return s.hand(c, name, func(path string) error {
		n, err := save(path, part, s.o.Bounds.UploadBytes, s.parts)
		if err == nil && n == 0 {
			err = wrong(http.StatusUnprocessableEntity, "the file is empty: send its bytes in the form")
		}
		if err != nil && n > s.o.Bounds.UploadBytes {
			err = wrong(http.StatusRequestEntityTooLarge, "the file has more than the %d MiB that this server takes", s.o.Bounds.UploadBytes>>20)
		}
		return err
	})
}

func (s *Server) monaiPut(c echo.Context) error {
	name := c.QueryParam("image")
	if name != "" && !isName(caseOf(name)) {
		return errName
	}
	files, _, err := s.form(c, 1, 1)
	if err != nil {
		return err
	}
	u := files[0]
	if name != "" && caseOf(name) != caseOf(u.Name) { // the image is called so from now on
		ending := strings.TrimPrefix(filepath.Base(u.Name), caseOf(u.Name))
		whole := caseOf(name) + ending
		if !isName(whole) {
			return errors.Join(errName, s.deleteUpload(context.WithoutCancel(c.Request().Context()), u.ID))
		}
		u, err = s.queue.Uploads.Update(c.Request().Context(), u.ID, func(r *queue.UploadRecord) error {
			r.Name = whole
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, map[string]any{"image": caseOf(u.Name)})
}

func (s *Server) monaiImage(c echo.Context) error {
	u, err := s.monaiFind(c, c.QueryParam("image"))
	if err != nil {
		return err
	}
	return s.sendUpload(c, u)
}

func (s *Server) monaiSession(c echo.Context) error {
	files, _, err := s.form(c, 1, 1)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"session_id": files[0].ID, "session_info": sessionInfo(files[0])})
}

func sessionInfo(u *queue.UploadRecord) map[string]any {
	return map[string]any{
		"name": u.ID, "path": "", "image": u.Name, "meta": map[string]any{},
		"create_ts": u.Created.Unix(), "last_access_ts": time.Now().Unix(), "expiry": int(time.Until(u.Expires).Seconds()),
	}
}

func (s *Server) monaiGetSession(c echo.Context) error {
	u, err := s.upload(c, c.Param("id"))
	if err != nil {
		return err
	}
	if c.QueryParam("image") == "true" {
		return s.sendUpload(c, u)
	}
	return c.JSON(http.StatusOK, sessionInfo(u))
}

func (s *Server) monaiDropSession(c echo.Context) error {
	if err := s.dropUpload(c, c.Param("id")); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{})
}

// monaiParams are those of an inference that mean something here.
type monaiParams struct {
	Extension string `json:"result_extension"` // .nrrd or .nii.gz
	Compress  *bool  `json:"result_compress"`
}

// monaiInfer labels an image and answers when it is done: with the label map, with
// what is to be said of it, or, as output=all, with both in a form.
func (s *Server) monaiInfer(c echo.Context) error {
	m, err := s.model(c.Param("model"))
	if err != nil {
		return err
	}
	files, text, err := s.form(c, 0, 1)
	if err != nil {
		return err
	}
	var p monaiParams
	if raw := text["params"]; raw != "" {
		if err := json.Unmarshal([]byte(raw), &p); err != nil {
			s.forgetFiles(c, files)
			return wrong(http.StatusBadRequest, "params is no JSON as MONAI Label has it: %v", err)
		}
	}
	image := c.QueryParam("image")
	if id := c.QueryParam("session_id"); id != "" {
		image = id
	}
	if len(files) > 0 {
		image = files[0].ID
	}
	u, err := s.monaiFind(c, image)
	if err != nil {
		return err
	}
	format := "nifti"
	if p.Extension == ".nrrd" || p.Extension == ".seg.nrrd" {
		format = "nrrd"
	}
	r, err := s.label(c, api.Submit{Model: m.ID, Inputs: []api.Input{{Upload: u.ID}}, Formats: []string{format}})
	if err != nil {
		return err
	}
	if format == "nrrd" && p.Compress != nil && !*p.Compress {
		return s.monaiRaw(c, r)
	}
	params := map[string]any{"label_names": labelValues(m.Labels), "latencies": map[string]any{"total": r.Times.TotalMS / 1000}}
	switch cmp.Or(c.QueryParam("output"), "all") {
	case "image":
		return s.sendResult(c, r, r.Results[0])
	case "json":
		return c.JSON(http.StatusOK, params)
	}
	return s.monaiAll(c, r, params)
}

func labelValues(list []api.Label) map[string]int {
	out := map[string]int{}
	for _, l := range list {
		out[l.Name] = l.Value
	}
	return out
}

// monaiAll answers with a form of params and the file.
func (s *Server) monaiAll(c echo.Context, r *queue.Record, params map[string]any) error {
	f := r.Results[0]
	b, err := s.openResult(c, r, f)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // only read from
	w := multipart.NewWriter(c.Response())
	c.Response().Header().Set(echo.HeaderContentType, w.FormDataContentType())
	c.Response().WriteHeader(http.StatusOK)
	part := func(name, file, contentType string) (io.Writer, error) {
		disposition := map[string]string{"name": name}
		if file != "" {
			disposition["filename"] = file
		}
		return w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {mime.FormatMediaType("form-data", disposition)}, "Content-Type": {contentType},
		})
	}
	to, err := part("params", "", "application/json")
	if err == nil {
		err = json.NewEncoder(to).Encode(params)
	}
	if err == nil {
		to, err = part("file", f.Name, f.MediaType)
	}
	if err == nil {
		_, err = io.Copy(to, b)
	}
	return errors.Join(err, w.Close())
}

// monaiRaw answers with an uncompressed NRRD, which is what OHIF's plugin reads.
func (s *Server) monaiRaw(c echo.Context, r *queue.Record) error {
	l, err := s.labels(c, r, "nrrd")
	if err != nil {
		return err
	}
	return c.Stream(http.StatusOK, echo.MIMEOctetStream, io.MultiReader(bytes.NewReader(rawHeader(r.Grid)), bytes.NewReader(l)))
}

// sendUpload hands out the file of an upload.
func (s *Server) sendUpload(c echo.Context, u *queue.UploadRecord) error {
	s.audit(c, "read", "upload", u.ID)
	b, err := s.blobs.Open(context.WithoutCancel(c.Request().Context()), engine.UploadBlob(u.ID))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // only read from
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, echo.MIMEOctetStream)
	h.Set("ETag", `"`+u.SHA256+`"`)
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, b)
	return nil
}

// rawHeader is the header of an NRRD of bytes on a grid.
func rawHeader(g *api.Grid) []byte {
	var b bytes.Buffer
	write := func(parts ...string) { b.WriteString(strings.Join(parts, "")) }
	vector := func(column int) string {
		values := make([]string, 3)
		for i := range 3 {
			values[i] = number(g.Affine[i][column])
		}
		return "(" + strings.Join(values, ",") + ")"
	}
	write("NRRD0004\ntype: unsigned char\ndimension: 3\nspace: right-anterior-superior\n")
	write("sizes: ", number(float64(g.Shape[2])), " ", number(float64(g.Shape[1])), " ", number(float64(g.Shape[0])), "\n")
	write("space directions: ", vector(0), " ", vector(1), " ", vector(2), "\n")
	write("kinds: domain domain domain\nencoding: raw\nspace origin: ", vector(3), "\n\n")
	return b.Bytes()
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
