package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/train"
)

// chart is a picture of curves over the epochs, in the units of its view box.
type chart struct {
	ID, Title   string
	Summary     string // in words
	Width       float64
	Height      float64
	Left, Right float64 // of the frame
	Top, Bottom float64
	Y, X        []tick
	Series      []series
	Bands       []band
}

// PlotHeight is the height of the frame.
func (c chart) PlotHeight() float64 { return c.Bottom - c.Top }

type tick struct {
	At   float64
	Text string
}

// series is a curve, in pieces where values are missing.
type series struct {
	Name, Class, Hex string
	Last             string       // the last value
	Lines            []string     // points of polylines
	Dots             [][2]float64 // pieces of one value
	values           []float64
}

// band is an area that tells its values when pointed at.
type band struct {
	X, Width float64
	Text     string
}

// Size of a chart, and the space around its frame. A chart is about as many
// pixels wide on a phone, so that its text keeps its size there.
const (
	chartWidth, chartHeight = 440, 250
	chartLeft, chartRight   = 44, 10
	chartTop, chartBottom   = 10, 30
	maxBands                = 250
	maxCurves               = 8 // labels beyond this many have no curve of their own
)

// lossChart shows the loss of training and validation.
func lossChart(epochs []train.Epoch) chart {
	training := series{Name: "Training", Class: "c-train"}
	validation := series{Name: "Validation", Class: "c-val"}
	for _, e := range epochs {
		training.values = append(training.values, float64(e.TrainLoss))
		validation.values = append(validation.values, float64(e.ValLoss))
	}
	c := chart{ID: "loss", Title: "Loss", Series: keep(training, validation)}
	lo, hi := extent(c.Series)
	c.lay(epochs, lo, hi)
	return c
}

// diceChart shows the pseudo Dice of each label, their mean and its moving average.
func diceChart(epochs []train.Epoch, labels []entry) chart {
	mean := series{Name: "Mean", Class: "c-mean"}
	average := series{Name: "Moving average", Class: "c-ema"}
	var each []series
	for _, l := range labels {
		each = append(each, series{Name: l.Name, Class: "c-label", Hex: l.Hex})
	}
	if len(each) > maxCurves || len(each) < 2 {
		each = nil
	}
	for _, e := range epochs {
		if math.IsNaN(float64(e.MeanDice)) { // then the average is of the loss
			e.EMA = train.Number(math.NaN())
		}
		mean.values = append(mean.values, float64(e.MeanDice))
		average.values = append(average.values, float64(e.EMA))
		for i := range each {
			d := math.NaN()
			if i < len(e.Dice) {
				d = float64(e.Dice[i])
			}
			each[i].values = append(each[i].values, d)
		}
	}
	c := chart{ID: "dice", Title: "Dice of validation patches", Series: keep(append(each, mean, average)...)}
	c.layDice(epochs)
	return c
}

// layDice is lay with a scale up to 1.
func (c *chart) layDice(epochs []train.Epoch) {
	lo, hi := extent(c.Series)
	if lo >= 0 && hi <= 1 {
		hi = 1
	}
	c.lay(epochs, lo, hi)
}

// keep drops series without a value.
func keep(all ...series) (kept []series) {
	for _, s := range all {
		if lo, hi := extent([]series{s}); lo <= hi && len(finiteRuns(s.values)) > 0 {
			kept = append(kept, s)
		}
	}
	return kept
}

