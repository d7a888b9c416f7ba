package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// opaque is how a colour without a pattern is told to the viewer.
const opaque = 63 << 2

// From the ninth label on colours come again, with a pattern.
func TestNoTwoOfManyLabelsLookAlike(t *testing.T) {
	seen := map[Ink]bool{}
	for i := range 32 {
		k := inkOf(i)
		assert.False(t, seen[k], "label %d", i)
		assert.Equal(t, i < len(Palette), k.Pattern == Solid)
		seen[k] = true
	}
	l := newLUT()
	l.set(7, Ink{[3]uint8{1, 2, 3}, Crossed}, .5)
	assert.Equal(t, lut{1, 2, 3, 32<<2 | 3}, l[4*7:4*8])
	l.set(7, Ink{}, 0)
	assert.Equal(t, byte(1<<2), l[4*7+3], "hardly to be seen, but no background")
}

// Stripes are told from their ground without colours: by a third of all brightness or more
// on the colours that differences have.
func TestStripesStandOutOfTheirGround(t *testing.T) {
	luma := func(c [3]uint8) float64 {
		return (.299*float64(c[0]) + .587*float64(c[1]) + .114*float64(c[2])) / 255
	}
	for i, c := range Palette {
		a, b := luma(c), luma(Ink{RGB: c}.Stripe())
		assert.Greater(t, max(a, b)-min(a, b), .25, ColourNames[i])
	}
}
