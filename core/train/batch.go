package train

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
)

// batch is what the host gives a step: crops, labels, and the rows of ctl.
type batch struct {
	image         []float32
	labels        []uint8
	previous      []uint8 // of a cascade
	ctl           []float32
	load, augment float64 // seconds that making it took
	err           error   // why it could not be made
}

// batcher makes batches ahead of the steps that use them.
type batcher struct {
	*trainer
	source [3]int // of training crops; validation takes patches
	slots  []unet.Slot
	values []int // of the labels of a previous stage
	free   chan *batch
}

// ahead is the number of batches that wait for a step.
const ahead = 2

func newBatcher(t *trainer) *batcher {
	b := &batcher{trainer: t, source: augment.SourceShape(t.recipe, t.config.Patch), values: t.Plan.ForegroundValues(), free: make(chan *batch, ahead+2)}
	for range ahead + 2 {
		b.free <- &batch{}
	}
	return b
}

func (b *batcher) recycle(x *batch) { b.free <- x }

// start makes n batches from step first on in the background. stop ends that
// and must be called.
func (b *batcher) start(ctx context.Context, first, n int, seed uint64, training bool) (feed <-chan *batch, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan *batch, ahead)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			select {
			case x := <-b.free:
				b.fill(x, seed, first+i, training)
				select {
				case out <- x:
				case <-ctx.Done():
					b.recycle(x)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, func() {
		cancel()
		<-done
		for len(out) > 0 {
			b.recycle(<-out)
		}
	}
}

// fill draws and cuts this rank's samples of a step, as nnU-Net's loader does: cases
// with replacement, the last ones of a batch with foreground. What a sample is depends
// on its place in the batch of all ranks alone.
func (b *batcher) fill(x *batch, seed uint64, step int, training bool) {
	begin := time.Now()
	cases, crop := b.Val, b.config.Patch
	if training {
		cases, crop = b.Train, b.source
	}
	n, c := b.local, len(b.Plan.Channels)
	voxels := crop[0] * crop[1] * crop[2]
	x.image = sized(x.image, n*voxels*c)
	x.labels = sized(x.labels, n*voxels)
	if b.step.Stage != nil {
		x.previous = sized(x.previous, n*voxels)
	}
	random := b.config.Batch - dataset.Forced(b.config.Batch, b.recipe.Oversample)
	for i := range n {
		// A stream of its own: what is cut does not depend on how it is augmented.
		r := augment.Random(seed^0x9E3779B97F4A7C15, step, b.first+i)
		s := cases[r.IntN(len(cases))]
		x.err = cut(s, func() error {
			if err := s.Verify(); err != nil {
				return fmt.Errorf("preprocessed case %w", err)
			}
			lo := s.Corner(r, crop, b.first+i >= random)
			s.Crop(lo, crop, x.image[i*voxels*c:][:voxels*c], x.labels[i*voxels:][:voxels])
			if b.step.Stage != nil {
				s.CropPrevious(lo, crop, x.previous[i*voxels:][:voxels])
			}
			return nil
		})
		if x.err != nil {
			return
		}
		if b.step.Stage != nil && training {
			augment.Previous(x.previous[i*voxels:][:voxels], crop, b.values, b.recipe, r)
		}
	}
	middle := time.Now()
	if training {
		x.ctl = sized(x.ctl, b.step.CtlLen)
		a := augment.Batch{Recipe: b.recipe, Slots: b.slots, Source: crop, Patch: b.config.Patch, Samples: n, First: b.first, Channels: c}
		a.Draw(x.ctl, seed, step)
	} else {
		x.ctl = sized(x.ctl, b.val.CtlLen)
		for i := range n {
			augment.Identity(x.ctl[b.val.Slots[0].Ctl+i*graph.WarpLen:], crop, crop)
		}
	}
	x.load, x.augment = middle.Sub(begin).Seconds(), time.Since(middle).Seconds()
}

// cut reads of a case, which is mapped into memory: where its file has become
// shorter, or the disk fails, there is no page, and the error says so.
func cut(s *dataset.Sample, read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			err = fmt.Errorf("preprocessed case %s cannot be read any more: its file has changed, or the disk fails: run gounet preprocess again", s.ID)
		}
	}()
	return read()
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
