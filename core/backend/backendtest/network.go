package backendtest

import (
	"context"
	"fmt"
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

// steps runs steps, at most n or until done, which may be nil, and returns the losses.
func (r *rig) steps(ctx context.Context, net *network, n int, done func(losses []float64) bool) ([]float64, error) {
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
		if done != nil && done(losses) {
			break
		}
	}
	return losses, nil
}
