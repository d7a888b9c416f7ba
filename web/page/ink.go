package page

// Pattern is how a label is filled, for whom a colour does not say enough.
type Pattern uint8

// The patterns, as the viewer numbers them.
const (
	Solid   Pattern = iota
	Falling         // stripes from the top left to the bottom right
	Rising
	Crossed
	patterns
)

// Ink is what something is drawn in.
type Ink struct {
	RGB     [3]uint8
	Pattern Pattern
}

// inkOf is that of the i-th label: from the ninth on colours come again, in stripes.
func inkOf(i int) Ink {
	return Ink{Palette[i%len(Palette)], Pattern(i / len(Palette) % int(patterns))}
}

// Stripe is the colour of the stripes on a ground: darker where that is bright, else
// brighter.
func (k Ink) Stripe() (c [3]uint8) {
	const bright, dark, white = .6, .4, .65
	luma := (.299*float64(k.RGB[0]) + .587*float64(k.RGB[1]) + .114*float64(k.RGB[2])) / 255
	for i, v := range k.RGB {
		if x := float64(v); luma > bright {
			c[i] = uint8(dark*x + .5)
		} else {
			c[i] = uint8(x + white*(255-x) + .5)
		}
	}
	return c
}

// lut are the inks of values, as the viewer takes them: red, green, blue, and how opaque
// from 0 to 63, with the pattern in the two lowest bits.
type lut []byte

func newLUT() lut { return make(lut, 4*256) }

// set gives a value its ink; what is shown at all is not quite clear.
func (l lut) set(value int, k Ink, opacity float64) {
	const most = 63
	a := byte(min(max(opacity*most+.5, 1), most))
	copy(l[4*value:], []byte{k.RGB[0], k.RGB[1], k.RGB[2], a<<2 | byte(k.Pattern)})
}
