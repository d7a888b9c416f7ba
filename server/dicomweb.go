package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// DICOMweb over our own results below /dicomweb: the segmentations and structure sets
// of done jobs, found by QIDO-RS and got by WADO-RS. What a viewer sees of a job is
// what its owner may see.

func (s *Server) dicomwebRoutes(e *echo.Echo) {
	const study, series, instance = "/dicomweb/studies/:study", "/series/:series", "/instances/:instance"
	e.GET("/dicomweb/studies", s.qido("study"))
	e.GET(study+"/series", s.qido("series"))
	e.GET("/dicomweb/series", s.qido("series"))
	for _, path := range []string{study, study + series, ""} {
		if path == "" {
			path = "/dicomweb"
		}
		e.GET(path+"/instances", s.qido("instance"))
	}
	for _, path := range []string{study, study + series, study + series + instance} {
		e.GET(path, s.wado)
		e.GET(path+"/metadata", s.qido("metadata"))
	}
}

// instance is a DICOM object of a job.
type instance struct {
	record *queue.Record
	result api.JobResult
	set    map[string]element // by tag, as DICOM's JSON has it
	whole  map[string]element // of its study and series, the same of each of their objects
}

type element struct {
	VR    string `json:"vr"`
	Value []any  `json:"Value,omitempty"`
}

// element is what the object says of itself, or of its study and series.
func (i *instance) element(tag string) (element, bool) {
	if e, ok := i.whole[tag]; ok {
		return e, true
	}
	e, ok := i.set[tag]
	return e, ok
}

func (i *instance) text(t tag.Tag) string {
	if e, ok := i.set[key(t)]; ok && len(e.Value) > 0 {
		return fmt.Sprint(e.Value[0])
	}
	return ""
}

func key(t tag.Tag) string { return fmt.Sprintf("%04X%04X", t.Group, t.Element) }

// parsed are data sets that were read before, by blob: a result never changes.
type parsed struct {
	mu   sync.Mutex
	sets map[string]map[string]element
}

// instances are the objects that the one who asks may see and that fit the path and
// the query.
func (s *Server) instances(c echo.Context) ([]*instance, error) {
	i := who(c)
	ids := s.queue.Jobs.Newest(math.MaxInt, "", func(b queue.Brief) bool { return b.DICOM && (b.Of(i.user) || i.role == api.RoleAdmin) })
	wanted, ignored, err := criteria(c.QueryParams())
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 || c.QueryParam("fuzzymatching") == "true" {
		c.Response().Header().Set("Warning", `299 gounet "parameters that are no attributes are ignored, and names are matched literally"`)
	}
	for t, uid := range map[tag.Tag]string{tag.StudyInstanceUID: c.Param("study"), tag.SeriesInstanceUID: c.Param("series"), tag.SOPInstanceUID: c.Param("instance")} {
		if uid != "" {
			wanted = append(wanted, criterion{key(t), func(have string) bool { return have == uid }})
		}
	}
	var all []*instance
	for r, err := range s.queue.Jobs.Rows(c.Request().Context(), ids) {
		if err != nil {
			return nil, err
		}
		for _, f := range r.Results {
			if f.MediaType != api.DICOMType {
				continue
			}
			set, err := s.dataSet(c.Request().Context(), resultBlob(r, f))
			if err != nil {
				return nil, err
			}
			all = append(all, &instance{record: r, result: f, set: set})
		}
	}
	gather(all)
	return slices.DeleteFunc(all, func(i *instance) bool {
		return slices.ContainsFunc(wanted, func(q criterion) bool {
			e, _ := i.element(q.tag)
			return !q.fits(e)
		})
	}), nil
}

// dataSet reads what an object says of itself, without pixels and sequences.
func (s *Server) dataSet(ctx context.Context, name string) (map[string]element, error) {
	s.parsed.mu.Lock()
	set := s.parsed.sets[name]
	s.parsed.mu.Unlock()
	if set != nil {
		return set, nil
	}
	b, err := s.blobs.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }() // only read from
	d, err := dicom.Parse(b, b.Info().Size, nil, dicom.SkipPixelData())
	if err != nil {
		return nil, fmt.Errorf("dicomweb: a result of job %s: %w", strings.Split(name, "/")[1], err)
	}
	set = map[string]element{}
	for _, e := range d.Elements {
		if e.Tag.Group == 2 || e.RawValueRepresentation == "SQ" || e.Tag == tag.PixelData {
			continue
		}
		set[key(e.Tag)] = element{e.RawValueRepresentation, jsonValues(e)}
	}
	s.parsed.mu.Lock()
	defer s.parsed.mu.Unlock()
	const most = 1000
	if s.parsed.sets == nil || len(s.parsed.sets) >= most {
		s.parsed.sets = map[string]map[string]element{}
	}
	s.parsed.sets[name] = set
	return set, nil
}

// jsonValues are the values of an element as DICOM's JSON model has them.
func jsonValues(e *dicom.Element) (out []any) {
	switch v := e.Value.GetValue().(type) {
	case []string:
		for _, x := range v {
			if x = strings.Trim(x, " \x00"); x == "" {
				continue
			}
			switch e.RawValueRepresentation {
			case "PN":
				out = append(out, personName(x))
			case "IS", "DS":
				out = append(out, json.Number(x))
			default:
				out = append(out, x)
			}
		}
	case []int:
		for _, x := range v {
			out = append(out, x)
		}
	case []float64:
		for _, x := range v {
			out = append(out, x)
		}
	}
	return out
}

