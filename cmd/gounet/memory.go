package main

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// precisions are the values of --precision.
var precisions = map[string]graph.DType{"f32": graph.F32, "bf16": graph.BF16, "f16": graph.F16}

// storage is the element type that --precision names.
func storage(precision string) (graph.DType, error) {
	t, ok := precisions[precision]
	if !ok {
		return 0, usagef("precision %q: wanted f32, bf16 or f16", precision)
	}
	return t, nil
}

// trainingBytes is the memory that a training of c allocates, on the device and
// beside it.
func trainingBytes(p *plan.Plan, c *plan.Configuration, storage graph.DType) (int64, error) {
	m, err := train.MemoryOf(p, c, storage)
	return m.Total(), err
}

// trainingMemory is trainingBytes for a planner, which has no plan yet: the names
// and values of channels and labels do not matter for it.
func trainingMemory(storage graph.DType) func(c *plan.Configuration, in, classes int) (int64, error) {
	return func(c *plan.Configuration, in, classes int) (int64, error) {
		p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(c.Dim), Channels: make([]plan.Channel, in)}
		for i := range classes {
			p.Labels = append(p.Labels, plan.Label{Values: []int{i}})
		}
		return trainingBytes(p, c, storage)
	}
}

// memoryRows are lines for the table of a plan: what training allocates.
func memoryRows(p *plan.Plan) []plan.Extra {
	row := func(name string, storage graph.DType) plan.Extra {
		return plan.Extra{Name: name, Value: func(c *plan.Configuration) string {
			n, err := trainingBytes(p, c, storage)
			if err != nil {
				return fmt.Sprintf("(%v)", err)
			}
			return size(n)
		}}
	}
	return []plan.Extra{row("memory, f32", graph.F32), row("memory, 16 bit", graph.BF16)}
}
