package train

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
)

// resident says which training cases lie in the store of the device. Of the others the
// host cuts the crops, as without a store, into a guest's place in it: a step has the
// same bits wherever its cases lie.
type resident struct {
	first  []int // voxel at which each training case begins; −1: it stays with the host
	guests int   // voxel behind the cases: the crop of the first sample of a batch has its place there; the others follow
	voxels int   // of the store
	cases  int   // that lie in it
}

// spareShare of the memory of a device is left to what it needs beside programs: its
// context, kernels and their partial sums.
const spareShare = 10

// room is what the device has for cases beside the programs, in bytes.
func (t *trainer) room(step, val *compile.Program) int64 {
	l := t.Device.Limits()
	if t.Resident < 0 || t.Resident == 0 && (l.Host || l.TotalBytes == 0) {
		return 0
	}
	most := int64(math.MaxInt64)
	if l.TotalBytes > 0 {
		most = cmp.Or(l.FreeBytes, l.TotalBytes) - l.TotalBytes/spareShare - memoryOf(step, val).Device()
	}
	return min(most, cmp.Or(t.Resident, most))
}

// voxelBytes of a case with c channels, and its labels.
func voxelBytes(c int) int64 { return int64(graph.F32.Size()*c + graph.U8.Size()) }

// keep chooses cases, in their order, as long as one fits into so many bytes of a store of
// c channels, beside the guests of a batch where not all do. Where none does it returns nil.
func keep(cases []*dataset.Sample, bytes int64, c, samples int, crop [3]int) *resident {
	voxels := func(s *dataset.Sample) int { return s.Shape[0] * s.Shape[1] * s.Shape[2] }
	all, guests := 0, samples*crop[0]*crop[1]*crop[2]
	for _, s := range cases {
		all += voxels(s)
	}
	most := bytes / voxelBytes(c)
	if int64(all) <= most {
		guests = 0
	}
	r := &resident{first: make([]int, len(cases))}
	for i, s := range cases {
		r.first[i] = -1
		if n := voxels(s); int64(r.guests+n+guests) <= most {
			r.first[i] = r.guests
			r.guests += n
			r.cases++
		}
	}
	if r.cases == 0 {
		return nil
	}
	r.voxels = r.guests + guests
	return r
}

// row is where sample i of a batch is cut: out of training case k at lo, or out of its
// guest's place. It says which.
func (r *resident) row(row []float32, i, k int, s *dataset.Sample, lo, crop [3]int) (guest bool) {
	first, size := r.first[k], s.Shape
	if guest = first < 0; guest {
		first, size, lo = r.guests+i*crop[0]*crop[1]*crop[2], crop, [3]int{}
	}
	row[graph.CutFirst], row[graph.CutFirst+1] = float32(first&0xFFFF), float32(first>>16)
	for a := range 3 {
		row[graph.CutSize+a], row[graph.CutCorner+a] = float32(size[a]), float32(lo[a])
	}
	return guest
}

// fillStore copies the cases to the device.
func (t *trainer) fillStore(ctx context.Context) error {
	if t.kept == nil {
		return nil
	}
	if t.Stored != nil {
		t.Stored(t.kept.cases, int64(t.kept.voxels)*voxelBytes(len(t.Plan.Channels)))
	}
	for i, s := range t.Train {
		if t.kept.first[i] < 0 {
			continue
		}
		err := cut(s, func() error {
			if err := s.Verify(); err != nil {
				return fmt.Errorf("preprocessed case %w", err)
			}
			return t.store(ctx, t.kept.first[i], s.Image, s.Labels)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// store writes voxels to the store, from voxel first on.
func (t *trainer) store(ctx context.Context, first int, image []float32, labels []uint8) error {
	c := len(t.Plan.Channels)
	s := t.step.Store
	if err := t.train.WriteAt(ctx, s.Images, int64(first)*int64(graph.F32.Size()*c), backend.F32Bytes(image)); err != nil {
		return err
	}
	return t.train.WriteAt(ctx, s.Labels, int64(first), labels)
}

// writeSource gives a program the crops that it does not cut itself.
func (t *trainer) writeSource(ctx context.Context, s *backend.Session, source, labels graph.Value, b *batch) error {
	if b.guests == nil {
		if err := s.WriteF32(ctx, source, b.image); err != nil {
			return err
		}
		return s.Write(ctx, labels, b.labels)
	}
	crop := augment.SourceShape(t.recipe, t.config.Patch)
	n, c := crop[0]*crop[1]*crop[2], len(t.Plan.Channels)
	for i, guest := range b.guests {
		if !guest {
			continue
		}
		if err := t.store(ctx, t.kept.guests+i*n, b.image[i*n*c:][:n*c], b.labels[i*n:][:n]); err != nil {
			return err
		}
	}
	return nil
}

// ctlShape is the part of ctl that lasts from step to step and goes into a checkpoint,
// which is for any device: without the rows of the store.
func (t *trainer) ctlShape() graph.Shape {
	if t.step.Store != nil {
		return graph.Shape{t.step.Store.Ctl}
	}
	return graph.Shape{t.step.CtlLen}
}

// shapeOf is the part of v that goes into a checkpoint.
func (t *trainer) shapeOf(v graph.Value) graph.Shape {
	if v == t.step.Ctl {
		return t.ctlShape()
	}
	return t.train.Program.Type(v).Shape
}
