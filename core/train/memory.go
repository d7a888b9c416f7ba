package train

import (
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// Memory is what a training allocates, in bytes. A backend takes room to work in
// beside it, and a process its code and the cases that it reads, whose pages the
// system takes back when it needs them.
type Memory struct {
	Step       int64 // the program of a step: weights, gradients, optimizer, activations
	Validation int64 // what that of validation has beside the weights
	Host       int64 // batches that are made ahead, and the copy of a checkpoint that is written
}

// Device is the memory on the device, Total all of it: the same where the device is
// the CPU.
func (m Memory) Device() int64 { return m.Step + m.Validation }

// Total is all of it.
func (m Memory) Total() int64 { return m.Device() + m.Host }

// memoryOf is what the device has of the programs.
func memoryOf(step, val *compile.Program) (m Memory) {
	m.Step, m.Validation = step.TotalBytes(), val.TotalBytes()
	for _, r := range shared {
		m.Validation -= val.Bytes(r)
	}
	return m
}

// MemoryOf is what Run allocates for configuration c of p.
func MemoryOf(p *plan.Plan, c *plan.Configuration, storage graph.DType) (m Memory, err error) {
	t := &trainer{Options: Options{Plan: p, Storage: storage}, config: c, recipe: p.Recipe.For(c), local: c.Batch}
	step, val, err := t.programs(backend.Limits{})
	if err != nil {
		return m, err
	}
	m = memoryOf(step, val)
	for _, v := range []graph.Value{t.step.Source, t.step.Labels, t.step.Ctl} {
		if at, ok := step.Place(v); ok {
			m.Host += (ahead + 2) * at.Bytes
		}
	}
	m.Host += step.Bytes(graph.Weights) + step.Bytes(graph.State)
	return m, nil
}
