package page

import (
	"fmt"
	"math"
	"strings"

	"github.com/gounet/gounet/internal/api"
)

// Result is a label map over the scan.
type Result struct {
	From    string // the model, or a file
	Labels  []Label
	Map     []byte // in the grid of Looked
	Unsure  []byte // there too, 255 times the probability that a label is wrong; nil: not known
	Picked  int    // index of the label that is open; −1: none
	More    bool   // its details are shown on a phone
	Rename  string // being typed; "\x00": nothing is renamed
	Edited  bool
	unsaved bool // no file has it
	kept    bool // in the browser, as it is
	changes int  // that were kept or are to be
	Busy    string

	done, undone []step
}

// Label is one of a result.
type Label struct {
	api.Label
	Ink
	Visible  bool
	Locked   bool
	Opacity  int // percent; −1: that of all
	Mean     float64
	Std      float64
	Measured bool
	Centre   [3]int // x y z
}

// notRenaming is Result.Rename while nothing is typed.
const notRenaming = "\x00"

// Palette are the colours that labels get and may be given.
var Palette = [8][3]uint8{
	{0xff, 0xd8, 0x90},
	{0x5f, 0xa1, 0xf3},
	{0xdf, 0x24, 0x14},
	{0x5f, 0xe6, 0xfc},
	{0x2a, 0x8f, 0x5e},
	{0xd2, 0x11, 0x9a},
	{0x8b, 0xbf, 0x26},
	{0x74, 0x53, 0xfe},
}

// ColourNames are those of Palette.
var ColourNames = [8]string{"Sand", "Blue", "Red", "Cyan", "Green", "Magenta", "Lime", "Violet"}

// Hex is a colour as CSS writes it.
func Hex(c [3]uint8) string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

func resultOf(from string, list []api.Label, m []byte) *Result {
	r := &Result{From: from, Map: m, Picked: -1, Rename: notRenaming}
	known := map[int]bool{}
	add := func(l api.Label) {
		l.Name = short(strings.ReplaceAll(l.Name, "_", " "), longName)
		r.Labels = append(r.Labels, Label{Label: l, Ink: inkOf(len(r.Labels)), Visible: true, Opacity: -1})
		known[l.Value] = true
	}
	for _, l := range list {
		add(l)
	}
	var seen [256]bool
	for _, v := range m {
		seen[v] = true
	}
	for v := 1; v < 255; v++ {
		if seen[v] && !known[v] {
			add(api.Label{Value: v, Name: fmt.Sprintf("Label %d", v)})
		}
	}
	return r
}

// setResult shows labels over the scan.
func (p *Page) setResult(list []api.Label, m Bytes, from string) {
	r := resultOf(from, list, m.Copy())
	r.unsaved = true
	p.showResult(r)
}

func (p *Page) showResult(r *Result) {
	p.Result = r
	p.Edit, p.View.Unsure = Edit{}, false
	p.Panel, p.Alert = PanelLabels, nil
	p.Host.Viewer().Labels(p.Result.Map)
	p.paint()
	p.measure(true)
	p.Host.Focus(".panel [data-first]")
}

// measure asks for the numbers and surfaces of the labels.
func (p *Page) measure(jump bool) {
	r := p.Result
	blob := p.Host.BlobOf(r.Map)
	r.Busy = "Measuring"
	p.ask(api.Request{PageRequest: api.PageRequest{Measure: &api.Measure{Labels: api.File{Name: "labels"}}}}, []Blob{blob}, func(a api.Answer, _ []Bytes) {
		if a.Measured != nil && p.Result == r {
			r.Busy = ""
			r.measured(a.Measured)
			if jump {
				p.jumpToLargest()
			}
		}
	}, func(f *api.Failed) {
		if p.Result == r {
			r.Busy, p.Notice = "", "The labels could not be measured: "+f.Reason+"."
		}
	})
	p.ask(api.Request{PageRequest: api.PageRequest{Surface: &api.Surface{Labels: api.File{Name: "labels"}}}}, []Blob{blob}, func(a api.Answer, b []Bytes) {
		if a.Surfaced == nil || p.Result != r {
			return
		}
		var list []Surface
		for i, v := range a.Surfaced.Values {
			if l := r.of(v); l != nil && i < len(b) {
				list = append(list, Surface{v, l.RGB, b[i]})
			}
		}
		p.Host.Viewer().Surfaces(list)
		p.paint()
	}, nil)
}

