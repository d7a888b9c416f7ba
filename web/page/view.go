package page

import (
	"fmt"
	"math"

	"github.com/gounet/gounet/internal/api"
)

// View is how the scan is shown.
type View struct {
	Layout       string // 1+3, 2x2, one
	One          int    // the view of layout "one"
	Radiological bool
	Low, High    float64
	Preset       string
	Tool         string
	Voxel        [3]int // x y z of the crosshair
	Value        float64
	Planes       [3]Plane
	Hover        *Hover

	Fill    bool // else outlines
	Unsure  bool // in their place
	Opacity int  // of all labels, percent
	Show3D  bool
	Ruler   *Ruler
}

// Plane is where things are in a view.
type Plane struct {
	Slice, Of int
	X, Y      float64 // of the crosshair, 0 to 1
	MM        float64 // a pixel
	Width     float64 // of the view, in pixels
}

// Hover is what is under the pointer.
type Hover struct {
	View   int
	Voxel  [3]int
	Value  float64
	PX, PY float64
}

// Ruler is a length that was measured.
type Ruler struct {
	MM             float64
	X1, Y1, X2, Y2 float64 // pixels of the stage
}

// PlaneNames are those of the views.
var PlaneNames = [4]string{"Axial", "Coronal", "Sagittal", "3-D"}

// Preset is a window.
type Preset struct {
	Name      string
	Low, High float64
}

var ctPresets = []Preset{
	{"Soft tissue", -140, 260}, {"Liver", -10, 150}, {"Lung", -1350, 150}, {"Bone", -500, 1300}, {"Brain", 0, 80},
}

// fullRange is the last preset.
const fullRange = "Full range"

// Presets are those of the scan: CT has windows in HU, all else the spread of its values.
func (p *Page) Presets() []Preset {
	s := p.Scan
	if s == nil {
		return nil
	}
	full := Preset{fullRange, s.Look.Min, s.Look.Max}
	if s.Modality() == "CT" || s.looksCT() {
		return append(append([]Preset{}, ctPresets...), full)
	}
	lo, hi := s.Look.Window[0], s.Look.Window[1]
	return []Preset{{"Automatic", lo, hi}, {"High contrast", lo + (hi-lo)*.2, lo + (hi-lo)*.8}, {"Dark tissue", lo, lo + (hi-lo)*.5}, {"Bright tissue", lo + (hi-lo)*.4, hi}, full}
}

func (v *View) begin(p *Page) {
	v.Hover, v.Ruler, v.Show3D = nil, nil, true
	ps := p.Presets()
	v.Preset, v.Low, v.High = ps[0].Name, ps[0].Low, ps[0].High
	if ps[0].Name == ctPresets[0].Name {
		p.Scan.Look.Window = [2]float64{ps[0].Low, ps[0].High}
	}
	v.setTool(p, "cross")
}

// UsePreset sets the i-th preset.
func (p *Page) UsePreset(i int) {
	if ps := p.Presets(); i >= 0 && i < len(ps) {
		p.SetWindow(ps[i].Low, ps[i].High, ps[i].Name)
	}
}

// SetWindow shows values between black and white.
func (p *Page) SetWindow(low, high float64, preset string) {
	if !(high > low) {
		high = low + 1
	}
	p.View.Low, p.View.High, p.View.Preset = low, high, preset
	p.Host.Viewer().Window(low, high)
}

// Width and Level of the window.
func (v *View) Width() float64 { return v.High - v.Low }

// Level is the middle of the window.
func (v *View) Level() float64 { return (v.High + v.Low) / 2 }

// SetWidth keeps the level.
func (p *Page) SetWidth(text string) {
	p.EndTyping()
	if w, ok := typedNumber(text); ok && w > 0 {
		l := p.View.Level()
		p.SetWindow(l-w/2, l+w/2, "Own")
	}
}

// SetLevel keeps the width.
func (p *Page) SetLevel(text string) {
	p.EndTyping()
	if l, ok := typedNumber(text); ok {
		w := p.View.Width()
		p.SetWindow(l-w/2, l+w/2, "Own")
	}
}

// DragWindow changes width and level by pixels of a drag: across and down.
func (p *Page) DragWindow(dx, dy float64) {
	if p.Scan == nil {
		return
	}
	unit := (p.Scan.Look.Max - p.Scan.Look.Min) / 1000
	w := max(p.View.Width()+dx*unit, unit/10)
	l := p.View.Level() - dy*unit
	p.SetWindow(l-w/2, l+w/2, "Own")
}

// SetLayout chooses among 1+3, 2x2 and one.
func (p *Page) SetLayout(l string) {
	p.View.Layout = l
	p.Host.Viewer().Redraw()
}

// NextLayout goes round.
func (p *Page) NextLayout() {
	p.SetLayout(map[string]string{"1+3": "2x2", "2x2": "one", "one": "1+3"}[p.View.Layout])
}

