package page

import (
	"fmt"
	"strings"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/web/labels"
)

// Compare is two results side by side.
type Compare struct {
	Rows   []CompareRow
	Picked int
	diff   []byte
	slices []int
	Where  string
	Busy   string

	swapped bool // Result is B, and Other A
}

// CompareRow is a label of both.
type CompareRow struct {
	Label
	Dice     float64
	AML, BML float64
}

// StartCompare asks for a second label map.
func (p *Page) StartCompare() {
	if p.Other != nil {
		p.compare()
		return
	}
	p.Host.Choose("", false, false, p.CompareWith)
}

// CompareWith reads the second label map from files.
func (p *Page) CompareWith(files []File) {
	if len(files) == 0 {
		return
	}
	list, blobs := sent(files)
	p.Diff.Busy = "Reading " + files[0].Path
	p.ask(api.Request{PageRequest: api.PageRequest{Read: &api.Read{Files: list}}}, blobs, func(a api.Answer, b []Bytes) {
		p.Diff.Busy = ""
		if a.ReadLabels != nil && p.Result != nil {
			p.Other = resultOf(files[0].Path, a.ReadLabels.Labels, b[0].Copy())
			p.compare()
		}
	}, func(f *api.Failed) {
		p.Diff.Busy = ""
		p.Alert = &Alert{Title: files[0].Path + " cannot be compared", Text: sentence(f.Reason), Do: "Choose another file", OnDo: func() {
			p.Host.Choose("", false, false, p.CompareWith)
		}}
	})
}

func (p *Page) compare() {
	a, b := p.Result, p.Other
	o := labels.Compare(a.Map, b.Map)
	g := p.Scan.Look.Grid
	ml := g.Spacing[0] * g.Spacing[1] * g.Spacing[2] / 1000
	p.Diff = Compare{Picked: -1}
	for _, l := range a.Labels {
		if v := l.Value; o[v].A+o[v].B > 0 {
			p.Diff.Rows = append(p.Diff.Rows, CompareRow{Label: l, Dice: o[v].Dice, AML: float64(o[v].A) * ml, BML: float64(o[v].B) * ml})
		}
	}
	p.Go(PanelCompare)
	if len(p.Diff.Rows) > 0 {
		p.PickDifference(0)
	}
}

// PickDifference shows the differences of a label.
func (p *Page) PickDifference(i int) {
	d := &p.Diff
	if i < 0 || i >= len(d.Rows) {
		return
	}
	d.Picked = i
	s := p.Scan.Look.Grid.Shape
	d.diff = labels.Differences(p.Result.Map, p.Other.Map, byte(d.Rows[i].Value))
	d.slices = labels.Slices(d.diff, [3]int{s[2], s[1], s[0]})
	best := 0
	for z, n := range d.slices {
		if n > d.slices[best] {
			best = z
		}
	}
	v := p.Host.Viewer()
	v.Labels(d.diff)
	p.paintDifferences()
	if d.slices[best] == 0 {
		d.Where = d.Rows[i].Name + ": no difference."
		return
	}
	d.Where = fmt.Sprintf("%s: the largest difference lies at slice %d, %s.", d.Rows[i].Name, best+1, p.mostOf(d.diff, best))
	v.Go(p.View.Voxel[0], p.View.Voxel[1], best)
}

// paintDifferences tells the viewer the colours of a map of differences.
func (p *Page) paintDifferences() {
	lut := newLUT()
	for _, d := range DiffScale() {
		for _, v := range d.values {
			lut.set(v, d.Ink, d.opacity)
		}
	}
	p.Host.Viewer().Paint(lut, .7, 1)
}

// DiffInk is how a kind of difference is drawn.
type DiffInk struct {
	Text string
	Ink
	Line    bool // rather than a fill
	opacity float64
	values  []int
}

// DiffScale is the legend of a map of differences, each of which has a pattern of its own.
func DiffScale() []DiffInk {
	const veil = .15
	return []DiffInk{
		{"Only in A", Ink{Palette[0], Solid}, false, 1, []int{labels.OnlyA}},
		{"Only in B", Ink{Palette[1], Falling}, false, 1, []int{labels.OnlyB}},
		{"Another label", Ink{Palette[5], Crossed}, false, 1, []int{labels.OtherA, labels.OtherB}},
		{"In both", Ink{[3]uint8{255, 255, 255}, Solid}, true, veil, []int{labels.InAB}},
	}
}

// mostOf says of which side there is more in a slice of a map of differences, and how much.
func (p *Page) mostOf(diff []byte, slice int) string {
	g := p.Scan.Look.Grid
	plane := g.Shape[1] * g.Shape[2]
	n := [2]int{}
	for _, v := range diff[slice*plane : (slice+1)*plane] {
		for side, values := range labels.Sides {
			if v == values[0] || v == values[1] {
				n[side]++
			}
		}
	}
	side := "A"
	if n[1] > n[0] {
		side = "B"
	}
	return ML(float64(max(n[0], n[1]))*g.Spacing[0]*g.Spacing[1]*g.Spacing[2]/1000) + " mL in " + side + " only"
}

// NextDifference goes to the next slice with one, or the one before.
func (p *Page) NextDifference(step int) {
	d := &p.Diff
	n := len(d.slices)
	for k := 1; k <= n; k++ {
		z := ((p.View.Voxel[2]+k*step)%n + n) % n
		if d.slices[z] > 0 {
			p.Host.Viewer().Go(p.View.Voxel[0], p.View.Voxel[1], z)
			return
		}
	}
}

// SwapCompared changes A and B.
func (p *Page) SwapCompared() {
	swapped := !p.Diff.swapped
	p.Result, p.Other = p.Other, p.Result
	p.compare()
	p.Diff.swapped = swapped
}

// EndCompare shows the labels again.
func (p *Page) EndCompare() {
	if p.Diff.swapped {
		p.Result, p.Other, p.Diff.swapped = p.Other, p.Result, false
	}
	p.Host.Viewer().Labels(p.Result.Map)
	p.Go(PanelLabels)
	p.paint()
}

// CompareCSV are the rows as a table.
func (p *Page) CompareCSV() string {
	var b strings.Builder
	b.WriteString("label,name,dice,a_ml,b_ml,difference_ml\n")
	for _, r := range p.Diff.Rows {
		name := strings.ReplaceAll(r.Name, `"`, `""`)
		if strings.ContainsAny(name[:min(len(name), 1)], "=+-@") {
			name = "'" + name
		}
		fmt.Fprintf(&b, "%d,\"%s\",%.4f,%.4f,%.4f,%.4f\n", r.Value, name, r.Dice, r.AML, r.BML, r.BML-r.AML)
	}
	return b.String()
}

// SaveCompared writes the table.
func (p *Page) SaveCompared() {
	p.Host.Save(p.Scan.Name+"_compared.csv", p.Host.BlobOf([]byte(p.CompareCSV())))
}
