// Package report writes what came of a training, or of several beside each other,
// as one HTML file for people: curves, scores, and cases to look at. It scores no
// labels and reads no files.
//
// The one idea: the file stands alone. Styles and curves are inline, pictures are
// data: PNGs, nothing is a script, and a content security policy in the file says
// so; it can be mailed, archived, printed and opened without a network. Names come
// from data sets and are not trusted: all text goes through html/template.
package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/core/volume"
)

// Report is what is known. Every field but Title may be empty; its section is
// then left out.
type Report struct {
	Title         string
	Plan          *plan.Plan // names of labels and channels, and the set-up
	Configuration string     // of Plan
	Epochs        []train.Epoch
	Summary       *metric.Summary
	Cases         []Case // those to look at, see Choose
	Facts         []Fact // what else is to be said: device, date, version
}

// Case is a scan with its labels, all on one grid.
type Case struct {
	Rank       string // what it stands for: Best, Median, Worst
	ID         string
	Image      *volume.Image
	Reference  *volume.Labels // nil: there is none
	Prediction *volume.Labels // nil: there is none
}

// Fact is a line of the set-up.
type Fact struct{ Name, Value string }

//go:embed report.html compare.html report.css
var files embed.FS

// page is what report.html shows.
type page struct {
	Title    string
	Subtitle string
	Tiles    []tile
	Charts   []chart
	Legend   []entry
	Cases    []caseView
	Scores   *scoresView
	Time     *timeView
	Setup    []Fact
}

// tile is one of the numbers on top.
type tile struct {
	Name, Value, Unit, Note string
}

// Write writes r as HTML. It fails for a case whose image and labels have not the
// same shape, and where w does.
func (r *Report) Write(w io.Writer) error {
	p := page{Title: r.Title, Subtitle: r.subtitle(), Setup: r.setup()}
	l := newLegend(r)
	for i := range r.Cases {
		v, err := r.view(&r.Cases[i], l)
		if err != nil {
			return fmt.Errorf("report: case %s: %w", r.Cases[i].ID, err)
		}
		p.Cases = append(p.Cases, v)
	}
	p.Legend = l.shown(r.Cases)
	if len(r.Epochs) > 0 {
		p.Charts = []chart{lossChart(r.Epochs), diceChart(r.Epochs, r.foreground(l))}
		p.Time = newTimeView(r.Epochs)
	}
	if r.Summary != nil && len(r.Summary.Cases) > 0 {
		p.Scores = r.scores(l)
	}
	p.Tiles = r.tiles()
	t, err := template.ParseFS(files, "report.html", "report.css")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (r *Report) config() *plan.Configuration {
	if r.Plan == nil {
		return nil
	}
	return r.Plan.Configuration(r.Configuration)
}

func (r *Report) subtitle() string {
	s := r.Configuration
	if r.Plan != nil && r.Plan.Dataset != "" && r.Plan.Dataset != r.Title {
		s = r.Plan.Dataset + sep(s) + s
	}
	return s
}

func sep(s string) string {
	if s == "" {
		return ""
	}
	return " · "
}

// foreground are the labels that the Dice of an epoch is in the order of.
func (r *Report) foreground(l *legend) []entry {
	if r.Plan == nil {
		return nil
	}
	var e []entry
	for _, label := range r.Plan.Foreground() {
		e = append(e, l.target(label.Values))
	}
	return e
}

// tiles are the numbers on top.
func (r *Report) tiles() []tile {
	var t []tile
	if s := r.Summary; s != nil && len(s.Cases) > 0 {
		t = append(t, tile{Name: "Mean foreground Dice", Value: dice(s.ForegroundMean.Dice), Note: "mean over cases and structures"})
		if s.Surface {
			t = append(t, tile{Name: "Mean HD95", Value: number(s.ForegroundMean.HD95), Unit: "mm", Note: "95th percentile of surface distances"})
		}
		best, _, worst := Choose(s)
		note := ""
		if best != worst {
			note = fmt.Sprintf("Dice %s to %s", dice(caseDice(s, worst)), dice(caseDice(s, best)))
		}
		t = append(t, tile{Name: plural(len(s.Cases), "Case", "Cases"), Value: fmt.Sprint(len(s.Cases)), Note: note})
	}
	if n := len(r.Epochs); n > 0 {
		note := ""
		if c := r.config(); c != nil {
			note = fmt.Sprintf("of %d steps, batch %d", r.Plan.Recipe.Schedule.Iterations, c.Batch)
		}
		t = append(t, tile{Name: plural(n, "Epoch", "Epochs"), Value: fmt.Sprint(n), Note: note})
		t = append(t, tile{Name: "Training time", Value: duration(seconds(r.Epochs)), Note: speed(r.Epochs)})
	}
	return t
}

// seconds is the time of all epochs.
func seconds(epochs []train.Epoch) float64 {
	sum := 0.0
	for _, e := range epochs {
		sum += e.Seconds
	}
	return sum
}

// speed is the median of images per second, in words.
func speed(epochs []train.Epoch) string {
	v := make([]float64, 0, len(epochs))
	for _, e := range epochs {
		if e.ImagesPerSecond > 0 {
			v = append(v, e.ImagesPerSecond)
		}
	}
	if len(v) == 0 {
		return ""
	}
	slices.Sort(v)
	return number(v[len(v)/2]) + " patches a second"
}
