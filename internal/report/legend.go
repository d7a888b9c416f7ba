package report

import (
	"image/color"
	"slices"
	"strconv"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/volume"
)

// entry is a label value with its name and colour.
type entry struct {
	Value  int
	Name   string
	Hex    string // of the colour, #rrggbb
	colour color.NRGBA
}

// legend gives every label value that occurs a name and a colour, the same in
// curves, tables and pictures.
type legend struct {
	entries []entry // by value
	targets map[string]entry
}

// grey is the colour of the ignore label.
var grey = color.NRGBA{0x85, 0x85, 0x85, 255}

func hex(c color.NRGBA) string {
	const digits = "0123456789abcdef"
	b := []byte{'#'}
	for _, v := range [3]uint8{c.R, c.G, c.B} {
		b = append(b, digits[v>>4], digits[v&15])
	}
	return string(b)
}

// newLegend collects the labels of plan, summary and cases.
func newLegend(r *Report) *legend {
	var has [volume.MaxLabel + 1]bool
	mark := func(v int) {
		if v > 0 && v < len(has) {
			has[v] = true
		}
	}
	names := map[int]string{}
	ignore := -1
	if p := r.Plan; p != nil {
		for i, label := range p.Foreground() {
			for _, v := range label.Values {
				mark(v)
			}
			if len(label.Values) == 1 {
				names[label.Values[0]] = label.Name
			}
			if i < len(p.RegionOrder) && names[p.RegionOrder[i]] == "" {
				names[p.RegionOrder[i]] = label.Name
			}
		}
		ignore = p.Ignore
	}
	if r.Summary != nil {
		for _, t := range r.Summary.Targets {
			for _, v := range t {
				mark(v)
			}
		}
	}
	for _, c := range r.Cases {
		for _, l := range []*volume.Labels{c.Reference, c.Prediction} {
			seen := presence(l)
			for v := range has {
				has[v] = has[v] || v > 0 && seen[v]
			}
		}
	}
	l := &legend{targets: map[string]entry{}}
	for v := range has {
		if has[v] {
			l.add(v, names[v], v == ignore)
		}
	}
	l.nameTargets(r)
	return l
}

func (l *legend) add(value int, name string, ignore bool) {
	e := entry{Value: value, Name: name, colour: preview.Hue(len(l.entries))}
	if ignore {
		e.colour = grey
		e.Name = "ignored"
	}
	if e.Name == "" {
		e.Name = "label " + strconv.Itoa(value)
	}
	e.Hex = hex(e.colour)
	l.entries = append(l.entries, e)
}

// nameTargets gives the regions of the plan their names, and the colour of the
// value that they are painted with.
func (l *legend) nameTargets(r *Report) {
	if r.Plan == nil {
		return
	}
	for i, label := range r.Plan.Foreground() {
		if len(label.Values) == 0 {
			continue
		}
		e := l.of(label.Values[0])
		if i < len(r.Plan.RegionOrder) {
			e = l.of(r.Plan.RegionOrder[i])
		}
		e.Name = label.Name
		l.targets[metric.Target(label.Values).Key()] = e
	}
}

// of is the entry of a value.
func (l *legend) of(value int) entry {
	for _, e := range l.entries {
		if e.Value == value {
			return e
		}
	}
	return entry{Value: value, Name: "label " + strconv.Itoa(value), Hex: hex(grey), colour: grey}
}

// target is the entry of a label or region.
func (l *legend) target(t metric.Target) entry {
	if e, ok := l.targets[t.Key()]; ok {
		return e
	}
	if len(t) == 0 {
		return entry{Name: none, Hex: hex(grey), colour: grey}
	}
	e := l.of(t[0])
	if len(t) > 1 {
		e.Name = "labels " + join(t, ", ")
	}
	return e
}

// shown are the entries that occur in the cases.
func (l *legend) shown(cases []Case) []entry {
	var seen [256]bool
	for _, c := range cases {
		for _, m := range []*volume.Labels{c.Reference, c.Prediction} {
			s := presence(m)
			for v := range seen {
				seen[v] = seen[v] || s[v]
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(l.entries), func(e entry) bool { return !seen[e.Value] })
}

// presence says which values l has.
func presence(l *volume.Labels) (seen [256]bool) {
	if l == nil {
		return seen
	}
	for _, v := range l.Data {
		seen[v] = true
	}
	return seen
}
