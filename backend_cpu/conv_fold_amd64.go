package cpu

import "github.com/gounet/gounet/core/graph"

// foldRows fills the first of rows rows of dst, stride() apart, with three rows of the
// input each, side by side, one channel each: row (n, d, h) and the next two, then those
// rowStep further. It returns how many: 0 where no kernel does it, and none that reaches
// out of the input.
func (s *source) foldRows(dst []float32, n, d, h, rows int) int {
	f := flatOf(s.isa)
	kernel, k, next := f.foldSingles, 3, 0
	switch s.pairs {
	case channelPairs:
		kernel, k = f.foldChannels, 2
	case voxelPairs:
		kernel, next = f.foldVoxels, s.gridStep
	}
	lead, from := max(0, -s.w0), max(0, s.w0)
	count := min(s.size[2]-next-from, s.w-lead)
	if kernel == nil || s.pairs == single && s.in[0].dtype != graph.F32 || s.fold != 3 || s.c != [2]int{1, 0} ||
		h < 0 || h+3 > s.size[1] || count < f.lanes {
		return 0
	}
	rows = min(rows, (s.size[1]-3-h)/s.rowStep+1)
	src, bytes := s.in[0].at(s.voxel(n, d, h, from))
	row, stride := bytes*s.size[2], s.stride()
	kernel(&dst[lead*k], src, row, bytes*next, (count-1)/f.lanes, count-f.lanes, rows, 4*stride, row*s.rowStep)
	for r := range rows {
		to := dst[r*stride:][:s.w*k]
		for v := 0; v < s.w; v++ {
			if v == lead {
				v += count
			}
			if v < s.w {
				s.edge(to[v*k:][:k], n, d, h+r*s.rowStep, s.w0+v)
			}
		}
	}
	return rows
}

// edge makes a voxel, at column w, that is not in the input, or the next one is not.
func (s *source) edge(to []float32, n, d, h, w int) {
	clear(to)
	if s.pairs != voxelPairs {
		return
	}
	for i, w := range [2]int{w, w + s.gridStep} {
		for f := 0; w >= 0 && w < s.size[2] && f < 3; f++ {
			asHalves(to)[2*f+i] = s.in[0].u16[s.voxel(n, d, h+f, w)]
		}
	}
}
