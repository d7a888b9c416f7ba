package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gounet/gounet/core/metric"
)

// scoresView is the section of scores.
type scoresView struct {
	Surface, Volumes bool // there are distances, volumes
	Columns          int  // of a structure in the table of cases
	Labels           []labelRow
	Structures       []entry // the groups of columns in the table of cases
	Rows             []caseRow
	Mean             caseRow
	Strip            *strip // nil for a single case: the table says it
	Extra            bool   // labels have surface Dice and average distance
}

// labelRow is a structure with its means over the cases.
type labelRow struct {
	entry
	Dice, IoU, HD95, ASSD, SurfaceDice string
	VolumeRef, VolumePred, Difference  string // mL, mL, percent
}

// caseRow is a case in the table.
type caseRow struct {
	ID, Rank   string
	Dice, HD95 string // means of the foreground
	Cells      []cell
}

// cell is a structure in a case.
type cell struct {
	Dice, HD95, VolumeRef, VolumePred string
	Low                               bool // far below the other cases
	Percent                           float64
}

// scores builds the tables and the plot of all cases.
func (r *Report) scores(l *legend) *scoresView {
	s := r.Summary
	v := &scoresView{Surface: s.Surface, Columns: 1}
	shown := foregroundOf(s)
	for _, m := range s.Mean {
		v.Volumes = v.Volumes || !math.IsNaN(m.VolumeRef)
		v.Extra = v.Extra || !math.IsNaN(m.ASSD)
	}
	if v.Surface {
		v.Columns++
	}
	if v.Volumes {
		v.Columns += 2
	}
	for _, i := range shown {
		e := l.target(s.Targets[i])
		v.Structures = append(v.Structures, e)
		v.Labels = append(v.Labels, newLabelRow(e, s.Mean[i]))
	}
	best, median, worst := Choose(s)
	limits := lowLimits(s, shown)
	for c := range s.Cases {
		row := caseRow{
			ID: CaseID(s.Cases[c]), Rank: rank(c, best, median, worst), Dice: dice(caseDice(s, c)),
			HD95: number(foregroundMean(s, c, func(m metric.Scores) float64 { return m.HD95 })),
		}
		for n, i := range shown {
			x := newCell(s.Cases[c].Scores[i])
			x.Low = s.Cases[c].Scores[i].Dice < limits[n]
			row.Cells = append(row.Cells, x)
		}
		v.Rows = append(v.Rows, row)
	}
	slices.SortStableFunc(v.Rows, func(a, b caseRow) int { return cmp.Compare(a.ID, b.ID) })
	v.Mean = caseRow{ID: "Mean", Dice: dice(s.ForegroundMean.Dice), HD95: number(s.ForegroundMean.HD95)}
	for _, i := range shown {
		v.Mean.Cells = append(v.Mean.Cells, newCell(s.Mean[i]))
	}
	if len(s.Cases) > 1 {
		v.Strip = newStrip(s, l)
	}
	return v
}

// foregroundOf are the indices of the targets without background.
func foregroundOf(s *metric.Summary) (shown []int) {
	for i, t := range s.Targets {
		if !isBackground(t) {
			shown = append(shown, i)
		}
	}
	return shown
}

// Ranks of cases.
const (
	Best   = "Best"
	Median = "Median"
	Worst  = "Worst"
)

// rank is what case i is; where there are fewer than three cases, the first that fits.
func rank(i, best, median, worst int) string {
	switch i {
	case best:
		return Best
	case worst:
		return Worst
	case median:
		return Median
	}
	return ""
}

func newLabelRow(e entry, m metric.Scores) labelRow {
	row := labelRow{
		entry: e, Dice: dice(m.Dice), IoU: dice(m.IoU), HD95: number(m.HD95), ASSD: number(m.ASSD),
		SurfaceDice: dice(m.SurfaceDice), VolumeRef: number(m.VolumeRef), VolumePred: number(m.VolumePred), Difference: none,
	}
	if m.VolumeRef > 0 && finite(m.VolumePred) {
		row.Difference = signed(100 * (m.VolumePred - m.VolumeRef) / m.VolumeRef)
	}
	return row
}

