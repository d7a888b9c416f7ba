package worker

import (
	"errors"
	"fmt"
	"image/color"
	"path"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/api"
)

// list says which scans there are in files.
func (w *Worker) list(j *job) (*api.Listed, error) {
	w.listed = nil
	files, err := w.files(j, j.List.Files, false)
	if err != nil {
		return nil, err
	}
	list := voxelFiles(files)
	if !isDICOM(list) {
		s, err := scan.OpenFiles(j.ctx, scan.Options{}, list)
		if err == nil {
			defer func() { _ = s.Close() }() // it was only read from
			return &api.Listed{Series: []api.Series{{
				Name: s.Name, Kind: string(s.Kind), Grid: gridOf(s.Grid), Channels: s.Channels,
				Bytes: 4 * int64(s.Grid.Voxels()) * int64(s.Channels), Best: true, Plane: planeOf(s.Grid),
			}}}, nil
		}
		if !errors.Is(err, dicom.ErrNotDICOM) {
			return nil, fail(api.FailedScan, err)
		}
	}
	c, err := w.collection(j, files)
	if err != nil {
		return nil, fail(api.FailedScan, err)
	}
	w.listed = c
	l := &api.Listed{Series: []api.Series{}}
	best, most := -1, 0
	for i, s := range c.Series {
		e := seriesOf(s)
		if e.Why == "" && !s.Localizer && e.Grid.Shape[0] > 1 && s.Volumes[0].Voxels() > most {
			best, most = i, s.Volumes[0].Voxels()
		}
		l.Series = append(l.Series, e)
	}
	if best >= 0 {
		l.Series[best].Best = true
	}
	for _, s := range c.Skipped {
		l.Skipped = append(l.Skipped, api.Skipped{Name: s.Name, Why: s.Err.Error()})
	}
	return l, nil
}

func voxelFiles(files []given) []voxel.File {
	byName := map[string]given{}
	for _, f := range files {
		byName[f.name] = f
	}
	var list []voxel.File
	for _, f := range files {
		list = append(list, voxelFile(f, byName))
	}
	return list
}

// isDICOM tells whether one of the first files is DICOM, or a zip.
func isDICOM(list []voxel.File) bool {
	front := make([]byte, 352)
	for _, f := range list[:min(len(list), 64)] {
		r, err := f.Open()
		if err != nil {
			continue
		}
		n, _ := r.Read(front) // what is there is looked at
		_ = r.Close()         // only read from
		if k := scan.Recognise(front[:n]); k == scan.DICOM || n > 3 && string(front[:4]) == "PK\x03\x04" {
			return true
		}
	}
	return false
}

// collection finds the series in files and zips.
func (w *Worker) collection(j *job, files []given) (*dicom.Collection, error) {
	var list []dicom.File
	for _, f := range files {
		front := make([]byte, 4)
		if n, _ := f.ReadAt(front, 0); n == 4 && string(front) == "PK\x03\x04" {
			inside, err := dicom.ZipFiles(f, f.Size)
			if err != nil {
				return nil, err
			}
			list = append(list, inside...)
			continue
		}
		list = append(list, dicom.FileOf(f.name, f, f.Size))
	}
	return dicom.OpenFiles(j.ctx, list)
}

func seriesOf(s *dicom.Series) api.Series {
	v := s.Volumes[0]
	e := api.Series{
		UID: s.UID, Number: s.Number, Name: s.Description, Modality: s.Modality, Kind: string(scan.DICOM), Grid: gridOf(v.Grid),
		Channels: len(s.Volumes), Bytes: v.Bytes() * int64(len(s.Volumes)), Localizer: s.Localizer, Plane: planeOf(v.Grid), Warnings: s.Warnings(),
	}
	if e.Name == "" {
		e.Name = fmt.Sprintf("Series %d", s.Number)
	}
	if v.Err != nil {
		e.Why = v.Err.Error()
	}
	return e
}

