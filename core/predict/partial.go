package predict

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/volume"
)

// Partial is a part of the labels of a scan while tiles are still being added: what
// the sums say so far.
type Partial struct {
	Box    volume.Box // of the scan, in its own axes
	Labels []uint8    // of the box, dense
}

// shower is what a sweep knows of the partial labels that it told of.
type shower struct {
	place volume.Placement
	fresh [][3]int  // corners of tiles since the last time
	all   bool      // a state brought labels that nobody was told of
	next  time.Time // not before that
}

// show tells of the labels that the fresh tiles have changed, if it is time. The
// labels of planes that are not decided are replaced when they are.
func (s *sweep) show(ctx context.Context, now bool) error {
	w := &s.shower
	begun := time.Now()
	if s.o.Partial == nil || len(w.fresh) == 0 && !w.all || !now && begun.Before(w.next) {
		return nil
	}
	boxes := make([]volume.Box, len(w.fresh))
	for i, corner := range w.fresh {
		boxes[i] = s.covered(corner)
	}
	if err := s.decideBoxes(ctx, boxes); err != nil {
		return fmt.Errorf("partial labels: %w", err)
	}
	b := volume.Whole(s.out)
	if !w.all {
		b = union(boxes)
	}
	if b.Voxels() > 0 {
		s.o.Partial(s.partial(b))
	}
	w.fresh, w.all = w.fresh[:0], false
	took := time.Since(begun)
	if s.o.PartialShare > 0 {
		took = time.Duration(float64(took) / s.o.PartialShare)
	}
	w.next = begun.Add(max(took, s.o.PartialEvery))
	return nil
}

// covered are the voxels of the result that are made of voxels of the tile at a
// corner and of no others.
func (s *sweep) covered(corner [3]int) (b volume.Box) {
	for a, patch := range s.p.config.Patch {
		first, last := max(corner[a], 0), min(corner[a]+patch, s.volume[a])-1
		b.Lo[a] = sort.Search(s.out[a], func(o int) bool { low, _ := s.between(a, o); return low >= first })
		b.Hi[a] = max(b.Lo[a], sort.Search(s.out[a], func(o int) bool { _, high := s.between(a, o); return high > last }))
	}
	return b
}

// between are the voxels along axis a that voxel o of the result is made of.
func (l *layout) between(a, o int) (low, high int) {
	n, m := l.volume[a], l.out[a]
	if l.nearest[a] {
		i := (2*o + 1) * n / (2 * m)
		return i, i
	}
	at := max((2*o+1)*n-m, 0) // in units of 1/2m voxel, so that it is exact
	low = min(at/(2*m), n-1)
	if at%(2*m) == 0 {
		return low, low
	}
	return low, min(low+1, n-1)
}

// union is the smallest box that all are in.
func union(boxes []volume.Box) volume.Box {
	u := boxes[0]
	for _, b := range boxes[1:] {
		for a := range 3 {
			u.Lo[a], u.Hi[a] = min(u.Lo[a], b.Lo[a]), max(u.Hi[a], b.Hi[a])
		}
	}
	return u
}

// decideBoxes makes the labels of boxes of what is not decided yet.
func (s *sweep) decideBoxes(ctx context.Context, boxes []volume.Box) error {
	if len(boxes) == 0 {
		return nil
	}
	u := union(boxes)
	plane := s.out[1] * s.out[2]
	rows := make([]uint8, s.outRows*plane)
	for z := max(u.Lo[0], s.next); z < u.Hi[0]; z += s.outRows {
		end := min(z+s.outRows, u.Hi[0])
		if err := s.decideRows(ctx, z, rows[:(end-z)*plane]); err != nil {
			return err
		}
		for _, b := range boxes {
			for d := max(b.Lo[0], z); d < min(b.Hi[0], end); d++ {
				for h := b.Lo[1]; h < b.Hi[1]; h++ {
					from, to := h*s.out[2]+b.Lo[2], h*s.out[2]+b.Hi[2]
					copy(s.labels[d*plane+from:d*plane+to], rows[(d-z)*plane+from:])
				}
			}
		}
	}
	return nil
}

// decideRows reads the labels of the planes of the result from z on, as many as dst has.
func (s *sweep) decideRows(ctx context.Context, z int, dst []uint8) error {
	if err := s.labeler.WriteAt(ctx, s.decide.Ctl, 4*graph.CtlRows, backend.F32Bytes([]float32{float32(z)})); err != nil {
		return err
	}
	if err := s.labeler.Run(ctx); err != nil {
		return err
	}
	return s.labeler.Read(ctx, s.decide.Labels, dst)
}

// partial brings a box of the result to the scan's axes.
func (s *sweep) partial(b volume.Box) Partial {
	place := &s.shower.place
	l := volume.Labels{Grid: volume.Grid{Shape: s.out}, Data: s.labels}
	return Partial{s.inScan(b), l.Crop(b).Transpose(place.Axes.Inverse()).Data}
}

// inScan is a box of the result in the scan's axes.
func (s *sweep) inScan(b volume.Box) (out volume.Box) {
	place := &s.shower.place
	for a, from := range place.Axes.Inverse() {
		out.Lo[a] = place.Crop.Lo[from] + b.Lo[from]
		out.Hi[a] = place.Crop.Lo[from] + b.Hi[from]
	}
	return out
}

// following is the tile of the row that comes next: chunk by chunk, and in each fold
// by fold.
func (s *sweep) following() volume.Box {
	if s.at >= s.total() {
		return volume.Box{}
	}
	rows := len(s.tiles) * len(s.p.mirrors)
	first := s.at / (s.chunk * len(s.p.Model.Folds)) * s.chunk
	within := s.at - first*len(s.p.Model.Folds)
	return s.inScan(s.covered(s.corner(first + within%min(s.chunk, rows-first))))
}
