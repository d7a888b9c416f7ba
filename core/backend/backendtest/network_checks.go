package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// checkNodes runs a network whose values all keep their memory, and compares
// every node with the oracle on the operands that the device had itself: errors
// do not add up from node to node, so that each has the tolerance of its op.
func checkNodes(ctx context.Context, dev backend.Device) error {
	for _, storage := range storages(dev.Limits()) {
		net, err := newNetwork(purpose{Options: optionsFor(dev, storage)})
		if err != nil {
			return err
		}
		apart(net.program)
		r, err := start(dev, net, 64)
		if err != nil {
			return err
		}
		defer r.free()
		if err := r.run(ctx); err != nil {
			return err
		}
		if err := nodes(r); err != nil {
			return fmt.Errorf("%v: %w", storage, err)
		}
	}
	return nil
}

// nodes compares each node of a program that writes none of its inputs.
func nodes(r *rig) error {
	p := r.program
	values := map[graph.Value]array{}
	for i := range p.Values {
		values[graph.Value(i+1)] = r.get(graph.Value(i+1), true)
	}
	for _, n := range p.Nodes {
		want, _ := evaluate(nodeCall(p, n, values))
		for i, v := range n.Out {
			if values[v].none() {
				continue
			}
			if err := differ(values[v], want[i], false); err != nil {
				return fmt.Errorf("%s: %s: %w", n.Name, p.Info(v).Name, err)
			}
		}
	}
	return nil
}

// checkSlopes: along the gradient that a device has made of a parameter, the
// loss, in float64, has the slope |gradient|.
func checkSlopes(ctx context.Context, dev backend.Device) error {
	const scale = 64
	net, err := newNetwork(purpose{Options: optionsFor(dev, graph.F32)})
	if err != nil {
		return err
	}
	r, err := start(dev, net, scale)
	if err != nil {
		return err
	}
	defer r.free()
	if err := r.run(ctx); err != nil {
		return err
	}
	values := map[graph.Value]array{}
	for i := range net.program.Values {
		values[graph.Value(i+1)] = r.get(graph.Value(i+1), false)
	}
	ideal, rounded := maps.Clone(values), maps.Clone(values)
	interpret(net.program, ideal, false)
	interpret(net.program, rounded, true)
	for i, g := range net.grads {
		grad := plain(r.get(g, true).v)
		// What storing each value in float32 does to the gradient is measured. The
		// arithmetic of the nodes before the last may be off by 4 + 2√n times as
		// much, n being their longest sum: the voxels of a batch. The last one adds
		// its own error, which is all that is left of a bias before a norm.
		n := float64(netSamples * netSize[0] * netSize[1] * netSize[2])
		last := own(net.program, g, rounded)
		before, here := 0.0, 0.0
		for j, x := range rounded[g].v {
			grad[j] /= scale
			d := (x.v - ideal[g].v[j].v) / scale
			before += d * d
			here += unit * last.v[j].e / scale * unit * last.v[j].e / scale
		}
		allowed := (4+2*math.Sqrt(n))*math.Sqrt(before) + math.Sqrt(here)
		if err := slope(net, values, i, grad, allowed); err != nil {
			return err
		}
	}
	return nil
}

// own is v with the error of the node that makes it, from operands without.
func own(p *compile.Program, v graph.Value, values map[graph.Value]array) array {
	for _, n := range p.Nodes {
		if i := slices.Index(n.Out, v); i >= 0 {
			out, _ := evaluate(nodeCall(p, n, values))
			return out[i]
		}
	}
	return array{}
}

// slope compares the size of a gradient with a central difference of the loss
// along it. Its error is that of its leading term, which grows with the square
// of the step, and of the rounding of float64: s(h) is at most as wrong as a
// third of |s(h) − s(2h)|.
func slope(net *network, values map[graph.Value]array, param int, grad []float64, allowed float64) error {
	w := net.params[param]
	size := 0.0
	for _, x := range grad {
		size += x * x
	}
	if size = math.Sqrt(size); size == 0 {
		return nil
	}
	forward := *net.program
	g := *forward.Graph
	g.Nodes = g.Nodes[:g.Split]
	forward.Graph = &g
	lossAt := func(h float64) float64 {
		vs := maps.Clone(values)
		a := vs[w].clone()
		for i := range a.v {
			a.v[i].v += h * grad[i] / size
		}
		vs[w] = a
		interpret(&forward, vs, false)
		return vs[net.loss].v[0].v
	}
	at := func(h float64) float64 { return (lossAt(h) - lossAt(-h)) / (2 * h) }
	const h = 0x1p-16
	s, s2 := at(h), at(2*h)
	// A loss near 1, of some thousand additions: 2^-53·2^5 on each side.
	allowed += abs(s-s2)/3 + 0x1p-48/h
	if !(abs(s-size) <= allowed) {
		return fmt.Errorf("%s: along the gradient, of size %v, the loss has slope %v ± %.2g", net.program.Info(w).Name, size, s, allowed)
	}
	return nil
}

