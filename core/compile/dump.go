package compile

import (
	"fmt"
	"io"
	"strings"

	"github.com/gounet/gounet/core/graph"
)

// Dump writes a line a node: name, op, the types of its inputs and outputs,
// where they lie, FLOPs. It is the first thing to read when lost.
func (p *Program) Dump(w io.Writer) error {
	for r := range graph.Region(graph.Regions) {
		if n := p.Bytes(r); n > 0 {
			if _, err := fmt.Fprintf(w, "# %-8s %12d bytes in %d chunks\n", r, n, len(p.Size[r])); err != nil {
				return err
			}
		}
	}
	for i, n := range p.Nodes {
		c := p.Cost(n)
		_, err := fmt.Fprintf(w, "%4d %-44s %-18s %s -> %s  %d bytes %d flop\n",
			i, n.Name, graph.OpName(n.Op), p.list(n.In), p.list(n.Out), c.Bytes, c.FLOP)
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) list(vs []graph.Value) string {
	var s []string
	for i, v := range vs {
		if v == 0 {
			continue
		}
		if i == 8 && len(vs) > 12 { // optimizer and norm list every parameter
			s = append(s, fmt.Sprintf("… %d more", len(vs)-i))
			break
		}
		at := p.Places[v-1]
		s = append(s, fmt.Sprintf("%v@%s+%d", p.Type(v), at.Region, at.Offset))
	}
	return strings.Join(s, " ")
}
