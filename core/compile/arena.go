package compile

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// Align is the alignment of every value in bytes: the largest that any backend
// asks for (WebGPU's minStorageBufferOffsetAlignment).
const Align = 256

// weightAlign keeps values of Half, which are half as long, aligned as well.
const weightAlign = 2 * Align

// Place is where a value lives. Bytes is its size; 0 for a value that no node
// touches. Gaps between the values of Weights, Half, Grads and State are zero, as
// new memory is, and stay it: a kernel may treat a range of them as a whole.
type Place struct {
	Region graph.Region
	Chunk  int
	Offset int64
	Bytes  int64
}

// stepOf is what values of a region are spaced by.
func stepOf(r graph.Region) int64 {
	switch r {
	case graph.Weights, graph.Grads, graph.State:
		return weightAlign
	}
	return Align
}

func align(n, to int64) int64 { return (n + to - 1) / to * to }

// life is a value of Scratch from the node that makes it to the last that reads it.
type life struct {
	v           graph.Value
	over        []graph.Value // that are written over it, one after the other
	first, last int
	bytes       int64
	offset      int64
}

// place gives every value a place. Values of Scratch share memory when their
// lives do not overlap; values of other regions lie one after the other.
func place(g *graph.Graph, o Options) (*Program, error) {
	p := &Program{Graph: g, Places: make([]Place, len(g.Values)), Size: map[graph.Region][]int64{}}
	lives, err := lifetimes(g)
	if err != nil {
		return nil, err
	}
	if o.InPlace {
		lives = overwrite(g, lives)
	}
	for _, info := range g.Values {
		b := info.Type.Bytes()
		if o.ValueBytes > 0 && b > o.ValueBytes {
			return nil, fmt.Errorf("value %s %v needs %s, the device binds %s: choose a smaller patch or batch",
				info.Name, info.Type, size(b), size(o.ValueBytes))
		}
		if step := stepOf(info.Region); o.BufferBytes > 0 && align(b, step) > o.BufferBytes/step*step {
			return nil, fmt.Errorf("value %s %v needs %s, the device's largest buffer is %s: choose a smaller patch or batch",
				info.Name, info.Type, size(b), size(o.BufferBytes))
		}
	}
	p.placeScratch(lives, o.BufferBytes)
	p.placeOthers(o.BufferBytes, o.Linked)
	return p, nil
}

// lifetimes of the values of Scratch.
func lifetimes(g *graph.Graph) ([]*life, error) {
	at := map[graph.Value]*life{}
	var lives []*life
	for i, n := range g.Nodes {
		for _, v := range n.In {
			if v == 0 || g.Info(v).Region != graph.Scratch {
				continue
			}
			l := at[v]
			if l == nil {
				return nil, fmt.Errorf("%s reads %s, which no node before it makes", n.Name, g.Info(v).Name)
			}
			l.last = i
		}
		for _, v := range n.Out {
			if g.Info(v).Region == graph.Scratch {
				at[v] = &life{v: v, first: i, last: i, bytes: align(g.Type(v).Bytes(), Align)}
				lives = append(lives, at[v])
			}
		}
	}
	for _, v := range g.Outputs {
		if l := at[v]; l != nil {
			l.last = len(g.Nodes)
		}
	}
	return lives, nil
}

// overwrite lets a norm write over what it reads, where nobody reads that later: both
// have one life.
func overwrite(g *graph.Graph, lives []*life) []*life {
	at := map[graph.Value]*life{}
	for _, l := range lives {
		at[l.v] = l
	}
	gone := map[*life]bool{}
	for i, n := range g.Nodes {
		switch n.Op.(type) {
		case graph.NormAct, graph.NormApply:
		default:
			continue
		}
		x, y := at[n.In[0]], at[n.Out[0]]
		if x == nil || y == nil || x.last != i || x.bytes != y.bytes {
			continue
		}
		x.over, x.last = append(x.over, y.v), y.last
		at[y.v], gone[y] = x, true
	}
	return slices.DeleteFunc(lives, func(l *life) bool { return gone[l] })
}

