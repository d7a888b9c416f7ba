package predict

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/volume"
)

// sweep takes one volume through an engine, from the first plane to the last.
//
// Planes of the volume, from low to high, are: decided and zeroed again; summed
// up to the end but still needed by a plane of the result (from kept on); being
// summed; untouched. The accumulator has room for those in the middle.
type sweep struct {
	*engine
	p     *Predictor
	image *volume.Image
	o     ImageOptions

	ctl    []float32
	loaded int       // first plane of the volume that is on the device, −1: none
	kept   int       // first plane that is not zeroed again
	next   int       // first plane of the result that is not decided
	labels []uint8   // of the result
	copied int       // first plane that is not in logits
	logits []float32 // [D H W K] of the preprocessed scan; nil unless they are wanted
	ring   struct{ acc, norm []float32 }
	at     int // rows of all folds that were walked over
	done   int // of these, in the sums: as many, until a resumed sweep has come to its place
	keeper keeper
	shower shower
}

// syncRuns are runs between two looks at the device, which bound what is queued there.
const syncRuns = 4

func newSweep(p *Predictor, e *engine, pre *volume.Preprocessed, o ImageOptions) *sweep {
	s := &sweep{
		engine: e, p: p, image: pre.Image, o: o, loaded: -1, shower: shower{place: pre.Placement},
		ctl:    make([]float32, graph.CtlRows+e.rows*graph.RowLen),
		labels: make([]uint8, e.out[0]*e.out[1]*e.out[2]), keeper: keeper{last: time.Now()},
	}
	if o.Probabilities || o.Uncertainty || p.cubic(pre.Placement) {
		plane, k := e.volume[1]*e.volume[2], p.plan.Classes()
		s.logits = make([]float32, e.volume[0]*plane*k)
		s.ring.norm = make([]float32, e.planes*plane)
		s.ring.acc = s.logits // read in place where all planes are there
		if e.slabs() {
			s.ring.acc = make([]float32, e.planes*plane*k)
		}
	}
	return s
}

func (s *sweep) run(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	rows := len(s.tiles) * len(s.p.mirrors)
	for first := 0; first < rows; first += s.chunk {
		last := min(first+s.chunk, rows)
		if s.pass((last - first) * len(s.p.Model.Folds)) {
			continue
		}
		if err := s.finish(ctx, s.corner(first)[0]); err != nil {
			return err
		}
		if err := s.load(ctx, s.corner(first)[0], s.corner(last - 1)[0]+s.p.config.Patch[0]); err != nil {
			return err
		}
		for f := range s.p.Model.Folds {
			if s.pass(last - first) {
				continue
			}
			if err := s.p.weights.load(ctx, f); err != nil {
				return err
			}
			if err := s.add(ctx, first, last); err != nil {
				return err
			}
		}
	}
	return s.finish(ctx, s.volume[0])
}

// begin makes the sums zero, or those of the state to go on from.
func (s *sweep) begin(ctx context.Context) error {
	used := s.used
	s.used = true
	if s.o.Resume != nil {
		return s.resume(ctx, s.o.Resume)
	}
	if !used {
		return nil
	}
	return s.zero(ctx, 0, s.planes)
}

// pass walks over n rows, if they are done already.
func (s *sweep) pass(n int) bool {
	if s.at+n > s.done {
		return false
	}
	s.at += n
	return true
}

// total is the number of rows of all folds.
func (s *sweep) total() int { return len(s.tiles) * len(s.p.mirrors) * len(s.p.Model.Folds) }

// corner of the tile of a row. The mirror images of a tile are neighbours.
func (s *sweep) corner(row int) [3]int { return s.tiles[row/len(s.p.mirrors)] }

// load puts planes from … to of the volume on the device, if they are not there.
func (s *sweep) load(ctx context.Context, from, to int) error {
	from, to = max(from, 0), min(to, s.volume[0])
	if s.loaded >= 0 && from >= s.loaded && to <= s.loaded+s.planes {
		return nil
	}
	s.loaded = min(from, s.volume[0]-s.planes)
	plane := s.volume[1] * s.volume[2] * s.image.C
	return s.tiler.WriteF32(ctx, s.tile.Volume, s.image.Data[s.loaded*plane:(s.loaded+s.planes)*plane])
}

// add runs the rows first … last−1 with the weights that are on the device.
func (s *sweep) add(ctx context.Context, first, last int) error {
	for ; first < last; first += s.rows {
		n := min(s.rows, last-first)
		if s.pass(n) {
			continue
		}
		clear(s.ctl)
		for i := range n {
			corner := s.corner(first + i)
			row := s.ctl[graph.CtlRows+i*graph.RowLen:]
			for a, x := range corner {
				row[graph.RowLoad+a], row[graph.RowBlend+a] = float32(x), float32(x)
			}
			row[graph.RowLoad] = float32(corner[0] - s.loaded)
			row[graph.RowMirror] = float32(s.p.mirrors[(first+i)%len(s.p.mirrors)])
			row[graph.RowWeight] = 1
			if s.o.Partial != nil {
				s.shower.fresh = append(s.shower.fresh, corner)
			}
		}
		if err := s.step(ctx, n); err != nil {
			return fmt.Errorf("tile %d/%d: %w", first/len(s.p.mirrors)+1, len(s.tiles), err)
		}
	}
	return nil
}

