package cpu

import (
	"fmt"

	"github.com/gounet/gounet/backend_cpu/wasm"
	"github.com/gounet/gounet/backend_cpu/wasm/kernel"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// pieceWork is about how many multiply-adds of vectors a thread does before
// events may come in: 10 to 50 ms.
const pieceWork = 100e6

// wasmExecutable is a program as records of kernels, and nodes in plain Go.
type wasmExecutable struct {
	dev   *wasmDevice
	names []string // of the nodes
	steps []step
	packs []step // of weights that the program does not write

	at, size   int64 // records, packed weights, tables, memory of norms, scratch
	scratch    int64 // of thread 0; those of the others follow
	perThread  int64
	slot, many int64 // of the table

	weights []*wasmBuffer // packed by packs
	packed  []int         // their writes then
	written []*wasmBuffer // by the program
}

// step is records side by side, or a node in plain Go.
type step struct {
	node   int
	at     int64 // address of the record
	work   int64
	staged *staged
}

// place is an address, or one that is known when the memory of the executable is.
type place struct {
	own bool
	at  int64
}

func absolute(at int64) place { return place{at: at} }

// record is a kernel with its arguments.
type record struct {
	node   int
	kernel kernel.Kernel
	args   []place
}

// wasmScope is what binding a node needs.
type wasmScope struct {
	*wasmDevice
	*compile.Program
	bind map[graph.Region][]*wasmBuffer

	node    int
	records []record // and staged nodes, which have no kernel
	packs   []record
	staged  map[int]*staged // by record
	used    int64           // bytes of the executable's own memory
	norms   []*place        // that wait for the memory that all norms share
	parts   int64           // bytes of it
	tables  []table
	kept    map[weights]place // packed weights that stay
	own     bool              // the program writes weights
	stage   stage
}

// weights is a value and the order that its kernel wants.
type weights struct {
	value graph.Value
	pack  kernel.Pack
}

// table is bytes of the executable that Compile knows.
type table struct {
	at    int64
	bytes []byte
}

// Compile makes the kernels of p.
func (d *wasmDevice) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	s := &wasmScope{wasmDevice: d, Program: p, bind: map[graph.Region][]*wasmBuffer{}, staged: map[int]*staged{}, kept: map[weights]place{}}
	if err := s.bindAll(bind); err != nil {
		return nil, err
	}
	s.stage.plan(s)
	s.own = s.writes(graph.Weights) || s.sharesWeights()
	e := &wasmExecutable{dev: d}
	for i, n := range p.Nodes {
		s.node = i
		e.names = append(e.names, n.Name)
		if s.kernels(n) {
			continue
		}
		st, err := s.stage.node(n)
		if err != nil {
			return nil, fmt.Errorf("cpu: node %s: %s: %w", n.Name, graph.OpName(n.Op), err)
		}
		s.staged[len(s.records)] = st
		s.records = append(s.records, record{node: i})
	}
	if err := e.build(s); err != nil {
		e.Free()
		return nil, err
	}
	return e, nil
}

// bindAll checks the buffers.
func (s *wasmScope) bindAll(bind map[graph.Region][]backend.Buffer) error {
	for r, sizes := range s.Size {
		for i, n := range sizes {
			if i >= len(bind[r]) {
				return fmt.Errorf("cpu: region %s has %d chunks, %d buffers are bound", r, len(sizes), len(bind[r]))
			}
			b, ok := bind[r][i].(*wasmBuffer)
			if !ok || b.dev != s.wasmDevice {
				return fmt.Errorf("cpu: region %s is bound to a buffer of another device: %T", r, bind[r][i])
			}
			if b.size < n {
				return fmt.Errorf("cpu: region %s needs a buffer of %d bytes for chunk %d, it has %d", r, n, i, b.size)
			}
			s.bind[r] = append(s.bind[r], b)
		}
	}
	return nil
}

// writes tells whether a node writes a value of region r.
func (s *wasmScope) writes(r graph.Region) bool {
	for _, n := range s.Nodes {
		for _, v := range append(n.Mutated(), n.Out...) {
			if v > 0 && s.Info(v).Region == r {
				return true
			}
		}
	}
	return false
}

// sharesWeights tells whether a buffer of the weights serves another region too.
func (s *wasmScope) sharesWeights() bool {
	seen := map[*wasmBuffer]int{}
	for _, bs := range s.bind {
		for _, b := range bs {
			seen[b]++
		}
	}
	for _, b := range s.bind[graph.Weights] {
		if seen[b] > 1 {
			return true
		}
	}
	return false
}