// placeScratch puts the largest value first, each at the lowest offset that is
// free for the whole of its life and does not straddle two chunks.
func (p *Program) placeScratch(lives []*life, chunk int64) {
	slices.SortStableFunc(lives, func(a, b *life) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.v, b.v))
	})
	chunk = chunk / Align * Align
	var placed []*life // by offset
	for _, l := range lives {
		off := fit(0, l.bytes, chunk)
		for _, o := range placed {
			if o.last < l.first || l.last < o.first || o.offset+o.bytes <= off {
				continue
			}
			if off+l.bytes <= o.offset {
				break
			}
			off = fit(o.offset+o.bytes, l.bytes, chunk)
		}
		l.offset = off
		p.put(l.v, graph.Scratch, off, chunk)
		for _, v := range l.over {
			p.put(v, graph.Scratch, off, chunk)
		}
		i, _ := slices.BinarySearchFunc(placed, off, func(o *life, off int64) int { return cmp.Compare(o.offset, off) })
		placed = slices.Insert(placed, i, l)
	}
}

// fit is the lowest offset from off on at which n bytes lie in one chunk.
func fit(off, n, chunk int64) int64 {
	if chunk > 0 && off/chunk != (off+n-1)/chunk {
		return align(off, chunk)
	}
	return off
}

// put places v at an offset counted over all chunks of a region.
func (p *Program) put(v graph.Value, r graph.Region, off, chunk int64) {
	b := p.Type(v).Bytes()
	at := Place{Region: r, Offset: off, Bytes: b}
	if chunk > 0 {
		at.Chunk, at.Offset = int(off/chunk), off%chunk
	}
	p.Places[v-1] = at
	for len(p.Size[r]) <= at.Chunk {
		p.Size[r] = append(p.Size[r], 0)
	}
	p.Size[r][at.Chunk] = max(p.Size[r][at.Chunk], at.Offset+align(b, Align))
}

// placeOthers lays out the regions that survive a run. Linked, as always with
// optimizer state, Weights holds every parameter, and Half, Grads and State
// repeat its layout. Otherwise a program has only the weights that its nodes read.
func (p *Program) placeOthers(chunk int64, linked bool) {
	touched := make([]bool, len(p.Values)+1)
	for _, n := range p.Nodes {
		for _, v := range slices.Concat(n.In, n.Out) {
			touched[max(v, 0)] = true
		}
	}
	for _, v := range p.Outputs {
		touched[v] = true
	}
	for i, info := range p.Values {
		if info.Of != 0 && info.Region != graph.Half && touched[i+1] {
			touched[info.Of] = true
		}
	}
	linked = linked || slices.ContainsFunc(p.Values, func(i graph.Info) bool { return i.Region == graph.State })
	wchunk := chunk / weightAlign * weightAlign
	next := map[graph.Region]int64{}
	for _, i := range fixedLast(p.Values) {
		info := p.Values[i]
		v, r := graph.Value(i+1), info.Region
		switch {
		case r == graph.Scratch || !touched[v] && !(linked && r == graph.Weights):
		case info.Of != 0 && (linked || r != graph.Half):
		default:
			step, c := int64(Align), chunk/Align*Align
			if r == graph.Weights {
				step, c = weightAlign, wchunk
			}
			off := fit(next[r], info.Type.Bytes(), c)
			p.put(v, r, off, c)
			next[r] = align(off+info.Type.Bytes(), step)
		}
	}
	// The followers, in the layout of the weights: offsets in elements are equal,
	// a second state begins where the first ends.
	for i, info := range p.Values {
		v := graph.Value(i + 1)
		if info.Of == 0 || p.Places[i].Bytes > 0 || !touched[v] {
			continue
		}
		w := p.Places[info.Of-1]
		off := int64(w.Chunk)*wchunk + w.Offset
		if info.Region == graph.Half {
			p.put(v, graph.Half, off/2, wchunk/2)
			continue
		}
		total := align(next[graph.Weights], weightAlign)
		if wchunk > 0 {
			total = align(total, wchunk)
		}
		p.put(v, info.Region, int64(info.Slot)*total+off, wchunk)
	}
	// A range is read whole: pad it to the step of the weights.
	for _, r := range []graph.Region{graph.Weights, graph.Grads, graph.State} {
		for c := range p.Size[r] {
			p.Size[r][c] = align(p.Size[r][c], weightAlign)
		}
	}
}

// fixedLast are the indices of values in their order, those of Fixed ones at the end.
func fixedLast(values []graph.Info) []int {
	var list, fixed []int
	for i, info := range values {
		if info.Fixed {
			fixed = append(fixed, i)
		} else {
			list = append(list, i)
		}
	}
	return append(list, fixed...)
}

func size(b int64) string {
	if b < 1<<20 {
		return fmt.Sprintf("%d KiB", (b+1023)>>10)
	}
	return fmt.Sprintf("%d MiB", (b+1<<20-1)>>20)
}
