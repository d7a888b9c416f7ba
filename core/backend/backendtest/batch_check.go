package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// batchSamples share a run: not a power of two, so that the last one is no whole part of
// what a kernel makes at a time.
const batchSamples = 5

// batchNetwork predicts n samples: a U-Net of two stages with as many channels as the
// kernels of real networks have.
func batchNetwork(n int, o compile.Options) (net *network, logits graph.Value, err error) {
	net = &network{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		l, s := layers{b, net}, netSize
		net.x = b.Declare("x", graph.IO, graph.T, n, s[0], s[1], s[2], 1)
		first := l.norm("stage0.norm", l.conv("stage0.conv", k333, k111, 32, net.x), netSlope)
		y := l.norm("stage1.norm", l.conv("stage1.conv", k333, k222, 64, first), netSlope)
		up := l.Apply("up", graph.UpConv3D{}, y, l.param("up.w", 2, 2, 2, 64, 32), l.param("up.b", 32))[0]
		top := l.norm("decoder.norm", l.conv("decoder.conv", k333, k111, 32, up, first), netSlope)
		logits = l.conv("head", k111, k111, netClasses, top)
		b.Place(logits, graph.IO)
		return []graph.Value{logits}
	})
	if err != nil {
		return nil, 0, err
	}
	net.program, err = compile.Compile(g, o)
	return net, logits, err
}

// checkBatch: what else is in a run changes no bit of a sample.
func checkBatch(ctx context.Context, dev backend.Device) error {
	for _, storage := range storages(dev.Limits()) {
		together, err := predictBatch(ctx, dev, storage, 0, batchSamples)
		if err != nil {
			return err
		}
		n := len(together) / batchSamples
		for i := range batchSamples {
			alone, err := predictBatch(ctx, dev, storage, i, 1)
			if err != nil {
				return err
			}
			if !bytes.Equal(alone, together[i*n:(i+1)*n]) {
				return fmt.Errorf("%v: sample %d has other bits among %d than alone", storage, i, batchSamples)
			}
		}
	}
	return nil
}

// predictBatch is the logits of samples first … first+n−1, as they are stored.
func predictBatch(ctx context.Context, dev backend.Device, storage graph.DType, first, n int) ([]byte, error) {
	net, logits, err := batchNetwork(n, optionsFor(dev, storage))
	if err != nil {
		return nil, err
	}
	r, err := newRig(dev, net.program)
	if err != nil {
		return nil, err
	}
	defer r.free()
	random := newSource(9100)
	for _, w := range net.params {
		s := net.program.Type(w).Shape
		v := random.normal(s.Elems())
		for i := range v {
			v[i] *= math.Sqrt(2 * float64(s[len(s)-1]) / float64(s.Elems()))
		}
		r.set(w, v)
	}
	sample := netSize[0] * netSize[1] * netSize[2]
	x := random.normal(batchSamples * sample)
	r.set(net.x, x[first*sample:(first+n)*sample])
	setHalves(r)
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	b, _ := r.bytes(logits, true)
	return bytes.Clone(b), nil
}
