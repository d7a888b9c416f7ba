package preview

import (
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/volume"
)

// scan has a bright block at the patient's left, front and top, of label 4, and one
// of label 9 at the right. Its axes are x to the left, y to the back, z up (LPS).
func scan() (*volume.Image, *volume.Labels) {
	g := volume.Grid{
		Shape: [3]int{20, 24, 30}, Spacing: [3]float64{2, 1, 1},
		Affine: [4][4]float64{{-1, 0, 0, 15}, {0, -1, 0, 12}, {0, 0, 2, 0}, {0, 0, 0, 1}},
	}
	im, l := volume.NewImage(g, 1), volume.NewLabels(g)
	for i := range l.Data {
		x, y, z := i%30, i/30%24, i/(30*24)
		switch {
		case x >= 18 && x < 26 && y >= 3 && y < 15 && z >= 8 && z < 18:
			l.Data[i], im.Data[i] = 4, 100
		case x >= 3 && x < 10 && y >= 6 && y < 15 && z >= 8 && z < 15:
			l.Data[i], im.Data[i] = 9, 50
		}
	}
	return im, l
}

// where is the middle of the pixels that f likes.
func where(m image.Image, r image.Rectangle, f func(color.RGBA) bool) (x, y float64, n int) {
	for j := r.Min.Y; j < r.Max.Y; j++ {
		for i := r.Min.X; i < r.Max.X; i++ {
			if f(m.At(i, j).(color.RGBA)) {
				x, y, n = x+float64(i-r.Min.X), y+float64(j-r.Min.Y), n+1
			}
		}
	}
	return x / float64(n), y / float64(n), n
}

func TestEachStructureIsOnItsSide(t *testing.T) {
	im, l := scan()
	red, blue := color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}
	m, err := Draw(im, l, Options{Side: 100, Colors: map[uint8]color.NRGBA{4: red, 9: blue}, Camera: Camera{Azimuth: 1e-9}})
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 204, 204), m.Bounds())
	reddish := func(c color.RGBA) bool { return int(c.R) > int(c.B)+50 && int(c.R) > int(c.G)+50 }
	bluish := func(c color.RGBA) bool { return int(c.B) > int(c.R)+50 && int(c.B) > int(c.G)+50 }
	for name, r := range map[string]image.Rectangle{
		"axial": image.Rect(0, 0, 100, 100), "coronal": image.Rect(104, 0, 204, 100), "surfaces": image.Rect(104, 104, 204, 204),
	} {
		xr, _, nr := where(m, r, reddish)
		xb, _, nb := where(m, r, bluish)
		require.Positive(t, nr, name)
		require.Positive(t, nb, name)
		assert.Greater(t, xr, xb, "%s: the patient's left is at the right", name)
	}
	_, ya, _ := where(m, image.Rect(0, 0, 100, 100), reddish)
	assert.Less(t, ya, 50.0, "what is in front is at the top of the axial plane")
	_, yc, _ := where(m, image.Rect(104, 104, 204, 204), reddish)
	_, yd, _ := where(m, image.Rect(104, 104, 204, 204), bluish)
	assert.Less(t, yc, yd, "what is higher is higher")
}

func TestTheCameraIsAFrame(t *testing.T) {
	for _, c := range []Camera{{}, {90, 0}, {0, 90}, {33, -20}, DefaultCamera()} {
		r, u, v := c.axes()
		cross := [3]float64{r[1]*u[2] - r[2]*u[1], r[2]*u[0] - r[0]*u[2], r[0]*u[1] - r[1]*u[0]}
		for a := range 3 {
			assert.InDelta(t, v[a], cross[a], 1e-15) // right × up looks at the viewer: no mirror
		}
	}
	r, u, v := Camera{}.axes()
	assert.Equal(t, [][3]float64{{-1, 0, 0}, {0, 0, 1}, {0, 1, 0}}, [][3]float64{add0(r), add0(u), add0(v)})
	_, _, v = Camera{Azimuth: 90}.axes()
	assert.InDelta(t, -1, v[0], 1e-15) // from the patient's left
}

// add0 makes −0 0.
func add0(v [3]float64) [3]float64 { return [3]float64{v[0] + 0, v[1] + 0, v[2] + 0} }

// ball is a sphere as a mesh.
func ball(t *testing.T, centre [3]float64, radius float64) *mesh.Mesh {
	t.Helper()
	const n = 41
	s := radius / 18
	l := volume.NewLabels(volume.Grid{
		Shape: [3]int{n, n, n}, Spacing: [3]float64{s, s, s},
		Affine: [4][4]float64{{s, 0, 0, centre[0] - 20*s}, {0, s, 0, centre[1] - 20*s}, {0, 0, s, centre[2] - 20*s}, {0, 0, 0, 1}},
	})
	for i := range l.Data {
		x, y, z := float64(i%n-20), float64(i/n%n-20), float64(i/(n*n)-20)
		if x*x+y*y+z*z <= 18*18 {
			l.Data[i] = 1
		}
	}
	m, err := mesh.FromLabels(l, 1, mesh.DefaultSmoothing())
	require.NoError(t, err)
	return m
}

func TestTheNearerSurfaceHidesTheOther(t *testing.T) {
	red, blue := color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}
	front := mesh.Part{Color: red, Mesh: ball(t, [3]float64{0, 50, 0}, 20)}
	back := mesh.Part{Color: blue, Mesh: ball(t, [3]float64{0, -50, 0}, 10)}
	for _, parts := range [][]mesh.Part{{front, back}, {back, front}} {
		m := Surfaces(parts, Camera{}, 64)
		c := m.RGBAAt(32, 32)
		assert.Zero(t, c.B, "seen from the front, the ball in front")
		assert.Positive(t, c.R)
		c = Surfaces(parts, Camera{Azimuth: 180}, 64).RGBAAt(32, 32)
		assert.Zero(t, c.R, "seen from behind, the ball behind")
	}
	m := Surfaces([]mesh.Part{front}, Camera{}, 200)
	_, _, n := where(m, m.Rect, func(c color.RGBA) bool { return c != background })
	// A disc that fills 0.92 of the square; pixels at its edge count.
	r := 0.92 * 100
	assert.InDelta(t, math.Pi*r*r, float64(n), 2*math.Pi*r*1.5)
}

func TestAPictureHasOnePlane(t *testing.T) {
	g := volume.Grid{Shape: [3]int{1, 30, 40}, Spacing: [3]float64{999, 1, 1}}
	m, err := Draw(volume.NewImage(g, 3), volume.NewLabels(g), Options{Side: 80})
	require.NoError(t, err)
	assert.Equal(t, image.Rect(0, 0, 80, 80), m.Bounds())
}

func TestAScanWithoutStructuresIsShown(t *testing.T) {
	im, l := scan()
	clear(l.Data)
	path := filepath.Join(t.TempDir(), "a.png")
	require.NoError(t, Write(path, im, l, Options{}))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	c, err := png.DecodeConfig(f)
	require.NoError(t, err)
	assert.Equal(t, 964, c.Width)
	l.Shape[0]--
	assert.ErrorContains(t, Write(path, im, l, Options{}), "the labels have shape")
	_, l = scan()
	assert.ErrorContains(t, Write(path, im, l, Options{Side: 5}), "5 pixels")
}
