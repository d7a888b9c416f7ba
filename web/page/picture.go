package page

import "fmt"

// Picture is what is written on a picture of the views: what somebody needs to read it
// who has nothing else. Nothing of it is of the patient, and no name of a file.
type Picture struct {
	Views  []PictureView   `json:"views"` // all four, whether they are seen or not
	Ruler  *PictureRuler   `json:"ruler,omitempty"`
	Title  string          `json:"title"`
	Legend []PictureLegend `json:"legend"`
}

// PictureView is what is written over a view.
type PictureView struct {
	Name     string    `json:"name"` // and slice
	Place    string    `json:"place,omitempty"`
	Depth    string    `json:"depth,omitempty"` // from slice to slice
	Edges    [4]string `json:"edges"`           // left, right, top, bottom
	Window   string    `json:"window"`
	Preset   string    `json:"preset"` // by which the window was chosen
	Scale    string    `json:"scale,omitempty"`
	ScalePix float64   `json:"pixels,omitempty"` // of the page, that Scale is long
}

// PictureRuler is a length that was measured, in pixels of the stage.
type PictureRuler struct {
	Text string     `json:"text"`
	From [2]float64 `json:"from"`
	To   [2]float64 `json:"to"`
}

// PictureLegend is a colour and what it means.
type PictureLegend struct {
	Text    string  `json:"text"`
	Ground  string  `json:"ground"` // #rrggbb
	Stripe  string  `json:"stripe"`
	Pattern Pattern `json:"pattern"`
	Line    bool    `json:"line,omitempty"` // rather than a fill
}

// Picture is what is written on a picture of the views as they are.
func (p *Page) Picture() Picture {
	c := Picture{Title: p.pictureTitle(), Legend: p.legend()}
	for view := range p.View.Planes {
		c.Views = append(c.Views, p.pictureView(view))
	}
	c.Views = append(c.Views, PictureView{Name: PlaneNames[3]})
	if r := p.View.Ruler; r != nil {
		c.Ruler = &PictureRuler{r.Text(), [2]float64{r.X1, r.Y1}, [2]float64{r.X2, r.Y2}}
	}
	return c
}

func (p *Page) pictureView(view int) PictureView {
	s, axis := p.View.Planes[view], normals[view]
	v := PictureView{
		Name: fmt.Sprintf("%s %d / %d", PlaneNames[view], s.Slice+1, s.Of), Edges: p.View.Edges(view),
		Place: [3]string{"x ", "y ", "z "}[axis] + Millimetres(p.Place(p.View.Voxel)[axis]),
		Depth: Millimetres(p.Scan.Look.Grid.Spacing[2-axis]) + " slices", Window: p.View.WindowText(), Preset: p.View.Preset,
	}
	v.Scale, v.ScalePix = p.View.Scale(view)
	return v
}

// pictureTitle names what has made the labels. Files are not named, whose names may be
// those of patients.
func (p *Page) pictureTitle() string {
	r := p.Result
	if r == nil {
		return ""
	}
	title := r.From
	if p.Panel == PanelCompare {
		if p.Diff.swapped {
			return "A: labels of a file, B: " + p.Other.From
		}
		return "A: " + title + ", B: labels of a file"
	}
	if r.Edited {
		title += ", corrected"
	}
	if p.View.Unsure {
		title += " · how probable it is that the label is wrong"
	}
	return title
}

// legend says what colours mean in the views as they are.
func (p *Page) legend() (list []PictureLegend) {
	add := func(text string, k Ink, line bool) {
		list = append(list, PictureLegend{text, Hex(k.RGB), Hex(k.Stripe()), k.Pattern, line})
	}
	switch {
	case p.Result == nil:
	case p.View.Unsure:
		for _, s := range UnsureScale() {
			add(s.Text, Ink{RGB: s.RGB}, false)
		}
	case p.Panel == PanelCompare:
		for _, d := range DiffScale() {
			add(d.Text, d.Ink, d.Line)
		}
	default:
		for _, l := range p.Result.Labels {
			if !l.Visible || l.Measured && l.Voxels == 0 {
				continue
			}
			text := l.Name
			if l.Measured {
				text += " " + l.MLText() + " mL"
			}
			add(text, l.Ink, false)
		}
	}
	return list
}

// Text is the length.
func (r *Ruler) Text() string { return fmt.Sprintf("%.1f mm", r.MM) }

// WindowText is width and level of the window.
func (v *View) WindowText() string {
	return fmt.Sprintf("W %s  L %s", Value(v.Width()), Value(v.Level()))
}
