package dicom

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// open finds the series in slices, in a shuffled order.
func open(t testing.TB, slices ...slice) *Collection {
	t.Helper()
	var files []File
	for i, s := range slices {
		files = append(files, memory(fmt.Sprintf("scan/%03d", i), s.bytes()))
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(files), func(i, k int) { files[i], files[k] = files[k], files[i] })
	c, err := OpenFiles(context.Background(), files)
	require.NoError(t, err)
	return c
}

// only is the only volume of c and its image.
func only(t testing.TB, c *Collection) (*Volume, *volume.Image) {
	t.Helper()
	require.Len(t, c.Series, 1)
	require.Len(t, c.Series[0].Volumes, 1)
	v := c.Series[0].Volumes[0]
	require.NoError(t, v.Err)
	im, err := v.Image(context.Background())
	require.NoError(t, err)
	return v, im
}

// stack is n slices 2 mm apart whose instance numbers go the other way.
func stack(n int, edit func(i int, s *slice)) []slice {
	var out []slice
	for i := range n {
		s := slice{number: n - i, position: vec{10, 20, -5 + 2*float64(i)}, first: int16(100 * i)}
		if edit != nil {
			edit(i, &s)
		}
		out = append(out, s)
	}
	return out
}

func TestSlicesAreOrderedByPosition(t *testing.T) {
	v, im := only(t, open(t, stack(5, func(_ int, s *slice) { s.slope, s.intercept = 2, -1024 })...))
	assert.Equal(t, [3]int{5, 3, 4}, v.Shape)
	assert.Equal(t, [3]float64{2, 0.5, 0.25}, v.Spacing)
	assert.Equal(t, [4][4]float64{{-0.25, 0, 0, -10}, {0, -0.5, 0, -20}, {0, 0, 2, -5}, {0, 0, 0, 1}}, v.Affine)
	assert.Equal(t, "HU", v.Unit)
	for i := range 5 {
		assert.Equal(t, float32(200*i-1024), im.Data[12*i])
		assert.Equal(t, 5-i, v.Instances[i].Number)
	}
	assert.Equal(t, float32(2*411-1024), im.Data[59])
}

func TestScalingIsOfEachSlice(t *testing.T) {
	_, im := only(t, open(t, stack(3, func(i int, s *slice) { s.first, s.slope, s.intercept = 10, float64(i+1), float64(i) })...))
	assert.Equal(t, []float32{10, 21, 32}, []float32{im.Data[0], im.Data[12], im.Data[24]})
}

func TestVariableSpacingIsNamed(t *testing.T) {
	c := open(t, stack(6, func(i int, s *slice) {
		if i > 3 {
			s.position[2] += 0.9 * float64(i-3)
		}
	})...)
	assert.ErrorContains(t, c.Series[0].Volumes[0].Err, "scan/003 (instance 3): the next slice is 2.9 mm away, others 2 mm: spacing varies")
}

func TestRoundedPositionsAreEven(t *testing.T) {
	v, _ := only(t, open(t, stack(40, func(i int, s *slice) { s.position[2] = math.Round(6.25*float64(i)) / 10 })...))
	assert.InDelta(t, 0.625, v.Spacing[0], 0.003) // (24.4 − 0.0) / 39: rounded to 0.1 at either end
}

func TestCopiesOfASliceAreDropped(t *testing.T) {
	s := stack(4, nil)
	v, _ := only(t, open(t, append(s, s[2], s[0])...))
	assert.Equal(t, 4, v.Shape[0])
}

func TestSlicesInOnePlaceMustBeEqual(t *testing.T) {
	s := stack(4, nil)
	twin := s[2]
	twin.uid = "1.2.3.99"
	v, _ := only(t, open(t, append(s, twin)...))
	assert.Equal(t, 4, v.Shape[0])
	twin.first++
	c := open(t, append(s, twin)...)
	_, err := c.Series[0].Image(context.Background())
	assert.ErrorContains(t, err, "instance 2 lies where another slice lies, and differs from it at row 0 column 0 (")
}

func TestTimesAndEchoesAreChannels(t *testing.T) {
	for name, edit := range map[string]func(turn int, s *slice){
		"time":        func(turn int, s *slice) { s.time = fmt.Sprint(turn + 9) }, // 9, 10, 11: by number, not by text
		"echo time":   func(turn int, s *slice) { s.echo = fmt.Sprint(float64(turn) + 9.5) },
		"acquisition": func(turn int, s *slice) { s.acquisition = fmt.Sprint(turn + 1) },
		"turn":        func(turn int, s *slice) { s.number += 10 * turn },
	} {
		t.Run(name, func(t *testing.T) {
			var all []slice
			for turn := range 3 {
				all = append(all, stack(4, func(_ int, s *slice) {
					s.first += int16(turn)
					s.uid = fmt.Sprintf("1.2.3.%d.%d", turn, s.number)
					edit(turn, s)
				})...)
			}
			c := open(t, all...)
			require.Len(t, c.Series, 1)
			require.Len(t, c.Series[0].Volumes, 3)
			assert.Contains(t, c.Series[0].Volumes[1].Name, name)
			im, err := c.Series[0].Image(context.Background())
			require.NoError(t, err)
			assert.Equal(t, 3, im.C)
			assert.Equal(t, []float32{0, 1, 2, 1, 2, 3}, im.Data[:6])
			assert.Equal(t, []float32{100, 101, 102}, im.Data[36:39])
		})
	}
}

