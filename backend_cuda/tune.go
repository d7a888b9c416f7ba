//go:build cuda && linux

package cuda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/shaders"
)

// choices are the tilings that were measured on a GPU: once, as the cache keeps them. Where it
// keeps nothing nothing is measured, as runs would differ in the order of their sums.
type choices struct {
	header string // of the file: what the choices depend on
	name   string // of the file
	chosen map[string]string
}

// tiled are the kernels whose time the choice is about.
var tiled = []string{"conv3d_mma", "conv3d_wgmma", "conv3d_fold", "weight_cells", "turn", "conv3d_grad_weight_mma", "conv3d_grad_weight_wgmma", "fold"}

// openTiles reads what the cache has; what is damaged, or of another GPU, driver or source, is
// nothing.
func (d *device) openTiles() (*choices, error) {
	h := sha256.New()
	fmt.Fprintln(h, d.compiler.version())
	for _, k := range tiled {
		source, err := shaders.CUDA(k, "")
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(h, source)
	}
	t := &choices{chosen: map[string]string{}}
	t.header = fmt.Sprintf("tiles of %s%s, compute capability %d, driver %d, source %s", d.facts.name, d.restricted(), d.facts.arch, d.facts.driver, hex.EncodeToString(h.Sum(nil)))
	sum := sha256.Sum256([]byte(t.header))
	t.name = hex.EncodeToString(sum[:]) + ".tiles"
	t.read(d.cache)
	return t, nil
}

// read adds what the cache has to the choices.
func (t *choices) read(c *cache) {
	text, _ := c.get(t.name)
	header, rest, _ := strings.Cut(string(text), "\n")
	if header != t.header {
		return
	}
	for line := range strings.Lines(rest) {
		if key, tiling, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok && t.chosen[key] == "" {
			t.chosen[key] = tiling
		}
	}
}

// write keeps the choices, with those that are there.
func (t *choices) write(c *cache) {
	t.read(c)
	var b strings.Builder
	fmt.Fprintln(&b, t.header)
	for _, key := range slices.Sorted(maps.Keys(t.chosen)) {
		fmt.Fprintf(&b, "%s\t%s\n", key, t.chosen[key])
	}
	c.put(t.name, []byte(b.String()))
}

// tune measures the products of p that have no tiling yet, and returns all choices.
func (d *device) tune(p *compile.Program, t target) (map[string]string, error) {
	if !d.tuned || d.simple || d.cache.folder == "" {
		return nil, nil
	}
	if d.tiles == nil {
		var err error
		if d.tiles, err = d.openTiles(); err != nil {
			return nil, err
		}
	}
	t.Tiles = d.tiles.chosen
	all, err := sitesOf(p, t)
	if err != nil {
		return nil, err
	}
	known := func(s site) bool { return s.known(d.tiles.chosen) }
	if all = slices.DeleteFunc(all, known); len(all) == 0 {
		return d.tiles.chosen, nil
	}
	defer d.cache.lock()()
	d.tiles.read(d.cache)
	if all = slices.DeleteFunc(all, known); len(all) == 0 {
		return d.tiles.chosen, nil
	}
	var list []launch
	for _, s := range all {
		for _, w := range s.ways {
			list = append(list, w.List...)
		}
	}
	if err := d.compileAll(p, append(list, comparing)); err != nil {
		return nil, err
	}
	for _, s := range all {
		best, err := d.fastest(p, s)
		if err != nil {
			return nil, err
		}
		if best != "" {
			d.tiles.chosen[s.key] = best
		}
	}
	d.tiles.write(d.cache)
	return d.tiles.chosen, nil
}