func (r *Result) of(value int) *Label {
	for i := range r.Labels {
		if r.Labels[i].Value == value {
			return &r.Labels[i]
		}
	}
	return nil
}

func (r *Result) measured(m *api.Measured) {
	for i := range r.Labels {
		r.Labels[i].Voxels, r.Labels[i].ML, r.Labels[i].Measured = 0, 0, true
	}
	for _, s := range m.Labels {
		if l := r.of(s.Value); l != nil {
			l.Voxels, l.ML, l.Mean, l.Std = s.Voxels, s.ML, s.Mean, s.Std
			l.Centre = [3]int{s.Centre[2], s.Centre[1], s.Centre[0]}
		}
	}
}

func (p *Page) jumpToLargest() {
	best := -1
	for i, l := range p.Result.Labels {
		if l.Voxels > 0 && (best < 0 || l.Voxels > p.Result.Labels[best].Voxels) {
			best = i
		}
	}
	if best >= 0 {
		p.Result.Picked = best
		p.GoTo(best)
	}
}

// paint tells the viewer the colours.
func (p *Page) paint() {
	r := p.Result
	if p.Run.partial != nil {
		r = p.Run.partial
	}
	if r == nil {
		return
	}
	switch {
	case p.View.Unsure:
		p.paintUncertainty()
		return
	case p.Panel == PanelCompare:
		p.paintDifferences()
		return
	}
	lut := newLUT()
	for _, l := range r.Labels {
		if !l.Visible || l.Value < 0 || l.Value > 255 {
			continue
		}
		opacity := 1.
		if l.Opacity >= 0 && p.View.Fill {
			opacity = math.Min(float64(l.Opacity)/math.Max(float64(p.View.Opacity), 1), 1)
		}
		lut.set(l.Value, l.Ink, opacity)
	}
	v := p.Host.Viewer()
	if p.View.Fill {
		v.Paint(lut, float64(p.View.Opacity)/100, math.Min(1, float64(p.View.Opacity)/100+.4))
	} else {
		v.Paint(lut, .002, 1)
	}
	for _, l := range r.Labels {
		v.Surface(l.Value, l.RGB, l.Visible && p.View.Show3D)
	}
}

// SetFill draws labels filled, or as outlines.
func (p *Page) SetFill(yes bool) {
	p.View.Fill = yes
	p.ShowUncertainty(false)
	p.paint()
}

// SetOpacity is that of all labels, in percent.
func (p *Page) SetOpacity(n int) {
	p.View.Opacity = min(max(n, 5), 100)
	p.paint()
}

// Toggle3D shows the surfaces or not.
func (p *Page) Toggle3D() {
	p.View.Show3D = !p.View.Show3D
	p.paint()
}

// ToggleAll shows all labels, or none.
func (p *Page) ToggleAll() {
	if p.Result == nil {
		return
	}
	any := false
	for _, l := range p.Result.Labels {
		any = any || l.Visible
	}
	for i := range p.Result.Labels {
		p.Result.Labels[i].Visible = !any
	}
	p.paint()
}

// Toggle shows a label or not.
func (p *Page) Toggle(i int) {
	p.Result.Labels[i].Visible = !p.Result.Labels[i].Visible
	p.paint()
}

// Lock keeps a label from being changed by strokes, or not.
func (p *Page) Lock(i int) { p.Result.Labels[i].Locked = !p.Result.Labels[i].Locked }

// Pick opens a label, and goes to it.
func (p *Page) Pick(i int) {
	r := p.Result
	r.Rename = notRenaming
	if r.Picked == i {
		r.More = !r.More
		return
	}
	r.Picked, r.More = i, false
}

// PickNext opens the next label, or the one before.
func (p *Page) PickNext(step int) {
	r := p.Result
	if r == nil || len(r.Labels) == 0 {
		return
	}
	r.Picked = (r.Picked + step + len(r.Labels)) % len(r.Labels)
	p.GoTo(r.Picked)
	p.Host.Focus(".lab.sel .nm")
}

