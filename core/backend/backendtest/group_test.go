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
}

func (m *member) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	return &reducing{&execution{m.reference, p, bind}, m}, nil
}

type reducing struct {
	*execution
	member *member
}

func (e *reducing) Run(context.Context) error {
	n := e.p.Nodes[0]
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
	return nil
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

func TestAWrongSumIsNoticed(t *testing.T) {
	devs := groupOf(2)
	devs[1].(*member).wrong = 0x1p-10
	errs := make([]error, len(devs))
	var wg sync.WaitGroup
	for rank, d := range devs {
		wg.Go(func() { errs[rank] = checkReduce(t.Context(), d, rank, len(devs), true) })
	}
	wg.Wait()
	assert.NoError(t, errs[0])
	assert.ErrorContains(t, errs[1], "rank 1: v0: 1 of 17 elements")
}
