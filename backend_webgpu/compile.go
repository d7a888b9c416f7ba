package webgpu

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// executable is a program whose nodes are dispatches.
type executable struct {
	dev     *device
	nodes   []string // names
	list    []dispatch
	buffers []*buffer // that are bound: they must live
	kept    []*kept   // pipelines, once for each program
	owned   []memory  // partial sums and tables
}

// Compile makes the pipelines and bind groups of p.
func (d *device) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	e := &executable{dev: d}
	s := &scope{device: d, Program: p, exec: e, bind: map[graph.Region][]*buffer{}}
	for r, sizes := range p.Size {
		for i, n := range sizes {
			if i >= len(bind[r]) {
				return nil, fmt.Errorf("webgpu: region %s has %d chunks, %d buffers are bound", r, len(sizes), len(bind[r]))
			}
			b, ok := bind[r][i].(*buffer)
			if !ok || b.dev != d {
				return nil, fmt.Errorf("webgpu: region %s is bound to a buffer of another device: %T", r, bind[r][i])
			}
			if b.m == nil || b.bytes < n {
				return nil, fmt.Errorf("webgpu: region %s needs a buffer of %d bytes for chunk %d, it has %d", r, n, i, b.bytes)
			}
			s.bind[r] = append(s.bind[r], b)
			e.buffers = append(e.buffers, b)
		}
	}
	for i, n := range p.Nodes {
		s.at = i
		e.nodes = append(e.nodes, n.Name)
		if err := s.node(n); err != nil {
			e.Free()
			return nil, fmt.Errorf("webgpu: node %s: %s: %w", n.Name, graph.OpName(n.Op), err)
		}
	}
	if err := s.settle(); err != nil {
		e.Free()
		return nil, fmt.Errorf("webgpu: %w", err)
	}
	return e, nil
}

// kept is a pipeline, which stays with the device when no program has it: the next one
// may be for another scan, with the same network.
type kept struct {
	pipeline
	programs int // that have it
}

// mostPipelines are kept before those that no program has are released: a scan of
// another size has some of its own.
const mostPipelines = 1024

// Free gives bind groups and partial sums back; pipelines stay with the device.
func (e *executable) Free() {
	for _, k := range e.kept {
		k.programs--
	}
	for _, d := range e.list {
		if d.g != nil {
			d.g.release()
		}
	}
	for _, m := range e.owned {
		m.release()
	}
	e.list, e.owned, e.buffers, e.kept = nil, nil, nil, nil
}

// scope is what making the dispatches of a node needs.
type scope struct {
	*device
	*compile.Program
	exec    *executable
	bind    map[graph.Region][]*buffer
	at      int      // node
	pending []kernel // of all nodes, until partial sums have memory
	need    int64    // bytes of partial sums of the node that needs most
	used    int64    // of the node at hand
}

// kernel is a dispatch to be.
type kernel struct {
	node     int
	name     string
	module   module
	operands []operand
	x, rows  int // workgroups
}

// operand is memory of a kernel: a value, partial sums or a table.
type operand struct {
	span
	partial bool // off counts from the start of the partial sums
}

// value is the operand of v; nothing for "none".
func (s *scope) value(v graph.Value) operand {
	if v <= 0 {
		return s.nothing()
	}
	at, ok := s.Place(v)
	if !ok { // an output that no node reads has no memory
		return s.partial((s.Type(v).Bytes() + 3) / 4)
	}
	return operand{span: span{s.bind[at.Region][at.Chunk].m, at.Offset, roundUp(at.Bytes, 4)}}
}

func (s *scope) values(list []graph.Value) []operand {
	var os []operand
	for _, v := range list {
		os = append(os, s.value(v))
	}
	return os
}

// nothing fills a binding that a kernel does not touch.
func (s *scope) nothing() operand { return s.partial(2) } // a pair of words

// partial is memory for n words within a node.
func (s *scope) partial(n int64) operand {
	o := operand{span{nil, s.used, 4 * n}, true}
	s.used += roundUp(4*n, 256)
	s.need = max(s.need, s.used)
	return o
}

