package cpu

import "github.com/gounet/gounet/core/graph"

// median makes y: the middle of each window is found by parting its values.
func (s *scope) median(op graph.Median, n graph.Node) []part {
	p := s.planes(op.Ctl, n)
	s.pool.reserve(need{worker: (op.Most+1)*p.plane + op.Most*op.Most*op.Most})
	return []part{s.parallel(p.n*p.size[0], func(w *worker, unit int) {
		nn, d := unit/p.size[0], unit%p.size[0]
		if p.idle(nn, 1) {
			p.copyPlane(unit)
			return
		}
		out, planes := w.scratch[:p.plane], w.scratch[p.plane:][:op.Most*p.plane]
		window := w.scratch[(op.Most+1)*p.plane:]
		for c := range p.c {
			size := [3]int{1, 1, 1}
			for a := range size {
				if p.size[a] > 1 {
					size[a] = max(1, min(int(p.parameter(nn, c)), op.Most))
				}
			}
			for k := range size[0] {
				at := (nn*p.size[0] + mirrored(d-size[0]/2+k, p.size[0])) * p.plane
				to := planes[k*p.plane:][:p.plane]
				copy(to, p.isa.read(p.x, at, p.plane, to))
			}
			i := c
			for h := range p.size[1] {
				for x := range p.size[2] {
					out[i] = middle(p.window(window, planes, size, h, x, c))
					i += p.c
				}
			}
		}
		y := p.isa.target(p.y, unit*p.plane, p.plane, planes)
		copy(y, out)
		p.isa.flush(p.y, unit*p.plane, y)
	})}
}

// window gathers the values about voxel h, w of channel c in planes.
func (p *planes) window(to, planes []float32, size [3]int, h, w, c int) []float32 {
	n := 0
	for kh := range size[1] {
		row := mirrored(h-size[1]/2+kh, p.size[1]) * p.size[2]
		for kw := range size[2] {
			at := (row+mirrored(w-size[2]/2+kw, p.size[2]))*p.c + c
			for k := range size[0] {
				to[n] = planes[k*p.plane+at]
				n++
			}
		}
	}
	return to[:n]
}

// middle is element len(v)/2 of v in order; v is parted about it (Hoare 1961).
func middle(v []float32) float32 {
	low, high, k := 0, len(v)-1, len(v)/2
	for low < high {
		pivot, i, j := v[k], low, high
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for pivot < v[j] {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i, j = i+1, j-1
			}
		}
		if j < k {
			low = i
		}
		if k < i {
			high = j
		}
	}
	return v[k]
}

// mirrored brings i back into an axis of n voxels, whose border is repeated.
func mirrored(i, n int) int {
	for i < 0 || i >= n {
		if i < 0 {
			i = -1 - i
		} else {
			i = 2*n - 1 - i
		}
	}
	return i
}

// sharpen makes y.
func (s *scope) sharpen(op graph.Sharpen, n graph.Node) []part {
	p := s.planes(op.Ctl, n)
	s.pool.reserve(need{worker: 4 * p.plane})
	return []part{s.parallel(p.n*p.size[0], func(w *worker, unit int) {
		nn, d := unit/p.size[0], unit%p.size[0]
		if p.idle(nn, 0) {
			p.copyPlane(unit)
			return
		}
		plane := func(d, buf int) []float32 {
			at := nn*p.size[0] + min(max(d, 0), p.size[0]-1)
			return p.isa.read(p.x, at*p.plane, p.plane, w.scratch[buf*p.plane:][:p.plane])
		}
		before, own, behind := plane(d-1, 0), plane(d, 1), plane(d+1, 2)
		y := p.isa.target(p.y, unit*p.plane, p.plane, w.scratch[3*p.plane:])
		row := p.size[2] * p.c
		for h := range p.size[1] {
			up, down := max(h-1, 0)*row, min(h+1, p.size[1]-1)*row
			for i := range row {
				at := h*row + i
				a := p.parameter(nn, i%p.c)
				if a == 0 {
					y[at] = own[at]
					continue
				}
				v, left, right := own[at], at, at
				if i >= p.c {
					left -= p.c
				}
				if i < row-p.c {
					right += p.c
				}
				y[at] = v + a*((v-before[at]+v-behind[at])+(v-own[up+i]+v-own[down+i])+(v-own[left]+v-own[right]))
			}
		}
		p.isa.flush(p.y, unit*p.plane, y)
	})}
}
