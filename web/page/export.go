package page

import (
	"slices"
	"strings"

	"github.com/gounet/gounet/internal/api"
)

// Export is the dialog of files.
type Export struct {
	Formats []ExportFormat
	Visible bool // only the labels that are shown
	Name    string
	Busy    bool
	Failed  string
	Saved   []string // names of files
}

// ExportFormat is a line of the dialog.
type ExportFormat struct {
	ID, Name, What, Ending string
	On                     bool
	Why                    string // it cannot be written
}

const picture = "picture"

// labelFormats hold the labels themselves.
var labelFormats = []string{api.ExportNIfTI, api.ExportSEG, api.ExportRTSTRUCT, api.ExportNRRD}

// OpenExport shows the dialog.
func (p *Page) OpenExport() {
	if p.Result == nil || p.Screen != ScreenWork {
		return
	}
	if p.Diff.swapped { // what is exported is the result, not what it is compared with
		p.SwapCompared()
	}
	e := &p.Export
	if e.Name == "" || e.Formats == nil {
		e.Name = fileName(p.Scan.Name) + "_labels"
	}
	dicom := ""
	if p.Scan.Series == "" && p.Scan.Kind != "DICOM" {
		dicom = "The scan is no DICOM series."
	}
	old := e.Formats
	unsure := ""
	if p.Result.Unsure == nil {
		unsure = "Choose it before the segmentation runs."
	}
	e.Failed, e.Saved = "", nil
	e.Formats = []ExportFormat{
		{ID: api.ExportNIfTI, Name: "NIfTI labels", What: "In the scan’s own grid, one number a label.", Ending: ".nii.gz", On: true},
		{ID: api.ExportSEG, Name: "DICOM-SEG", What: "For PACS. Carries the patient’s name and ID from the scan.", Ending: ".dcm", On: dicom == "", Why: dicom},
		{ID: api.ExportRTSTRUCT, Name: "RTSTRUCT", What: "Contours for treatment planning. Carries name and ID.", Ending: ".dcm", Why: dicom},
		{ID: api.ExportNRRD, Name: "Segmentation for 3D Slicer", What: "With label names and colours.", Ending: ".seg.nrrd"},
		{ID: api.ExportSTL, Name: "Surfaces", What: "One file a label, in mm.", Ending: ".stl"},
		{ID: api.ExportCSV, Name: "Measurements", What: "Volume, mean, SD and centre of every label.", Ending: ".csv", On: true},
		{ID: api.ExportUncertainty, Name: "Uncertainty map", What: "The probability that a label is wrong, from 0 to 1, in the scan’s own grid.", Ending: ".nii.gz", Why: unsure},
		{ID: picture, Name: "Picture of the view", What: "As on screen, without patient data.", Ending: ".png"},
	}
	if len(old) == len(e.Formats) {
		for i := range old {
			e.Formats[i].On = old[i].On && e.Formats[i].Why == ""
		}
	}
	p.Show(DialogExport)
}

// fileName is a name that every file system takes.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`+"\t\n", r) || r < 32 {
			return '_'
		}
		return r
	}, strings.TrimSpace(s))
	if s == "" {
		return "scan"
	}
	return cut(s, 80)
}

// ToggleFormat marks a format or not.
func (p *Page) ToggleFormat(i int) {
	f := &p.Export.Formats[i]
	f.On = !f.On && f.Why == ""
}

// ExportCount is how many kinds of files are marked.
func (p *Page) ExportCount() (n int) {
	for _, f := range p.Export.Formats {
		if f.On {
			n++
		}
	}
	return n
}

// DoExport writes the files.
func (p *Page) DoExport() {
	e := &p.Export
	if e.Busy || p.ExportCount() == 0 {
		return
	}
	e.Failed, e.Saved, e.Busy = "", nil, true
	r := api.Export{Labels: api.File{Name: "labels"}, Name: fileName(e.Name), Model: p.Result.From}
	for _, f := range e.Formats {
		if f.On && f.ID != picture {
			r.Formats = append(r.Formats, f.ID)
		}
		if f.On && f.ID == picture {
			name := r.Name + ".png"
			p.Host.Viewer().Picture(p.Picture(), func(b Blob) {
				p.Host.Save(name, b)
				e.Saved = append(e.Saved, name)
			})
		}
	}
	labels, all := p.Result, true
	for _, l := range labels.Labels {
		all = all && (!e.Visible || l.Visible)
		if !e.Visible || l.Visible {
			n := l.Label
			n.Color = Hex(l.RGB)
			r.Names = append(r.Names, n)
		}
	}
	if len(r.Formats) == 0 {
		e.Busy = false
		return
	}
	blobs := []Blob{p.Host.BlobOf(p.Result.Map)}
	if slices.Contains(r.Formats, api.ExportUncertainty) {
		r.Uncertainty = &api.File{Name: "uncertainty", Blob: len(blobs)}
		blobs = append(blobs, p.Host.BlobOf(p.Result.Unsure))
	}
	p.ask(api.Request{PageRequest: api.PageRequest{Export: &r}}, blobs, func(a api.Answer, b []Bytes) {
		if a.Exported == nil {
			return
		}
		e.Busy = false
		if all && slices.ContainsFunc(r.Formats, func(f string) bool { return slices.Contains(labelFormats, f) }) {
			labels.unsaved = false
			p.keepLabels()
		}
		for _, f := range a.Exported.Files {
			p.Host.Save(f.Name, b[f.Blob].Blob())
			e.Saved = append(e.Saved, f.Name)
		}
		p.Host.Announce(Plural(len(e.Saved), "file is", "files are") + " saved")
	}, func(f *api.Failed) { e.Busy, e.Failed = false, sentence(f.Reason) })
}