// The attributes that QIDO-RS tells of each level (PS3.18 10.6.3).
var levels = map[string][]tag.Tag{
	"study":    {tag.StudyInstanceUID, tag.StudyDate, tag.StudyTime, tag.AccessionNumber, tag.ModalitiesInStudy, tag.PatientName, tag.PatientID, tag.StudyID, tag.NumberOfStudyRelatedSeries, tag.NumberOfStudyRelatedInstances},
	"series":   {tag.StudyInstanceUID, tag.SeriesInstanceUID, tag.Modality, tag.SeriesNumber, tag.SeriesDescription, tag.NumberOfSeriesRelatedInstances},
	"instance": {tag.StudyInstanceUID, tag.SeriesInstanceUID, tag.SOPInstanceUID, tag.SOPClassUID, tag.InstanceNumber, tag.Rows, tag.Columns, tag.NumberOfFrames},
}

var levelUID = map[string]tag.Tag{"study": tag.StudyInstanceUID, "series": tag.SeriesInstanceUID, "instance": tag.SOPInstanceUID, "metadata": tag.SOPInstanceUID}

// page is the part of a list that offset and limit ask for (PS3.18 8.3.4.4).
func page[T any](c echo.Context, all []T) ([]T, error) {
	for _, name := range []string{"offset", "limit"} {
		text := c.QueryParam(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return nil, wrong(http.StatusBadRequest, "%s is %.20q: wanted a whole number", name, text)
		}
		at := min(int(n), len(all))
		if name == "offset" {
			all = all[at:]
		} else {
			all = all[:at]
		}
	}
	return all, nil
}

// qido answers with the objects of a level, each once.
func (s *Server) qido(level string) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !takes(c, "application/dicom+json", "application/json") {
			return wrong(http.StatusNotAcceptable, "this address has application/dicom+json: accept that")
		}
		all, err := s.instances(c)
		if err != nil {
			return err
		}
		if level == "metadata" && len(all) == 0 {
			return errNoObject
		}
		seen := map[string]bool{}
		out := []map[string]element{}
		for _, i := range all {
			uid := i.text(levelUID[level])
			if seen[uid] {
				continue
			}
			seen[uid] = true
			set := i.set
			if level == "metadata" {
				s.audit(c, "read", "result", i.record.ID)
			}
			if tags := levels[level]; tags != nil {
				set = map[string]element{}
				for _, t := range tags {
					if e, ok := i.element(key(t)); ok {
						set[key(t)] = e
					}
				}
			}
			out = append(out, set)
		}
		if out, err = page(c, out); err != nil {
			return err
		}
		b, err := json.Marshal(out)
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "application/dicom+json", b)
	}
}

var errNoObject = wrong(http.StatusNotFound, "there is no such object among the results: /dicomweb/instances lists those that there are")

// takes says whether the client takes one of the types; that of a multipart's parts
// is behind a semicolon.
func takes(c echo.Context, types ...string) bool {
	accept := strings.Join(c.Request().Header.Values(echo.HeaderAccept), ",")
	if accept == "" {
		return true
	}
	for one := range strings.SplitSeq(accept, ",") {
		name, p, err := mime.ParseMediaType(one)
		if q, err2 := strconv.ParseFloat(p["q"], 64); err != nil || err2 == nil && q == 0 {
			continue
		}
		if name == "multipart/related" && p["type"] != "" {
			name += ";" + p["type"]
		}
		if slices.Contains(types, name) || name == "*/*" || slices.ContainsFunc(types, func(t string) bool {
			major, _, _ := strings.Cut(t, "/")
			return name == major+"/*"
		}) {
			return true
		}
	}
	return false
}

// wado sends the objects of a study, a series or an instance: as parts, or the only one as
// it is.
func (s *Server) wado(c echo.Context) error {
	alone := takes(c, "application/dicom")
	parts := takes(c, "multipart/related", "multipart/related;application/dicom", "multipart/related;*/*")
	if !alone && !parts {
		return wrong(http.StatusNotAcceptable, `this address has DICOM objects as they are: accept multipart/related; type="application/dicom"`)
	}
	all, err := s.instances(c)
	if err != nil {
		return err
	}
	switch {
	case len(all) == 0:
		return errNoObject
	case !parts && len(all) > 1:
		return wrong(http.StatusNotAcceptable, `there are %d objects: accept multipart/related; type="application/dicom"`, len(all))
	case !parts:
		return s.sendResult(c, all[0].record, all[0].result)
	}
	w := multipart.NewWriter(c.Response())
	c.Response().Header().Set(echo.HeaderContentType, `multipart/related; type="application/dicom"; boundary=`+w.Boundary())
	c.Response().WriteHeader(http.StatusOK)
	for _, i := range all {
		part, err := w.CreatePart(textproto.MIMEHeader{echo.HeaderContentType: {"application/dicom"}})
		if err != nil {
			return err
		}
		b, err := s.openResult(c, i.record, i.result)
		if err != nil {
			return err
		}
		_, err = io.Copy(part, b)
		if err := errors.Join(err, b.Close()); err != nil {
			return err
		}
	}
	return w.Close()
}
