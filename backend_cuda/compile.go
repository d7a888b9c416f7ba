//go:build cuda && linux

package cuda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// executable is a program whose launches are a graph.
type executable struct {
	dev     *device // nil when freed
	nodes   []string
	list    []start
	graph   uintptr        // CUgraphExec
	buffers []*buffer      // that the graph has the addresses of: they must live
	owned   []cu.DevicePtr // partial sums and tables
	number  uint32         // among the programs of the device
	marks   uintptr        // what its marks write
}

// start is a launch with its function and the addresses of its memory.
type start struct {
	launch
	op       string
	function *function
	pointers []uintptr
	until    int // of an AllReduce: the node that waits for it
}

// function is a kernel of the device.
type function struct {
	cu.Function
	shared uint32 // dynamic shared memory that its launches may ask for
	module cu.Module
	uses   int // launches of programs that are there
	last   int // when it was, by device.clock
}

// plainShared is what every launch may ask for.
const plainShared = 48 << 10

// Compile makes the functions and the graph of p.
func (d *device) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer runtime.UnlockOSThread()
	t := d.rules
	t.Arch, t.SMs, t.Simple = d.facts.arch, d.facts.sms, d.simple
	var err error
	if t.Tiles, err = d.tune(p, t); err != nil {
		return nil, err
	}
	made, err := launchesOf(p, t)
	if err != nil {
		return nil, err
	}
	d.programs++
	e := &executable{dev: d, number: d.programs}
	d.live[e] = true
	for _, n := range p.Nodes {
		e.nodes = append(e.nodes, n.Name)
	}
	bound, err := e.bind(p, bind)
	if err == nil {
		err = d.compileAll(p, append(made.List, marking))
	}
	if err == nil {
		err = e.place(p, made, bound)
	}
	if err == nil {
		err = e.capture()
	}
	d.unload()
	if err != nil {
		e.release()
		return nil, err
	}
	return e, nil
}

// bind checks the buffers of the regions.
func (e *executable) bind(p *compile.Program, bind map[graph.Region][]backend.Buffer) (map[graph.Region][]*buffer, error) {
	bound := map[graph.Region][]*buffer{}
	for r, sizes := range p.Size {
		for i, n := range sizes {
			if i >= len(bind[r]) {
				return nil, fmt.Errorf("cuda: region %s has %d chunks, %d buffers are bound", r, len(sizes), len(bind[r]))
			}
			b, ok := bind[r][i].(*buffer)
			if !ok || b.dev != e.dev {
				return nil, fmt.Errorf("cuda: region %s is bound to a buffer of another device: %T", r, bind[r][i])
			}
			if b.m == 0 || b.bytes < n {
				return nil, fmt.Errorf("cuda: region %s needs a buffer of %d bytes for chunk %d, it has %d", r, n, i, b.bytes)
			}
			bound[r] = append(bound[r], b)
			e.buffers = append(e.buffers, b)
		}
	}
	return bound, nil
}

// blame says which node and kernel of p an error is of.
func blame(p *compile.Program, l launch, err error) error {
	n := p.Nodes[l.Node]
	return fmt.Errorf("cuda: node %s: %s: kernel %s: %w", n.Name, graph.OpName(n.Op), l.Kernel, err)
}

// place gives partial sums and tables memory, and every launch its addresses.
func (e *executable) place(p *compile.Program, made *launches, bound map[graph.Region][]*buffer) error {
	var sums, constants, lasting cu.DevicePtr
	text := e.values(made.Tables)
	for _, m := range []struct {
		to    *cu.DevicePtr
		what  string
		bytes int64
	}{{&sums, "partial sums", made.Partials}, {&constants, "tables", int64(len(text))}, {&lasting, "norms", made.Left}} {
		if m.bytes == 0 {
			continue
		}
		at, err := e.dev.memory(m.bytes)
		if err != nil {
			return fmt.Errorf("%w (for %s)", err, m.what)
		}
		*m.to, e.owned = at, append(e.owned, at)
	}
	if err := e.dev.stage.write(context.Background(), constants, text); err != nil {
		return err
	}
	e.marks = constants.Uintptr() + uintptr(len(made.Tables))
	for _, l := range made.List {
		s := start{launch: l, op: graph.OpName(p.Nodes[l.Node].Op), function: e.dev.functions[key(l)]}
		if l.Reduce == nil {
			if err := e.dev.allow(s.function, l); err != nil {
				return blame(p, l, err)
			}
		} else if e.dev.comm == nil {
			return blame(p, l, errors.New("the device was opened without a Group"))
		} else {
			s.until = p.Until(l.Node)
		}
		for _, a := range l.Args {
			at := uintptr(a.Offset)
			switch a.In {
			case nobody:
				at = 0
			case region:
				at += bound[a.Region][a.Chunk].m.Uintptr()
			case partials:
				at += sums.Uintptr()
			case tables:
				at += constants.Uintptr()
			case left:
				at += lasting.Uintptr()
			}
			s.pointers = append(s.pointers, at)
		}
		e.list = append(e.list, s)
		if s.function != nil {
			s.function.uses++
		}
	}
	return nil
}

// Attributes of functions.
const (
	mostThreads   = 0 // that a block may have, by the registers of the kernel
	sharedStatic  = 1
	sharedDynamic = 8 // the most that a launch may ask for
)

