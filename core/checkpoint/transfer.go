package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// Layer says what became of a parameter of a network that begins with the weights of
// another one.
type Layer struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
	State string `json:"state"` // Taken, Part or Fresh
	Taken int    `json:"taken"` // values of the other network
	Why   string `json:"why,omitempty"`
}

// Values of Layer.State.
const (
	Taken = "taken" // all values are those of the other network
	Part  = "part"  // channels or classes of the same name are
	Fresh = "fresh" // none is
)

// Share is the share of all values of a network that are those of the other one.
func Share(report []Layer) float64 {
	taken, all := 0, 0
	for _, l := range report {
		n := 1
		for _, d := range l.Shape {
			n *= d
		}
		taken, all = taken+l.Taken, all+n
	}
	return float64(taken) / float64(max(all, 1))
}

// Transfer puts the weights of the first fold of from into fresh ones (nil: zeros) for
// configuration c of p, wherever they fit, and says what it did with each. Channels
// and classes are found by their names: new ones stay fresh.
func Transfer(from *Model, p *plan.Plan, c *plan.Configuration, fresh Weights) (Weights, []Layer, error) {
	old, err := from.Config()
	if err != nil {
		return nil, nil, err
	}
	if old.Dim != c.Dim {
		return nil, nil, fmt.Errorf("the other network is for %d-D images, this one for %d-D", old.Dim, c.Dim)
	}
	t := transfer{inputs: sameNames(inputNames(p, c), inputNames(from.Plan, old)), classes: sameNames(classNames(p), classNames(from.Plan))}
	out := Weights{}
	var report []Layer
	for _, want := range Parameters(p, c) {
		l := Layer{Name: want.Name, Shape: want.Shape}
		n := 1
		for _, d := range want.Shape {
			n *= d
		}
		x := Tensor{Shape: want.Shape, Data: make([]float32, n)}
		copy(x.Data, fresh[want.Name].Data)
		have, ok := from.Folds[0].Weights[want.Name]
		if !ok {
			l.State, l.Why = Fresh, "the other network has no such parameter"
		} else {
			l.State, l.Why, l.Taken = t.put(want.Name, x, have)
		}
		out[want.Name] = x
		report = append(report, l)
	}
	return out, report, nil
}

// transfer knows which input channel and class of the other network each of this one
// is, −1: none.
type transfer struct{ inputs, classes []int }

// put copies what fits of src into dst, so many values.
func (t transfer) put(name string, dst, src Tensor) (state, why string, taken int) {
	rows, columns := identity(dst.Shape[0]), []int{0}
	if len(dst.Shape) > 1 {
		columns = identity(dst.Shape[1])
	}
	head := strings.Contains(name, ".seg_layers.")
	first := name == "encoder.stem.convs.0.conv.weight" || name == "encoder.stages.0.0.convs.0.conv.weight"
	if head {
		rows = t.classes
	}
	if first {
		columns = t.inputs
	}
	// Beside the two axes that names rule, all must agree.
	same := len(dst.Shape) == len(src.Shape)
	for a := range dst.Shape {
		same = same && (head && a == 0 || first && a == 1 || dst.Shape[a] == src.Shape[a])
	}
	if !same {
		return Fresh, fmt.Sprintf("its shape is %v in the other network", src.Shape), 0
	}
	taps := 1
	for _, n := range dst.Shape[min(2, len(dst.Shape)):] {
		taps *= n
	}
	width := 1
	if len(src.Shape) > 1 {
		width = src.Shape[1]
	}
	missing := 0
	for i, from := range rows {
		for j, at := range columns {
			if from < 0 || at < 0 {
				missing++
				continue
			}
			copy(dst.Data[(i*len(columns)+j)*taps:][:taps], src.Data[(from*width+at)*taps:])
		}
	}
	all := len(rows) * len(columns)
	switch {
	case missing == all:
		return Fresh, "no channel or class has the same name", 0
	case missing > 0:
		return Part, fmt.Sprintf("%d of %d channels or classes are new", missing, all), (all - missing) * taps
	}
	return Taken, "", all * taps
}

func identity(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = i
	}
	return v
}

// sameNames is for each name its place among others, −1 if it is not there.
func sameNames(names, others []string) []int {
	out := make([]int, len(names))
	for i, n := range names {
		out[i] = slices.Index(others, n)
	}
	return out
}

// inputNames are the channels that a network gets.
func inputNames(p *plan.Plan, c *plan.Configuration) (names []string) {
	for i, ch := range p.Channels {
		name := strings.ToLower(ch.Name)
		if slices.Contains(names, name) { // twice the same name: the place counts
			name = fmt.Sprintf("%s %d", name, i)
		}
		names = append(names, name)
	}
	if c.Previous != "" {
		for _, v := range p.ForegroundValues() {
			names = append(names, fmt.Sprintf("label %d of %s", v, c.Previous))
		}
	}
	return names
}

// classNames are the outputs of a network.
func classNames(p *plan.Plan) (names []string) {
	labels := p.Labels
	if p.HasRegions() {
		labels = p.Foreground()
	}
	for _, l := range labels {
		names = append(names, strings.ToLower(l.Name))
	}
	return names
}
