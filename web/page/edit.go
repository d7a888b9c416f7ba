package page

import (
	"bytes"
	"fmt"

	"github.com/gounet/gounet/web/labels"
)

// Edit is the correction of labels.
type Edit struct {
	Tool     string // brush, eraser, fill, threshold
	MM       int    // size of the brush
	Ball     bool   // all slices
	Bounded  bool   // by From and To
	From, To float64
	Map      *labels.Map
	before   []byte
	voxels   [256]int // of the labels, before
	last     [3]int
	painting bool
	unsaved  bool // of the result, before
}

// StartEdit begins to correct the labels.
func (p *Page) StartEdit() {
	r := p.Result
	if r == nil || len(r.Labels) == 0 {
		return
	}
	if r.Picked < 0 {
		r.Picked = 0
	}
	g := p.Scan.Look.Grid
	p.Edit = Edit{
		Tool: "brush", MM: max(int(6*g.Spacing[2]), 2), From: p.View.Low, To: p.View.High, before: bytes.Clone(r.Map), unsaved: r.unsaved,
		Map: &labels.Map{
			Shape: [3]int{g.Shape[2], g.Shape[1], g.Shape[0]}, Spacing: [3]float64{g.Spacing[2], g.Spacing[1], g.Spacing[0]}, Data: r.Map,
		},
	}
	p.Edit.voxels = counts(r.Map)
	p.Go(PanelEdit)
	p.View.setTool(p, "edit")
}

// SetEditTool chooses brush, eraser, fill or threshold.
func (p *Page) SetEditTool(tool string) {
	p.Edit.Tool = tool
	if tool == "threshold" {
		p.SetBounded(true)
	}
	p.View.setTool(p, "edit")
}

// SetBounded holds strokes to values between From and To, or not.
func (p *Page) SetBounded(yes bool) {
	e := &p.Edit
	e.Bounded = yes
	e.Map.Values = nil
	if yes {
		e.Map.Values = p.Host.Viewer().Voxels()
		e.Map.Low, e.Map.High = e.From, e.To
	}
}

// SetBound sets From or To.
func (p *Page) SetBound(to bool, text string) {
	p.EndTyping()
	x, ok := typedNumber(text)
	if !ok || p.Edit.Map == nil {
		return
	}
	if to {
		p.Edit.To = x
	} else {
		p.Edit.From = x
	}
	p.SetBounded(true)
}

// Resize makes the brush larger or smaller.
func (p *Page) Resize(by int) { p.Edit.MM = min(max(p.Edit.MM+by, 1), 60) }

var normals = [3]int{2, 1, 0} // axis x y z that a view is perpendicular to

// Stroke takes a drag of the pointer in a view, voxels x y z.
func (p *Page) Stroke(phase string, view int, at [3]int) {
	e, r := &p.Edit, p.Result
	if p.Panel != PanelEdit || e.Map == nil || view > 2 {
		return
	}
	normal := normals[view]
	if e.Ball {
		normal = -1
	}
	label := byte(r.Labels[r.Picked].Value)
	var changed labels.Range
	switch phase {
	case "begin":
		if e.Tool == "eraser" {
			label = 0
		}
		for i := range r.Labels {
			e.Map.Locked[r.Labels[i].Value] = r.Labels[i].Locked
		}
		where := fmt.Sprintf("slice %d", at[normals[view]]+1)
		if e.Ball {
			where = "3-D"
		}
		e.Map.Begin(fmt.Sprintf("%s, %s", map[string]string{"brush": "Brush", "eraser": "Eraser", "fill": "Fill", "threshold": "Threshold"}[e.Tool], where), label)
		e.painting, e.last = true, at
		switch e.Tool {
		case "fill":
			changed = e.Map.Fill(at, normal)
		case "threshold":
			changed = e.Map.Threshold(at, normal)
		default:
			changed = e.Map.Ball(at, float64(e.MM), normal)
		}
	case "move":
		if !e.painting || e.Tool == "fill" || e.Tool == "threshold" {
			return
		}
		changed = e.Map.Line(e.last, at, float64(e.MM), normal)
		e.last = at
	case "end":
		e.Map.End()
		e.painting, r.unsaved = false, true
		p.count()
		p.keepLabels()
	}
	p.changed(changed)
}

func (p *Page) changed(r labels.Range) {
	if r.Hi > r.Lo {
		p.Host.Viewer().Part(r.Lo, p.Edit.Map.Data[r.Lo:r.Hi])
	}
}

// count makes volumes those of the map.
func (p *Page) count() {
	ml, n := p.voxelML(), counts(p.Result.Map)
	for i := range p.Result.Labels {
		l := &p.Result.Labels[i]
		l.Voxels, l.ML = n[l.Value], float64(n[l.Value])*ml
	}
}

func counts(m []byte) (n [256]int) {
	for _, v := range m {
		n[v]++
	}
	return n
}

// voxelML is the volume of a voxel.
func (p *Page) voxelML() float64 {
	g := p.Scan.Look.Grid
	return g.Spacing[0] * g.Spacing[1] * g.Spacing[2] / 1000
}

// Undo takes the last stroke back, if none is being made.
func (p *Page) Undo() {
	if p.Edit.Map != nil && !p.Edit.painting {
		p.changed(p.Edit.Map.Undo())
		p.count()
		p.keepLabels()
	}
}

// Redo makes it again.
func (p *Page) Redo() {
	if p.Edit.Map != nil && !p.Edit.painting {
		p.changed(p.Edit.Map.Redo())
		p.count()
		p.keepLabels()
	}
}

// KeepEdit ends the correction.
func (p *Page) KeepEdit() {
	p.Result.Edited = p.Result.corrected(p.Edit.before) || p.Result.Edited
	p.Go(PanelLabels)
	p.measure(false)
}

// DiscardEdit goes back to the labels before it.
func (p *Page) DiscardEdit() {
	copy(p.Result.Map, p.Edit.before)
	p.Result.unsaved = p.Edit.unsaved
	p.Host.Viewer().Labels(p.Result.Map)
	p.count()
	p.Edit = Edit{}
	p.Go(PanelLabels)
	p.keepLabels()
	p.paint()
}

// DeltaML is what a change has added to the label that is drawn.
func (p *Page) DeltaML(c *labels.Change) string {
	return p.addedML(c.Delta(p.Result.Labels[p.Result.Picked].Value)) + " mL"
}

// GrownML is what the correction has added to a label so far, "" for nothing.
func (p *Page) GrownML(l *Label) string {
	if n := l.Voxels - p.Edit.voxels[l.Value]; n != 0 {
		return p.addedML(n)
	}
	return ""
}

// addedML is a volume of voxels with its sign.
func (p *Page) addedML(voxels int) string {
	d := float64(voxels) * p.voxelML()
	if d < 0 {
		return "−" + ML(-d)
	}
	return "+" + ML(d)
}

// LockedText names a label that strokes leave as it is.
func (p *Page) LockedText() string {
	for _, l := range p.Result.Labels {
		if l.Locked {
			return l.Name + " is locked: strokes leave it as it is."
		}
	}
	return ""
}
