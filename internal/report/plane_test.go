package report

import (
	"bytes"
	"encoding/base64"
	"flag"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/volume"
)

var update = flag.Bool("update", false, "rewrite the golden picture")

func decode(t *testing.T, url template.URL) image.Image {
	t.Helper()
	text, ok := strings.CutPrefix(string(url), "data:image/png;base64,")
	require.True(t, ok)
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	im, err := png.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	return im
}

// at is the colour where the centre of a voxel is shown, col and row counted in
// voxels of the picture.
func at(im image.Image, shape [2]int, row, col int) color.Color {
	x := (2*col + 1) * im.Bounds().Dx() / (2 * shape[1])
	y := (2*row + 1) * im.Bounds().Dy() / (2 * shape[0])
	return color.NRGBAModel.Convert(im.At(x, y))
}

func TestVoxelsAppearWhereTheyAreInTheBody(t *testing.T) {
	r := &Report{Cases: []Case{scan()}}
	l := newLegend(r)
	c := &r.Cases[0]
	clear(c.Prediction.Data)
	clear(c.Reference.Data)
	d, h, w := 2, 3, 7 // z y x: S A R
	c.Prediction.Data[(d*8+h)*10+w] = 2
	c.Reference.Data[(d*8+h)*10+w] = 1 // where the planes go
	v, err := r.view(c, l)
	require.NoError(t, err)
	want := l.of(2).colour
	want.A = fillAlpha
	for i, p := range []struct {
		name     string
		shape    [2]int // rows, columns
		row, col int
	}{
		{"Axial", [2]int{8, 10}, 7 - h, 9 - w},   // A on top, R at the left
		{"Coronal", [2]int{6, 10}, 5 - d, 9 - w}, // S on top, R at the left
		{"Sagittal", [2]int{6, 8}, 5 - d, 7 - h}, // S on top, A at the left
	} {
		pic := v.Pictures[i]
		assert.Equal(t, p.name, pic.Name)
		fill := decode(t, pic.Fill)
		for row := range p.shape[0] {
			for col := range p.shape[1] {
				expected := color.NRGBA{}
				if row == p.row && col == p.col {
					expected = want
				}
				assert.Equal(t, expected, at(fill, p.shape, row, col), "%s row %d column %d", p.name, row, col)
			}
		}
	}
	assert.Equal(t, []string{"R", "L", "A", "P"}, v.Pictures[0].Edges)
	assert.Equal(t, []string{"R", "L", "S", "I"}, v.Pictures[1].Edges)
	assert.Equal(t, []string{"A", "P", "S", "I"}, v.Pictures[2].Edges)
}

func TestOutlineIsTheRimOfTheReference(t *testing.T) {
	r := &Report{Cases: []Case{scan()}}
	v, err := r.view(&r.Cases[0], newLegend(r))
	require.NoError(t, err)
	outline := decode(t, v.Pictures[0].Outline) // the block is rows 3 to 5, columns 1 to 4
	assert.Equal(t, color.NRGBA{}, at(outline, [2]int{8, 10}, 4, 2), "inside")
	assert.Equal(t, color.NRGBA{}, at(outline, [2]int{8, 10}, 1, 7), "outside")
	b := outline.Bounds()
	y := (2*4 + 1) * b.Dy() / (2 * 8) // through the middle row
	edge := b.Dx() / 10               // left edge of the block
	assert.Equal(t, color.NRGBA{}, color.NRGBAModel.Convert(outline.At(edge-1, y)))
	assert.Equal(t, lighter(preview.Hue(0)), color.NRGBAModel.Convert(outline.At(edge, y)))
}

func TestPicturesDoNotDependOnTheOrderInTheFile(t *testing.T) {
	c := scan()
	p := func(c Case, v preview.View) []uint8 {
		return preview.NewPlane(c.Image.Grid, v, c.centre()[v.Normal], 0.25).Grey(c.Image, 0, 96).Pix
	}
	clear(c.Reference.Data)
	c.Reference.Data[(3*8+2)*10+6] = 1
	want := preview.Views(c.Image.Grid)
	for _, axes := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for flips := range 8 {
			turned := turn(c, axes, flips)
			for i, v := range preview.Views(turned.Image.Grid) {
				require.Equal(t, want[i].Name, v.Name)
				require.Equal(t, p(c, want[i]), p(turned, v), "axes %v, flips %b, %s", axes, flips, v.Name)
			}
		}
	}
}

// turn stores a case with axis a of the file being axis axes[a] of c, reversed
// where flips has bit a.
func turn(c Case, axes [3]int, flips int) Case {
	g := c.Image.Grid
	var to volume.Grid
	to.Affine[3][3] = 1
	for a, from := range axes {
		to.Shape[a], to.Spacing[a] = g.Shape[from], g.Spacing[from]
		for w := range 3 {
			to.Affine[w][2-a] = g.Affine[w][2-from]
			if flips>>a&1 == 1 {
				to.Affine[w][2-a] *= -1
			}
		}
	}
	out := Case{ID: c.ID, Image: volume.NewImage(to, 1), Reference: volume.NewLabels(to)}
	i := 0
	for d := range to.Shape[0] {
		for h := range to.Shape[1] {
			for w := range to.Shape[2] {
				var at [3]int
				for a, n := range [3]int{d, h, w} {
					if flips>>a&1 == 1 {
						n = to.Shape[a] - 1 - n
					}
					at[axes[a]] = n
				}
				j := (at[0]*g.Shape[1]+at[1])*g.Shape[2] + at[2]
				out.Image.Data[i], out.Reference.Data[i] = c.Image.Data[j], c.Reference.Data[j]
				i++
			}
		}
	}
	return out
}