// table is constants that a kernel reads.
func (s *scope) table(words []uint32) (operand, error) {
	b := make([]byte, 0, 4*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	m, err := s.gpu.buffer(int64(len(b)))
	if err != nil {
		return operand{}, err
	}
	s.exec.owned = append(s.exec.owned, m)
	return operand{span: span{m, 0, int64(len(b))}}, s.gpu.write(m, 0, b)
}

// group64 is the invocations of a workgroup; @workgroup_size says the same.
const group64 = 64

// each adds a kernel with an invocation for each of n items.
func (s *scope) each(name string, n int, c shaders.Consts, operands ...operand) error {
	return s.groups(name, (n+group64-1)/group64, c, operands...)
}

// groups adds a kernel of n workgroups, in rows of GRID invocations: as many as can be,
// so that it can be cut into small slabs.
func (s *scope) groups(name string, n int, c shaders.Consts, operands ...operand) error {
	most := min(mostRows, s.facts.groups)
	x := ceil(n, most)
	if x > s.facts.groups {
		return fmt.Errorf("kernel %s has %d workgroups, the device starts %d×%d: choose a smaller patch or batch", name, n, s.facts.groups, most)
	}
	for _, o := range operands {
		if o.bytes > s.facts.bindingBytes {
			return fmt.Errorf("kernel %s binds %d MiB, the device binds %d MiB: choose a smaller patch or batch", name, o.bytes>>20, s.facts.bindingBytes>>20)
		}
	}
	if err := s.distinct(operands); err != nil {
		return err
	}
	c["GRID"] = x * group64
	code, err := shaders.WGSL(name, c, s.f16)
	if err != nil {
		return err
	}
	s.pending = append(s.pending, kernel{s.at, name, module{code, len(operands)}, operands, x, ceil(n, x)})
	return nil
}

// distinct replaces a value that is an operand again by a copy: WebGPU does not
// let a kernel bind memory twice that it may write.
func (s *scope) distinct(operands []operand) error {
	for i, o := range operands {
		for _, p := range operands[:i] {
			if o.partial || o.span != p.span {
				continue
			}
			words := int(o.bytes / 4)
			operands[i] = s.partial(int64(words))
			if err := s.each("copy", words, shaders.Consts{"COUNT": words}, operands[i], o); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// settle compiles the kernels, gives partial sums their memory, which nodes share,
// and binds.
func (s *scope) settle() error {
	if err := s.pipelinesOf(s.pending); err != nil {
		return err
	}
	var partials memory
	if s.need > 0 {
		if s.need > s.facts.bufferBytes {
			return fmt.Errorf("partial sums need %d MiB, the largest buffer of the device is %d MiB: choose a smaller patch or batch", s.need>>20, s.facts.bufferBytes>>20)
		}
		m, err := s.gpu.buffer(s.need)
		if err != nil {
			return fmt.Errorf("partial sums of %d bytes: %w", s.need, err)
		}
		s.exec.owned = append(s.exec.owned, m)
		partials = m
	}
	list := make([]binding, len(s.pending))
	kernels := make([]int, len(s.Nodes)) // of each node
	for i, k := range s.pending {
		spans := make([]span, len(k.operands))
		for j, o := range k.operands {
			if spans[j] = o.span; o.partial {
				spans[j].m = partials
			}
		}
		list[i] = binding{s.pipelines[k.module.wgsl].pipeline, spans}
		kernels[k.node]++
	}
	groups, err := s.gpu.groups(list)
	if err != nil {
		return s.blame(s.pending, err)
	}
	for i, k := range s.pending {
		work := workOf(s.Cost(s.Nodes[k.node])) / float64(kernels[k.node])
		s.exec.list = append(s.exec.list, dispatch{list[i].p, groups[i], k.x, 0, k.rows, k.node, work})
	}
	return nil
}

// pipelinesOf compiles what the device has not compiled before, all together.
func (s *scope) pipelinesOf(list []kernel) error {
	if len(s.pipelines) > mostPipelines {
		s.forget()
	}
	var missing []module
	var from []kernel
	seen := map[string]bool{}
	for _, k := range list {
		if seen[k.module.wgsl] {
			continue
		}
		seen[k.module.wgsl] = true
		if s.pipelines[k.module.wgsl] == nil {
			missing, from = append(missing, k.module), append(from, k)
		}
	}
	made, err := s.gpu.pipelines(missing)
	if err != nil {
		return s.blame(from, err)
	}
	for i, p := range made {
		s.pipelines[missing[i].wgsl] = &kept{pipeline: p}
	}
	for wgsl := range seen {
		k := s.pipelines[wgsl]
		k.programs++
		s.exec.kept = append(s.exec.kept, k)
	}
	return nil
}

// forget releases the pipelines that no program has.
func (d *device) forget() {
	for wgsl, k := range d.pipelines {
		if k.programs == 0 {
			k.release()
			delete(d.pipelines, wgsl)
		}
	}
}

// blame names the node and the kernel of a list's error.
func (s *scope) blame(list []kernel, err error) error {
	var at *listError
	if !errors.As(err, &at) {
		return err
	}
	k := list[at.at]
	n := s.Nodes[k.node]
	return fmt.Errorf("node %s: %s: kernel %s: %w", n.Name, graph.OpName(n.Op), k.name, err)
}
