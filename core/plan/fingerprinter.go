package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gounet/gounet/core/volume"
)

const (
	foregroundSamples = 100_000_000 // nnU-Net: over all cases
	sampleSeed        = 1234        // nnU-Net: of each case
	keptValues        = 1 << 26     // different values kept over all cases and channels, 8 bytes each
)

// Fingerprinter measures the cases of a data set. Add may be called from several
// goroutines, for different cases; the result does not depend on the order.
type Fingerprinter struct {
	channels int
	samples  int // draws over all cases and of each channel
	cases    []caseFacts
}

type caseFacts struct {
	added    bool
	spacing  [3]float64
	shape    [3]int
	relative float64
	sample   []sample // a channel each
}

// sample is a set of draws from the foreground of a case: values in ascending
// order with cumulative counts, and exact moments.
type sample struct {
	values []float32
	upTo   []uint32 // draws of this value or less
	n      int
	mean   float64
	square float64 // sum of squared differences from mean
}

// NewFingerprinter measures a data set of that many cases and channels.
func NewFingerprinter(channels, cases int) *Fingerprinter {
	return &Fingerprinter{channels: channels, samples: foregroundSamples, cases: make([]caseFacts, cases)}
}

// Add measures case i, 0 to cases−1, each once. It keeps neither im nor seg.
// Foreground is what has a label above 0, the ignore label too.
func (f *Fingerprinter) Add(i int, im *volume.Image, seg *volume.Labels) error {
	if i < 0 || i >= len(f.cases) || f.cases[i].added {
		return fmt.Errorf("fingerprint: case %d of %d is out of range or was added twice", i, len(f.cases))
	}
	if im.C != f.channels {
		return fmt.Errorf("fingerprint: the image has %d channels, wanted %d", im.C, f.channels)
	}
	if seg.Shape != im.Shape {
		return fmt.Errorf("fingerprint: image of %v and labels of %v voxels (D H W), wanted the same", im.Shape, seg.Shape)
	}
	if int64(im.Voxels()) > math.MaxUint32 {
		return fmt.Errorf("fingerprint: the image has %d voxels, wanted at most %d", im.Voxels(), int64(math.MaxUint32))
	}
	if err := volume.CheckFinite(im); err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	box := volume.BoundingBox(volume.NonzeroMask(im), im.Shape)
	c := &f.cases[i]
	*c = caseFacts{added: true, spacing: im.Spacing, shape: box.Shape()}
	c.relative = float64(prod(c.shape)) / float64(im.Voxels())
	voxels := foreground(seg, box)
	random := NewMersenne(sampleSeed)
	budget := max(keptValues/(len(f.cases)*f.channels), 1)
	for ch := range f.channels {
		c.sample = append(c.sample, draw(random, im, voxels, ch, f.samples/len(f.cases), budget))
	}
	return nil
}

// foreground lists the voxels of b with a label, in the order of memory.
func foreground(seg *volume.Labels, b volume.Box) []uint32 {
	var voxels []uint32
	for d := b.Lo[0]; d < b.Hi[0]; d++ {
		for h := b.Lo[1]; h < b.Hi[1]; h++ {
			row := (d*seg.Shape[1] + h) * seg.Shape[2]
			for v := row + b.Lo[2]; v < row+b.Hi[2]; v++ {
				if l := seg.Data[v]; l > 0 && l != volume.Outside {
					voxels = append(voxels, uint32(v))
				}
			}
		}
	}
	return voxels
}

// draw takes n values of channel ch from voxels, with replacement: numpy's
// RandomState.choice.
func draw(random *Mersenne, im *volume.Image, voxels []uint32, ch, n, budget int) sample {
	if len(voxels) == 0 {
		return sample{}
	}
	drawn := random.countBelow(uint32(len(voxels)), n)
	pairs := make([]pair, 0, min(len(voxels), n))
	for i, v := range voxels {
		if drawn[i] > 0 {
			pairs = append(pairs, pair{im.Data[int(v)*im.C+ch], drawn[i]})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.value, b.value) })
	s := sample{n: n}
	for _, p := range pairs {
		s.mean += float64(p.value) * float64(p.count)
	}
	s.mean /= float64(n)
	for _, p := range pairs {
		d := float64(p.value) - s.mean
		s.square += d * d * float64(p.count)
	}
	s.keep(pairs, budget)
	return s
}

// pair is a value and how often it was drawn.
type pair struct {
	value float32
	count uint32
}