// GoTo moves the crosshair to the middle of a label.
func (p *Page) GoTo(i int) {
	if i < 0 || i >= len(p.Result.Labels) {
		return
	}
	if l := p.Result.Labels[i]; l.Voxels > 0 && l.Measured {
		p.Host.Viewer().Go(l.Centre[0], l.Centre[1], l.Centre[2])
	}
}

// Only shows one label, or all again.
func (p *Page) Only(i int) {
	alone := true
	for k, l := range p.Result.Labels {
		alone = alone && l.Visible == (k == i)
	}
	for k := range p.Result.Labels {
		p.Result.Labels[k].Visible = alone || k == i
	}
	p.paint()
}

// SetColour gives a label a colour of the palette.
func (p *Page) SetColour(i, c int) {
	l := &p.Result.Labels[i]
	p.Result.relook("Colour of ", l, look{l.Name, Palette[c]})
	p.paint()
	p.keepLabels()
}

// SetLabelOpacity is that of one label, in percent.
func (p *Page) SetLabelOpacity(i, n int) {
	p.Result.Labels[i].Opacity = n
	if n > p.View.Opacity {
		p.View.Opacity = n
	}
	p.paint()
}

// OpacityOf is a label's own opacity, or that of all.
func (p *Page) OpacityOf(l *Label) int {
	if l.Opacity < 0 {
		return p.View.Opacity
	}
	return min(l.Opacity, p.View.Opacity)
}

// Renaming tells whether the open label's name is being typed.
func (r *Result) Renaming() bool { return r.Rename != notRenaming }

// BeginRename lets the open label's name be typed.
func (p *Page) BeginRename() {
	if r := p.Result; r != nil && r.Picked >= 0 {
		p.EndTyping()
		r.Rename = r.Labels[r.Picked].Name
		p.Host.Focus("#rename")
	}
}

// EndRename takes the name, unless it is empty, or typing it was given up.
func (p *Page) EndRename(name string) {
	r := p.Result
	p.EndTyping()
	if !r.Renaming() {
		return
	}
	const most = 60 // DICOM allows 64
	if name = strings.TrimSpace(name); name != "" && r.Picked >= 0 {
		l := &r.Labels[r.Picked]
		r.relook("Name of ", l, look{cut(name, most), l.RGB})
		p.keepLabels()
	}
	r.Rename = notRenaming
}

// MeanText is mean and standard deviation.
func (l *Label) MeanText() string {
	if !l.Measured || l.Voxels == 0 {
		return "–"
	}
	digits := 0
	if math.Abs(l.Mean) < 10 {
		digits = 2
	}
	return strings.ReplaceAll(fmt.Sprintf("%.*f ± %.*f", digits, l.Mean, digits, l.Std), "-", "−")
}

// MLText is the volume.
func (l *Label) MLText() string {
	if l.Voxels == 0 && l.Measured {
		return "0"
	}
	return ML(l.ML)
}

// LabelText names the label at a voxel x y z, or those of both results that are compared
// where they are not the same.
func (p *Page) LabelText(v [3]int) string {
	a := p.LabelAt(v)
	name := func(l *Label) string {
		if l == nil {
			return "none"
		}
		return l.Name
	}
	if p.Panel == PanelCompare && p.Other != nil {
		b := p.labelAt(p.Other, v)
		if a == nil && b != nil || a != nil && (b == nil || b.Value != a.Value) {
			return "A: " + name(a) + ", B: " + name(b)
		}
	}
	if a == nil {
		return ""
	}
	return a.Name
}

// LabelAt is the label at a voxel x y z, or nil.
func (p *Page) LabelAt(v [3]int) *Label { return p.labelAt(p.Result, v) }

func (p *Page) labelAt(r *Result, v [3]int) *Label {
	if r == nil || p.Scan == nil || p.Run.partial != nil {
		return nil
	}
	i := p.index(v)
	if i < 0 || i >= len(r.Map) || r.Map[i] == 0 {
		return nil
	}
	return r.of(int(r.Map[i]))
}

// index is where a voxel x y z is in maps in the grid of Looked.
func (p *Page) index(v [3]int) int {
	s := p.Scan.Look.Grid.Shape
	return (v[2]*s[1]+v[1])*s[2] + v[0]
}
