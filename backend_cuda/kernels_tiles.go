package cuda

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/compile"
)

// site is a product whose tiling is not chosen yet.
type site struct {
	key  string // all that its kernels depend on, but for the norms beside it
	ways []way  // the best first, as far as the model goes
}

// way is a product cut in one way: its kernels, with the memory that they take.
type way struct {
	tiling string
	launches
}

// mostWays is how many tilings of a product are tried.
const mostWays = 8

// sitesOf are the products of p that t has no tiling of.
func sitesOf(p *compile.Program, t target) (list []site, err error) {
	s := &scope{Program: p, target: t, out: &launches{}}
	s.open = func(g gemm, tilings []tiling) error {
		key := s.keyOf(g)
		if slices.ContainsFunc(list, func(o site) bool { return o.key == key }) {
			return nil
		}
		one := site{key: key}
		for _, way := range shortlist(tilings) {
			w, err := s.try(g, way)
			if err != nil {
				return err
			}
			one.ways = append(one.ways, w)
		}
		if len(one.ways) > 1 {
			list = append(list, one)
		}
		return nil
	}
	return list, s.nodes()
}

// shortlist is the best of a list, some of each kind of kernel.
func shortlist(list []tiling) (short []tiling) {
	count := map[bool]int{}
	for _, t := range list {
		if len(short) < mostWays && count[t.byGroups] < mostWays-2 {
			short = append(short, t)
			count[t.byGroups]++
		}
	}
	return short
}

// try is g cut so, alone: without the norms before and behind it.
func (s *scope) try(g gemm, t tiling) (way, error) {
	alone := &scope{Program: s.Program, target: s.target, out: &launches{}, at: s.at, alone: true}
	err := alone.multiply(g, s.laid(g, t))
	return way{t.String(), *alone.out}, err
}

// keyOf is what the kernels of g depend on.
func (s *scope) keyOf(g gemm) string {
	x, y := s.Type(g.x), s.Type(g.y)
	return fmt.Sprintf("%v %v+%d to %v, kernel %v stride %v pad %v, scatter %v, weights %d by %d by input %v, bias %v",
		y.DType, x.Shape, s.channels(g.x2), y.Shape, g.kernel, g.stride, g.pad, g.scatter, g.wRows, g.wCols, g.byInput, g.b != 0)
}

// String is the name of a tiling.
func (t tiling) String() string {
	if g := t.groups; t.byGroups {
		return fmt.Sprintf("groups %v %d wide %d deep %d stages %d splits %d", g.size, g.slices, g.wide, g.channels, g.stages, t.splits)
	}
	w := t.warps
	return fmt.Sprintf("warps %v %d wide %d deep %d stages %d splits %d", w.size, w.rows, w.wide, w.channels, w.stages, t.splits)
}

// tilings are the ways to cut g, the best first, as far as the model goes.
func (s *scope) tilings(g gemm) []tiling {
	list := s.groups(g)
	if len(list) == 0 || s.Groups != always {
		list = append(list, s.warps(g)...)
	}
	if s.Split != whenFaster {
		some := slices.DeleteFunc(slices.Clone(list), func(t tiling) bool { return (t.splits > 1) != (s.Split == always) })
		if len(some) > 0 {
			list = some
		}
	}
	slices.SortStableFunc(list, func(a, b tiling) int { return cmp.Compare(a.time, b.time) })
	return list
}

// layout cuts g, as was measured or as the model has it; ok is false if no tile fits.
func (s *scope) layout(g gemm) (p layout, ok bool) {
	list := s.tilings(g)
	if len(list) == 0 {
		return p, false
	}
	name := s.Tiles[s.keyOf(g)]
	if i := slices.IndexFunc(list, func(t tiling) bool { return t.String() == name }); i >= 0 {
		return s.laid(g, list[i]), true
	}
	return s.laid(g, list[0]), true
}
