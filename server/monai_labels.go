package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/server/queue"
)

// Labels of MONAI Label's datastore: what a person corrected and submitted, one an
// image and tag. A label is an upload that names its image; it is handed out as it
// came, goes when its image is deleted, and no job takes it for a scan by its name.

// monaiFinal is the tag of labels that are submitted without one.
const monaiFinal = "final"

// mostTag bounds the bytes of a tag.
const mostTag = 64

// monaiLabels are the labels of an image, the newest first: of a tag, or with "" of all.
func (s *Server) monaiLabels(c echo.Context, image, tag string) ([]*queue.UploadRecord, error) {
	var labels []*queue.UploadRecord
	for u, err := range s.monaiUploads(c) {
		if err != nil {
			return nil, err
		}
		if l := u.Label; l != nil && l.Image == image && (tag == "" || l.Tag == tag) {
			labels = append(labels, u)
		}
	}
	return labels, nil
}

// monaiPutLabel keeps the file of a form as the label of an image, instead of the one before.
func (s *Server) monaiPutLabel(c echo.Context) error {
	image, err := s.monaiFind(c, c.QueryParam("image"))
	if err != nil {
		return err
	}
	tag := cmp.Or(c.QueryParam("tag"), monaiFinal)
	if !isName(tag) || len(tag) > mostTag {
		return wrong(http.StatusUnprocessableEntity, "the tag of a label has to be a plain name of at most %d bytes", mostTag)
	}
	before, err := s.monaiLabels(c, image.ID, tag)
	if err != nil {
		return err
	}
	files, _, err := s.form(c, 1, 1)
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(c.Request().Context())
	_, err = s.queue.Uploads.Update(ctx, files[0].ID, func(u *queue.UploadRecord) error {
		u.Label = &queue.Label{Image: image.ID, Tag: tag}
		return nil
	})
	if err != nil {
		s.forgetFiles(c, files)
		return err
	}
	s.forgetFiles(c, before)
	return c.JSON(http.StatusOK, map[string]any{"image": c.QueryParam("image"), "label": caseOf(image.Name)})
}

// monaiLabel is the label that a request names by its image and tag.
func (s *Server) monaiLabel(c echo.Context, image string) (*queue.UploadRecord, error) {
	u, err := s.monaiFind(c, image)
	if err != nil {
		return nil, err
	}
	tag := cmp.Or(c.QueryParam("tag"), monaiFinal)
	labels, err := s.monaiLabels(c, u.ID, tag)
	if err == nil && len(labels) == 0 {
		err = wrong(http.StatusNotFound, "the image %.100q has no label %.100q: submit one, or have it made at /monai/infer", image, tag)
	}
	if err != nil {
		return nil, err
	}
	return labels[0], nil
}

func (s *Server) monaiGetLabel(c echo.Context) error {
	u, err := s.monaiLabel(c, cmp.Or(c.QueryParam("label"), c.QueryParam("image"))) // HEAD names it image
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(url.QueryEscape(u.Name), "+", "%20") // of RFC 5987, the form that MONAI Label's client always reads
	c.Response().Header().Set(echo.HeaderContentDisposition, "attachment; filename*=UTF-8''"+name)
	return s.sendUpload(c, u)
}

func (s *Server) monaiDropLabel(c echo.Context) error {
	u, err := s.monaiLabel(c, c.QueryParam("id"))
	if err == nil {
		err = s.dropUpload(c, u.ID)
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{})
}

// monaiDelete deletes an image with its labels.
func (s *Server) monaiDelete(c echo.Context) error {
	u, err := s.monaiFind(c, c.QueryParam("id"))
	if err != nil {
		return err
	}
	labels, err := s.monaiLabels(c, u.ID, "")
	for _, l := range append(labels, u) {
		err = errors.Join(err, s.dropUpload(c, l.ID))
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{})
}

// monaiObject is an image or a label as the datastore lists it.
func monaiObject(u *queue.UploadRecord) map[string]any {
	return map[string]any{"ext": strings.TrimPrefix(u.Name, caseOf(u.Name)), "info": map[string]any{"ts": u.Created.Unix(), "name": u.Name}}
}

// monaiList lists images and their labels, or counts them.
func (s *Server) monaiList(c echo.Context) error {
	type object struct {
		Image  map[string]any            `json:"image"`
		Labels map[string]map[string]any `json:"labels"` // by tag
	}
	objects, labels := map[string]*object{}, map[string]map[string]map[string]any{}
	for u, err := range s.monaiUploads(c) {
		if err != nil {
			return err
		}
		if l := u.Label; l != nil {
			if labels[l.Image] == nil {
				labels[l.Image] = map[string]map[string]any{}
			}
			if labels[l.Image][l.Tag] == nil { // the newest of a tag
				labels[l.Image][l.Tag] = monaiObject(u)
			}
			continue
		}
		if objects[caseOf(u.Name)] == nil { // the newest of a name; its labels are younger, and seen
			objects[caseOf(u.Name)] = &object{Image: monaiObject(u), Labels: labels[u.ID]}
		}
	}
	tags, completed := map[string]int{}, 0
	for _, o := range objects {
		if o.Labels == nil {
			o.Labels = map[string]map[string]any{}
		}
		for tag := range o.Labels {
			tags[tag]++
		}
		if o.Labels[monaiFinal] != nil {
			completed++
		}
	}
	switch c.QueryParam("output") {
	case "stats", "":
		return c.JSON(http.StatusOK, map[string]any{"total": len(objects), "completed": completed, "label_tags": tags, "label_names": map[string]any{}})
	case "train":
		return c.JSON(http.StatusOK, []any{})
	}
	return c.JSON(http.StatusOK, map[string]any{"name": "gounet", "description": "", "objects": objects})
}
