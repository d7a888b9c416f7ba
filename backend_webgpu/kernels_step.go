package webgpu

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// run is values of one region that follow each other, with nothing but gaps
// between them: a kernel takes them as one. Gaps are zero and stay it.
type run struct {
	values []graph.Value // by offset
	place  compile.Place // of all
}

// runs joins values, which have places in one region, as far as bindings go.
func (s *scope) runs(values []graph.Value) []run {
	place := func(v graph.Value) compile.Place { return s.Places[v-1] }
	byPlace := func(a, b graph.Value) int {
		p, q := place(a), place(b)
		return cmp.Or(cmp.Compare(p.Chunk, q.Chunk), cmp.Compare(p.Offset, q.Offset))
	}
	if len(values) == 0 {
		return nil
	}
	wanted := map[graph.Value]bool{}
	for _, v := range values {
		wanted[v] = true
	}
	region := place(values[0]).Region
	var all []graph.Value // of the region
	for i, at := range s.Places {
		if at.Bytes > 0 && at.Region == region {
			all = append(all, graph.Value(i+1))
		}
	}
	slices.SortFunc(all, byPlace)
	var list []run
	joined := false // the value before belongs to the last run
	for _, v := range all {
		at := place(v)
		if !wanted[v] {
			joined = false
			continue
		}
		if joined {
			r := &list[len(list)-1]
			if bytes := at.Offset + at.Bytes - r.place.Offset; r.place.Chunk == at.Chunk && bytes <= s.facts.bindingBytes {
				r.values, r.place.Bytes = append(r.values, v), bytes
				continue
			}
		}
		list, joined = append(list, run{[]graph.Value{v}, at}), true
	}
	return list
}

// operand of a run.
func (s *scope) operand(at compile.Place) operand {
	return operand{span: span{s.bind[at.Region][at.Chunk].m, at.Offset, roundUp(at.Bytes, 4)}}
}

// partGrads is the gradients of a part of grad_norm_parts.
const partGrads = 4096

func (s *scope) gradNorm(op graph.GradNorm, n graph.Node) error {
	list := s.runs(n.In[1:])
	total := 0
	for _, r := range list {
		total += ceil(int(r.place.Bytes/4), partGrads)
	}
	parts := s.partial(int64(2 * max(total, 1)))
	first := 0
	for _, r := range list {
		count := int(r.place.Bytes / 4)
		groups := ceil(count, partGrads)
		c := shaders.Consts{"COUNT": count, "FIRST": first, "GROUPS": groups}
		if err := s.groups("grad_norm_parts", groups, c, parts, s.operand(r.place)); err != nil {
			return err
		}
		first += groups
	}
	return s.groups("grad_norm", 1, shaders.Consts{"COUNT": total, "GROWTH": op.Growth}, s.value(n.In[0]), parts)
}

func ceil(n, by int) int { return (n + by - 1) / by }

func (s *scope) step(op graph.Step, n graph.Node) error {
	ctl := s.value(n.In[0])
	weights, grads := op.Weights(n.In), op.Grads(n.In)
	index := map[graph.Value]int{}
	for i, w := range weights {
		index[w] = i
	}
	c := shaders.Consts{
		"NESTEROV": op.Nesterov, "RULE": int(op.Rule), "MOMENTUM": op.Momentum, "DECAY": op.Decay,
		"BETA1": op.Beta1, "BETA2": op.Beta2, "AWAY1": 1 - op.Beta1, "AWAY2": 1 - op.Beta2, "EPSILON": op.Epsilon,
	}
	kernel := "step"
	if op.Rule == graph.Adan {
		kernel = "adan"
		c = shaders.Consts{
			"DECAY": op.Decay, "BETA1": op.Beta1, "BETA2": op.Beta2, "BETA3": op.Beta3,
			"AWAY1": 1 - op.Beta1, "AWAY2": 1 - op.Beta2, "AWAY3": 1 - op.Beta3, "EPSILON": op.Epsilon,
		}
	}
	for _, r := range s.runs(weights) {
		follow := func(list []graph.Value) (operand, error) { return s.follow(r, list, index) }
		g, err := follow(grads)
		if err != nil {
			return err
		}
		operands := []operand{s.operand(r.place)}
		for slot := range op.Rule.Slots() {
			state, err := follow(op.States(n.In, slot))
			if err != nil {
				return err
			}
			operands = append(operands, state)
		}
		if op.Rule == graph.SGD {
			operands = append(operands, s.nothing())
		}
		count := int(r.place.Bytes / 4)
		own := merged(c, shaders.Consts{"COUNT": count})
		if err := s.each(kernel, count, own, append(operands, ctl, g)...); err != nil {
			return err
		}
	}
	for _, h := range op.Halves(n.In) {
		count := s.Type(h).Shape.Elems()
		own := shaders.Consts{"COUNT": count, "WORDS": ceil(count, 2)}
		if err := s.each("half_copy", ceil(count, 2), own, s.value(h), s.value(s.Info(h).Of), ctl); err != nil {
			return err
		}
	}
	return nil
}

// follow is where the gradients or states of a run of weights lie: at the same
// offsets from the first.
func (s *scope) follow(r run, list []graph.Value, index map[graph.Value]int) (operand, error) {
	first := s.Places[list[index[r.values[0]]]-1]
	for _, w := range r.values {
		v := list[index[w]]
		at, own := s.Places[v-1], s.Places[w-1]
		if at.Region != first.Region || at.Chunk != first.Chunk || at.Offset-first.Offset != own.Offset-r.place.Offset {
			return operand{}, fmt.Errorf("%s does not lie in %s as %s does in %s", s.Info(v).Name, at.Region, s.Info(w).Name, own.Region)
		}
	}
	first.Bytes = r.place.Bytes
	return s.operand(first), nil
}