// keep stores pairs, sorted by value, as at most budget different values: where
// there are more it rounds them to fewer bits of mantissa, at least 7, which
// percentiles do not feel. The smallest and the largest stay exact.
func (s *sample) keep(pairs []pair, budget int) {
	for drop := 0; ; drop++ {
		s.values, s.upTo = s.values[:0], s.upTo[:0]
		total := uint32(0)
		for i, p := range pairs {
			v := p.value
			if i > 0 && i < len(pairs)-1 {
				v = min(max(roundMantissa(v, drop), pairs[0].value), pairs[len(pairs)-1].value)
			}
			total += p.count
			if k := len(s.values) - 1; k >= 0 && s.values[k] == v {
				s.upTo[k] = total
				continue
			}
			s.values, s.upTo = append(s.values, v), append(s.upTo, total)
		}
		if len(s.values) <= budget || drop == 16 {
			s.values, s.upTo = slices.Clip(s.values), slices.Clip(s.upTo)
			return
		}
	}
}

// roundMantissa rounds v to 23 − drop bits of mantissa.
func roundMantissa(v float32, drop int) float32 {
	if drop == 0 {
		return v
	}
	b := math.Float32bits(v)
	return math.Float32frombits((b + 1<<(drop-1)) >> drop << drop) // may become infinite: keep limits it
}

// Finish returns the fingerprint of the cases added.
func (f *Fingerprinter) Finish() (*Fingerprint, error) {
	out := &Fingerprint{}
	var relative []float64
	for i, c := range f.cases {
		if !c.added {
			return nil, fmt.Errorf("fingerprint: case %d of %d was not added", i, len(f.cases))
		}
		out.Spacings = append(out.Spacings, c.spacing)
		out.Shapes = append(out.Shapes, c.shape)
		relative = append(relative, c.relative)
	}
	if len(f.cases) == 0 {
		return nil, fmt.Errorf("fingerprint: there are no cases")
	}
	out.MedianRelativeSize = median(relative)
	for ch := range f.channels {
		v, ok := f.intensity(ch)
		if !ok {
			return nil, fmt.Errorf("fingerprint: no case has a voxel with a label above 0: check the label files")
		}
		out.Intensities = append(out.Intensities, v)
	}
	return out, out.Validate()
}

// intensity joins the samples of all cases.
func (f *Fingerprinter) intensity(ch int) (v Intensity, ok bool) {
	n, sum := 0, 0.0
	v.Min, v.Max = math.Inf(1), math.Inf(-1)
	for _, c := range f.cases {
		s := &c.sample[ch]
		if s.n == 0 {
			continue
		}
		n += s.n
		sum += s.mean * float64(s.n)
		v.Min = min(v.Min, float64(s.values[0]))
		v.Max = max(v.Max, float64(s.values[len(s.values)-1]))
	}
	if n == 0 {
		return v, false
	}
	v.Mean = sum / float64(n)
	square := 0.0
	for _, c := range f.cases {
		s := &c.sample[ch]
		square += s.square + float64(s.n)*(s.mean-v.Mean)*(s.mean-v.Mean)
	}
	v.Std = math.Sqrt(square / float64(n))
	v.Percentile_00_5 = f.percentile(ch, n, 0.5)
	v.Median = f.percentile(ch, n, 50)
	v.Percentile_99_5 = f.percentile(ch, n, 99.5)
	return v, true
}

// percentile is numpy's of the n values drawn.
func (f *Fingerprinter) percentile(ch, n int, p float64) float64 {
	at := p / 100 * float64(n-1)
	i := int(at)
	return lerp(f.ranked(ch, i), f.ranked(ch, min(i+1, n-1)), at-float64(i))
}

// ranked is the value at rank i of all draws in ascending order: a bisection
// over the float32 numbers in their order, so that the samples need not be merged.
func (f *Fingerprinter) ranked(ch, i int) float64 {
	lo, hi := orderOf(float32(math.Inf(-1))), orderOf(float32(math.Inf(1)))
	for lo < hi { // the lowest number with more than i draws up to it
		mid := lo + (hi-lo)/2
		if f.upTo(ch, fromOrder(mid)) > i {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return float64(fromOrder(lo))
}

// upTo counts the draws of at most v.
func (f *Fingerprinter) upTo(ch int, v float32) int {
	n := 0
	for _, c := range f.cases {
		s := &c.sample[ch]
		k, found := slices.BinarySearch(s.values, v)
		if found {
			k++
		}
		if k > 0 {
			n += int(s.upTo[k-1])
		}
	}
	return n
}

// orderOf is the place of v among the float32 numbers in ascending order.
func orderOf(v float32) uint32 {
	b := math.Float32bits(v)
	if b>>31 == 1 {
		return ^b
	}
	return b | 1<<31
}

// fromOrder is the float32 at place o: the inverse of orderOf.
func fromOrder(o uint32) float32 {
	if o < 1<<31 {
		return math.Float32frombits(^o)
	}
	return math.Float32frombits(o &^ (1 << 31))
}