func TestAcquisitionsThatOverlapAreVolumes(t *testing.T) {
	chest := stack(6, func(_ int, s *slice) { s.acquisition, s.uid = "1", fmt.Sprintf("1.1.%d", s.number) })
	abdomen := stack(8, func(_ int, s *slice) {
		s.acquisition, s.uid = "2", fmt.Sprintf("1.2.%d", s.number)
		s.position[2] -= 9
	})
	c := open(t, append(chest, abdomen...)...)
	require.Len(t, c.Series, 1)
	v := c.Series[0].Volumes
	require.Len(t, v, 2)
	assert.Equal(t, [2]int{6, 8}, [2]int{v[0].Shape[0], v[1].Shape[0]})
	assert.NoError(t, v[0].Err)
	_, err := c.Series[0].Image(context.Background())
	assert.ErrorContains(t, err, "choose one of the 2 volumes")
}

func TestLocalizersStandApart(t *testing.T) {
	scan := stack(5, nil)
	scout := []slice{
		{number: 1, series: "1.2.9", imageType: `ORIGINAL\PRIMARY\LOCALIZER`, orientation: []any{0, 1, 0, 0, 0, -1}},
		{number: 2, series: "1.2.9", imageType: `ORIGINAL\PRIMARY\LOCALIZER`, orientation: []any{1, 0, 0, 0, 0, -1}},
	}
	inside := slice{number: 99, orientation: []any{0, 1, 0, 0, 0, -1}, imageType: `ORIGINAL\PRIMARY\LOCALIZER`} // in the scan's own series
	c := open(t, append(append(scan, scout...), inside)...)
	require.Len(t, c.Series, 4)
	s, err := c.Scan()
	require.NoError(t, err)
	assert.Equal(t, [3]int{5, 3, 4}, s.Volumes[0].Shape)
	assert.NoError(t, s.Volumes[0].Err)
}

func TestGantryTiltIsInTheAffine(t *testing.T) {
	// Slices lean by 20°: they step along z while their normal leans to y.
	a := 20 * math.Pi / 180
	c := open(t, stack(6, func(i int, s *slice) {
		s.orientation = []any{1, 0, 0, 0, math.Cos(a), -math.Sin(a)}
		s.position = vec{0, 0, 3 * float64(i)}
	})...)
	v, _ := only(t, c)
	assert.InDelta(t, 20, v.Tilt, 1e-9)
	// Files have 16 digits; so has the comparison, but for a few roundings.
	assert.InDelta(t, 3, v.Spacing[0], 1e-12)
	assert.InDelta(t, 0, v.Affine[1][2], 1e-12)
	assert.InDelta(t, 3, v.Affine[2][2], 1e-12)
	crooked := stack(6, func(i int, s *slice) {
		s.orientation = []any{1, 0, 0, 0, math.Cos(a), -math.Sin(a)}
		s.position = vec{float64(i*i) / 5, 0, 3 * float64(i)}
	})
	assert.ErrorContains(t, open(t, crooked...).Series[0].Volumes[0].Err, "the stack is not straight")
}

func TestObliqueStacksAreUpright(t *testing.T) {
	x, y := vec{0.8, 0.6, 0}, vec{0, 0, -1}
	normal := x.cross(y)
	v, _ := only(t, open(t, stack(4, func(i int, s *slice) {
		s.orientation = []any{x[0], x[1], x[2], y[0], y[1], y[2]}
		s.position = normal.scale(2.5 * float64(i))
	})...))
	assert.Zero(t, v.Tilt)
	for i, sign := range []float64{-1, -1, 1} {
		assert.InDelta(t, sign*2.5*normal[i], v.Affine[i][2], 1e-12)
		assert.InDelta(t, sign*0.25*x[i], v.Affine[i][0], 1e-12)
		assert.InDelta(t, sign*0.5*y[i], v.Affine[i][1], 1e-12)
	}
}

