package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

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

// checkBatch: which samples are in a run beside it, and its place among them, change no bit
// of a sample. Nor does their number, unless units share the work of an op: how they do may
// depend on how much there is.
func checkBatch(ctx context.Context, dev backend.Device) error {
	l := dev.Limits()
	for _, storage := range storages(l) {
		together, err := predictBatch(ctx, dev, storage, 0, batchSamples)
		if err != nil {
			return err
		}
		n := len(together) / batchSamples
		turned, err := predictBatch(ctx, dev, storage, 2, batchSamples)
		if err != nil {
			return err
		}
		for i := range batchSamples {
			want := together[i*n : (i+1)*n]
			if at := (i + batchSamples - 2) % batchSamples; !bytes.Equal(turned[at*n:(at+1)*n], want) {
				return fmt.Errorf("%v: sample %d has other bits at place %d than at place %d", storage, i, at, i)
			}
			if l.Units > 0 {
				continue
			}
			alone, err := predictBatch(ctx, dev, storage, i, 1)
			if err != nil {
				return err
			}
			if !bytes.Equal(alone, want) {
				return fmt.Errorf("%v: sample %d has other bits among %d than alone", storage, i, batchSamples)
			}
		}
	}
	return nil
}

// predictBatch is the logits of n samples from first on, the first one following on the
// last, as they are stored.
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
	r.set(net.x, slices.Concat(x, x)[first*sample:(first+n)*sample])
	setHalves(r)
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	b, _ := r.bytes(logits, true)
	return bytes.Clone(b), nil
}
