package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/measure"
	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/nrrd"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

// export makes files of labels.
func (w *Worker) export(j *job) (*api.Exported, [][]byte, error) {
	l, err := w.labelsIn(j, j.Export.Labels)
	if err != nil {
		return nil, nil, err
	}
	if len(j.Export.Name) == 0 || len(j.Export.Name) > 120 {
		return nil, nil, fail(api.FailedRequest, errors.New("a name of the files was wanted, of 1 to 120 bytes"))
	}
	segments, keep := chosen(j.Export.Names)
	for i, v := range l.Data {
		l.Data[i] = keep[v]
	}
	e := &exporter{w: w, j: j, page: l, segments: segments}
	t := turnOf(w.scan.Grid)
	e.labels = &volume.Labels{Grid: w.scan.Grid, Data: toScan(t, l.Data)}
	out := &api.Exported{}
	var buffers [][]byte
	for _, f := range j.Export.Formats {
		write, ok := writers[f]
		if !ok {
			return nil, nil, fail(api.FailedRequest, fmt.Errorf("format %.20q: wanted nifti, seg, rtstruct, seg.nrrd, stl, csv or uncertainty", f))
		}
		if err := write(e); err != nil {
			return nil, nil, fail(api.FailedScan, fmt.Errorf("%s: %w", f, err))
		}
		if err := w.rest(); err != nil {
			return nil, nil, err
		}
	}
	for i, f := range e.files {
		out.Files = append(out.Files, api.File{Name: f.name, Blob: i})
		buffers = append(buffers, f.bytes)
	}
	return out, buffers, nil
}

// chosen are the segments of names, and what becomes of each value.
func chosen(names []api.Label) (list []scan.Segment, keep [256]uint8) {
	for _, n := range names {
		if n.Value < 1 || n.Value > volume.MaxLabel {
			continue
		}
		keep[n.Value] = uint8(n.Value)
		s := scan.Segment{Label: uint8(n.Value), Name: n.Name, Color: color.NRGBA{A: 255}}
		if _, err := fmt.Sscanf(n.Color, "#%02x%02x%02x", &s.Color.R, &s.Color.G, &s.Color.B); err != nil {
			s.Color = color.NRGBA{}
		}
		list = append(list, s)
	}
	return list, keep
}

// exporter makes the files of one request.
type exporter struct {
	w        *Worker
	j        *job
	page     *volume.Labels // in the page's grid
	labels   *volume.Labels // in the scan's
	segments []scan.Segment
	files    []written
}

type written struct {
	name  string
	bytes []byte
}

func (e *exporter) add(ending string, write func(w io.Writer, name string) error) error {
	var b bytes.Buffer
	name := e.j.Export.Name + ending
	if err := write(&b, name); err != nil {
		return err
	}
	e.files = append(e.files, written{name, b.Bytes()})
	return nil
}

var writers = map[string]func(*exporter) error{
	api.ExportNIfTI: func(e *exporter) error {
		like, _ := e.w.scan.Header().(*nifti.Header)
		return e.add(".nii.gz", func(w io.Writer, name string) error { return nifti.EncodeLabels(w, name, e.labels, like) })
	},
	api.ExportNRRD: func(e *exporter) error {
		var list []nrrd.Segment
		for _, s := range e.segments {
			c := s.Color
			list = append(list, nrrd.Segment{
				Label: int(s.Label), Name: s.Name, Color: [3]float64{float64(c.R) / 255, float64(c.G) / 255, float64(c.B) / 255},
			})
		}
		return e.add(".seg.nrrd", func(w io.Writer, name string) error { return nrrd.EncodeLabels(w, name, e.labels, list, nil) })
	},
	api.ExportSEG:      func(e *exporter) error { return e.dicom(".seg.dcm", (*dicom.Volume).WriteSEG) },
	api.ExportRTSTRUCT: func(e *exporter) error { return e.dicom(".rtstruct.dcm", (*dicom.Volume).WriteRTSTRUCT) },
	api.ExportSTL:      (*exporter).stl,
	api.ExportCSV:      (*exporter).csv,

	api.ExportUncertainty: (*exporter).uncertainty,
}

