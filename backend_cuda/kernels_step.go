package cuda

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// run is values of one region that follow each other, with nothing but gaps
// between them: a kernel takes them as one. Gaps are zero and stay it.
type run struct {
	values []graph.Value // by offset
	place  compile.Place // of all
}

// runs joins values, which have places in one region.
func (s *scope) runs(values []graph.Value) []run {
	if len(values) == 0 {
		return nil
	}
	place := func(v graph.Value) compile.Place { return s.Places[v-1] }
	wanted := map[graph.Value]bool{}
	for _, v := range values {
		wanted[v] = true
	}
	var all []graph.Value // of the region
	for i, at := range s.Places {
		if at.Bytes > 0 && at.Region == place(values[0]).Region {
			all = append(all, graph.Value(i+1))
		}
	}
	slices.SortFunc(all, func(a, b graph.Value) int {
		p, q := place(a), place(b)
		return cmp.Or(cmp.Compare(p.Chunk, q.Chunk), cmp.Compare(p.Offset, q.Offset))
	})
	var list []run
	joined := false // the value before belongs to the last run
	for _, v := range all {
		at := place(v)
		if !wanted[v] {
			joined = false
			continue
		}
		if n := len(list) - 1; joined && list[n].place.Chunk == at.Chunk {
			list[n].values = append(list[n].values, v)
			list[n].place.Bytes = at.Offset + at.Bytes - list[n].place.Offset
			continue
		}
		list, joined = append(list, run{[]graph.Value{v}, at}), true
	}
	return list
}

func placed(at compile.Place) place { return place{region, at.Region, at.Chunk, at.Offset, at.Bytes} }

// partGrads is the gradients of a block of grad_norm_parts.
const partGrads = 4096

func (s *scope) gradNorm(op graph.GradNorm, n graph.Node) error {
	list := s.runs(n.In[1:])
	total := 0
	for _, r := range list {
		total += ceil(int(r.place.Bytes/4), partGrads)
	}
	parts := s.floats(2 * max(total, 1))
	first := 0
	for _, r := range list {
		count := int(r.place.Bytes / 4)
		c := consts{"COUNT": count, "FIRST": first}
		if err := s.blocks("grad_norm_parts", ceil(count, partGrads), threads, c, parts, placed(r.place)); err != nil {
			return err
		}
		first += ceil(count, partGrads)
	}
	return s.blocks("grad_norm", 1, threads, consts{"COUNT": total, "GROWTH": op.Growth}, s.value(n.In[0]), parts)
}

func (s *scope) step(op graph.Step, n graph.Node) error {
	ctl := s.value(n.In[0])
	weights, grads := op.Weights(n.In), op.Grads(n.In)
	index := map[graph.Value]int{}
	for i, w := range weights {
		index[w] = i
	}
	c := consts{
		"NESTEROV": op.Nesterov, "RULE": int(op.Rule), "MOMENTUM": op.Momentum, "DECAY": op.Decay,
		"BETA1": op.Beta1, "BETA2": op.Beta2, "AWAY1": 1 - op.Beta1, "AWAY2": 1 - op.Beta2, "EPSILON": op.Epsilon,
	}
	kernel, slots := "step", 2
	if op.Rule == graph.Adan {
		kernel, slots = "adan", 4
		c = consts{
			"DECAY": op.Decay, "BETA1": op.Beta1, "BETA2": op.Beta2, "BETA3": op.Beta3,
			"AWAY1": 1 - op.Beta1, "AWAY2": 1 - op.Beta2, "AWAY3": 1 - op.Beta3, "EPSILON": op.Epsilon,
		}
	}
	for _, r := range s.runs(weights) {
		g, err := s.follow(r, grads, index)
		if err != nil {
			return err
		}
		places := make([]place, 1+slots)
		places[0] = placed(r.place)
		for slot := range op.Rule.Slots() {
			if places[1+slot], err = s.follow(r, op.States(n.In, slot), index); err != nil {
				return err
			}
		}
		if err := s.each(kernel, int(r.place.Bytes/4), merged(c), append(places, ctl, g)...); err != nil {
			return err
		}
	}
	for _, h := range op.Halves(n.In) {
		if err := s.elements("half_copy", h, consts{}, s.value(s.Info(h).Of), ctl); err != nil {
			return err
		}
	}
	return nil
}

// follow is where the gradients or states of a run of weights lie: at the same
// offsets from the first.
func (s *scope) follow(r run, list []graph.Value, index map[graph.Value]int) (place, error) {
	first := s.Places[list[index[r.values[0]]]-1]
	for _, w := range r.values {
		v := list[index[w]]
		at, own := s.Places[v-1], s.Places[w-1]
		if at.Region != first.Region || at.Chunk != first.Chunk || at.Offset-first.Offset != own.Offset-r.place.Offset {
			return place{}, fmt.Errorf("%s does not lie in %s as %s does in %s", s.Info(v).Name, at.Region, s.Info(w).Name, own.Region)
		}
	}
	first.Bytes = r.place.Bytes
	return placed(first), nil
}