// step runs n rows of ctl and tells of them.
func (s *sweep) step(ctx context.Context, n int) error {
	if err := s.tiler.WriteF32(ctx, s.tile.Ctl, s.ctl); err != nil {
		return err
	}
	if err := s.tiler.Run(ctx); err != nil {
		return err
	}
	before := s.done / s.rows / syncRuns
	s.at += n
	s.done = s.at
	if s.done < s.total() && s.done/s.rows/syncRuns == before && !s.o.EveryRun {
		return s.keep(ctx)
	}
	if err := s.tiler.ReadF32(ctx, s.tile.Ctl, s.ctl[:1]); err != nil { // waits for the runs
		return err
	}
	if s.o.Progress != nil {
		s.o.Progress(Progress{Done: s.done, Total: s.total(), Next: s.following()})
	}
	if err := s.show(ctx, false); err != nil {
		return err
	}
	return s.keep(ctx)
}

// finish decides what no tile at plane z or behind it will change. Where the
// accumulator has all planes that waits for the end.
func (s *sweep) finish(ctx context.Context, z int) error {
	if z < s.volume[0] && !s.slabs() {
		return nil
	}
	end := s.next
	for end < s.out[0] && s.highest(end) < z {
		end++
	}
	if err := s.decideUntil(ctx, end); err != nil {
		return fmt.Errorf("labels of planes %d to %d: %w", s.next, end-1, err)
	}
	if err := s.copyUntil(ctx, z); err != nil {
		return err
	}
	if !s.slabs() {
		return nil
	}
	kept := z
	if s.next < s.out[0] {
		kept = min(z, s.lowest(s.next))
	}
	if kept <= s.kept {
		return nil
	}
	err := s.zero(ctx, s.kept, kept)
	s.kept = kept
	return err
}

// around are the planes that plane o of the result is made of, and where the
// position is rounded, its neighbour.
func (s *sweep) around(o int) (low, high int) {
	n, m := s.volume[0], s.out[0]
	if s.nearest[0] {
		i := (2*o + 1) * n / (2 * m)
		return i, i
	}
	at := (float64(o)+0.5)*float64(n)/float64(m) - 0.5
	const rounding = 1e-3 // planes; of a device that computes the position in f32
	low, high = int(math.Floor(at-rounding)), int(math.Floor(at+rounding))+1
	return min(max(low, 0), n-1), min(max(high, 0), n-1)
}

func (s *sweep) lowest(o int) int  { low, _ := s.around(o); return low }
func (s *sweep) highest(o int) int { _, high := s.around(o); return high }

// decideUntil reads the labels of planes next … end−1 of the result.
func (s *sweep) decideUntil(ctx context.Context, end int) error {
	plane := s.out[1] * s.out[2]
	for s.next < end {
		n := min(s.outRows, end-s.next)
		if err := s.decideRows(ctx, s.next, s.labels[s.next*plane:(s.next+n)*plane]); err != nil {
			return err
		}
		s.next += n
	}
	return nil
}

// copyUntil makes the logits of planes copied … z−1, if they are wanted.
func (s *sweep) copyUntil(ctx context.Context, z int) error {
	if s.logits == nil || z <= s.copied {
		return nil
	}
	if err := s.tiler.ReadF32(ctx, s.tile.Acc, s.ring.acc); err != nil {
		return err
	}
	if err := s.tiler.ReadF32(ctx, s.tile.Norm, s.ring.norm); err != nil {
		return err
	}
	plane, k := s.volume[1]*s.volume[2], s.p.plan.Classes()
	for ; s.copied < z; s.copied++ {
		at := s.copied % s.planes * plane
		to := s.logits[s.copied*plane*k:]
		for i, n := range s.ring.norm[at : at+plane] {
			for c, x := range s.ring.acc[(at+i)*k : (at+i+1)*k] {
				to[i*k+c] = x / n
			}
		}
	}
	return nil
}

// zero clears planes from … to−1 of the sums.
func (s *sweep) zero(ctx context.Context, from, to int) error {
	plane := int64(4 * s.volume[1] * s.volume[2])
	sums := []struct {
		value graph.Value
		bytes int64 // of a plane
	}{{s.tile.Norm, plane}, {s.tile.Acc, plane * int64(s.p.plan.Classes())}}
	for from < to {
		at := from % s.planes
		n := min(to-from, s.planes-at)
		for _, v := range sums {
			if err := s.tiler.Clear(ctx, v.value, int64(at)*v.bytes, int64(n)*v.bytes); err != nil {
				return err
			}
		}
		from += n
	}
	return nil
}
