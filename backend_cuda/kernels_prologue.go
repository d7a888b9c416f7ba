package cuda

import "github.com/gounet/gounet/core/graph"

// prologue is how kernels make a value that is not stored, the result of a norm, each time
// that they read it: from what the norm reads, by a table (see norm_table.cu).
type prologue struct {
	x     graph.Value
	slope float32
	table place
}

// rule says whether something is done in one of two ways.
type rule uint8

const (
	whenFaster rule = iota // as far as a rough model goes
	always                 // where it can be
	never
)

// A norm that is stored costs two passes over memory: it reads x and writes y. One that is
// not costs arithmetic each time that a block loads an element.
const (
	clocksOfNorm  = 8.0 / 128 // of a multiprocessor: eight instructions, 128 at a time
	bytesOfAClock = 20        // of memory, for a multiprocessor of 132: 4.3 TB/s at 1.7 GHz
)

// faster says that an element of so many bytes may be made so many times.
func faster(times float64, bytes int) bool {
	return times*clocksOfNorm < 2*float64(bytes)/bytesOfAClock
}

// prologues finds the norms that the kernels behind them make. All that read such a value
// must be able to, and what the norm reads must last until then.
func (s *scope) prologues() {
	s.made = map[graph.Value]*prologue{}
	if s.Simple || s.Fold == never {
		return
	}
	kept := map[graph.Value]bool{}
	for _, v := range s.Outputs {
		kept[v] = true
	}
	for i, n := range s.Nodes {
		slope, ok := slopeOf(n.Op)
		if !ok || kept[n.Out[0]] || s.made[n.In[0]] != nil || s.Info(n.Out[0]).Region != graph.Scratch || s.Type(n.Out[0]).DType == graph.U8 {
			continue
		}
		y := n.Out[0]
		times, last, ok := s.readers(y)
		if ok && s.lasts(n.In[0], i+1, last) && (s.Fold == always || faster(times, s.Type(y).DType.Size())) {
			s.made[y] = &prologue{x: n.In[0], slope: slope}
		}
	}
}

// slopeOf is that of a norm.
func slopeOf(op graph.Op) (slope float32, ok bool) {
	switch op := op.(type) {
	case graph.NormAct:
		return op.Slope, true
	case graph.NormApply:
		return op.Slope, true
	}
	return 0, false
}

// readers says how often they load an element of y, which of them is the last, and
// whether all of them can make it.
func (s *scope) readers(y graph.Value) (times float64, last int, ok bool) {
	if per := 16 / s.Type(y).DType.Size(); s.channels(y)%per != 0 {
		return 0, 0, false
	}
	for i, n := range s.Nodes {
		for at, v := range n.In {
			if v != y {
				continue
			}
			more, can := s.loads(n, at)
			if !can {
				return 0, 0, false
			}
			times, last = times+more, i
		}
	}
	return times, last, last > 0
}

// loads is how often the kernel of n loads an element of In[at]; ok is false if it
// cannot make it.
func (s *scope) loads(n graph.Node, at int) (times float64, ok bool) {
	if g, is := s.gemmOf(n); is && (n.In[at] == g.x || n.In[at] == g.x2) && n.In[at] != g.w {
		c, ok := s.layout(g)
		return c.loads, ok
	}
	for _, o := range s.outersOf(n) {
		if !s.outerFits(o) || s.Arch >= 100 && o.rows == 1 { // there a block of so many warps has no registers for it
			return 0, false
		}
		if n.In[at] == o.normal() {
			times, ok = s.outerLoads(o), true
		}
	}
	return times, ok
}

// lasts says that what lies in the memory of x stays there while nodes from first to last run.
func (s *scope) lasts(x graph.Value, first, last int) bool {
	at, ok := s.Place(x)
	if !ok {
		return false
	}
	for _, n := range s.Nodes[first : last+1] {
		for _, v := range append(n.Mutated(), n.Out...) {
			p, ok := s.Place(v)
			if ok && p.Region == at.Region && p.Chunk == at.Chunk && p.Offset < at.Offset+at.Bytes && at.Offset < p.Offset+p.Bytes {
				return false
			}
		}
	}
	return true
}

// leave makes the table of a norm whose result is not stored; false if it is.
func (s *scope) leave(y, gamma, beta graph.Value, stats place) (bool, error) {
	p := s.made[y]
	if p == nil {
		return false, nil
	}
	t := s.Type(y).Shape
	p.table = s.lasting(16 * int64(t[0]*t[4]))
	return true, s.each("norm_table", t[0]*t[4], consts{"C": t[4]}, p.table, s.value(gamma), s.value(beta), stats)
}

// source is the memory that a kernel reads v from, and where it is not stored the table
// and the slope that make it.
func (s *scope) source(v graph.Value) (from, table place, slope float32) {
	if p := s.made[v]; p != nil {
		return s.value(p.x), p.table, p.slope
	}
	return s.value(v), place{}, 0
}
