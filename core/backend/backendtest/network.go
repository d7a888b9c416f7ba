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

// network is a U-Net of two stages with all that training has: two-input
// convolution, residual block, deep supervision, norm, step.
type network struct {
	x, labels, ctl, loss graph.Value
	params, grads        []graph.Value
	program              *compile.Program
}

// what a network is built for.
type purpose struct {
	compile.Options
	step   bool // with GradNorm and Step
	weight float32
}

const (
	netClasses = 3
	netSamples = 2
	netSlope   = 0.01
)

var netSize = [3]int{4, 8, 8}

// layers builds the blocks of the network.
type layers struct {
	*graph.Builder
	net *network
}

func (l layers) param(name string, shape ...int) graph.Value {
	v := l.Param(name, shape...)
	l.net.params = append(l.net.params, v)
	return v
}

func (l layers) conv(name string, k, stride [3]int, co int, xs ...graph.Value) graph.Value {
	c := 0
	for _, x := range xs {
		c += l.Type(x).Shape[4]
	}
	w, b := l.param(name+".w", k[0], k[1], k[2], c, co), l.param(name+".b", co)
	return l.Apply(name, graph.Conv3D{Stride: stride}, append([]graph.Value{xs[0], w, b}, xs[1:]...)...)[0]
}

func (l layers) norm(name string, x graph.Value, slope float32) graph.Value {
	c := l.Type(x).Shape[4]
	return l.Apply(name, graph.NormAct{Eps: 1e-5, Slope: slope}, x, l.param(name+".gamma", c), l.param(name+".beta", c))[0]
}

// forward returns the logits of both scales.
func (l layers) forward(x graph.Value) []graph.Value {
	first := l.norm("stage0.norm", l.conv("stage0.conv", k333, k111, 4, x), netSlope)
	y := l.norm("stage1.norm0", l.conv("stage1.conv0", k333, k222, 6, first), netSlope)
	z := l.norm("stage1.norm1", l.conv("stage1.conv1", k133, k111, 6, y), 1)
	short := l.Apply("stage1.pool", graph.AvgPool{Stride: k222}, first)[0]
	z = l.Apply("stage1.sum", graph.Add{}, z, l.conv("stage1.short", k111, k111, 6, short))[0]
	y = l.Apply("stage1.act", graph.AddAct{Slope: netSlope}, z, y)[0]
	up := l.Apply("up", graph.UpConv3D{}, y, l.param("up.w", 2, 2, 2, 6, 4), l.param("up.b", 4))[0]
	top := l.norm("decoder.norm", l.conv("decoder.conv", k333, k111, 4, up, first), netSlope)
	return []graph.Value{l.conv("head0", k111, k111, netClasses, top), l.conv("head1", k111, k111, netClasses, y)}
}

func newNetwork(o purpose) (*network, error) {
	net := &network{}
	if o.weight == 0 {
		o.weight = 1
	}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		l := layers{b, net}
		s := netSize
		net.ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
		net.x = b.Declare("x", graph.IO, graph.T, netSamples, s[0], s[1], s[2], 1)
		net.labels = b.Declare("labels", graph.IO, graph.U8, netSamples, s[0], s[1], s[2])
		stride := k111
		for i, z := range l.forward(net.x) {
			name := fmt.Sprintf("loss%d", i)
			sums := b.Apply(name+".sums", graph.SegSums{Stride: stride, Ignore: -1}, z, net.labels)[0]
			op := graph.SegLoss{Weight: o.weight * []float32{2. / 3, 1. / 3}[i], CE: 1, Dice: 1, Smooth: 1e-5, Mean: 1, First: 1, Batch: i == 1}
			net.loss = b.Apply(name, op, sums, net.loss, net.ctl)[0]
			stride = k222
		}
		b.Place(net.loss, graph.IO)
		net.grads = b.Backward(net.loss, net.params)
		if o.step {
			update(b, net)
		}
		return []graph.Value{net.loss}
	})
	if err != nil {
		return nil, err
	}
	net.program, err = compile.Compile(g, o.Options)
	return net, err
}

func update(b *graph.Builder, net *network) {
	b.Apply("norm", graph.GradNorm{Growth: 1000}, append([]graph.Value{net.ctl}, net.grads...)...)
	op := graph.Step{Rule: graph.SGD, N: len(net.params), Momentum: 0.9, Nesterov: true, Decay: 1e-5}
	in := slices.Concat([]graph.Value{net.ctl}, net.params, net.grads)
	for _, w := range net.params {
		in = append(in, b.State(w, 0))
	}
	b.Apply("step", op, in...)
}

