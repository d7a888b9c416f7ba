package volume

import (
	"fmt"
	"math"
)

// Scheme is the way a channel is normalised, under the name that nnU-Net's plans
// give it.
type Scheme string

// The schemes.
const (
	ZScore    Scheme = "ZScoreNormalization"      // (x − mean)/std of the image itself
	CT        Scheme = "CTNormalization"          // clip to the percentiles, (x − mean)/std of the dataset's foreground
	NoNorm    Scheme = "NoNormalization"          // x
	RescaleTo Scheme = "RescaleTo01Normalization" // (x − min)/(max − min) of the image itself
	RGBTo     Scheme = "RGBTo01Normalization"     // x/255; only for values from 0 to 255

	// ZScoreNonZero is NVIDIA's: ZScore of the channel's voxels that are not 0; the
	// others stay 0. A channel of one value becomes 0.
	ZScoreNonZero Scheme = "ZScoreNonZero"
)

// leastStd keeps the divisions from dividing by nothing: nnU-Net's eps for float32.
const leastStd = 1e-8

// Normalization says how one channel is normalised.
type Normalization struct {
	Scheme   Scheme
	MaskOnly bool      // ZScore: only the voxels whose label is not Outside; the others stay as they are
	Range    Intensity // CT: statistics of the dataset
}

// Intensity are statistics of a channel over the foreground of a dataset.
type Intensity struct {
	Mean, Std    float64
	Lower, Upper float64 // 0.5 and 99.5 percentiles
}

// Normalize normalises the channels of im in place, as nnU-Net does, one of n a
// channel. labels, on the grid of im, say where Outside is; they may be nil where
// no channel is MaskOnly. Statistics are summed in float64 and rounded to
// float32, as is each step after them.
func Normalize(im *Image, labels *Labels, n []Normalization) error {
	if len(n) != im.C {
		return fmt.Errorf("volume: normalise: the image has %d channels, the plan has %d: give the channels of the plan's dataset", im.C, len(n))
	}
	for c, norm := range n {
		if err := normalizeChannel(im, labels, c, norm); err != nil {
			return fmt.Errorf("volume: normalise: channel %d: %w", c, err)
		}
	}
	return nil
}

func normalizeChannel(im *Image, labels *Labels, c int, n Normalization) error {
	switch n.Scheme {
	case ZScore:
		var inside []uint8
		if n.MaskOnly {
			if labels == nil {
				return fmt.Errorf("%s inside the mask needs labels that mark what is outside", n.Scheme)
			}
			inside = labels.Data
		}
		zscore(im, inside, c)
	case CT:
		lo, hi := float32(n.Range.Lower), float32(n.Range.Upper)
		mean, std := float32(n.Range.Mean), float32(max(n.Range.Std, leastStd))
		im.eachOf(c, nil, func(x float32) float32 { return (min(max(x, lo), hi) - mean) / std })
	case NoNorm:
	case ZScoreNonZero:
		zscore(im, zeros(im, c), c)
	case RescaleTo:
		r := ranges(im, -1)[c]
		span := max(r.hi-r.lo, leastStd)
		im.eachOf(c, nil, func(x float32) float32 { return (x - r.lo) / span })
	case RGBTo:
		if r := ranges(im, -1)[c]; r.lo < 0 || r.hi > 255 {
			return fmt.Errorf("%s wants values from 0 to 255, the image has %v to %v: choose another scheme for what is not a colour image", n.Scheme, r.lo, r.hi)
		}
		im.eachOf(c, nil, func(x float32) float32 { return x / 255 })
	default:
		return fmt.Errorf("scheme %q is not known, want one of %s, %s, %s, %s, %s, %s", n.Scheme, ZScore, CT, NoNorm, RescaleTo, RGBTo, ZScoreNonZero)
	}
	return nil
}

// zeros are labels that are Outside where channel c is 0.
func zeros(im *Image, c int) []uint8 {
	out := make([]uint8, len(im.Data)/im.C)
	for i := range out {
		if im.Data[i*im.C+c] == 0 {
			out[i] = Outside
		}
	}
	return out
}

// zscore normalises channel c, over the voxels that are not Outside if labels
// are given.
func zscore(im *Image, labels []uint8, c int) {
	count := im.sumOf(c, labels, func(float64) float64 { return 1 })
	if count == 0 {
		return
	}
	mean := im.sumOf(c, labels, func(x float64) float64 { return x }) / count
	variance := im.sumOf(c, labels, func(x float64) float64 { return (x - mean) * (x - mean) }) / count
	m, s := float32(mean), float32(max(math.Sqrt(variance), leastStd))
	im.eachOf(c, labels, func(x float32) float32 { return (x - m) / s })
}

// eachOf replaces the values x of channel c by f(x); with labels, only where they
// are not Outside.
func (im *Image) eachOf(c int, labels []uint8, f func(x float32) float32) {
	im.planes(func(_, lo, hi int) {
		for v := lo; v < hi; v++ {
			if labels == nil || labels[v] != Outside {
				p := &im.Data[v*im.C+c]
				*p = f(*p)
			}
		}
	})
}

// sumOf is the sum of f over the values of channel c, plane after plane; with
// labels, only where they are not Outside.
func (im *Image) sumOf(c int, labels []uint8, f func(x float64) float64) float64 {
	sums := make([]float64, im.Shape[0])
	im.planes(func(d, lo, hi int) {
		sum := 0.0
		for v := lo; v < hi; v++ {
			if labels == nil || labels[v] != Outside {
				sum += f(float64(im.Data[v*im.C+c]))
			}
		}
		sums[d] = sum
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total
}

// planes calls f for each plane d with the range of its voxels, on several
// goroutines.
func (im *Image) planes(f func(d, lo, hi int)) {
	n := im.Shape[1] * im.Shape[2]
	parallel(im.Shape[0], none, func(d int, _ struct{}) { f(d, d*n, (d+1)*n) })
}