// value is the address of v; 0 for "none".
func (s *wasmScope) value(v graph.Value) place {
	if v <= 0 {
		return place{}
	}
	at, ok := s.Place(v)
	if !ok { // nobody reads it
		return s.reserve(s.Type(v).Bytes())
	}
	return absolute(s.bind[at.Region][at.Chunk].at + at.Offset)
}

// reserve takes bytes of the executable's own memory.
func (s *wasmScope) reserve(bytes int64) place {
	at := s.used
	s.used += extent(bytes)
	return place{own: true, at: at}
}

// constant is bytes that do not change.
func (s *wasmScope) constant(b []byte) place {
	p := s.reserve(int64(len(b)))
	s.tables = append(s.tables, table{p.at, b})
	return p
}

// add adds a kernel of the node.
func (s *wasmScope) add(k kernel.Kernel, args ...place) {
	s.records = append(s.records, record{s.node, k, args})
}

// build makes the module, the memory and the records.
func (e *wasmExecutable) build(s *wasmScope) error {
	parts := s.reserve(s.parts)
	for _, p := range s.norms {
		*p = parts
	}
	all := append(append([]record{}, s.packs...), s.records...)
	module := &wasm.Module{Shared: s.crew.shared}
	slots := map[kernel.Kernel]int64{}
	kernels := []kernel.Kernel{}
	for _, r := range all {
		if _, ok := slots[r.kernel]; r.kernel == nil || ok {
			continue
		}
		slots[r.kernel] = int64(len(kernels))
		kernels = append(kernels, r.kernel)
		if k, ok := r.kernel.(kernel.Scratcher); ok {
			e.perThread = max(e.perThread, extent(int64(k.Scratch())))
		}
	}
	if len(kernels) == 0 {
		e.lay(s, all, nil)
		return nil
	}
	var ok bool
	if e.slot, _, ok = s.slots.Take(int64(len(kernels))); !ok {
		return fmt.Errorf("cpu: %d kernels beside %d of other programs are too many: free those that are not used", len(kernels), s.slots.Top())
	}
	e.many = int64(len(kernels))
	module.Slot = int(e.slot)
	for _, k := range kernels {
		k.Emit(module.Func("", kernel.Params))
	}
	scratch := s.reserve(e.perThread * int64(s.crew.threads))
	split := 0
	for _, r := range all {
		split += shares(r.kernel, s.crew.threads)
	}
	records := s.reserve(int64(split) * kernel.RecSize)
	var err error
	if e.at, err = s.take(s.used); err != nil {
		return err
	}
	e.size, e.scratch = s.used, e.at+scratch.at
	for _, t := range s.tables {
		s.write(e.at+t.at, t.bytes)
	}
	s.write(e.at+records.at, e.lay(s, all, func(k kernel.Kernel) (slot, at int64) { return e.slot + slots[k], e.at + records.at }))
	return s.crew.load(module.Bytes(), int(e.slot+e.many))
}

// shares is into how many records a kernel is cut, so that none takes long.
func shares(k kernel.Kernel, threads int) int {
	if k == nil {
		return 0
	}
	n := int(k.Work()/(pieceWork*int64(threads))) + 1
	return min(n, max(1, k.Chunks()/(2*threads)))
}

// lay makes the steps, and the bytes of the records.
func (e *wasmExecutable) lay(s *wasmScope, all []record, where func(k kernel.Kernel) (slot, at int64)) (b []byte) {
	for i, r := range all {
		steps := &e.steps
		if i < len(s.packs) {
			steps = &e.packs
		}
		if r.kernel == nil {
			*steps = append(*steps, step{node: r.node, staged: s.staged[i-len(s.packs)]})
			continue
		}
		slot, at := where(r.kernel)
		n, chunks := shares(r.kernel, s.crew.threads), r.kernel.Chunks()
		for k := range n {
			*steps = append(*steps, step{node: r.node, at: at + int64(len(b)), work: r.kernel.Work() / int64(n)})
			first, end := int64(chunks*k/n), int64(chunks*(k+1)/n)
			words := []int64{slot, first, end, first}
			for _, p := range r.args {
				if p.own {
					p.at += e.at
				}
				words = append(words, p.at)
			}
			b = le32(b, words...)
			b = append(b, make([]byte, kernel.RecSize-4*len(words))...)
		}
	}
	for _, b := range s.bind[graph.Weights] {
		if s.own {
			e.written = append(e.written, b)
		} else {
			e.weights = append(e.weights, b)
		}
	}
	return b
}

// Free gives memory and slots back.
func (e *wasmExecutable) Free() {
	if e.size > 0 {
		e.dev.give(e.at, e.size)
	}
	if e.many > 0 {
		e.dev.slots.Give(e.slot, e.many)
	}
	e.size, e.many, e.steps, e.packs = 0, 0, nil, nil
}