// lock waits until no other process measures: what it finds is the choice of all. Where
// files cannot be locked each measures for itself.
func (c *cache) lock() (release func()) {
	if os.MkdirAll(c.folder, 0o700) != nil {
		return func() {}
	}
	f, err := os.OpenFile(filepath.Join(c.folder, "tiles.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return func() {}
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX) // given back with the file, however the process ends
	return func() { _ = f.Close() }
}

// known says that one of the ways is chosen.
func (s site) known(chosen map[string]string) bool {
	return slices.ContainsFunc(s.ways, func(w way) bool { return w.tiling == chosen[s.key] })
}

// clearly is how much faster a way must be than the one that the model prefers.
const clearly = 0.97

// fastest is the tiling that takes the least time, of those that make what the others do; none
// where the GPU has no memory left to try.
func (d *device) fastest(p *compile.Program, s site) (string, error) {
	r := s.reference()
	reference, err := d.measure(p, s.ways[r])
	defer d.drop(reference)
	if errors.Is(err, backend.ErrLost) {
		return "", blame(p, s.ways[r].product(), err)
	}
	if err != nil {
		return "", nil //nolint:nilerr // too little memory is Compile's to refuse
	}
	best, least := "", 0.0
	for i, w := range s.ways {
		one, right, err := reference, true, error(nil)
		if i != r {
			if one, err = d.measure(p, w); err == nil {
				right, err = d.agree(reference, one)
			}
			d.drop(one)
		}
		switch {
		case errors.Is(err, backend.ErrLost):
			return "", blame(p, w.product(), err)
		case err != nil && i == 0:
			return "", nil // the model's choice is Compile's to refuse
		case err != nil: // it does not fit
		case !right:
			d.refuse(p, w, reference.tiling)
		case best == "":
			best, least = w.tiling, clearly*one.seconds
		case one.seconds < least:
			best, least = w.tiling, one.seconds
		}
	}
	return best, nil
}

// drop frees the memory of a trial; a lost device has none to give back.
func (d *device) drop(t trial) {
	if t.memory != 0 {
		_ = d.free(t.memory)
	}
}

// runs of a way: the first is not counted, of the others the fastest is.
const runs = 4

// measure is the seconds of a way, on memory of its own, which the caller frees.
func (d *device) measure(p *compile.Program, w way) (t trial, err error) {
	list, t, err := d.alone(p, w)
	if err != nil {
		return t, err
	}
	var events [runs + 1]cu.Event
	for i := range events {
		if events[i], err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return t, d.told("an event", err)
		}
		defer cu.DestroyEvent(&events[i]) //nolint:errcheck // of a lost device it is gone already
	}
	e := &executable{dev: d}
	for _, n := range p.Nodes {
		e.nodes = append(e.nodes, n.Name)
	}
	for i := range events {
		for _, s := range list {
			if err := e.start(s, d.stream); err != nil {
				return t, err
			}
		}
		if err := events[i].Record(d.stream); err != nil {
			return t, d.told("an event", err)
		}
	}
	if err := d.stream.Synchronize(); err != nil {
		return t, d.told("measuring "+w.tiling, err)
	}
	for i := range runs {
		ms, err := events[i].Elapsed(events[i+1])
		if err != nil {
			return t, d.told("measuring "+w.tiling, err)
		}
		if i == 0 || ms/1000 < t.seconds {
			t.seconds = ms / 1000
		}
	}
	return t, nil
}

// alone places the operands of a way in memory that nothing else has.
func (d *device) alone(p *compile.Program, w way) (list []start, t trial, err error) {
	t.tiling = w.tiling
	at, bytes := map[place]int64{}, int64(0)
	for _, l := range w.List {
		for _, a := range l.Args {
			if _, is := at[a]; !is && a.In != nobody {
				at[a] = bytes
				bytes += aligned(a.Bytes)
			}
		}
	}
	if t.memory, err = d.memory(bytes); err != nil {
		return nil, t, err
	}
	if t.made, err = d.operands(p, w, t.memory, at); err != nil {
		return nil, t, err
	}
	for _, l := range w.List {
		s := start{launch: l, function: d.functions[key(l)]}
		if err := d.allow(s.function, l); err != nil {
			return nil, t, blame(p, l, err)
		}
		for _, a := range l.Args {
			if a.In == nobody {
				s.pointers = append(s.pointers, 0)
				continue
			}
			s.pointers = append(s.pointers, t.memory.Uintptr()+uintptr(at[a]))
		}
		list = append(list, s)
	}
	return list, t, d.land(context.Background(), 0)
}
