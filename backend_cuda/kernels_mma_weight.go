package cuda

import (
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// outer is a gradient of weights, for conv3d_grad_weight_mma: see there.
type outer struct {
	dense, reached      graph.Value
	kernel, stride, pad [3]int
	turned              bool
	ci, co, c0          int
	outerCut
}

// outerCut is how the kernel of an outer is cut.
type outerCut struct {
	groups        bool // by conv3d_grad_weight_wgmma
	segment, rows int  // of conv3d_grad_weight_mma: voxels of a step, 16 channels of a warp
	times         int  // as many parts as keep the device busy
}

func (c outerCut) String() string {
	if c.groups {
		return fmt.Sprintf("groups, parts times %d", c.times)
	}
	return fmt.Sprintf("warps, steps of %d, rows %d, parts times %d", c.segment, c.rows, c.times)
}

// outerCuts are the ways to cut o, the best first, as far as the model goes.
func (s *scope) outerCuts(o outer) (list []outerCut) {
	if _, sooner, ok := s.outerGrouped(o); ok {
		list = append(list, outerCut{groups: true, times: 1}, outerCut{groups: true, times: 2})
		if s.Groups == always {
			return list
		}
		if !sooner {
			defer func() { list = append(list[2:], list[:2]...) }()
		}
	}
	segment, rows := s.segmentOf(o), s.rowsOf(o)
	list = append(list, outerCut{segment: segment, rows: rows, times: 1}, outerCut{segment: segment, rows: rows, times: 2})
	if other := 48 - segment; s.outerShared(o, other) <= s.sharedBytes() && s.Type(o.dense).Shape[3] > 16 {
		list = append(list, outerCut{segment: other, rows: rows, times: 1})
	}
	if rows == 1 {
		list = append(list, outerCut{segment: segment, rows: 2, times: 1})
	}
	return list
}

// normal is the operand that a norm may have made.
func (o outer) normal() graph.Value {
	if o.turned {
		return o.dense
	}
	return o.reached
}

// outerLoads is how often the kernel of o loads an element of its normal operand.
func (s *scope) outerLoads(o outer) float64 {
	if g, _, _ := s.outerGrouped(o); o.groups {
		return s.outerGroupLoads(o, g)
	}
	a, b := s.Type(o.reached).Shape, s.Type(o.dense).Shape
	segment := o.segment
	pieces := ceil(b[3], segment)
	if o.turned {
		return float64(pieces*segment) / float64(b[3]) * float64(ceil(a[4], 32))
	}
	_, wide := outerRing(o, segment)
	rows := (b[2]-1)*o.stride[1] + o.kernel[1]
	return float64(b[1]*o.kernel[0]*rows*pieces*wide) / float64(a[1]*a[2]*a[3]) * float64(ceil(b[4], 32))
}

// ahead is the steps of conv3d_grad_weight_mma that are on their way.
const ahead = 2

// outerFits says that conv3d_grad_weight_mma makes o: its sums lie in registers, its rows
// in shared memory.
func (s *scope) outerFits(o outer) bool {
	return !s.Simple && s.hasMatrices(s.Type(o.dense).DType) && o.kernel[2] <= 3 && o.kernel[0]*o.kernel[1] <= 16 &&
		s.outerShared(o, 16) <= s.sharedBytes()
}

// segmentOf is the voxels of a step: the longer, unless its end beside the rows is long
// or shared memory too small.
func (s *scope) segmentOf(o outer) int {
	w := s.Type(o.dense).Shape[3]
	if w > 16 && ceil(w, 32)*32*4 <= ceil(w, 16)*16*5 && s.outerShared(o, 32) <= s.sharedBytes() {
		return 32
	}
	return 16
}

// outerRing is the rows of the ring, and the voxels of one.
func outerRing(o outer, segment int) (ring, wide int) {
	return ahead*o.stride[1] + max(o.kernel[1], o.stride[1]), (segment-1)*o.stride[2] + o.kernel[2]
}

func (s *scope) outerShared(o outer, segment int) int {
	ring, wide := outerRing(o, segment)
	return 32 * s.Type(o.dense).DType.Size() * (ring*o.kernel[0]*wide + (ahead+1)*segment)
}

// outerTiles is the blocks of o but for its splits.
func (s *scope) outerTiles(o outer) int {
	return ceil(s.channels(o.reached), 32) * ceil(s.channels(o.dense), 32)
}

// rowsOf is the rows of 16 channels of a warp: with many warps one, so that as
// many as possible of the multiprocessor's are at work, and evenly. Floats, which are
// split in two, and Turing, whose products are smaller, have no registers left then.
func (s *scope) rowsOf(o outer) int {
	if o.kernel[0]*o.kernel[1] > 4 && s.Type(o.dense).DType != graph.F32 && s.Arch >= 80 {
		return 1
	}
	return 2
}

// warps of a block.
func (o outer) warps() int { return o.kernel[0] * o.kernel[1] * 2 / o.rows }

// outerResident is the blocks that the registers of a multiprocessor have room for, where
// a thread has so many beside its sums.
func (s *scope) outerResident(o outer, more int) int {
	return residentOf(o.warps(), o.kernel[2]*o.rows*16+more)
}

// outerSplits is how many parts keep the device busy, one block after another where
// there are more columns.
func (s *scope) outerSplits(o outer) int {
	t := s.Type(o.dense).Shape
	columns := t[0] * t[1] * ceil(t[3], o.segment)
	return max(1, min(columns, o.times*s.outerResident(o, 72)*max(s.SMs, 1)/s.outerTiles(o)))
}

// outer adds the kernel of o.
func (s *scope) outer(o outer, parts place, splits int) error {
	if g, _, _ := s.outerGrouped(o); o.groups {
		return s.outerByGroups(o, g, parts, splits)
	}
	a, b := s.Type(o.reached).Shape, s.Type(o.dense).Shape
	segment, per := o.segment, 16/s.Type(o.dense).DType.Size()
	ring, wide := outerRing(o, segment)
	from, table, slope := s.source(o.normal())
	dense, reached := s.value(o.dense), from
	if o.turned {
		dense, reached = from, s.value(o.reached)
	}
	more := 72                              // registers beside the sums
	if s.Type(o.dense).DType == graph.F32 { // in two parts
		more = 104
	}
	c := merged(axes("", a), axes("O", b), triple("S", o.stride[:]), triple("P", o.pad[:]), consts{
		"T": s.Type(o.dense).DType, "NORM": s.made[o.normal()] != nil, "SLOPE": slope, "TURNED": o.turned, "A_WHOLE": a[4]%per == 0, "B_WHOLE": b[4]%per == 0,
		"N": a[0], "CA": a[4], "CB": b[4], "CI": o.ci, "CO": o.co, "C0": o.c0, "SPLITS": splits,
		"KD": fixed(o.kernel[0]), "KH": fixed(o.kernel[1]), "KW": fixed(o.kernel[2]), "MT": fixed(o.rows), "SEGMENT": fixed(segment),
		"AHEAD": fixed(ahead), "RING": fixed(ring), "WIDE": fixed(wide), "BLOCKS": fixed(s.outerResident(o, more)),
	})
	l := launch{
		Kernel: "conv3d_grad_weight_mma", Shared: uint32(s.outerShared(o, segment)), Block: [3]uint32{uint32(32 * o.warps()), 1, 1},
		Grid: [3]uint32{uint32(s.outerTiles(o)), uint32(splits), 1},
	}
	return s.add(l, c, parts, dense, reached, table)
}

// outers adds the kernels of dw, a list of them side by side in its channels; ok is
// false if one does not fit.
func (s *scope) outers(dw graph.Value, list []outer) (ok bool, err error) {
	for _, o := range list {
		if !s.outerFits(o) {
			return false, nil
		}
	}
	cuts := s.outerCuts(list[0])
	cut, err := pick(s, s.outerKey(list), cuts, func(alone *scope, c outerCut) error {
		return alone.outersCut(dw, alone.recut(list, c))
	})
	if err != nil {
		return true, err
	}
	return true, s.outersCut(dw, s.recut(list, cut))
}

// outerKey is what the kernels of a list depend on.
func (s *scope) outerKey(list []outer) string {
	o := list[0]
	key := fmt.Sprintf("gradient of weights, %v by %v, kernel %v stride %v pad %v, turned %v", s.Type(o.dense), s.Type(o.reached), o.kernel, o.stride, o.pad, o.turned)
	for _, o := range list[1:] {
		key += fmt.Sprintf(", and %v", s.Type(o.reached))
	}
	return key
}

// recut is the list cut so, where that fits.
func (s *scope) recut(list []outer, c outerCut) []outer {
	list = slices.Clone(list)
	for i, o := range list {
		if slices.Contains(s.outerCuts(o), c) {
			list[i].outerCut = c
		}
	}
	return list
}

// outersCut adds the kernels of the list as they are cut.
func (s *scope) outersCut(dw graph.Value, list []outer) error {
	splits, size := s.outerSplitsOf(list[0]), s.Type(dw).Shape.Elems()
	parts := s.value(dw)
	if splits > 1 {
		parts = s.floats(splits * size)
	}
	for _, o := range list {
		if err := s.outer(o, parts, splits); err != nil {
			return err
		}
	}
	if splits > 1 {
		return s.fold(s.value(dw), parts, splits, size)
	}
	return nil
}
