package report

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/train"
)

// comparePage is what compare.html shows.
type comparePage struct {
	Title, Subtitle string
	Tiles           []tile
	Missing         []string
	Runs            []entry
	Charts          []chart
	Structures      []structureView
	Cases           []caseLine
	Differences     []Difference
	Times           []timeLine
}

// structureView is the table of a structure.
type structureView struct {
	ID, Name string
	Rows     []scoredRow
}

type scoredRow struct {
	entry
	Cases, Dice, Difference, P, Counts, Best, Worst string
}

// caseLine is a case with its mean Dice, or a dash, in each run, and the differences
// from the first.
type caseLine struct {
	ID    string
	Cells []caseCell
}

type caseCell struct{ Dice, Difference string }

// timeLine is a part of the time in each run.
type timeLine struct {
	Name, Note string
	Values     []string
}

// Write writes found, which Compare has made of c, as HTML.
func (c *Comparison) Write(w io.Writer, found *Compared) error {
	p := comparePage{Title: c.Title, Subtitle: fmt.Sprintf("Comparison of %d runs", len(c.Runs)), Differences: found.Differences}
	for i, r := range found.Runs {
		p.Runs = append(p.Runs, entry{Name: r.Name, Hex: hex(preview.Hue(i))})
		for _, missing := range r.Missing {
			p.Missing = append(p.Missing, r.Name+": "+missing)
		}
	}
	p.Tiles = c.tiles(found)
	p.Charts = c.charts(p.Runs)
	for i, s := range found.Structures {
		p.Structures = append(p.Structures, newStructureView(i, s, p.Runs))
	}
	p.Cases = c.lines()
	p.Times = c.times(found)
	t, err := template.ParseFS(files, "compare.html", "report.html", "report.css")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// tiles has the mean Dice of each run on top.
func (c *Comparison) tiles(found *Compared) (t []tile) {
	for i, r := range found.Runs {
		one := tile{Name: r.Name, Value: none, Note: "not validated"}
		if s := c.Runs[i].Summary; c.Runs[i].validated() {
			one.Value = dice(s.ForegroundMean.Dice)
			one.Note = fmt.Sprintf("mean foreground Dice of %d %s", len(s.Cases), plural(len(s.Cases), "case", "cases"))
		}
		t = append(t, one)
	}
	return t
}

// charts show loss and pseudo Dice of all runs over the epochs of the longest.
func (c *Comparison) charts(runs []entry) []chart {
	var longest []train.Epoch
	for _, r := range c.Runs {
		if len(r.Epochs) > len(longest) {
			longest = r.Epochs
		}
	}
	if longest == nil {
		return nil
	}
	curve := func(i int, name, class string, of func(train.Epoch) train.Number) series {
		s := series{Name: runs[i].Name + ", " + name, Class: class, Hex: runs[i].Hex, values: make([]float64, len(longest))}
		for k := range s.values {
			s.values[k] = math.NaN()
			if k < len(c.Runs[i].Epochs) {
				s.values[k] = float64(of(c.Runs[i].Epochs[k]))
			}
		}
		return s
	}
	const thin, thick = "c-label c-dotted", "c-label c-run"
	loss := chart{ID: "loss", Title: "Loss"}
	pseudo := chart{ID: "dice", Title: "Pseudo Dice: mean of the structures in validation patches"}
	for i := range c.Runs {
		loss.Series = append(loss.Series,
			curve(i, "training", thin, func(e train.Epoch) train.Number { return e.TrainLoss }),
			curve(i, "validation", thick, func(e train.Epoch) train.Number { return e.ValLoss }))
		pseudo.Series = append(pseudo.Series,
			curve(i, "each epoch", thin, func(e train.Epoch) train.Number { return e.MeanDice }),
			curve(i, "moving average", thick, average))
	}
	loss.Series, pseudo.Series = keep(loss.Series...), keep(pseudo.Series...)
	lo, hi := extent(loss.Series)
	loss.lay(longest, lo, hi)
	pseudo.layDice(longest)
	return []chart{loss, pseudo}
}

// average is the moving average of the Dice; without Dice it is of the loss, and not shown.
func average(e train.Epoch) train.Number {
	if math.IsNaN(float64(e.MeanDice)) {
		return e.MeanDice
	}
	return e.EMA
}

func newStructureView(i int, s Structure, runs []entry) structureView {
	v := structureView{ID: "h-structure-" + strconv.Itoa(i), Name: s.Name}
	for k, r := range s.Runs {
		row := scoredRow{entry: runs[k], Cases: strconv.Itoa(r.Cases), Dice: dice(float64(r.Dice)), Difference: none, P: none, Counts: none, Best: none, Worst: none}
		if r.Common > 0 {
			row.Difference = change(float64(r.Difference))
			row.P = probability(float64(r.P))
			row.Counts = fmt.Sprintf("%d / %d of %d", r.Better, r.Worse, r.Common)
			row.Best = change(r.Best.Difference) + " " + r.Best.Case
			row.Worst = change(r.Worst.Difference) + " " + r.Worst.Case
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// change writes a difference of Dice with its sign.
func change(v float64) string {
	s := decimals(v, 0.0001)
	if v > 0 && strings.Trim(s, "0.") != "" {
		s = "+" + s
	}
	return s
}

// probability writes p with two digits.
func probability(p float64) string {
	switch {
	case math.IsNaN(p):
		return none
	case p < 0.0001:
		return "< 0.0001"
	}
	return strconv.FormatFloat(p, 'g', 2, 64)
}

// lines are all cases that any run was validated on.
func (c *Comparison) lines() (lines []caseLine) {
	cases := make([]map[string][]metric.Scores, len(c.Runs))
	var ids []string
	for i := range c.Runs {
		cases[i] = c.Runs[i].cases()
		for id := range cases[i] {
			ids = append(ids, id)
		}
	}
	var targets []metric.Target
	for _, l := range c.Runs[0].Plan.Foreground() {
		targets = append(targets, l.Values)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		line := caseLine{ID: id}
		base := cases[0][id]
		for i := range c.Runs {
			cell := caseCell{Dice: none, Difference: none}
			if scores, ok := cases[i][id]; ok {
				r, first := &c.Runs[i], &c.Runs[0]
				cell.Dice = dice(meanDice(r, r, scores, scores, targets))
				if i > 0 && base != nil {
					cell.Difference = change(meanDice(r, first, scores, base, targets) - meanDice(first, r, base, scores, targets))
				}
			}
			line.Cells = append(line.Cells, cell)
		}
		lines = append(lines, line)
	}
	return lines
}

// times are the seconds a step and the parts of the time of every run.
func (c *Comparison) times(found *Compared) (lines []timeLine) {
	parts := make([]*timeView, len(c.Runs))
	some := -1
	for i, r := range c.Runs {
		if len(r.Epochs) > 0 {
			parts[i] = newTimeView(r.Epochs)
		}
		if parts[i] != nil {
			some = i
		}
	}
	if some < 0 {
		return nil
	}
	step, total := timeLine{Name: "A step", Note: "mean"}, timeLine{Name: "All"}
	for i, r := range found.Runs {
		step.Values = append(step.Values, stepTime(float64(r.StepSeconds)))
		total.Values = append(total.Values, fmt.Sprintf("%s, %d %s", duration(float64(r.Seconds)), r.Epochs, plural(r.Epochs, "epoch", "epochs")))
		if parts[i] == nil {
			total.Values[i] = none
		}
	}
	lines = []timeLine{step}
	for k, part := range parts[some].Parts {
		line := timeLine{Name: part.Name, Note: part.Note}
		for _, v := range parts {
			value := none
			if v != nil {
				value = v.Parts[k].Seconds + ", " + v.Parts[k].Share
			}
			line.Values = append(line.Values, value)
		}
		lines = append(lines, line)
	}
	return append(lines, total)
}

// stepTime writes the seconds of a step: 12.3 ms, 0.217 s.
func stepTime(s float64) string {
	switch {
	case math.IsNaN(s):
		return none
	case s < 0.1:
		return decimals(1000*s, 0.1) + " ms"
	}
	return decimals(s, 0.001) + " s"
}