// options of a device for a type of storage.
func optionsFor(dev backend.Device, storage graph.DType) compile.Options {
	l := dev.Limits()
	return compile.Options{Storage: storage, BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes, World: l.World, InPlace: l.InPlace}
}

// checkLearns: within 60 steps the loss goes four fifths of the way to its lowest
// value, −1 for a Dice of 1 and no cross entropy.
func checkLearns(ctx context.Context, dev backend.Device) error {
	learnt := func(losses []float64) bool {
		first, last := losses[0], losses[len(losses)-1]
		return last < first-0.8*(first+1)
	}
	for _, storage := range storages(dev.Limits()) {
		net, err := newNetwork(purpose{Options: optionsFor(dev, storage), step: true})
		if err != nil {
			return err
		}
		r, err := start(dev, net, 64)
		if err != nil {
			return err
		}
		defer r.free()
		losses, err := r.steps(ctx, net, 60, learnt)
		if err != nil {
			return err
		}
		if !learnt(losses) {
			return fmt.Errorf("%v: the loss was %v and is %v after %d steps", storage, losses[0], losses[len(losses)-1], len(losses))
		}
	}
	return nil
}

// trained runs three steps of a program and returns weights and loss as bytes.
func trained(ctx context.Context, dev backend.Device, net *network) ([]byte, error) {
	r, err := start(dev, net, 64)
	if err != nil {
		return nil, err
	}
	defer r.free()
	if _, err := r.steps(ctx, net, 3, nil); err != nil {
		return nil, err
	}
	var all []byte
	for _, v := range append(slices.Clone(net.params), net.loss, net.ctl) {
		b, _ := r.bytes(v, true)
		all = append(all, b...)
	}
	return all, nil
}

// sameBits compares three steps of two ways to compile a network.
func sameBits(ctx context.Context, dev backend.Device, change func(o *compile.Options), place func(p *compile.Program)) error {
	for _, storage := range storages(dev.Limits()) {
		var bits [2][]byte
		for i := range bits {
			o := optionsFor(dev, storage)
			if i == 1 && change != nil {
				change(&o)
			}
			net, err := newNetwork(purpose{Options: o, step: true})
			if err != nil {
				return err
			}
			if i == 1 && place != nil {
				place(net.program)
			}
			if bits[i], err = trained(ctx, dev, net); err != nil {
				return err
			}
		}
		if !bytes.Equal(bits[0], bits[1]) {
			return fmt.Errorf("%v: weights differ after three steps", storage)
		}
	}
	return nil
}

func checkRematerialise(ctx context.Context, dev backend.Device) error {
	return sameBits(ctx, dev, func(o *compile.Options) { o.Rematerialise = true }, nil)
}

func checkArena(ctx context.Context, dev backend.Device) error {
	return sameBits(ctx, dev, nil, apart)
}

// apart gives each value of Scratch a buffer of its own, whose content is wanted: no
// backend may leave it out.
func apart(p *compile.Program) {
	var sizes []int64
	g := *p.Graph
	g.Outputs = slices.Clone(g.Outputs)
	p.Graph = &g
	for i := range p.Places {
		at := &p.Places[i]
		if at.Region != graph.Scratch || at.Bytes == 0 {
			continue
		}
		g.Outputs = append(g.Outputs, graph.Value(i+1))
		at.Chunk, at.Offset = len(sizes), 0
		sizes = append(sizes, (at.Bytes+compile.Align-1)/compile.Align*compile.Align)
	}
	p.Size[graph.Scratch] = sizes
}

// checkOverflow: gradients that are not finite leave the weights alone.
func checkOverflow(ctx context.Context, dev backend.Device) error {
	const scale = 0x1p127
	net, err := newNetwork(purpose{Options: optionsFor(dev, graph.F32), step: true, weight: 1e6})
	if err != nil {
		return err
	}
	r, err := start(dev, net, scale)
	if err != nil {
		return err
	}
	defer r.free()
	if err := r.run(ctx); err != nil {
		return err
	}
	for _, w := range net.params {
		if err := differ(r.get(w, true), r.get(w, false), true); err != nil {
			return fmt.Errorf("after an overflow %s: %w", net.program.Info(w).Name, err)
		}
	}
	ctl := plain(r.get(net.ctl, true).v)
	for slot, want := range map[int]float64{
		graph.CtlFinite: 0, graph.CtlLossScale: scale / 2, graph.CtlSkipped: 1, graph.CtlSteps: 0, graph.CtlGood: 0,
	} {
		if ctl[slot] != want {
			return fmt.Errorf("after an overflow slot %d of ctl is %v, wanted %v", slot, ctl[slot], want)
		}
	}
	return nil
}
