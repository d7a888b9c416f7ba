package graph

import "fmt"

// Warp cuts patches out of padded crops: rotated, scaled and mirrored by the
// affine map in the sample's row of ctl (slot Ctl + n·WarpLen):
//
//	src f32[N d h w C]   labels u8[N d h w]   ctl   (field f32[N D H W 3]) → x T[N D H W C]   y u8[N D H W]
//
// Output voxel o reads the source at p = A·(o − (size−1)/2 + u) + t, in voxels. u is what
// an Elastic one has for o in its field, in voxels, else 0.
// x is linear between voxels and 0 outside. y is the label with the largest
// linear weight among the eight voxels around p. Label 255 is what lies outside
// of the scan, and so do voxels outside of the source. Of equals 255 wins, else
// the smaller one.
//
// If Cubic, x is the cubic convolution of the 4³ voxels around p along each axis, those
// outside of the source being copies of its border, and y is the label of the voxel
// ⌊p + ½⌋; where that is not in the source, x is 0 and y 255. The weight of a voxel that
// is t away is (Keys 1981, a = −½, which are those of DALI's INTERP_CUBIC)
//
//	1.5·t³ − 2.5·t² + 1 for t ≤ 1      −0.5·t³ + 2.5·t² − 4·t + 2 for t < 2
//
// If Nearest, y is that label, and x is linear.
type Warp struct {
	noGrad
	Patch   [3]int
	Ctl     int
	Elastic bool // there is a field
	Cubic   bool
	Nearest bool
}

// Types says what Warp makes of its operands, or what is wrong with them.
func (op Warp) Types(in []Type) ([]Type, error) {
	x, l := in[0], in[1]
	if len(x.Shape) != 5 || len(l.Shape) != 4 || x.DType != F32 || l.DType != U8 || [4]int(x.Shape[:4]) != [4]int(l.Shape) {
		return nil, fmt.Errorf("source %v and labels %v, wanted f32[N d h w C] and u8[N d h w]", x, l)
	}
	n, p := x.Shape[0], op.Patch
	want := Type{F32, Shape{n, p[0], p[1], p[2], 3}}
	if op.Elastic && (len(in) != 4 || in[3].String() != want.String()) {
		return nil, fmt.Errorf("the field of an elastic warp must be %v", want)
	}
	return []Type{{T, Shape{n, p[0], p[1], p[2], x.Shape[4]}}, {U8, Shape{n, p[0], p[1], p[2]}}}, wantRows(in[2], op.Ctl, n, WarpLen)
}

// Mask sets the chosen channels to 0 outside of the scan, where the label is 255:
//
//	x T[N D H W C]   labels u8[N D H W] → y T[N D H W C]
type Mask struct {
	noGrad
	Channels []bool // C
}

// Types says what Mask makes of its operands, or what is wrong with them.
func (op Mask) Types(in []Type) ([]Type, error) {
	x, l := in[0].Shape, in[1]
	if len(x) != 5 || l.DType != U8 || len(l.Shape) != 4 || [4]int(l.Shape) != [4]int(x[:4]) || len(op.Channels) != x[4] {
		return nil, fmt.Errorf("x %v, labels %v and %d channels, wanted T[N D H W C], u8[N D H W] and C", in[0], l, len(op.Channels))
	}
	return []Type{in[0]}, nil
}

// Blur convolves one axis (0, 1, 2: D, H, W) with a Gaussian. Each sample and
// channel has its σ in voxels at slot Ctl + n·C + c of ctl; 0 changes nothing:
//
//	x T[N D H W C]   ctl → y T[N D H W C]
//
//	y[i] = Σ g[j]·x[i+j] / Σ g[j]   |j| ≤ r   g[j] = exp(−j²/2σ²)   r = min(Radius, ⌊(6σ + ½)/2⌋)
//
// Indices outside the axis are reflected without repeating the border voxel.
type Blur struct {
	noGrad
	Axis, Radius int
	Ctl          int
}

