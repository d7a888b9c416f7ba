package cpu

import (
	"unsafe"

	"github.com/gounet/gounet/core/graph"
)

// folds says that rows h … h+2 of the input are to stand side by side, one channel each,
// which kernels do: none lies outside.
func (s *source) folds(h int) bool {
	return s.fold == 3 && s.c == [2]int{1, 0} && h >= 0 && h+3 <= s.size[1]
}

// foldRow does so for count voxels of f32, at least a vector.
func (s *source) foldRow(dst []float32, n, d, h, from, count int) bool {
	join := flatOf(s.isa).join[3]
	if join == nil || !s.folds(h) || s.in[0].dtype != graph.F32 {
		return false
	}
	src := s.in[0].f32[s.voxel(n, d, h, from):]
	return s.foldVectors(dst, 3, count, func(to *float32, v, vectors int) { join(to, &src[v], 4*s.size[2], vectors) })
}

// foldPairs does so for pairs of channels or, next voxels apart, of voxels.
func (s *source) foldPairs(dst []float32, n, d, h, from, count, next int) bool {
	f := flatOf(s.isa)
	kernel, pairs := f.foldChannels, 2
	if next > 0 {
		kernel, pairs = f.foldVoxels, 3
	}
	if kernel == nil || !s.folds(h) {
		return false
	}
	src := s.in[0].u16[s.voxel(n, d, h, from):]
	return s.foldVectors(dst, pairs, count, func(to *float32, v, vectors int) {
		kernel(to, unsafe.Pointer(&src[v]), 2*s.size[2], 2*next, vectors)
	})
}

// foldVectors runs a kernel over vectors of voxels, of each of which are k f32 in dst; the
// last vector does some again.
func (s *source) foldVectors(dst []float32, k, count int, run func(to *float32, v, vectors int)) bool {
	lanes := flatOf(s.isa).lanes
	if count < lanes {
		return false
	}
	run(&dst[0], 0, count/lanes)
	if last := count - lanes; count%lanes > 0 {
		run(&dst[last*k], last, 1)
	}
	return true
}
