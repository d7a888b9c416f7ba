package backendtest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// hub is where the reference devices of a group meet: the last to come adds.
type hub struct {
	sync.Mutex
	world, here int
	sums        [][]float64
	done        chan struct{}
}

// reduce adds the values of one device and waits for the others.
func (h *hub) reduce(parts [][]float64) [][]float64 {
	h.Lock()
	if h.here == 0 {
		h.sums, h.done = nil, make(chan struct{})
		for _, p := range parts {
			h.sums = append(h.sums, make([]float64, len(p)))
		}
	}
	for i, p := range parts {
		for j, v := range p {
			h.sums[i][j] += v
		}
	}
	sums, done := h.sums, h.done
	if h.here++; h.here == h.world {
		h.here = 0
		close(done)
	}
	h.Unlock()
	<-done
	return sums
}

// member is one device of a group.
type member struct {
	*reference
	hub   *hub
	wrong float64 // a planted fault: added to the first sum
	late  bool    // a planted fault: nobody waits for a sum
}

func (m *member) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	return &reducing{&execution{m.reference, p, bind}, m}, nil
}

type reducing struct {
	*execution
	member *member
}

func (e *reducing) Run(ctx context.Context) error {
	var late []graph.Node
	for _, n := range e.p.Nodes {
		if _, ok := n.Op.(graph.AllReduce); !ok {
			g := *e.p.Graph
			g.Nodes = []graph.Node{n}
			p := *e.p
			p.Graph = &g
			if err := (&execution{e.dev, &p, e.bind}).Run(ctx); err != nil {
				return err
			}
			continue
		}
		if e.member.late {
			late = append(late, n)
			continue
		}
		e.reduce(n)
	}
	for _, n := range late {
		e.reduce(n)
	}
	return nil
}

func (e *reducing) reduce(n graph.Node) {
	var parts [][]float64
	for _, v := range n.In {
		b, _ := e.at(v)
		parts = append(parts, plain(decode(b, e.p.Type(v)).v))
	}
	sums := e.member.hub.reduce(parts)
	for i, v := range n.In {
		for j, s := range sums[i] {
			if n.Op.(graph.AllReduce).Mean {
				s /= float64(e.member.hub.world)
			}
			parts[i][j] = s
		}
		parts[i][0] += e.member.wrong
		b, _ := e.at(v)
		encode(b, graph.F32, parts[i])
	}
}

func groupOf(world int) []backend.Device {
	h := &hub{world: world}
	devs := make([]backend.Device, world)
	for i := range devs {
		devs[i] = &member{reference: newReference(), hub: h}
	}
	return devs
}

func TestAGroupThatAddsPasses(t *testing.T) {
	RunGroup(t, func(testing.TB) []backend.Device { return groupOf(3) })
}

// noticed runs check on a group of two, of which rank 1 has a fault.
func noticed(t *testing.T, fault func(*member), check func(dev backend.Device, rank, world int) error) error {
	devs := groupOf(2)
	fault(devs[1].(*member))
	errs := make([]error, len(devs))
	var wg sync.WaitGroup
	for rank, d := range devs {
		wg.Go(func() { errs[rank] = check(d, rank, len(devs)) })
	}
	wg.Wait()
	assert.NoError(t, errs[0])
	return errs[1]
}

func TestAWrongSumIsNoticed(t *testing.T) {
	err := noticed(t, func(m *member) { m.wrong = 0x1p-10 }, func(dev backend.Device, rank, world int) error {
		return checkReduce(t.Context(), dev, rank, world, true)
	})
	assert.ErrorContains(t, err, "rank 1: v0: 1 of 17 elements")
}

func TestASumThatNobodyWaitsForIsNoticed(t *testing.T) {
	err := noticed(t, func(m *member) { m.late = true }, func(dev backend.Device, rank, world int) error {
		return CheckBeside(t.Context(), dev, rank, world)
	})
	assert.ErrorContains(t, err, "rank 1: z0: ")
}

// A device that keeps the statistics, or the sums of gradients, of its own samples is
// noticed by what it makes of them.
func TestABatchNormOfOneDeviceIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		mutant func(graph.Op) graph.Op
		says   string
	}{
		"of a rank": {func(o graph.Op) graph.Op {
			if n, ok := o.(graph.Moments); ok {
				n.Rank = 0
				return n
			}
			return o
		}, "rank 1: f32: batch.1: "},
		"of own sums": {func(o graph.Op) graph.Op {
			if n, ok := o.(graph.NormActGradInput); ok {
				n.Count /= 2
				return n
			}
			return o
		}, "rank 1: f32: grad: "},
	} {
		devs := groupOf(2)
		devs[1].(*member).mutant = c.mutant
		errs := make([]error, len(devs))
		var wg sync.WaitGroup
		for rank, d := range devs {
			wg.Go(func() { errs[rank] = checkNorms(t.Context(), d, rank, len(devs)) })
		}
		wg.Wait()
		assert.ErrorContains(t, errs[1], c.says, name)
	}
}