// Maximise shows one view, or all again.
func (p *Page) Maximise(view int) {
	if p.View.Layout == "one" && p.View.One == view {
		p.SetLayout("1+3")
		return
	}
	p.View.One = view
	p.SetLayout("one")
}

// ShowPlane chooses the view of a phone.
func (p *Page) ShowPlane(view int) {
	p.View.One = view
	p.Host.Viewer().Redraw()
}

// SetRadiological shows the patient's right at the left, or not.
func (p *Page) SetRadiological(yes bool) {
	p.View.Radiological = yes
	p.Host.Viewer().Radiological(yes)
}

func (v *View) setTool(p *Page, tool string) {
	v.Tool = tool
	if tool != "measure" {
		v.Ruler = nil
	}
	p.Host.Viewer().Tool(tool)
}

// SetTool chooses what a drag does.
func (p *Page) SetTool(tool string) { p.View.setTool(p, tool) }

// Measured takes a ruler between two voxels x y z.
func (p *Page) Measured(r Ruler, from, to [3]float64) {
	if p.Scan == nil {
		return
	}
	sum := 0.0
	for a := range 3 {
		d := (to[a] - from[a]) * p.Scan.Look.Grid.Spacing[2-a]
		sum += d * d
	}
	r.MM = math.Sqrt(sum)
	p.View.Ruler = &r
}

// Place is where a voxel x y z is, in mm, as patients lie: x to the left, y to the
// back, z to the head.
func (p *Page) Place(v [3]int) (mm [3]float64) {
	a := p.Scan.Look.Grid.Affine
	for r := range 3 {
		mm[r] = a[r][0]*float64(v[0]) + a[r][1]*float64(v[1]) + a[r][2]*float64(v[2]) + a[r][3]
	}
	mm[0], mm[1] = -mm[0], -mm[1]
	return mm
}

// Edges are the letters at left, right, top and bottom of a view.
func (v *View) Edges(view int) [4]string {
	switch {
	case view == 2:
		return [4]string{"A", "P", "S", "I"}
	case view == 1 && v.Radiological:
		return [4]string{"R", "L", "S", "I"}
	case view == 1:
		return [4]string{"L", "R", "S", "I"}
	case v.Radiological:
		return [4]string{"R", "L", "A", "P"}
	}
	return [4]string{"L", "R", "A", "P"}
}

// Scale is the length of a ruler in a view, and how many pixels that is: it stays clear
// of the letter in the middle.
func (v *View) Scale(view int) (text string, pixels float64) {
	const share = .3 // of the view's width
	mm, most := v.Planes[view].MM, share*v.Planes[view].Width
	if !(mm > 0) {
		return "", 0
	}
	for _, l := range []float64{200, 100, 50, 20, 10, 5, 2, 1, .5, .2, .1} {
		if px := l / mm; px <= most {
			if l >= 10 {
				return fmt.Sprintf("%.0f cm", l/10), px
			}
			return fmt.Sprintf("%g mm", l), px
		}
	}
	return "", 0
}

// Classes of a view, by the layout.
func (v *View) Classes(view int) string {
	c := "vp"
	if view == 0 {
		c += " vp-main"
	}
	if v.Layout == "one" && v.One != view {
		c += " away"
	}
	if v.One == view {
		c += " tab"
	}
	return c
}

// TileStyle is where the tile that is in work lies in a view, "" if it is not in its
// slice.
func (p *Page) TileStyle(view int) string {
	box, at := p.Run.next, p.View.Planes[view]
	if box == nil || p.Run.Stage != RunTiles || p.Panel != PanelRun || !(at.MM > 0) {
		return ""
	}
	normal := normals[view]
	if v := p.View.Voxel[normal]; v < box.Lo[2-normal] || v >= box.Lo[2-normal]+box.Shape[2-normal] {
		return ""
	}
	across, down := 0, 2
	switch view {
	case 0:
		down = 1
	case 2:
		across = 1
	}
	right := view != 2 && !p.View.Radiological // the axis across counts to the right
	left, width := p.span(box, across, at.MM, right)
	top, height := p.span(box, down, at.MM, false)
	return fmt.Sprintf("left:calc(%.3f%% + %.1fpx);top:calc(%.3f%% + %.1fpx);width:%.1fpx;height:%.1fpx", 100*at.X, left, 100*at.Y, top, width, height)
}

// span is where a box begins on an axis x y z, in pixels of mm from the crosshair, and
// how long it is.
func (p *Page) span(b *api.Box, axis int, mm float64, forward bool) (from, length float64) {
	pixel := p.Scan.Look.Grid.Spacing[2-axis] / mm
	middle := float64(p.View.Voxel[axis]) + .5
	lo, hi := float64(b.Lo[2-axis])-middle, float64(b.Lo[2-axis]+b.Shape[2-axis])-middle
	if !forward {
		lo, hi = -hi, -lo
	}
	return lo * pixel, (hi - lo) * pixel
}
