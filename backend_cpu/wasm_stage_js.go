package cpu

import (
	"context"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// stage is memory of Go's for the nodes that have no kernel: their operands are
// copied there, and what they wrote is copied back.
type stage struct {
	scope  *scope // of the plain device: all values of a node in one buffer
	source *wasmScope
	size   int64
}

// staged is such a node.
type staged struct {
	parts    []part
	in, back []copied
}

// copied is a value in both memories.
type copied struct {
	at    int64
	bytes []byte
}

// plan remembers where values are; memory is taken with the first node.
func (g *stage) plan(s *wasmScope) {
	g.source = s
	for _, n := range s.Nodes {
		size := int64(0)
		for _, v := range operands(n) {
			if at, ok := s.Place(v); ok {
				size += extent(at.Bytes)
			}
		}
		g.size = max(g.size, size)
	}
}

// operands are the values of a node, each once.
func operands(n graph.Node) (vs []graph.Value) {
	seen := map[graph.Value]bool{}
	for _, v := range append(append([]graph.Value{}, n.In...), n.Out...) {
		if v > 0 && !seen[v] {
			seen[v] = true
			vs = append(vs, v)
		}
	}
	return vs
}

// begin takes the memory.
func (g *stage) begin() error {
	s := g.source
	b, err := s.plain.NewBuffer(g.size)
	if err != nil {
		return err
	}
	p := *s.Program
	p.Places = make([]compile.Place, len(s.Places))
	g.scope = &scope{device: s.plain, Program: &p, bind: map[graph.Region][]*buffer{graph.Scratch: {b.(*buffer)}}}
	return nil
}

// node binds n to the stage.
func (g *stage) node(n graph.Node) (*staged, error) {
	if g.scope == nil {
		if err := g.begin(); err != nil {
			return nil, err
		}
	}
	st := &staged{}
	off := int64(0)
	clear(g.scope.Places)
	memory := g.scope.bind[graph.Scratch][0].data
	where := map[graph.Value]copied{}
	for _, v := range operands(n) {
		at, ok := g.source.Place(v)
		if !ok {
			continue
		}
		g.scope.Places[v-1] = compile.Place{Region: graph.Scratch, Offset: off, Bytes: at.Bytes}
		where[v] = copied{g.source.value(v).at, memory[off:][:at.Bytes]}
		off += extent(at.Bytes)
	}
	add := func(list []copied, vs []graph.Value) []copied {
		for _, v := range vs {
			if c, ok := where[v]; ok {
				list = append(list, c)
			}
		}
		return list
	}
	st.in = add(nil, n.In)
	st.back = add(add(nil, n.Out), n.Mutated())
	var err error
	st.parts, err = g.scope.node(n)
	return st, err
}

// run runs the node.
func (s *staged) run(ctx context.Context, d *wasmDevice) error {
	for _, c := range s.in {
		d.read(c.at, c.bytes)
	}
	for _, p := range s.parts {
		if err := p(ctx); err != nil {
			return err
		}
	}
	for _, c := range s.back {
		d.write(c.at, c.bytes)
	}
	return nil
}
