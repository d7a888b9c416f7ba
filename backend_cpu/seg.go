package cpu

import (
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// seg is a SegSums or a SegGrad. A unit is up to block voxels of a sample, whose
// logits are turned to rows of one class, [K block], for kernels over vectors.
type seg struct {
	*scope
	op      graph.SegSums
	n, v, k int
	grid    [3]int // D H W of the logits
	block   int
	units   int // of a sample
	logits  tensor
	labels  []byte
	class   [256]float32   // class of a label; −1: not counted
	wants   [][256]float32 // of regions: 1 where a label is listed
	sums    []float32
	// of SegGrad
	dsums   []float32
	dlogits tensor
}

func (s *scope) seg(op graph.SegSums, logits, labels graph.Value) *seg {
	t := s.Type(logits).Shape
	p := &seg{
		scope: s, op: op, n: t[0], v: t[1] * t[2] * t[3], k: t[4], grid: [3]int(t[1:4]),
		logits: s.tensor(logits), labels: s.bytes(labels),
	}
	p.block = max(64, min(1024, unitFloats/p.k/64*64))
	p.units = ceil(p.v, p.block)
	for l := range min(p.k, len(p.class)) {
		p.class[l] = float32(l)
	}
	for _, region := range op.Regions {
		var wants [256]float32
		for _, l := range region {
			if int(l) != op.Ignore {
				wants[l] = 1
			}
		}
		p.wants = append(p.wants, wants)
	}
	if op.Ignore >= 0 {
		p.class[op.Ignore] = -1
	}
	s.pool.reserve(need{
		shared: p.n * p.units * p.k * graph.SumsLen * 2,
		worker: p.block*(p.k+2*p.columns()+segRows+1) + 2*p.isa.lanes,
	})
	return p
}

// columns is K, rounded up to vectors: what is turned.
func (p *seg) columns() int { return ceil(p.k, p.isa.lanes) * p.isa.lanes }

// segUnit is a unit in a worker's memory. Rows are padded to whole vectors:
// logits 0, and voxels that do not count.
type segUnit struct {
	n, first, count int       // voxels first … first+count of sample n
	width           int       // count, padded
	stored          []float32 // [count K], and room for a vector
	z, p            []float32 // [columns block]: logits, probabilities
	row             [segRows][]float32
	labels          []byte
	valid           int // voxels that count
	args            *flatArgs
}

// Rows of a unit beside those of the classes.
const (
	segClass = iota // of the label; −1: the voxel does not count
	segValid        // 1 where it counts
	segTop          // softmax: the largest logit
	segTotal        // softmax: Σ exp(z − top); then its logarithm. sigmoid: log(1 + exp(−|z|))
	segWant         // t of a class
	segOne          // 1 where the class is that of the label
	segA            // scratch
	segB
	segRows
)

// open finds labels and logits of a unit.
func (p *seg) open(w *worker, unit int) segUnit {
	u := segUnit{n: unit / p.units, first: unit % p.units * p.block, args: &w.flatArgs}
	u.count = min(p.block, p.v-u.first)
	u.width = ceil(u.count, p.flat.lanes) * p.flat.lanes
	m := w.scratch
	take := func(n int) []float32 {
		r := m[:n:n]
		m = m[n:]
		return r
	}
	u.stored = take(p.block*p.k + 2*p.isa.lanes)
	u.z, u.p = take(p.columns()*p.block), take(p.columns()*p.block)
	for i := range u.row {
		u.row[i] = take(p.block)[:u.width]
	}
	u.labels = backend.F32Bytes(take(p.block / 4))[:u.count]
	p.readLabels(&u)
	if u.valid > 0 {
		n := u.count * p.k
		p.isa.fetch(u.stored[:n], n, p.logits, (u.n*p.v+u.first)*p.k, n, 1, n)
		p.turn(&u)
	}
	return u
}

// readLabels takes every stride-th label, beginning at half a stride.
func (p *seg) readLabels(u *segUnit) {
	s, g := p.op.Stride, p.grid
	size := [3]int{g[0] * s[0], g[1] * s[1], g[2] * s[2]}
	of := p.labels[u.n*size[0]*size[1]*size[2]:]
	if s == [3]int{1, 1, 1} {
		copy(u.labels, of[u.first:])
	} else {
		for i := 0; i < len(u.labels); {
			v := u.first + i
			d, h, w := v/(g[1]*g[2]), v/g[2]%g[1], v%g[2]
			row := of[((d*s[0]+s[0]/2)*size[1]+h*s[1]+s[1]/2)*size[2]:]
			for ; w < g[2] && i < len(u.labels); w++ {
				u.labels[i] = row[w*s[2]+s[2]/2]
				i++
			}
		}
	}
	class, valid := u.row[segClass], u.row[segValid]
	for i, l := range u.labels {
		class[i] = p.class[l]
	}
	u.valid = u.count
	for i := range valid {
		valid[i] = 1
	}
	for i := u.count; i < u.width; i++ {
		class[i], valid[i] = -1, 0
	}
	if p.op.Ignore >= 0 {
		for i, l := range u.labels {
			if int(l) == p.op.Ignore {
				valid[i] = 0
				u.valid--
			}
		}
	}
}

// turn makes z [K block] of stored [count K]. Rows are read as whole vectors,
// which reach into the next voxel; what is turned too much lies beyond K.
func (p *seg) turn(u *segUnit) {
	lanes := p.isa.lanes
	whole := u.count / lanes * lanes
	for k := 0; k < p.k; k += lanes {
		for i := 0; i < whole; i += lanes {
			p.isa.transpose(&u.z[k*p.block+i], &u.stored[i*p.k+k], 4*p.block, 4*p.k)
		}
	}
	for k := range p.k {
		z := u.z[k*p.block:][:u.width]
		for i := whole; i < u.count; i++ {
			z[i] = u.stored[i*p.k+k]
		}
		clear(z[u.count:])
	}
}

// of is class k of z or p.
func (p *seg) of(u *segUnit, rows []float32, k int) []float32 { return rows[k*p.block:][:u.width] }

// vectors is the length of rows.
func (p *seg) vectors(u *segUnit) int { return u.width / p.flat.lanes }

// softmax makes p of z, top and total.
func (p *seg) softmax(u *segUnit) {
	n, top, total := p.vectors(u), u.row[segTop], u.row[segTotal]
	p.findTop(u)
	clear(total)
	for k := range p.k {
		e := &p.of(u, u.p, k)[0]
		p.flat.expSub(e, &p.of(u, u.z, k)[0], &top[0], n)
		p.flat.axpy(&total[0], e, n, 1)
	}
	share := u.row[segA]
	for i, t := range total {
		share[i] = 1 / t
	}
	for k := range p.k {
		multiply(p.of(u, u.p, k), share)
	}
}

// findTop makes the largest logits.
func (p *seg) findTop(u *segUnit) {
	top := u.row[segTop]
	copy(top, p.of(u, u.z, 0))
	for k := 1; k < p.k; k++ {
		p.flat.largest(&top[0], &p.of(u, u.z, k)[0], p.vectors(u))
	}
}

// hard makes p of z: 1 for the first largest, with regions for all above 0.
func (p *seg) hard(u *segUnit) {
	if p.op.Regions != nil {
		for k := range p.k {
			prob := p.of(u, u.p, k)
			for i, x := range p.of(u, u.z, k) {
				prob[i] = 0
				if x > 0 {
					prob[i] = 1
				}
			}
		}
		return
	}
	p.findTop(u)
	taken := u.row[segA]
	clear(taken)
	for k := range p.k {
		p.flat.firstOf(&p.of(u, u.p, k)[0], &taken[0], &p.of(u, u.z, k)[0], &u.row[segTop][0], p.vectors(u))
	}
}

// sigmoid makes p of z for class k, and log(1 + exp(−|z|)).
func (p *seg) sigmoid(u *segUnit, k int) {
	z, prob, below, zero, logs := p.of(u, u.z, k), p.of(u, u.p, k), u.row[segA], u.row[segB], u.row[segTotal]
	clear(zero)
	for i, x := range z {
		below[i] = -max(x, -x)
	}
	p.flat.expSub(&prob[0], &below[0], &zero[0], p.vectors(u))
	for i, e := range prob {
		below[i] = 1 + e
	}
	p.flat.log(&logs[0], &below[0], p.vectors(u))
	for i, x := range z {
		e := prob[i]
		if x >= 0 {
			e = 1
		}
		prob[i] = e / below[i]
	}
}

// multiply makes y ·= x.
func multiply(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] *= x[i]
	}
}

// want makes t of class k, and where k is the class of the label; without
// regions, these are the same.
func (p *seg) want(u *segUnit, k int) (t, one []float32) {
	one = u.row[segOne]
	p.flat.choose(&one[0], &u.row[segClass][0], p.vectors(u), float32(k))
	if p.op.Regions == nil {
		return one, one
	}
	t = u.row[segWant]
	table := &p.wants[k]
	for i, l := range u.labels {
		t[i] = table[l]
	}
	clear(t[u.count:])
	return t, one
}