func (e *exporter) dicom(ending string, write dicomWriter) error {
	s := e.w.scan.Series()
	if s == nil {
		return fmt.Errorf("it refers to the images of a DICOM series, and the scan is %s: choose another format", e.w.scan.Kind)
	}
	o := dicom.WriteOptions{Software: e.w.host.Version, Algorithm: dicom.Algorithm{Name: e.j.Export.Model, Version: e.w.host.Version}}
	if o.Algorithm.Name == "" {
		o.Algorithm.Name = "gounet"
	}
	for _, s := range e.segments {
		o.Segments = append(o.Segments, dicom.Segment{Label: s.Label, Name: s.Name, Colour: [3]uint8{s.Color.R, s.Color.G, s.Color.B}})
	}
	return e.add(ending, func(w io.Writer, _ string) error { return write(s.Volumes[0], e.j.ctx, w, e.labels, o) })
}

// stl is a file a label.
func (e *exporter) stl() error {
	all, err := mesh.FromAll(e.page, mesh.DefaultSmoothing())
	if err != nil {
		return err
	}
	for _, s := range e.segments {
		m := all[s.Label]
		if m == nil {
			continue
		}
		part := []mesh.Part{{Name: s.Name, Color: s.Color, Mesh: m}}
		if err := e.add("_"+plain(s.Name)+".stl", func(w io.Writer, _ string) error { return mesh.WriteSTL(w, part) }); err != nil {
			return err
		}
	}
	return nil
}

// plain is a name that every file system takes.
func plain(name string) string {
	b := []byte(name)
	for i, c := range b {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-') {
			b[i] = '_'
		}
	}
	return string(b[:min(len(b), 60)])
}

func (e *exporter) csv() error {
	im, err := e.w.page(e.j, 0)
	if err != nil {
		return err
	}
	names := map[uint8]string{}
	for _, s := range e.segments {
		names[s.Label] = s.Name
	}
	t, err := measure.Labels(e.w.scan.Name, e.page, im, names)
	if err != nil {
		return err
	}
	return e.add(".csv", func(w io.Writer, _ string) error { return measure.WriteCSV(w, t) })
}

// uncertainty is a file of shares of 1.
func (e *exporter) uncertainty() error {
	if e.j.Export.Uncertainty == nil {
		return errors.New("there is no map of it: ask for one with the segmentation")
	}
	l, err := e.w.labelsIn(e.j, *e.j.Export.Uncertainty)
	if err != nil {
		return err
	}
	im := volume.NewImage(e.w.scan.Grid, 1)
	for i, v := range toScan(turnOf(e.w.scan.Grid), l.Data) {
		im.Data[i] = float32(v) / 255
	}
	var like *nifti.Header
	if e.w.scan.Channels == 1 {
		like, _ = e.w.scan.Header().(*nifti.Header)
	}
	return e.add("_uncertainty.nii.gz", func(w io.Writer, name string) error { return nifti.EncodeImage(w, name, im, like) })
}

// surface makes surfaces of labels.
func (w *Worker) surface(j *job) (*api.Surfaced, [][]byte, error) {
	l, err := w.labelsIn(j, j.Surface.Labels)
	if err != nil {
		return nil, nil, err
	}
	all, err := mesh.FromAll(l, mesh.DefaultSmoothing())
	if err != nil {
		return nil, nil, fail(api.FailedScan, err)
	}
	out := &api.Surfaced{Values: []int{}}
	var buffers [][]byte
	for v := 1; v <= volume.MaxLabel; v++ {
		m := all[uint8(v)]
		if m == nil || len(m.Triangles) == 0 {
			continue
		}
		out.Values = append(out.Values, v)
		b := make([]byte, 0, 8+12*len(m.Vertices)+12*len(m.Triangles))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Vertices)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Triangles)))
		for _, p := range m.Vertices {
			for _, x := range p {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			}
		}
		for _, p := range m.Triangles {
			for _, x := range p {
				b = binary.LittleEndian.AppendUint32(b, x)
			}
		}
		buffers = append(buffers, b)
	}
	return out, buffers, w.rest()
}
