package dicom

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gounet/gounet/core/volume"
)

// Image reads the volume: float32 [D H W 1] in modality units, which are HU for CT.
// Missing slices are interpolated.
// It fails with v.Err if that is set.
func (v *Volume) Image(ctx context.Context) (*volume.Image, error) {
	return readImage(ctx, []*Volume{v})
}

// Image reads the series as [D H W C], a channel for each of its volumes, in their
// order. Volumes on different grids are an error: read them one by one.
func (s *Series) Image(ctx context.Context) (*volume.Image, error) {
	first := s.Volumes[0]
	for _, v := range s.Volumes[1:] {
		if v.Shape != first.Shape || !near(v.Affine, first.Affine) {
			return nil, fmt.Errorf("dicom: series %d: %s has %v voxels (D H W) and %s %v, or lies elsewhere: choose one of the %d volumes",
				s.Number, first.Name, first.Shape, v.Name, v.Shape, len(s.Volumes))
		}
	}
	return readImage(ctx, s.Volumes)
}

// near compares affines to a hundredth of a millimetre.
func near(a, b [4][4]float64) bool {
	for i := range a {
		for k := range a[i] {
			if d := a[i][k] - b[i][k]; d > samePlace || d < -samePlace {
				return false
			}
		}
	}
	return true
}

// target is where a plane goes: slice d of channel c, or, of a twin, what it must equal.
type target struct {
	p     *plane
	d, c  int
	equal bool
}

// readImage reads volumes of one grid into the channels of an image. Instances are
// shared out among goroutines; each writes slices of its own.
func readImage(ctx context.Context, volumes []*Volume) (*volume.Image, error) {
	targets := map[*instance][]target{}
	var order []*instance
	put := func(t target) {
		if targets[t.p.in] == nil {
			order = append(order, t.p.in)
		}
		targets[t.p.in] = append(targets[t.p.in], t)
	}
	for c, v := range volumes {
		if v.Err != nil {
			return nil, fmt.Errorf("dicom: %w", v.Err)
		}
		for d, p := range v.planes {
			if v.exists(d) {
				put(target{p: p, d: d, c: c})
			}
		}
	}
	if n := int64(volumes[0].Voxels()) * int64(len(volumes)); n > maxVoxels {
		return nil, fmt.Errorf("dicom: %d values in %d volumes, at most %d are read", n, len(volumes), int64(maxVoxels))
	}
	im := volume.NewImage(volumes[0].Grid, len(volumes))
	if err := readPlanes(ctx, im, order, targets); err != nil {
		return nil, err
	}
	for c, v := range volumes {
		v.interpolate(im.Data, im.C, c)
	}
	clear(targets)
	order = nil
	for c, v := range volumes {
		for _, t := range v.twins {
			put(target{p: t[1], d: slices.Index(v.planes, t[0]), c: c, equal: true})
		}
	}
	if err := readPlanes(ctx, im, order, targets); err != nil {
		return nil, err
	}
	return im, nil
}

func readPlanes(ctx context.Context, im *volume.Image, order []*instance, targets map[*instance][]target) error {
	errs := make([]error, len(order))
	var failed atomic.Bool
	parallel(len(order), func() *frame { return &frame{} }, func(i int, fr *frame) {
		if failed.Load() {
			return
		}
		if errs[i] = ctx.Err(); errs[i] == nil {
			if err := order[i].read(ctx, im, targets[order[i]], fr); err != nil {
				errs[i] = fmt.Errorf("dicom: %s: %w", order[i].file.Name, err)
			}
		}
		if errs[i] != nil {
			failed.Store(true)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// read decodes the frames of in that targets need.
func (in *instance) read(ctx context.Context, im *volume.Image, targets []target, fr *frame) error {
	slices.SortFunc(targets, func(a, b target) int { return a.p.frame - b.p.frame })
	r, err := openPixels(in.file, in.info, &in.format, fr.bytes)
	if err != nil {
		return err
	}
	defer func() {
		r.close()
		fr.bytes = r.buf
	}()
	last := -1
	for _, t := range targets {
		if t.p.frame != last {
			if err := ctx.Err(); err != nil {
				return err
			}
			last = t.p.frame
			b, err := r.next(last)
			if err == nil {
				err = in.format.decode(fr, in.info.syntax.codec, b)
			}
			if err != nil {
				return fmt.Errorf("frame %d of %d: %w", last+1, in.format.frames, err)
			}
		}
		if err := t.store(im, fr); err != nil {
			return err
		}
	}
	return nil
}

// store writes a plane into its slice, or compares it.
func (t target) store(im *volume.Image, fr *frame) error {
	p, c := t.p, im.C
	slice := im.Data[t.d*p.rows*p.columns*c:]
	wide := p.tiles * p.columns
	y0, x0 := t.p.tile/p.tiles*p.rows, t.p.tile%p.tiles*p.columns
	unsigned := p.in.format.allocated == 32 && !p.in.format.signed
	for y := range p.rows {
		dst := slice[y*p.columns*c:]
		at := (y0+y)*wide + x0
		if !t.equal && c == 1 && fr.floats == nil && !unsigned && p.slope == 1 { // what CT and MR mostly are
			for x, v := range fr.ints[at : at+p.columns] {
				dst[x] = float32(float64(v) + p.intercept)
			}
			continue
		}
		for x := range p.columns {
			var v float64
			switch {
			case fr.floats != nil:
				v = fr.floats[at+x]
			case unsigned:
				v = float64(uint32(fr.ints[at+x]))
			default:
				v = float64(fr.ints[at+x])
			}
			value := float32(float64(v*p.slope) + p.intercept) // not fused: the same bits on every machine
			if t.equal {
				if d := dst[x*c+t.c]; d != value && (d == d || value == value) {
					return fmt.Errorf("instance %d lies where another slice lies, and differs from it at row %d column %d (%g, %g): remove one of them",
						p.in.number, y, x, value, d)
				}
				continue
			}
			dst[x*c+t.c] = value
		}
	}
	return nil
}

// parallel calls f(i) for i in [0, n) on as many goroutines as the program may use,
// each with scratch of its own.
func parallel[S any](n int, scratch func() S, f func(i int, s S)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			s := scratch()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i, s)
			}
		})
	}
	wg.Wait()
}