// extent is the range of all finite values; 0 to 1 without any.
func extent(all []series) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, s := range all {
		for _, v := range s.values {
			if finite(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if lo > hi {
		return 0, 1
	}
	return lo, hi
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// lay places ticks and curves in the frame, with a scale from lo to hi at least.
func (c *chart) lay(epochs []train.Epoch, lo, hi float64) {
	c.Width, c.Height = chartWidth, chartHeight
	c.Left, c.Right = chartLeft, chartWidth-chartRight
	c.Top, c.Bottom = chartTop, chartHeight-chartBottom
	lo, hi, step := scale(lo, hi)
	y := func(v float64) float64 { return round(c.Bottom - (c.Bottom-c.Top)*(v-lo)/(hi-lo)) }
	n := len(epochs)
	x := func(i float64) float64 { return round(c.Left + (c.Right-c.Left)*i/float64(max(n-1, 1))) }
	for i := 0; ; i++ {
		v := lo + float64(i)*step
		if v > hi+step/2 {
			break
		}
		c.Y = append(c.Y, tick{y(v), decimals(v, step)})
	}
	c.X = epochTicks(epochs, x)
	for i := range c.Series {
		s := &c.Series[i]
		for _, run := range finiteRuns(s.values) {
			if run[1]-run[0] == 1 {
				s.Dots = append(s.Dots, [2]float64{x(float64(run[0])), y(s.values[run[0]])})
			} else {
				s.Lines = append(s.Lines, points(s.values, run, x, y))
			}
			s.Last = decimals(s.values[run[1]-1], 0.001)
		}
	}
	c.bands(epochs, x)
	c.Summary = c.words(epochs)
}

func points(values []float64, run [2]int, x, y func(float64) float64) string {
	var b strings.Builder
	for i := run[0]; i < run[1]; i++ {
		fmt.Fprintf(&b, "%g,%g ", x(float64(i)), y(values[i]))
	}
	return strings.TrimSpace(b.String())
}

// epochTicks are at most seven, the last epoch always; epochs count from 1 here.
func epochTicks(epochs []train.Epoch, x func(float64) float64) (t []tick) {
	n := len(epochs)
	step := max(1, int(niceStep(float64(n), 6)))
	for i := step; i <= n-step/2; i += step {
		if i != n {
			t = append(t, tick{x(float64(i - 1)), strconv.Itoa(epochs[i-1].Epoch + 1)})
		}
	}
	return append(t, tick{x(float64(n - 1)), strconv.Itoa(epochs[n-1].Epoch + 1)})
}

// bands cover the frame, an epoch each, or several where there are many.
func (c *chart) bands(epochs []train.Epoch, x func(float64) float64) {
	step := (len(epochs)-1)/maxBands + 1
	for i := 0; i < len(epochs); i += step {
		from, to := max(x(float64(i)-float64(step)/2), c.Left), min(x(float64(i)+float64(step)/2), c.Right)
		if len(epochs) == 1 {
			from, to = c.Left, c.Right
		}
		text := fmt.Sprintf("Epoch %d", epochs[i].Epoch+1)
		for _, s := range c.Series {
			if v := s.values[i]; finite(v) {
				text += "\n" + s.Name + " " + decimals(v, 0.001)
			}
		}
		c.Bands = append(c.Bands, band{X: from, Width: round(to - from), Text: text})
	}
}

// words says what the curves show.
func (c *chart) words(epochs []train.Epoch) string {
	list := make([]string, 0, len(c.Series))
	for _, s := range c.Series {
		runs := finiteRuns(s.values)
		list = append(list, fmt.Sprintf("%s from %s to %s", s.Name, decimals(s.values[runs[0][0]], 0.001), s.Last))
	}
	return fmt.Sprintf("%s over %d %s: %s", c.Title, len(epochs), plural(len(epochs), "epoch", "epochs"), strings.Join(list, ", "))
}

// scale widens a range to whole steps.
func scale(lo, hi float64) (from, to, step float64) {
	if hi-lo < 1e-6 {
		lo, hi = lo-0.05, hi+0.05
	}
	step = niceStep(hi-lo, 6)
	const slack = 1e-9 // 0.6 is three steps of 0.2, whatever the last bit says
	return math.Floor(lo/step+slack) * step, math.Ceil(hi/step-slack) * step, step
}

// niceStep divides a range into at most n steps of 1, 2 or 5 times a power of ten.
func niceStep(span float64, n int) float64 {
	p := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	for _, m := range []float64{1, 2, 5} {
		if span <= p*m*float64(n) {
			return p * m
		}
	}
	return 10 * p
}

// decimals writes v as exactly as step needs, with a real minus sign.
func decimals(v, step float64) string {
	if !finite(v) {
		return none
	}
	n := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	s := strconv.FormatFloat(v, 'f', n, 64)
	if zero := strings.Trim(s, "-0."); zero == "" {
		return strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}

// finiteRuns are the ranges of values that are numbers.
func finiteRuns(v []float64) (runs [][2]int) {
	from := -1
	for i := 0; i <= len(v); i++ {
		ok := i < len(v) && finite(v[i])
		if ok && from < 0 {
			from = i
		}
		if !ok && from >= 0 {
			runs, from = append(runs, [2]int{from, i}), -1
		}
	}
	return runs
}

// round keeps a tenth of a unit of the view box.
func round(v float64) float64 { return math.Round(v*10) / 10 }
