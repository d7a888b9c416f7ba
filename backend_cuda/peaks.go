//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// Peaks measures what the GPU can do at most, by its own clock, and returns both rates a
// second: FLOP of multiply-adds of what is stored so, see MultiplyPeak, and bytes of
// z = x + 3y over arrays beyond the caches, each array counted once.
func (d *device) Peaks(storage graph.DType) (flop, bytes float64, err error) {
	return d.peaks(storage, peakRounds)
}

func (d *device) peaks(storage graph.DType, rounds int) (flop, bytes float64, err error) {
	if flop, err = d.multiplyPeak(storage, rounds); err != nil {
		return 0, 0, err
	}
	l, n := movePeak(d.unused() / 8)
	seconds, err := d.best(l, nil)
	return flop, float64(n) / seconds, err
}

// MultiplyPeak is in FLOP a second, two a multiply-add: of tensor cores by the instructions
// that the kernels of a storage have, of f32 those of eleven bits; of f32 before Ampere one by one.
func (d *device) MultiplyPeak(storage graph.DType) (float64, error) {
	return d.multiplyPeak(storage, peakRounds)
}

func (d *device) multiplyPeak(storage graph.DType, rounds int) (float64, error) {
	l, flop, err := multiplyPeak(target{Arch: d.facts.arch, SMs: d.facts.sms}, storage, rounds)
	if err != nil {
		return 0, err
	}
	seconds, err := d.best(l, randomOperands(storage))
	return flop / seconds, err
}

// peakRuns are as many as a GPU that was idle needs to raise its clocks; the fastest counts.
const peakRuns = 20

// best is the seconds of the fastest run of a kernel, in memory of its own whose last
// operand is what is given.
func (d *device) best(l launch, last []byte) (least float64, err error) {
	if err := d.enter(); err != nil {
		return 0, err
	}
	defer runtime.UnlockOSThread()
	p := &compile.Program{Graph: &graph.Graph{Nodes: []graph.Node{{Name: "peak"}}}} // for messages
	if err := d.compileAll(p, []launch{l}); err != nil {
		return 0, err
	}
	f := d.functions[key(l)]
	if err := d.allow(f, l); err != nil {
		return 0, blame(p, l, err)
	}
	end := l.Args[len(l.Args)-1]
	memory, err := d.memory(end.Offset + end.Bytes)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.free(memory)) }()
	if err := d.stage.write(context.Background(), memory+cu.DevicePtr(end.Offset), last); err != nil {
		return 0, err
	}
	var pointers []uintptr
	for _, a := range l.Args {
		pointers = append(pointers, memory.Uintptr()+uintptr(a.Offset))
	}
	var events [peakRuns + 1]cu.Event
	for i := range events {
		if events[i], err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return 0, d.told("an event", err)
		}
		defer cu.DestroyEvent(&events[i]) //nolint:errcheck // of a lost device it is gone already
	}
	for i := range events {
		if err := d.driver.start(f.Function, l, d.stream, pointers); err != nil {
			return 0, d.told(fmt.Sprintf("kernel %s", l.Kernel), err)
		}
		if err := events[i].Record(d.stream); err != nil {
			return 0, d.told("an event", err)
		}
	}
	if err := d.stream.Synchronize(); err != nil {
		return 0, d.told(fmt.Sprintf("kernel %s", l.Kernel), err)
	}
	for i := range peakRuns {
		ms, err := events[i].Elapsed(events[i+1])
		if err != nil {
			return 0, d.told("an event", err)
		}
		if i == 0 || ms/1000 < least {
			least = ms / 1000
		}
	}
	return least, nil
}
