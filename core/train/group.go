package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/ranks"
)

// leads says whether this rank has the run folder.
func (t *trainer) leads() bool { return t.rank() == 0 }

func (t *trainer) rank() int {
	if t.Group == nil {
		return 0
	}
	return t.Group.Rank
}

func (t *trainer) world() int {
	if t.Group == nil {
		return 1
	}
	return t.Group.World
}

// share says which samples of a batch are this rank's.
func (t *trainer) share() error {
	n := t.world()
	if have := max(1, t.Device.Limits().World); have != n {
		return fmt.Errorf("%s takes part in a group of %d devices, the ranks are %d", t.Device.Name(), have, n)
	}
	if t.config.Batch%n != 0 {
		up := (t.config.Batch/n + 1) * n
		return fmt.Errorf("a batch of %d samples cannot be shared by %d ranks: choose --batch %d, or another number of ranks", t.config.Batch, n, up)
	}
	t.local = t.config.Batch / n
	t.first = t.rank() * t.local
	return nil
}

// mostState is far above what the log of a training has in JSON.
const mostState = 256 << 20

// spread gives the other ranks what rank 0 begins with.
func (t *trainer) spread(ctx context.Context) error {
	if t.Group == nil {
		return nil
	}
	defer runtime.GC()
	b, err := json.Marshal(t.state)
	if err != nil {
		return err
	}
	if b, err = t.Group.Share(ctx, b, mostState); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &t.state); err != nil {
		return err
	}
	for _, v := range t.step.Params {
		if err := t.spreadValue(ctx, v, t.train.WriteWeight); err != nil {
			return err
		}
	}
	tensors := t.tensors()
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		if err := t.spreadValue(ctx, tensors[name], t.train.WriteF32); err != nil {
			return err
		}
	}
	return nil
}

// spreadValue gives the other ranks rank 0's v.
func (t *trainer) spreadValue(ctx context.Context, v graph.Value, write func(context.Context, graph.Value, []float32) error) error {
	data := make([]float32, t.shapeOf(v).Elems())
	if t.leads() {
		if err := t.train.ReadF32(ctx, v, data); err != nil {
			return err
		}
	}
	if err := t.Group.Broadcast(ctx, backend.F32Bytes(data)); err != nil {
		return err
	}
	if t.leads() {
		return nil
	}
	return write(ctx, v, data)
}

// sameWeights looks whether every rank has the same weights, bit for bit: that nothing
// on one of them computes differently.
func (t *trainer) sameWeights(ctx context.Context) error {
	if t.Group == nil {
		return nil
	}
	sum := crc32.NewIEEE()
	for _, v := range t.step.Params {
		data := make([]float32, t.train.Program.Type(v).Shape.Elems())
		if err := t.train.ReadF32(ctx, v, data); err != nil {
			return err
		}
		sum.Write(backend.F32Bytes(data))
	}
	if err := t.Group.Agree(ctx, "weights", fmt.Sprintf("%08x", sum.Sum32())); err != nil {
		return fmt.Errorf("after epoch %d: %w: are processors, drivers and gounet the same on all hosts?", t.state.Epoch, err)
	}
	return nil
}

// reduceValidation makes sums and loss those of all ranks.
func (t *trainer) reduceValidation(ctx context.Context, e *Epoch, sums []float64) error {
	if t.Group == nil {
		return nil
	}
	x := append(slices.Clone(sums), float64(e.ValLoss))
	if err := t.Group.Sum(ctx, x); err != nil {
		return err
	}
	copy(sums, x)
	e.ValLoss = Number(x[len(sums)] / float64(t.Group.World))
	return nil
}

// late says whether the time is over, by the clock of rank 0.
func (t *trainer) late(ctx context.Context) (bool, error) {
	if t.MaxTime == 0 {
		return false, nil
	}
	over := []byte{0}
	if time.Since(t.started) >= t.MaxTime {
		over[0] = 1
	}
	if t.Group != nil {
		if err := t.Group.Broadcast(ctx, over); err != nil {
			return false, err
		}
	}
	return over[0] == 1, nil
}

// broken leaves a checkpoint where a training was interrupted, or lost a rank: the
// weights are those of the last step that all have done. It returns err, and why there
// is none.
func (t *trainer) broken(ctx context.Context, err error) error {
	if t.Group != nil {
		t.Group.Fail(err) // the others need not wait for the checkpoint
	}
	var lost *ranks.LostError
	gone := errors.As(err, &lost)
	switch end := ctx.Err(); {
	case end == nil && !gone:
		return err
	case end != nil && !errors.Is(err, end): // another rank was interrupted with this one
		err = errors.Join(end, err)
	}
	ctx = context.WithoutCancel(ctx)
	if t.leads() {
		return kept(err, gone, t.saveHere(ctx))
	}
	if !gone || lost.Rank != 0 || t.Group.Rank != 1 {
		return err
	}
	release, busy := inherit(t.Dir)
	if busy != nil {
		return errors.Join(err, busy)
	}
	return kept(err, gone, errors.Join(t.saveHere(ctx), release()))
}

// inherit takes the folder in the place of a rank that was lost, whose connections the
// system closes before its files.
func inherit(dir string) (release func() error, err error) {
	for range 50 {
		if release, err = TakeFolder(dir); err == nil {
			return release, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}

// kept is the error of a training that has left a checkpoint, or not: then it is more
// than an interruption.
func kept(err error, gone bool, saved error) error {
	switch {
	case saved != nil && errors.Is(err, context.Canceled):
		return fmt.Errorf("%s, and what is done since the last checkpoint is not kept: %w", err.Error(), saved)
	case saved != nil:
		return errors.Join(err, saved)
	case gone:
		return fmt.Errorf("%w: what is done is kept, go on with --resume", err)
	}
	return err
}