func TestABrokenSliceRefusesItsSeries(t *testing.T) {
	var files []File
	for i, s := range stack(5, nil) {
		b := s.bytes()
		if i == 4 { // the last: the others would be an even stack
			b = b[:len(b)-5]
		}
		files = append(files, memory(fmt.Sprintf("a/%d", i), b))
	}
	files = append(files, memory("a/README", []byte("nothing")), memory("b/1", slice{series: "1.9"}.bytes()))
	c, err := OpenFiles(context.Background(), files)
	require.NoError(t, err)
	require.Len(t, c.Skipped, 2)
	require.Len(t, c.Series, 2)
	assert.ErrorContains(t, c.Series[0].Volumes[0].Err, "a/4, in the same series or folder: element (7fe0,0010): 19 bytes are left of the file")
	assert.NoError(t, c.Series[1].Volumes[0].Err)
}

func TestEnhancedFilesHaveTheirFramesInGroups(t *testing.T) {
	for _, defined := range []bool{true, false} {
		s := slice{rows: 3, columns: 4, pixels: func(b *builder) {
			var frames []func(*builder)
			for _, z := range []float64{4, 0, 2} {
				frames = append(frames, func(b *builder) {
					b.sequence(tagPlanePosition, defined, func(b *builder) { b.text(tagPosition, "DS", 1, 2, z) })
					b.sequence(tagValueTransform, defined, func(b *builder) {
						b.text(tagIntercept, "DS", z).text(tagSlope, "DS", 2).text(tagRescaleType, "LO", "US")
					})
				})
			}
			b.sequence(tagSharedGroups, defined, func(b *builder) {
				b.sequence(tagPlaneOrientation, defined, func(b *builder) { b.text(tagOrientation, "DS", 0, 1, 0, -1, 0, 0) })
				b.sequence(tagPixelMeasures, defined, func(b *builder) { b.text(tagSliceThickness, "DS", 9).text(tagPixelSpacing, "DS", 3, 5) })
			})
			b.sequence(tagFrameGroups, defined, frames...)
			b.head(tagPixels, "OW", 72)
			for i := range 36 {
				b.put(int16(i))
			}
		}, edit: func(b *builder) { b.text(tagFrames, "IS", 3) }}
		v, im := only(t, open(t, s))
		assert.Equal(t, [3]float64{2, 3, 5}, v.Spacing)
		assert.Equal(t, [4][4]float64{{0, 3, 0, -1}, {-5, 0, 0, -2}, {0, 0, 2, 0}, {0, 0, 0, 1}}, v.Affine)
		assert.Equal(t, []float32{24, 50, 4}, []float32{im.Data[0], im.Data[12], im.Data[24]})
		assert.Equal(t, []int{2, 3, 1}, []int{v.Instances[0].Frame, v.Instances[1].Frame, v.Instances[2].Frame})
	}
}

func TestFramesOfAnEnhancedFileAreSplitByBValue(t *testing.T) {
	s := slice{pixels: func(b *builder) {
		var frames []func(*builder)
		for i := range 6 {
			frames = append(frames, func(b *builder) {
				b.sequence(tagPlanePosition, true, func(b *builder) { b.text(tagPosition, "DS", 0, 0, i/2) })
				b.sequence(tagDiffusionGroup, true, func(b *builder) { b.head(tagBValue, "FD", 8).put(float64(1000 - i%2*1000)) })
			})
		}
		b.sequence(tagFrameGroups, true, frames...)
		b.head(tagPixels, "OW", 6*24)
		for i := range 72 {
			b.put(int16(i))
		}
	}, edit: func(b *builder) { b.text(tagFrames, "IS", 6) }}
	c := open(t, s)
	require.Len(t, c.Series[0].Volumes, 2)
	assert.Equal(t, "b-value 0", c.Series[0].Volumes[0].Name)
	im, err := c.Series[0].Image(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []float32{12, 0, 13, 1}, im.Data[:4])
}

func TestColoursAreRefusedWithAReason(t *testing.T) {
	for photometric, want := range map[string]string{
		"RGB": "a colour picture (RGB, 3 samples a pixel)", "PALETTE COLOR": "colours of a palette", "YBR_FULL": "a colour picture (YBR_FULL",
	} {
		s := slice{photometric: photometric}
		if photometric == "RGB" {
			s.samples = 3
		}
		_, err := OpenFiles(context.Background(), []File{memory("x", s.bytes())})
		require.ErrorIs(t, err, ErrNotScan)
		assert.ErrorContains(t, err, want)
	}
}

func TestMonochrome1KeepsItsUnits(t *testing.T) {
	v, im := only(t, open(t, slice{photometric: "MONOCHROME1", first: 5}))
	assert.True(t, v.Inverted)
	assert.Equal(t, float32(5), im.Data[0])
	assert.Equal(t, 3.0, v.Spacing[0]) // of a single slice: its thickness
}

func TestCancelledReadingsStop(t *testing.T) {
	c := open(t, stack(3, nil)...)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Series[0].Image(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_, err = OpenFiles(ctx, []File{memory("x", slice{}.bytes())})
	assert.ErrorIs(t, err, context.Canceled)
}