func TestPicturesHaveTheShapeOfTheBody(t *testing.T) {
	c := scan()
	c.Image.Spacing = [3]float64{5, 0.5, 0.5} // 30 × 4 × 5 mm
	planes := c.planes()
	require.Len(t, planes, 3)
	const longest = 30.0
	for i, mm := range [][2]float64{{5, 4}, {5, 30}, {4, 30}} { // width, height
		assert.InDelta(t, mm[0]*side/longest, planes[i].W, 0.5, planes[i].Name) // whole pixels
		assert.InDelta(t, mm[1]*side/longest, planes[i].H, 0.5, planes[i].Name)
	}
}

func TestTwoDimensionalImageHasOnePlane(t *testing.T) {
	g := volume.Grid{Shape: [3]int{1, 9, 7}, Spacing: [3]float64{999, 1, 1}}
	c := Case{Image: volume.NewImage(g, 3)}
	planes := c.planes()
	require.Len(t, planes, 1)
	assert.Equal(t, 0, planes[0].Normal)
	assert.InDelta(t, 9.0/7, float64(planes[0].H)/float64(planes[0].W), 0.01) // whole pixels
}

func TestPlanesGoThroughTheLargestSlice(t *testing.T) {
	l := volume.NewLabels(volume.Grid{Shape: [3]int{3, 5, 5}, Spacing: [3]float64{1, 1, 1}})
	l.Data[0] = 1
	for _, hw := range [][2]int{{1, 1}, {1, 3}, {3, 1}, {3, 3}, {3, 4}} { // its centre is no foreground
		l.Data[2*25+hw[0]*5+hw[1]] = 4
	}
	for i := 25; i < 50; i++ {
		l.Data[i] = volume.Outside // counts as background
	}
	at, ok := preview.Centre(l)
	require.True(t, ok)
	assert.Equal(t, [3]int{2, 3, 3}, at)
	_, ok = preview.Centre(volume.NewLabels(l.Grid))
	assert.False(t, ok)
}

func TestWindowLeavesOutOutliersAndSurvivesOddScans(t *testing.T) {
	im := volume.NewImage(volume.Grid{Shape: [3]int{10, 10, 10}}, 1)
	for i := range im.Data {
		im.Data[i] = float32(i)
	}
	im.Data[999] = 1e9
	lo, hi := preview.Window(im)
	assert.Equal(t, [2]float64{4, 995}, [2]float64{lo, hi})
	clear(im.Data)
	lo, hi = preview.Window(im)
	assert.Equal(t, [2]float64{0, 1}, [2]float64{lo, hi})
	im.Data[7] = 3 // fewer than one in 200
	lo, hi = preview.Window(im)
	assert.Equal(t, [2]float64{0, 3}, [2]float64{lo, hi})

	r := &Report{Plan: &plan.Plan{Channels: []plan.Channel{{Normalization: plan.NormCT}}, Intensities: []plan.Intensity{{Percentile_00_5: -100, Percentile_99_5: 300}}}}
	lo, hi = r.window(im)
	assert.Equal(t, [2]float64{-200, 400}, [2]float64{lo, hi})
}

// The golden picture is the axial plane of the small scan with both layers, by
// `go test ./internal/report -update`.
func TestPictureIsTheGoldenOne(t *testing.T) {
	const file = "testdata/axial.png"
	c := scan()
	l := newLegend(&Report{Cases: []Case{c}})
	p := plane{preview.NewPlane(c.Image.Grid, preview.Views(c.Image.Grid)[0], 2, 0.2)}
	got := image.NewRGBA(image.Rect(0, 0, p.W, p.H))
	draw.Draw(got, got.Bounds(), p.Grey(c.Image, 0, 96), image.Point{}, draw.Src)
	draw.Draw(got, got.Bounds(), p.fill(p.Labels(c.Prediction), l), image.Point{}, draw.Over)
	draw.Draw(got, got.Bounds(), p.outline(p.Labels(c.Reference), l), image.Point{}, draw.Over)
	if *update {
		var b bytes.Buffer
		require.NoError(t, png.Encode(&b, got))
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o666))
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	want, err := png.Decode(bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, want.Bounds(), got.Bounds())
	for y := range p.H {
		for x := range p.W {
			require.Equal(t, color.RGBAModel.Convert(want.At(x, y)), got.At(x, y), "pixel %d, %d", x, y)
		}
	}
}

func TestColoursOfLabelsDiffer(t *testing.T) {
	seen := map[color.NRGBA]int{}
	for i := range 60 {
		c := preview.Hue(i)
		before, twice := seen[c]
		assert.False(t, twice, "labels %d and %d", before, i)
		seen[c] = i
	}
}

func TestRegionsTakeTheColourOfTheirValue(t *testing.T) {
	r := &Report{Plan: &plan.Plan{
		Labels:      []plan.Label{{Name: "background", Values: []int{0}}, {Name: "whole", Values: []int{1, 2}}, {Name: "core", Values: []int{2}}},
		RegionOrder: []int{1, 2}, Ignore: 3,
	}, Cases: []Case{scan()}}
	r.Cases[0].Reference.Data[0] = 3
	l := newLegend(r)
	assert.Equal(t, "whole", l.target([]int{1, 2}).Name)
	assert.Equal(t, l.of(1).Hex, l.target([]int{1, 2}).Hex)
	assert.Equal(t, "core", l.of(2).Name)
	assert.Equal(t, "ignored", l.of(3).Name)
	assert.Equal(t, hex(grey), l.of(3).Hex)
	assert.Equal(t, "labels 1, 5", l.target([]int{1, 5}).Name)
}
