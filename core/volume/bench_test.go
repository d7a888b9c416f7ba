package volume

import (
	"math/rand/v2"
	"testing"
)

// ctGrid is that of an abdominal CT of 512×512×78.
func ctGrid() Grid {
	return Grid{Shape: [3]int{78, 512, 512}, Spacing: [3]float64{2, 0.7266, 0.7266}}
}

func noise(g Grid, c int) *Image {
	im, r := NewImage(g, c), rand.New(rand.NewPCG(5, 6))
	for i := range im.Data {
		im.Data[i] = r.Float32()
	}
	return im
}

// slabs is a label map with borders everywhere and few of them.
func slabs(g Grid) *Labels {
	l := NewLabels(g)
	for i := range l.Data {
		w, h := i%g.Shape[2], i/g.Shape[2]%g.Shape[1]
		l.Data[i] = uint8(w/40+h/50) % 3
	}
	return l
}

func BenchmarkResampleImageCubic(b *testing.B) {
	im, to := noise(ctGrid(), 1), [3]float64{1.5, 0.85, 0.85}
	shape := ResampledShape(im.Shape, im.Spacing, to)
	b.SetBytes(int64(4 * shape[0] * shape[1] * shape[2]))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ResampleImage(im, shape, to, Cubic); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResampleLabels(b *testing.B) {
	l, to := slabs(ctGrid()), [3]float64{1.5, 0.85, 0.85}
	shape := ResampledShape(l.Shape, l.Spacing, to)
	b.SetBytes(int64(shape[0] * shape[1] * shape[2]))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ResampleLabels(l, shape, to); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExport(b *testing.B) {
	g, to := ctGrid(), [3]float64{1.5, 0.85, 0.85}
	shape := ResampledShape(g.Shape, g.Spacing, to)
	const k = 3
	logits := noise(Grid{Shape: shape, Spacing: to}, k).Data
	p := PreprocessOptions{Axes: SameAxes(), Spacing: to}.place(g, Whole(g.Shape))
	b.SetBytes(int64(g.Voxels()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Export(logits, k, Argmax); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPreprocessCT(b *testing.B) {
	im, seg := noise(ctGrid(), 1), slabs(ctGrid())
	o := PreprocessOptions{
		Axes: SameAxes(), Spacing: [3]float64{1.5, 0.85, 0.85}, OrderImage: Cubic,
		Normalize: []Normalization{{Scheme: CT, Range: Intensity{Mean: 0.5, Std: 0.3, Upper: 1}}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Preprocess(im, seg, o); err != nil {
			b.Fatal(err)
		}
	}
}
