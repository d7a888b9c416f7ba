package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// differences are the settings that are not the same in all runs: those of the plan
// by their place in plan.json, then the facts.
func differences(runs []Run) (all []Difference) {
	var names []string
	values := make([]map[string]string, len(runs))
	for i, r := range runs {
		values[i] = r.settings()
		names = append(names, slices.Collect(maps.Keys(values[i]))...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		d := Difference{Name: name}
		for _, v := range values {
			d.Values = append(d.Values, cmp.Or(v[name], none))
		}
		if len(slices.Compact(slices.Clone(d.Values))) > 1 {
			all = append(all, d)
		}
	}
	return all
}

// settings are all values that r was trained with, by name.
func (r *Run) settings() map[string]string {
	p := *r.Plan
	p.Labels, p.RegionOrder, p.Configurations = nil, nil, nil // the first are the same in all runs
	out := map[string]string{}
	flatten(out, "", p)
	if c := r.Plan.Configuration(r.Configuration); c != nil {
		flatten(out, "", *c)
		out["configuration"] = out["name"]
	}
	delete(out, "name") // of the plan and of the configuration
	out["plan name"] = r.Plan.Name
	for _, f := range r.Facts {
		out[f.Name] = f.Value
	}
	return out
}

// flatten puts the values of v into out, by their place in its JSON.
func flatten[T plan.Plan | plan.Configuration](out map[string]string, at string, v T) {
	b, err := json.Marshal(v)
	var tree any
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber() // digits stay as they are
		err = d.Decode(&tree)
	}
	if err != nil {
		panic("report: a plan that JSON cannot hold: " + err.Error()) // it came from there
	}
	walk(out, at, tree)
}

func walk(out map[string]string, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			walk(out, strings.TrimPrefix(at+"."+key, "."), value)
		}
	case []any:
		if len(v) == 0 || !isObject(v[0]) {
			out[at] = text(v)
			return
		}
		var order []string
		for i, value := range v {
			name := strconv.Itoa(i)
			if op, ok := value.(map[string]any)["op"].(string); ok { // a transform keeps its name wherever it stands
				for name = op; slices.Contains(order, name); name += "+" {
				}
				order = append(order, name)
			}
			walk(out, at+"."+name, value)
		}
		out[at] = strings.Join(order, ", ")
	default:
		out[at] = text(v)
	}
}

func isObject(v any) bool { _, ok := v.(map[string]any); return ok }

// text writes a value of JSON without quotes and brackets around it.
func text(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	parts := make([]string, len(list))
	for i, x := range list {
		if parts[i] = text(x); isList(x) {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, ", ")
}

func isList(v any) bool { _, ok := v.([]any); return ok }