// inputs sets parameters, data and ctl: two blobs in noise.
func (net *network) inputs(set func(v graph.Value, elems []float64), scale float64) {
	r := newSource(9000)
	p := net.program
	for _, w := range net.params {
		info := p.Info(w)
		n := info.Type.Shape.Elems()
		v := make([]float64, n)
		if s := info.Type.Shape; len(s) == 5 { // He et al. 2015
			v = r.normal(n)
			for i := range v {
				v[i] *= math.Sqrt(2 / float64(n/s[4]))
			}
		} else if len(info.Name) > 6 && info.Name[len(info.Name)-6:] == ".gamma" {
			v = constant(1)(n)
		}
		set(w, v)
	}
	for i, info := range p.Values {
		if info.Region == graph.State {
			set(graph.Value(i+1), make([]float64, info.Type.Shape.Elems()))
		}
	}
	s := netSize
	x, labels := r.normal(netSamples*s[0]*s[1]*s[2]), make([]float64, netSamples*s[0]*s[1]*s[2])
	for n := range netSamples {
		voxels(s, func(o [3]int) {
			i := at(graph.Shape{netSamples, s[0], s[1], s[2]}, n, o[0], o[1], o[2])
			label := 0
			if inside([3]int{o[0], o[1] - 1 - n, o[2] - 1}, [3]int{3, 4, 3}) {
				label = 1
			}
			if inside([3]int{o[0] - 1, o[1] - 3, o[2] - 5 + n}, [3]int{3, 4, 3}) {
				label = 2
			}
			labels[i] = float64(label)
			x[i] = 0.5*x[i] + 2*float64(label)
		})
	}
	set(net.x, x)
	set(net.labels, labels)
	ctl := make([]float64, graph.CtlRows)
	ctl[graph.CtlRate], ctl[graph.CtlLossScale], ctl[graph.CtlClip] = 0.05, scale, 12
	set(net.ctl, ctl)
}

// start puts a network with its inputs on a device.
func start(dev backend.Device, net *network, scale float64) (*rig, error) {
	r, err := newRig(dev, net.program)
	if err != nil {
		return nil, err
	}
	net.inputs(r.set, scale)
	setHalves(r)
	return r, nil
}

// steps runs n steps and returns the losses.
func (r *rig) steps(ctx context.Context, net *network, n int) ([]float64, error) {
	var losses []float64
	for i := range n {
		var err error
		if i == 0 {
			err = r.run(ctx)
		} else if err = r.exec.Run(ctx); err == nil {
			err = r.read(ctx)
		}
		if err != nil {
			return nil, err
		}
		losses = append(losses, r.get(net.loss, true).v[0].v)
	}
	return losses, nil
}

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
	for i := range net.params {
		grad := plain(r.get(net.grads[i], true).v)
		// What storing each value in float32 does to the gradient is measured. The
		// arithmetic of a node may be off by 4 + 2√n times as much, n being its
		// longest sum: the voxels of a batch.
		n := float64(netSamples * netSize[0] * netSize[1] * netSize[2])
		off := 0.0
		for j, x := range rounded[net.grads[i]].v {
			grad[j] /= scale
			d := (x.v - ideal[net.grads[i]].v[j].v) / scale
			off += d * d
		}
		if err := slope(net, values, i, grad, (4+2*math.Sqrt(n))*math.Sqrt(off)); err != nil {
			return err
		}
	}
	return nil
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
	return compile.Options{Storage: storage, BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes, World: l.World}
}

// checkLearns: in 60 steps the loss goes four fifths of the way to its lowest
// value, −1 for a Dice of 1 and no cross entropy.
func checkLearns(ctx context.Context, dev backend.Device) error {
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
		losses, err := r.steps(ctx, net, 60)
		if err != nil {
			return err
		}
		first, last := losses[0], losses[len(losses)-1]
		if !(last < first-0.8*(first+1)) {
			return fmt.Errorf("%v: the loss was %v and is %v after %d steps", storage, first, last, len(losses))
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
	if _, err := r.steps(ctx, net, 3); err != nil {
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

// apart gives each value of Scratch a buffer of its own.
func apart(p *compile.Program) {
	var sizes []int64
	for i := range p.Places {
		at := &p.Places[i]
		if at.Region != graph.Scratch || at.Bytes == 0 {
			continue
		}
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
