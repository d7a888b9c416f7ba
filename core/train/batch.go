package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// batch is what the host gives a step: crops, labels, and the rows of ctl.
type batch struct {
	image         []float32
	labels        []uint8
	guests        []bool  // of a store: samples whose crops the host gives; nil: without a store, all
	previous      []uint8 // of a cascade, patches
	source        []uint8 // a crop that a patch of previous is made of
	ctl           []float32
	field         []float32 // of an elastic recipe
	load, augment float64   // seconds that making it took
	err           error     // why it could not be made
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
	a := augment.Batch{Recipe: b.recipe, Slots: b.slots, Source: crop, Patch: b.config.Patch, Samples: n, First: b.first, Channels: c}
	if training {
		x.ctl = sized(x.ctl, b.step.CtlLen)
		a.Draw(x.ctl, seed, step)
		if b.step.Field != 0 {
			x.field = sized(x.field, n*a.Patch[0]*a.Patch[1]*a.Patch[2]*3)
			a.DrawField(x.field, seed, step)
		}
	} else {
		x.ctl = sized(x.ctl, b.val.CtlLen)
		for i := range n {
			augment.Identity(x.ctl[b.val.Slots[0].Ctl+i*graph.WarpLen:], crop, crop)
		}
	}
	middle := time.Now()
	voxels := crop[0] * crop[1] * crop[2]
	kept := b.kept
	if !training {
		kept = nil
	}
	x.guests = nil
	if kept != nil {
		x.guests = make([]bool, n)
	}
	if kept == nil || kept.cases < len(cases) {
		x.image = sized(x.image, n*voxels*c)
		x.labels = sized(x.labels, n*voxels)
	}
	for i := range n {
		// A stream of its own: what is cut does not depend on how it is augmented.
		r := augment.Random(seed^0x9E3779B97F4A7C15, step, b.first+i)
		k := r.IntN(len(cases))
		s := cases[k]
		x.err = cut(s, func() error {
			if err := s.Verify(); err != nil {
				return fmt.Errorf("preprocessed case %w", err)
			}
			lo := b.corner(s, r, crop, b.first+i)
			if kept != nil {
				x.guests[i] = kept.row(x.ctl[b.step.Store.Ctl+i*graph.CutLen:][:graph.CutLen], i, k, s, lo, crop)
			}
			if kept == nil || x.guests[i] {
				s.Crop(lo, crop, x.image[i*voxels*c:][:voxels*c], x.labels[i*voxels:][:voxels])
			}
			if b.step.Stage != nil {
				x.source = sized(x.source, voxels)
				s.CropPrevious(lo, crop, x.source)
			}
			return nil
		})
		if x.err != nil {
			return
		}
		if b.step.Stage != nil {
			patch := x.previousOf(b.config.Patch, n, i)
			if !training {
				copy(patch, x.source)
				continue
			}
			var field []float32
			if b.step.Field != 0 {
				field = x.field[3*i*len(patch):]
			}
			a.WarpPrevious(patch, x.source, x.ctl[b.slots[0].Ctl+i*graph.WarpLen:], field)
			augment.Previous(patch, b.config.Patch, b.values, b.recipe, r)
		}
	}
	x.load, x.augment = time.Since(middle).Seconds(), middle.Sub(begin).Seconds()
}

// corner draws where sample i of the batch of all devices is cut, by the rule of the recipe.
func (b *batcher) corner(s *dataset.Sample, r *rand.Rand, crop [3]int, i int) [3]int {
	if b.recipe.OversampleBy == plan.ByComponent {
		return s.CornerByComponent(r, crop, b.forced(r, i))
	}
	return s.Corner(r, crop, b.forced(r, i))
}

// forced says whether sample i of the batch of all devices has to hold foreground.
func (b *batcher) forced(r *rand.Rand, i int) bool {
	share := b.recipe.Oversample
	if b.recipe.OversampleBy == "" {
		return i >= b.config.Batch-dataset.Forced(b.config.Batch, share)
	}
	return r.Float64() < share
}

// previousOf is where sample i of n has the labels of the previous stage.
func (x *batch) previousOf(patch [3]int, n, i int) []uint8 {
	voxels := patch[0] * patch[1] * patch[2]
	x.previous = sized(x.previous, n*voxels)
	return x.previous[i*voxels:][:voxels]
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
