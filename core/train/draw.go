package train

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// curve is a line of the picture.
type curve struct {
	name, colour string
	values       []float64
}

// DrawProgress draws losses and Dice over the epochs as SVG: what a person looks
// at while a training runs.
func DrawProgress(w io.Writer, log []Epoch) error {
	losses := []curve{{name: "train loss", colour: "#3366cc"}, {name: "val loss", colour: "#cc3333"}}
	dices := []curve{{name: "pseudo Dice", colour: "#99cc99"}, {name: "moving average", colour: "#117733"}}
	for _, e := range log {
		losses[0].values = append(losses[0].values, float64(e.TrainLoss))
		losses[1].values = append(losses[1].values, float64(e.ValLoss))
		dices[0].values = append(dices[0].values, float64(e.MeanDice))
		dices[1].values = append(dices[1].values, float64(e.EMA))
	}
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 560" font-family="sans-serif" font-size="12">` +
		`<rect width="760" height="560" fill="white"/>`)
	panel(&b, 10, "loss", losses)
	panel(&b, 290, "Dice", dices)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Size of a panel in the picture, and of the frame of its curves.
const (
	frameX, frameY          = 60, 20
	frameWidth, frameHeight = 670, 200
)

// panel draws curves over the epochs, with a scale that holds them all.
func panel(b *strings.Builder, top int, title string, cs []curve) {
	lo, hi, n := math.Inf(1), math.Inf(-1), 0
	for _, c := range cs {
		n = max(n, len(c.values))
		for _, v := range c.values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if hi < lo {
		lo, hi = 0, 1
	}
	if hi-lo < 1e-6 {
		lo, hi = lo-0.5, hi+0.5
	}
	step := niceStep(hi - lo)
	lo, hi = math.Floor(lo/step)*step, math.Ceil(hi/step)*step
	y := func(v float64) float64 { return float64(top+frameY) + frameHeight*(hi-v)/(hi-lo) }
	x := func(i int) float64 { return frameX + frameWidth*float64(i)/float64(max(n-1, 1)) }
	for v := lo; v <= hi+step/2; v += step {
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.3g</text>`,
			frameX, frameX+frameWidth, y(v), y(v), frameX-6, y(v)+4, v)
	}
	bottom := top + frameY + frameHeight + 16
	fmt.Fprintf(b, `<text x="%d" y="%d">0</text><text x="%d" y="%d" text-anchor="end">epoch %d</text>`, frameX, bottom, frameX+frameWidth, bottom, max(n-1, 0))
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`, frameX, top+12, title)
	for i, c := range cs {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`, frameX+60+i*130, top+12, c.colour, c.name)
		for _, run := range finiteRuns(c.values) {
			fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, c.colour)
			for j := run[0]; j < run[1]; j++ {
				fmt.Fprintf(b, "%.1f,%.1f ", x(j), y(c.values[j]))
			}
			b.WriteString(`"/>`)
		}
	}
}

// finiteRuns are the ranges of values that are numbers.
func finiteRuns(v []float64) (runs [][2]int) {
	from := -1
	for i := 0; i <= len(v); i++ {
		ok := i < len(v) && !math.IsNaN(v[i]) && !math.IsInf(v[i], 0)
		if ok && from < 0 {
			from = i
		}
		if !ok && from >= 0 {
			runs, from = append(runs, [2]int{from, i}), -1
		}
	}
	return runs
}

// niceStep divides a range into four to ten steps of 1, 2 or 5 times a power of ten.
func niceStep(span float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(span)))
	for _, m := range []float64{0.1, 0.2, 0.5} {
		if span/(p*m) <= 10 {
			return p * m
		}
	}
	return p
}
