package predict

import (
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
)

// Segments are the structures that label maps of p's models have, without background,
// and without colours.
func Segments(p *plan.Plan) (out []scan.Segment) {
	for _, l := range p.Labels {
		if len(l.Values) == 0 || len(l.Values) == 1 && l.Values[0] == 0 {
			continue
		}
		s := scan.Segment{Label: uint8(l.Values[0]), Name: l.Name}
		if n := len(out); n < len(p.RegionOrder) {
			s.Label = uint8(p.RegionOrder[n])
		}
		out = append(out, s)
	}
	return out
}