// Types says what Blur makes of its operands, or what is wrong with them.
func (op Blur) Types(in []Type) ([]Type, error) { return sampleChannels(in, op.Ctl, 1) }

// LowRes makes x as blurred as a scan of lower resolution: it keeps each axis
// at m = max(1, round(scale·size)) voxels, nearest, and goes back linearly. Each
// sample and channel has its scale at slot Ctl + n·C + c of ctl; 0 and 1 change
// nothing:
//
//	x T[N D H W C]   ctl → y T[N D H W C]
//
// On the way down coarse voxel j is x[⌊(j + ½)·size/m⌋], a quotient of integers;
// on the way up voxel i lies at (i + ½)·m/size − ½, clamped. Axes of one voxel, and those
// to Keep, stay as they are.
type LowRes struct {
	noGrad
	Ctl  int
	Keep [3]bool // D H W
}

// Types says what LowRes makes of its operands, or what is wrong with them.
func (op LowRes) Types(in []Type) ([]Type, error) { return sampleChannels(in, op.Ctl, 1) }

// IntensityKind is what Intensity does with a value v and a parameter a.
type IntensityKind uint8

// What Intensity does.
const (
	Noise        IntensityKind = iota // v + a·normal(seed, index); a = 0 changes nothing
	Brightness                        // v·a; a = 0 changes nothing
	Shift                             // v + a
	Contrast                          // (v − mean)·a + mean, kept within [min, max]; a = 0 changes nothing
	ContrastZero                      // v·a, kept within [min, max]; a = 0 changes nothing
	ContrastOpen                      // (v − mean)·a + mean; a = 0 changes nothing
	Gamma                             // the power a of v's place in [min, max], then mean and deviation as before; a = 0 changes nothing
	GammaInvert                       // −Gamma(−v)
)

// String names the IntensityKind, for people.
func (k IntensityKind) String() string {
	return [...]string{"noise", "brightness", "shift", "contrast", "contrast-zero", "contrast-open", "gamma", "gamma-invert"}[k]
}

// Intensity changes the values of a channel. Each sample and channel has its
// parameter a at slot Ctl + n·C + c of ctl; the seed of Noise is two slots of 24
// bits at Seed. mean, min, max and deviation are those of the sample's channel:
//
//	x T[N D H W C]   ctl → y T[N D H W C]
//
// Noise is Box–Muller over two words of a counter-based generator:
//
//	p, q = Random(index + seed[1]·2³², seed[0])   index is First + the element's in x
//	normal = √(−2·ln u)·cos(2π·v)   u = (⌊p/2⁸⌋ + 1)/2²⁴   v = ⌊q/2⁸⌋/2²⁴
//
// Gamma leaves a channel of one value as it is.
type Intensity struct {
	noGrad
	Kind IntensityKind
	Ctl  int
	Seed int
	// First is above 0 where x is a part of a batch that several devices share: the
	// elements before it.
	First int
}

// Types says what Intensity makes of its operands, or what is wrong with them.
func (op Intensity) Types(in []Type) ([]Type, error) { return sampleChannels(in, op.Ctl, 1) }

func sampleChannels(in []Type, ctl, length int) ([]Type, error) {
	x := in[0].Shape
	if len(x) != 5 {
		return nil, fmt.Errorf("x %v must have 5 axes", in[0])
	}
	return []Type{in[0]}, wantRows(in[1], ctl, x[0]*x[4], length)
}

// Random is the counter-based generator of the ops: two 32-bit words for a
// counter and a seed. It is Philox 2×32 with ten rounds (Salmon et al. 2011).
func Random(counter uint64, seed uint32) (a, b uint32) {
	a, b = uint32(counter), uint32(counter>>32)
	for range 10 {
		p := uint64(a) * 0xD256D193 // the paper's multiplier
		a, b = uint32(p>>32)^seed^b, uint32(p)
		seed += 0x9E3779B9 // the golden ratio, the paper's key schedule
	}
	return a, b
}
