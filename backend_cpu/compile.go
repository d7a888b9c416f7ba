package cpu

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// executable is a program whose nodes are bound to memory.
type executable struct {
	nodes []bound
}

// bound is a node ready to run: its parts, in order.
type bound struct {
	name  string
	parts []part
	until int // of an AllReduce: the node that waits for it; else 0
}

// part is a piece of an op that ends before the next one begins. Only those
// that leave the device can fail.
type part func(ctx context.Context) error

// Compile binds the nodes of p.
func (d *device) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	s := &scope{device: d, Program: p, bind: map[graph.Region][]*buffer{}}
	for r, sizes := range p.Size {
		for i, n := range sizes {
			if i >= len(bind[r]) {
				return nil, fmt.Errorf("cpu: region %s has %d chunks, %d buffers are bound", r, len(sizes), len(bind[r]))
			}
			b, ok := bind[r][i].(*buffer)
			if !ok {
				return nil, fmt.Errorf("cpu: region %s is bound to a buffer of another device: %T", r, bind[r][i])
			}
			if int64(len(b.data)) < n {
				return nil, fmt.Errorf("cpu: region %s needs a buffer of %d bytes for chunk %d, it has %d", r, n, i, len(b.data))
			}
			s.bind[r] = append(s.bind[r], b)
		}
	}
	e := &executable{}
	for i, n := range p.Nodes {
		parts, err := s.node(n)
		if err != nil {
			return nil, fmt.Errorf("cpu: node %s: %s: %w", n.Name, graph.OpName(n.Op), err)
		}
		b := bound{name: n.Name, parts: parts}
		if _, ok := n.Op.(graph.AllReduce); ok {
			b.until = p.Until(i)
		}
		e.nodes = append(e.nodes, b)
	}
	return e, nil
}

// Run runs the nodes in order; between them it looks whether ctx has ended. Each
// AllReduce runs beside the nodes that follow it.
func (e *executable) Run(ctx context.Context) error {
	var all transfers
	for i := range e.nodes {
		b := &e.nodes[i]
		if b.until > 0 {
			all.begin(ctx, b)
			continue
		}
		err := all.wait(i)
		if err == nil {
			err = b.run(ctx)
		}
		if err != nil {
			return all.abort(err)
		}
	}
	return all.wait(len(e.nodes))
}

// Profile is Run with a clock, one node after the other.
func (e *executable) Profile(ctx context.Context) ([]float64, error) {
	seconds := make([]float64, len(e.nodes))
	for i := range e.nodes {
		start := time.Now()
		if err := e.nodes[i].run(ctx); err != nil {
			return nil, err
		}
		seconds[i] = time.Since(start).Seconds()
	}
	return seconds, nil
}

func (b *bound) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cpu: before node %s: %w", b.name, err)
	}
	for _, p := range b.parts {
		if err := p(ctx); err != nil {
			return fmt.Errorf("cpu: node %s: %w", b.name, err)
		}
	}
	return nil
}

// Free forgets the program; its memory is the buffers' and the pool's.
func (e *executable) Free() { e.nodes = nil }

// scope is what binding a node needs: the program and its memory.
type scope struct {
	*device
	*compile.Program
	bind map[graph.Region][]*buffer
}

// parallel is the part that does units 0 … n-1 of f with all workers.
func (s *scope) parallel(n int, f func(w *worker, unit int)) part {
	t := unitFunc(f)
	return func(context.Context) error {
		s.pool.run(n, t)
		return nil
	}
}

// serial is the part that calls f.
func serial(f func()) part {
	return func(context.Context) error {
		f()
		return nil
	}
}

// unitFunc is a task.
type unitFunc func(w *worker, unit int)

func (f unitFunc) do(w *worker, unit int) { f(w, unit) }

// bytes is the memory of v; nil for "none".
func (s *scope) bytes(v graph.Value) []byte {
	if v <= 0 {
		return nil
	}
	at, ok := s.Place(v)
	if !ok {
		return nil
	}
	return s.bind[at.Region][at.Chunk].data[at.Offset:][:at.Bytes:at.Bytes]
}

// f32 is the memory of v, which is stored in f32.
func (s *scope) f32(v graph.Value) []float32 { return view[float32](s.bytes(v)) }

// tensor is the memory of v in any float type.
func (s *scope) tensor(v graph.Value) tensor {
	t := tensor{dtype: s.Type(v).DType}
	if t.dtype == graph.F32 {
		t.f32 = s.f32(v)
	} else {
		t.u16 = view[uint16](s.bytes(v))
	}
	return t
}

// view reads bytes as elements.
func view[E float32 | float64 | uint16](b []byte) []E {
	var e E
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*E)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(e)))
}

// doubles reads two f32 of scratch memory as one f64.
func doubles(f []float32) []float64 {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(&f[0])), len(f)/2)
}

// node binds n.
func (s *scope) node(n graph.Node) ([]part, error) {
	switch op := n.Op.(type) {
	case graph.Conv3D:
		return s.conv3D(op, n), nil
	case graph.UpConv3D:
		return s.upConv3D(n), nil
	case graph.NormAct:
		return s.normAct(op, n), nil
	case graph.NormApply:
		return s.normApply(op, n), nil
	case graph.Running:
		return s.running(op, n), nil
	case graph.Add:
		return s.add(1, n), nil
	case graph.AddAct:
		return s.add(op.Slope, n), nil
	case graph.AvgPool:
		return s.avgPool(op.Stride, n), nil
	case graph.Enlarge:
		return s.enlarge(n), nil
	}
	return s.other(n)
}

// other binds the ops that do not belong to the network.
func (s *scope) other(n graph.Node) ([]part, error) {
	switch op := n.Op.(type) {
	case graph.TileLoad:
		return s.tileLoad(op, n), nil
	case graph.TileBlend:
		return s.tileBlend(op, n), nil
	case graph.Labels:
		return s.labels(op, n), nil
	}
	return s.training(n)
}
