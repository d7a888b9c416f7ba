package backendtest

import (
	"context"
	"errors"
	"testing"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// reference runs programs with the oracle itself and rounds what it stores: it
// must pass, and with a fault planted in it it must not.
type reference struct {
	limits backend.Limits
	// fault changes what a node has made before it is stored.
	fault func(n graph.Node, result func(v graph.Value) array, m *memory)
	// mutant replaces an op.
	mutant func(op graph.Op) graph.Op
}

func (d *reference) Name() string           { return "reference" }
func (d *reference) Limits() backend.Limits { return d.limits }
func (d *reference) Close() error           { return nil }

func (d *reference) NewBuffer(n int64) (backend.Buffer, error) {
	return &memory{b: make([]byte, n)}, nil
}

func (d *reference) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	for r, sizes := range p.Size {
		if len(bind[r]) != len(sizes) {
			return nil, errors.New("reference: a region without buffers")
		}
	}
	return &execution{d, p, bind}, nil
}

type memory struct{ b []byte }

func (m *memory) Write(_ context.Context, off int64, src []byte) error {
	copy(m.b[off:], src)
	return nil
}

func (m *memory) Read(_ context.Context, off int64, dst []byte) error {
	copy(dst, m.b[off:])
	return nil
}

func (m *memory) Free() {}

type execution struct {
	dev  *reference
	p    *compile.Program
	bind map[graph.Region][]backend.Buffer
}

func (e *execution) Free() {}

func (e *execution) at(v graph.Value) ([]byte, *memory) {
	if v == 0 {
		return nil, nil
	}
	at, ok := e.p.Place(v)
	if !ok {
		return nil, nil
	}
	m := e.bind[at.Region][at.Chunk].(*memory)
	return m.b[at.Offset : at.Offset+at.Bytes], m
}

func (e *execution) Run(context.Context) error {
	for _, n := range e.p.Nodes {
		values := map[graph.Value]array{}
		for _, v := range n.In {
			if b, _ := e.at(v); b != nil {
				values[v] = decode(b, e.p.Type(v))
			}
		}
		if e.dev.mutant != nil {
			n.Op = e.dev.mutant(n.Op)
		}
		one := *e.p.Graph
		one.Nodes = []graph.Node{n}
		p := *e.p
		p.Graph = &one
		interpret(&p, values, false)
		if op, ok := n.Op.(graph.NormAct); ok { // made of the stored statistics, as NormApply makes it again
			v := func(i int) array { return values[n.In[i]] }
			again := newArray(e.p.Type(n.Out[0]))
			normApply(op.Slope, v(0), v(1), v(2), stored(values[n.Out[1]]), again)
			for i, x := range again.v {
				values[n.Out[0]].v[i].v = x.v
			}
		}
		written := append(append([]graph.Value(nil), n.Out...), n.Mutated()...)
		if e.dev.fault != nil && len(written) > 0 {
			_, m := e.at(written[0])
			e.dev.fault(n, func(v graph.Value) array { return values[v] }, m)
		}
		for _, v := range written {
			if b, _ := e.at(v); b != nil {
				encode(b, e.p.Type(v).DType, plain(values[v].v))
			}
		}
		// Copies are made of the weights as they are stored.
		for _, v := range n.Mutated() {
			if info := e.p.Info(v); info.Region == graph.Half {
				b, _ := e.at(v)
				w, _ := e.at(info.Of)
				encode(b, info.Type.DType, plain(decode(w, e.p.Type(info.Of)).v))
			}
		}
	}
	return nil
}

func newReference() *reference {
	return &reference{limits: backend.Limits{F16: true, BF16: true, World: 1}}
}

func TestTheOracleItselfPasses(t *testing.T) {
	t.Parallel()
	Run(t, func(testing.TB) backend.Device { return newReference() })
}

// spoiler writes an input.
type spoiler struct{ *reference }

func (d *spoiler) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	e, err := d.reference.Compile(p, bind)
	return &spoiling{e.(*execution)}, err
}

type spoiling struct{ *execution }

func (e *spoiling) Run(ctx context.Context) error {
	b, _ := e.at(e.p.Nodes[0].In[1])
	defer func() { b[0] ^= 1 }()
	return e.execution.Run(ctx)
}
