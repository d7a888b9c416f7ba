package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// hardest is a Hardest: a key for each voxel, larger the larger its cross entropy is,
// 0 for one that is ignored; then the Count largest.
type hardest struct {
	*seg
	count int
	out   []byte
}

func (s *scope) hardest(op graph.Hardest, n graph.Node) []part {
	p := &hardest{
		seg:   s.seg(graph.SegSums{Stride: op.Stride, Ignore: op.Ignore, Smoothing: op.Smoothing}, n.In[0], n.In[1]),
		count: op.Count, out: s.bytes(n.Out[0]),
	}
	s.pool.reserve(need{shared: p.n * p.v})
	return []part{s.parallel(p.n*p.units, p.key), serial(p.choose)}
}

// keys are bits of floats ≥ 0, whose order is that of the floats, plus 1.
func (p *hardest) keys() []float32 { return p.pool.shared[:p.n*p.v] }

// key makes the keys of a unit, and the classes of all its voxels.
func (p *hardest) key(w *worker, unit int) {
	u := p.open(w, unit)
	at := u.n*p.v + u.first
	keys, out := p.keys()[at:at+u.count], p.out[at:at+u.count]
	if u.valid > 0 {
		p.softmax(&u)
		p.log(&u)
	}
	logs, top := u.row[segTotal], u.row[segTop]
	for i, c := range u.row[segClass][:u.count] {
		if c < 0 {
			keys[i], out[i] = 0, graph.Unseen
			continue
		}
		ce := logs[i] + (top[i] - u.z[int(c)*p.block+i])
		if p.op.Smoothing != 0 {
			ce += p.smoothing(&u, i, int(c))
		}
		ce = max(0, ce)
		keys[i], out[i] = math.Float32frombits(math.Float32bits(ce)+1), byte(c)
	}
}

// choose finds the smallest key that is in, eight bits at a time, and leaves out the
// voxels below it; of those that have it, the last.
func (p *hardest) choose() {
	var least uint32
	left := p.count
	for shift := 24; shift >= 0; shift -= 8 {
		var found [256]int
		for _, k := range p.keys() {
			if key := math.Float32bits(k); key>>8>>shift == least>>8>>shift {
				found[key>>shift&255]++
			}
		}
		digit := 255
		for found[digit] < left {
			left -= found[digit]
			digit--
		}
		least |= uint32(digit) << shift
	}
	for i, k := range p.keys() {
		switch key := math.Float32bits(k); {
		case key < least, key == least && left == 0:
			p.out[i] = graph.Unseen
		case key == least:
			left--
		}
	}
}