// signed writes a percentage with its sign.
func signed(percent float64) string {
	s := decimals(percent, 0.1)
	if percent > 0 && s != "0.0" {
		s = "+" + s
	}
	return s + " %"
}

func newCell(m metric.Scores) cell {
	c := cell{Dice: dice(m.Dice), HD95: number(m.HD95), VolumeRef: number(m.VolumeRef), VolumePred: number(m.VolumePred)}
	if !math.IsNaN(m.Dice) {
		c.Percent = round(100 * m.Dice)
	}
	return c
}

// lowLimits are, for each structure, the Dice below which a case is far from the
// others: 1.5 interquartile ranges below the first quartile (Tukey's fences).
func lowLimits(s *metric.Summary, shown []int) []float64 {
	limits := make([]float64, len(shown))
	for n, i := range shown {
		v := diceOf(s, i)
		if len(v) < 4 {
			limits[n] = math.Inf(-1)
			continue
		}
		q1, q3 := quantile(v, 0.25), quantile(v, 0.75)
		limits[n] = q1 - 1.5*(q3-q1)
	}
	return limits
}

// diceOf are the defined Dice of target i over the cases, sorted.
func diceOf(s *metric.Summary, i int) []float64 {
	var v []float64
	for _, c := range s.Cases {
		if d := c.Scores[i].Dice; !math.IsNaN(d) {
			v = append(v, d)
		}
	}
	slices.Sort(v)
	return v
}

// quantile of sorted values, linear between them.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	lo := int(at)
	hi := min(lo+1, len(v)-1)
	return v[lo] + (at-float64(lo))*(v[hi]-v[lo])
}

// strip is a plot with a row a structure and a dot a case, at its Dice.
type strip struct {
	Summary       string
	Width, Height float64
	Left, Right   float64
	Top, Bottom   float64
	X             []tick
	Rows          []stripRow
}

type stripRow struct {
	entry
	Y, Median, MedianTop, MedianBottom float64
	Text                               string // the median
	Dots                               []dot
}

type dot struct {
	X, Y float64
	Text string
}

// Size of a strip plot. Names stand above their row: they may be long.
const (
	stripWidth, stripRowHeight = 440, 46
	stripSide                  = 14
	stripTop, stripBottom      = 4, 30
	nameLength                 = 48 // characters that fit
)

func newStrip(s *metric.Summary, l *legend) *strip {
	shown := foregroundOf(s)
	p := &strip{Width: stripWidth, Left: stripSide, Right: stripWidth - stripSide, Top: stripTop}
	p.Bottom = p.Top + float64(len(shown))*stripRowHeight
	p.Height = p.Bottom + stripBottom
	lo := 1.0
	for _, i := range shown {
		if v := diceOf(s, i); len(v) > 0 {
			lo = min(lo, v[0])
		}
	}
	lo, hi, step := scale(lo, 1)
	hi = min(hi, 1)
	x := func(v float64) float64 { return round(p.Left + (p.Right-p.Left)*(v-lo)/(hi-lo)) }
	for i := 0; lo+float64(i)*step <= hi+step/2; i++ {
		v := lo + float64(i)*step
		p.X = append(p.X, tick{x(v), decimals(v, step)})
	}
	for n, i := range shown {
		p.Rows = append(p.Rows, newStripRow(s, i, l.target(s.Targets[i]), p.Top+float64(n)*stripRowHeight, x))
	}
	p.Summary = fmt.Sprintf("Dice of each of the %d cases, a row a structure", len(s.Cases))
	return p
}

func newStripRow(s *metric.Summary, i int, e entry, top float64, x func(float64) float64) stripRow {
	e.Name = shorten(e.Name, nameLength)
	row := stripRow{entry: e, Y: top + 32}
	row.MedianTop, row.MedianBottom = row.Y-9, row.Y+9
	if v := diceOf(s, i); len(v) > 0 {
		m := quantile(v, 0.5)
		row.Median, row.Text = x(m), "median "+dice(m)
	}
	for c := range s.Cases {
		if d := s.Cases[c].Scores[i].Dice; !math.IsNaN(d) {
			row.Dots = append(row.Dots, dot{X: x(d), Y: row.Y, Text: CaseID(s.Cases[c]) + ": Dice " + dice(d)})
		}
	}
	return row
}
