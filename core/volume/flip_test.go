package volume_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/volume"
)

// A label keeps its place in space whichever way the axes run.
func TestFlippedLabelsStayWhereTheyAre(t *testing.T) {
	g := volume.Grid{
		Shape: [3]int{2, 3, 4}, Spacing: [3]float64{3, 2, 1},
		Affine: [4][4]float64{{0, 2, 0, 10}, {-1, 0, 0, 20}, {0.5, 0, 3, 30}, {0, 0, 0, 1}},
	}
	l := volume.NewLabels(g)
	for i := range l.Data {
		l.Data[i] = uint8(i)
	}
	places := func(l *volume.Labels) map[[3]float64]uint8 {
		m := map[[3]float64]uint8{}
		for d := range l.Shape[0] {
			for h := range l.Shape[1] {
				for w := range l.Shape[2] {
					var p [3]float64
					for r := range p {
						a := l.Affine[r]
						p[r] = a[0]*float64(w) + a[1]*float64(h) + a[2]*float64(d) + a[3]
					}
					m[p] = l.Data[(d*l.Shape[1]+h)*l.Shape[2]+w]
				}
			}
		}
		return m
	}
	want := places(l)
	assert.Len(t, want, 24)
	for bits := range 8 {
		axes := [3]bool{bits&1 != 0, bits&2 != 0, bits&4 != 0}
		assert.Equal(t, want, places(l.Flip(axes)), axes)
		assert.Equal(t, l, l.Flip(axes).Flip(axes))
		turned := l.Transpose(volume.Axes{1, 2, 0}).Flip(axes)
		assert.Equal(t, want, places(turned), axes)
	}
}