// planeOf is the plane of the slices: axial, coronal, sagittal.
func planeOf(g volume.Grid) string {
	for i, v := range preview.Views(g) {
		if v.Normal == 0 && v.Edges != [4]string{} {
			return []string{"axial", "coronal", "sagittal"}[i]
		}
	}
	return ""
}

const mostThumb = 512 // pixels of a side

// thumb draws the middle slice of a series.
func (w *Worker) thumb(j *job) (*api.Thumbed, []byte, error) {
	if w.listed == nil || j.Thumb.Side < 1 || j.Thumb.Side > mostThumb {
		return nil, nil, fail(api.FailedRequest, errors.New("no list of series, or a picture of no size"))
	}
	for _, s := range w.listed.Series {
		if s.UID != j.Thumb.UID {
			continue
		}
		im, err := s.Volumes[0].Image(j.ctx)
		if err != nil {
			return nil, nil, fail(api.FailedScan, err)
		}
		lo, hi := preview.Window(im)
		view := preview.Views(im.Grid)[0]
		for _, v := range preview.Views(im.Grid) {
			if v.Normal == 0 {
				view = v
			}
		}
		extent := max(float64(im.Shape[view.Row])*im.Spacing[view.Row], float64(im.Shape[view.Col])*im.Spacing[view.Col])
		p := preview.NewPlane(im.Grid, view, im.Shape[view.Normal]/2, extent/float64(j.Thumb.Side))
		grey := p.Grey(im, lo, hi)
		out := make([]byte, 0, p.W*p.H)
		for y := range p.H {
			out = append(out, grey.Pix[y*grey.Stride:y*grey.Stride+p.W]...)
		}
		return &api.Thumbed{W: p.W, H: p.H}, out, w.rest()
	}
	return nil, nil, fail(api.FailedRequest, fmt.Errorf("series %.80q is not in the list", j.Thumb.UID))
}

// readLabels reads a label map of the scan from a file.
func (w *Worker) readLabels(j *job) (*api.ReadLabels, []byte, error) {
	if w.scan == nil {
		return nil, nil, errNoScan
	}
	files, err := w.files(j, j.Read.Files, false)
	if err != nil {
		return nil, nil, err
	}
	l, segments, err := w.labelsOn(j, files)
	if err != nil {
		return nil, nil, fail(api.FailedScan, err)
	}
	out := &api.ReadLabels{Labels: []api.Label{}}
	for i, s := range segments {
		c := s.Color
		if c.A == 0 {
			c = preview.Hue(i)
		}
		out.Labels = append(out.Labels, api.Label{Value: int(s.Label), Name: s.Name, Color: fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)})
	}
	return out, toPage(turnOf(w.scan.Grid), l.Data, 1, 0), nil
}

func (w *Worker) labelsOn(j *job, files []given) (*volume.Labels, []scan.Segment, error) {
	if s := w.scan.Series(); s != nil && len(files) == 1 {
		f := dicom.FileOf(files[0].name, files[0], files[0].Size)
		if seg, err := dicom.OpenSEG(f); err == nil {
			l, _, err := seg.Labels(j.ctx, s.Volumes[0])
			return l, segmentsOf(seg.Segments), err
		} else if errors.Is(err, dicom.ErrNotSegmentation) {
			set, err := dicom.OpenRTSTRUCT(f)
			if err != nil {
				return nil, nil, err
			}
			l, _, err := set.Labels(j.ctx, s.Volumes[0])
			return l, segmentsOf(set.Segments), err
		}
	}
	other, err := scan.OpenFiles(j.ctx, scan.Options{}, voxelFiles(files))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = other.Close() }() // it was only read from
	if why := scan.Differ(w.scan.Grid, other.Grid); why != "" {
		return nil, nil, fmt.Errorf("%s does not lie on the grid of %s: %s", path.Base(files[0].name), w.scan.Name, why)
	}
	return other.Labels()
}

func segmentsOf(list []dicom.Segment) (out []scan.Segment) {
	for _, s := range list {
		out = append(out, scan.Segment{Label: s.Label, Name: s.Name, Color: color.NRGBA{s.Colour[0], s.Colour[1], s.Colour[2], 255}})
	}
	return out
}