// allow checks what a launch asks for, and lets its function have it.
func (d *device) allow(f *function, l launch) error {
	var most, fixed int32
	at := functionOf(f.Function)
	if err := d.driver.error(d.driver.attribute(&most, mostThreads, at)); err != nil {
		return d.told("attributes", err)
	}
	if err := d.driver.error(d.driver.attribute(&fixed, sharedStatic, at)); err != nil {
		return d.told("attributes", err)
	}
	if n := l.Block[0] * l.Block[1] * l.Block[2]; int64(n) > int64(most) {
		return fmt.Errorf("a block has %d threads, on %s at most %d", n, d.facts.name, most)
	}
	if int64(fixed)+int64(l.Shared) > int64(d.facts.shared) {
		return fmt.Errorf("a block has %d bytes of shared memory, on %s at most %d", int64(fixed)+int64(l.Shared), d.facts.name, d.facts.shared)
	}
	if l.Shared <= f.shared {
		return nil
	}
	f.shared = l.Shared
	return d.told("shared memory", d.driver.error(d.driver.setAttribute(at, sharedDynamic, int32(l.Shared))))
}

// name is the program's in messages.
func (e *executable) name() string {
	switch len(e.nodes) {
	case 0:
		return "an empty program"
	case 1:
		return e.nodes[0]
	}
	return e.nodes[0] + " to " + e.nodes[len(e.nodes)-1]
}

// start starts one launch on a stream.
func (e *executable) start(s start, on cu.Stream) error {
	d := e.dev
	if s.Reduce != nil {
		return d.told(e.nodes[s.Node], d.comm.reduce(s, on))
	}
	return d.told(fmt.Sprintf("%s: %s: kernel %s", e.nodes[s.Node], s.op, s.Kernel), d.driver.start(s.function.Function, s.launch, on, s.pointers))
}

// thisThread is the mode of a capture that the calls of other threads do not end.
const thisThread = 1

// capture makes the graph of the launches, and readies it on the GPU.
func (e *executable) capture() error {
	d := e.dev
	if d.marks == nil {
		var err error
		if d.marks, err = d.pinned(4); err != nil {
			return err
		}
	}
	if err := d.told("capture", d.driver.error(d.driver.capture(streamOf(d.stream), thisThread))); err != nil {
		return err
	}
	failed := e.startBeside()
	var g uintptr
	err := d.told("capture of "+e.name(), d.driver.error(d.driver.endCapture(streamOf(d.stream), &g)))
	if g != 0 {
		defer d.driver.graphDestroy(g)
	}
	if failed != nil {
		return failed // what the end of the capture says follows from it
	}
	if err != nil {
		return err
	}
	if err := d.told("graph of "+e.name(), d.driver.error(d.driver.instantiate(&e.graph, g, 0))); err != nil {
		return err
	}
	return d.told("graph of "+e.name(), d.driver.error(d.driver.upload(e.graph, streamOf(d.stream))))
}

// Free gives the graph, partial sums and tables back; functions stay with the
// device, as many as device.idle says.
func (e *executable) Free() {
	if e.dev == nil {
		return
	}
	if e.dev.live[e] && e.dev.reach() == nil { // also of a device that is lost: its communicator waits for the graph
		e.release()
		runtime.UnlockOSThread()
	}
	e.dev, e.list, e.buffers = nil, nil, nil
}

// release frees what the GPU has of e. Its errors are those of a device that is
// lost, which has nothing to give back.
func (e *executable) release() {
	d := e.dev
	delete(d.live, e)
	_ = d.land(context.Background(), 0)
	if e.graph != 0 {
		_ = d.told("free", d.driver.error(d.driver.execDestroy(e.graph)))
	}
	for _, m := range e.owned {
		_ = d.free(m)
	}
	for _, s := range e.list {
		if s.function != nil {
			s.function.uses--
		}
	}
	e.graph, e.owned, e.list = 0, nil, nil
	d.unload()
}

// key is the source of a launch.
func key(l launch) string { return l.Kernel + "\n" + l.Prelude }

// compileAll makes the functions that the device does not have, all together.
func (d *device) compileAll(p *compile.Program, list []launch) error {
	var missing []launch
	seen := map[string]bool{}
	for _, l := range list {
		if _, ok := d.functions[key(l)]; !ok && l.Reduce == nil && !seen[key(l)] {
			seen[key(l)] = true
			missing = append(missing, l)
		}
	}
	images, errs := d.images(missing)
	for i, l := range missing {
		if errs[i] != nil {
			return blame(p, l, errs[i])
		}
		if err := d.load(l, images[i]); err != nil {
			return blame(p, l, err)
		}
	}
	return nil
}

// load makes a function of an image. One that the cache had and that does not load
// is compiled again.
func (d *device) load(l launch, i image) error {
	m, err := cu.LoadData(string(i.code))
	if err != nil && i.cached && !errors.Is(d.driver.told(err), backend.ErrLost) {
		if i, err = d.compile(l, i.name); err != nil {
			return err
		}
		m, err = cu.LoadData(string(i.code))
	}
	if err != nil {
		return d.told("module", err)
	}
	f, err := m.Function(l.Kernel)
	if err != nil {
		return errors.Join(d.told("its entry", err), d.told("a module", m.Unload()))
	}
	d.functions[key(l)] = &function{Function: f, shared: plainShared, module: m, last: d.clock}
	return nil
}

// mostIdle is how many functions of no program stay, for the next like it. Sizes of scans are
// constants of kernels: a server meets ever new ones.
const mostIdle = 512

// unload ends the functions of no program, but for those that were used last.
func (d *device) unload() {
	d.clock++
	var idle []string
	for k, f := range d.functions {
		switch {
		case f.uses > 0:
			f.last = d.clock
		case k != key(marking): // which graphs have beside their launches
			idle = append(idle, k)
		}
	}
	if len(idle) <= d.idle {
		return
	}
	slices.SortFunc(idle, func(a, b string) int { return cmp.Compare(d.functions[b].last, d.functions[a].last) })
	for _, k := range idle[d.idle:] {
		_ = d.told("a module", d.functions[k].module.Unload())
		delete(d.functions, k)
	}
}
