package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/textproto"
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
}

type element struct {
	VR    string `json:"vr"`
	Value []any  `json:"Value,omitempty"`
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
	wanted := map[string]string{key(tag.StudyInstanceUID): c.Param("study"), key(tag.SeriesInstanceUID): c.Param("series"), key(tag.SOPInstanceUID): c.Param("instance")}
	for name, values := range c.QueryParams() {
		if t, err := tag.FindByName(name); err == nil {
			wanted[key(t.Tag)] = values[0]
		} else if len(name) == 8 {
			wanted[strings.ToUpper(name)] = values[0]
		}
	}
	var out []*instance
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
			one := &instance{r, f, set}
			fits := true
			for t, want := range wanted {
				if e, ok := set[t]; want != "" && (!ok || len(e.Value) == 0 || fmt.Sprint(e.Value[0]) != want) {
					fits = false
				}
			}
			if fits {
				out = append(out, one)
			}
		}
	}
	return out, nil
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
				out = append(out, map[string]string{"Alphabetic": x})
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
	"study":    {tag.StudyInstanceUID, tag.StudyDate, tag.StudyTime, tag.AccessionNumber, tag.PatientName, tag.PatientID, tag.StudyID},
	"series":   {tag.StudyInstanceUID, tag.SeriesInstanceUID, tag.Modality, tag.SeriesNumber, tag.SeriesDescription},
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
		all, err := s.instances(c)
		if err != nil {
			return err
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
			if tags := levels[level]; tags != nil {
				set = map[string]element{}
				for _, t := range tags {
					if e, ok := i.set[key(t)]; ok {
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

// wado sends the objects of a study, a series or an instance, as parts.
func (s *Server) wado(c echo.Context) error {
	all, err := s.instances(c)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return wrong(http.StatusNotFound, "there is no such object among the results: /dicomweb/instances lists those that there are")
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
