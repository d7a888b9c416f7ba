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
	s.open = func(one site) {
		if len(one.ways) > 1 && !slices.ContainsFunc(list, func(o site) bool { return o.key == one.key }) {
			list = append(list, one)
		}
	}
	return list, s.nodes()
}

// pick is that of a list that was measured to be the fastest, or its first, the model's.
// Where sites are gathered it tells of this one: add adds the kernels of a way, alone,
// without the norms before and behind it.
func pick[W fmt.Stringer](s *scope, key string, list []W, add func(alone *scope, way W) error) (W, error) {
	if s.open != nil {
		one := site{key: key}
		for _, w := range list {
			alone := &scope{Program: s.Program, target: s.target, out: &launches{}, at: s.at, alone: true}
			if err := add(alone, w); err != nil {
				return w, err
			}
			one.ways = append(one.ways, way{w.String(), *alone.out})
		}
		s.open(one)
	}
	if i := slices.IndexFunc(list, func(w W) bool { return w.String() == s.Tiles[key] }); i >= 0 {
		return list[i], nil
	}
	return list[min(s.Way, len(list)-1)], nil
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

// layout cuts g as the model has it; ok is false if no tile fits.
func (s *scope) layout(g gemm) (p layout, ok bool) {
	list := s.tilings(g)
	if len(list) == 0 {
		return p, false
	}
	return s.laid(g, list[0]), true
}
