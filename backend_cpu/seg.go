package cpu

import (
	"bytes"

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
	p.block = max(64, min(1024, 2*unitFloats/(p.k+segRows/2)/64*64))
	p.units = ceil(p.v, p.block)
	for _, region := range op.Regions {
		var wants [256]float32
		for _, l := range region {
			if int(l) != op.Ignore {
				wants[l] = 1
			}
		}
		p.wants = append(p.wants, wants)
	}
	s.pool.reserve(need{
		shared: p.n * p.units * p.k * graph.SumsLen * 2,
		worker: p.block*(p.k+2*p.columns()+segRows+1) + p.k*(4*p.flat.lanes+3) + 2*p.isa.lanes,
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
	acc             []float32 // [K 4 lanes]
	d               []float32 // [K 3]
	labels          []byte
	valid           int // voxels that count
	args            *lossRows
}

// Rows of a unit beside those of the classes.
const (
	segClass = iota // of the label, a label that is no class being 0; −1: the voxel does not count
	segTop          // softmax: the largest logit
	segTotal        // softmax: Σ exp(z − top); then its logarithm. sigmoid: that of 1 + exp(−|z|)
	segCE           // of a gradient: what the cross entropy contributes
	segWant         // t of a class
	segRows
)

// open finds labels and logits of a unit.
func (p *seg) open(w *worker, unit int) segUnit {
	u := segUnit{n: unit / p.units, first: unit % p.units * p.block, args: &w.loss}
	u.count = min(p.block, p.v-u.first)
	u.width = ceil(u.count, p.flat.lanes) * p.flat.lanes
	m := w.scratch
	take := func(n int) []float32 {
		r := m[:n:n]
		m = m[n:]
		return r
	}
	u.z, u.p = take(p.columns()*p.block), take(p.columns()*p.block)
	for i := range u.row {
		u.row[i] = take(p.block)[:u.width]
	}
	u.labels = backend.F32Bytes(take(p.block / 4))[:u.count]
	u.acc, u.d = take(4*p.k*p.flat.lanes), take(3*p.k)
	u.stored = take(p.block*p.k + 2*p.isa.lanes)
	*u.args = lossRows{
		z: &u.z[0], p: &u.p[0], class: &u.row[segClass][0], top: &u.row[segTop][0], total: &u.row[segTotal][0],
		ce: &u.row[segCE][0], sums: &u.acc[0], d: &u.d[0], k: p.k, step: 4 * p.block, vectors: p.vectors(&u),
	}
	p.readLabels(&u)
	if u.valid > 0 {
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
	class := u.row[segClass]
	p.flat.classes(&class[0], &u.labels[0], p.vectors(u), float32(p.k-1), float32(p.op.Ignore))
	for i := range class[u.count:] {
		class[u.count+i] = -1
	}
	u.valid = u.count
	if p.op.Ignore >= 0 {
		u.valid -= bytes.Count(u.labels, []byte{byte(p.op.Ignore)})
	}
}

// turn makes z [K block] of the logits [count K].
func (p *seg) turn(u *segUnit) {
	from, n := (u.n*p.v+u.first)*p.k, u.count*p.k
	stored := u.stored
	if p.logits.f32 != nil {
		stored = p.logits.f32[from:]
	} else {
		p.isa.fetch(stored[:n], n, p.logits, from, n, 1, n)
	}
	p.toRows(u.z, p.block, stored, p.k, u.count)
	for k := range p.k {
		clear(u.z[k*p.block:][u.count:u.width])
	}
}

// toRows makes rows of one class, step apart, of count voxels of k classes. What src has
// behind them is read too, and rows up to a whole number of vectors are written.
func (s *scope) toRows(dst []float32, step int, src []float32, k, count int) {
	done := 0
	if k < len(s.flat.split) && s.flat.split[k] != nil {
		if vectors := min(ceil(count, s.flat.lanes), len(src)/(k*s.flat.lanes), step/s.flat.lanes); vectors > 0 {
			s.flat.split[k](&dst[0], &src[0], 4*step, vectors)
			done = min(count, vectors*s.flat.lanes)
		}
	} else {
		// Vectors of classes reach into the next voxel; what is turned too much lies beyond k.
		lanes := s.isa.lanes
		for reach := ceil(k, lanes) * lanes; done+lanes <= count && (done+lanes-1)*k+reach <= len(src); done += lanes {
			for j := 0; j < k; j += lanes {
				s.isa.transpose(&dst[j*step+done], &src[done*k+j], 4*step, 4*k)
			}
		}
	}
	for j := range k {
		row := dst[j*step:]
		for i := done; i < count; i++ {
			row[i] = src[i*k+j]
		}
	}
}

// turnBack makes dlogits [count K] of z [K block].
func (p *seg) turnBack(u *segUnit) {
	from, n, lanes := (u.n*p.v+u.first)*p.k, u.count*p.k, p.flat.lanes
	to := u.stored[:n]
	if p.dlogits.f32 != nil {
		to = p.dlogits.f32[from:][:n]
	}
	whole := 0
	if p.k < len(p.flat.join) && p.flat.join[p.k] != nil && u.count >= lanes {
		whole = u.count / lanes * lanes
		p.flat.join[p.k](&to[0], &u.z[0], 4*p.block, whole/lanes)
	}
	for j := range p.k {
		z := p.of(u, u.z, j)
		for i, at := whole, whole*p.k+j; at < len(to); i, at = i+1, at+p.k {
			to[at] = z[i]
		}
	}
	if p.dlogits.f32 == nil {
		p.isa.put(p.dlogits, from, n, to, n, 1, n)
	}
}

// of is class k of z or p.
//
//go:noinline
func (p *seg) of(u *segUnit, rows []float32, k int) []float32 { return rows[k*p.block:][:u.width] }

// vectors is the length of rows.
func (p *seg) vectors(u *segUnit) int { return u.width / p.flat.lanes }

// softmax makes p of z, top and total.
func (p *seg) softmax(u *segUnit) {
	if p.k < len(p.flat.softmaxes) && p.flat.softmaxes[p.k] != nil {
		p.flat.softmaxes[p.k](u.args)
	} else {
		p.flat.softmax(u.args)
	}
}

// hard makes p of z: 1 for the first largest, with regions for all above 0.
func (p *seg) hard(u *segUnit) {
	if p.op.Regions == nil {
		p.flat.hard(u.args)
		return
	}
	for k := range p.k {
		prob := p.of(u, u.p, k)
		for i, x := range p.of(u, u.z, k) {
			prob[i] = 0
			if x > 0 {
				prob[i] = 1
			}
		}
	}
}

// log makes total its logarithm.
func (p *seg) log(u *segUnit) { p.flat.log(u.args.total, u.args.total, u.args.vectors) }

// want makes t of class k.
//
//go:noinline
func (p *seg) want(u *segUnit, k int) []float32 {
	t := u.row[segWant]
	if p.op.Regions == nil {
		p.flat.choose(&t[0], u.args.class, u.args.vectors, float32(k))
		return t
	}
	table := &p.wants[k]
	for i, l := range u.labels {
		t[i] = table[l]
	}
	clear(t[u.count:])
	return t
}
