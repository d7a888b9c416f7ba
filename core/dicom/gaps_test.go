package dicom

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
)

// without are slices but for those at the places of missing.
func without(all []slice, missing ...int) (out []slice) {
	for i, s := range all {
		if !slices.Contains(missing, i) {
			out = append(out, s)
		}
	}
	return out
}

func TestMissingSlicesAreInterpolated(t *testing.T) {
	leaning := func(i int, s *slice) { // a gantry that is tilted by 20°
		a := 20 * math.Pi / 180
		s.orientation = []any{1, 0, 0, 0, math.Cos(a), -math.Sin(a)}
		s.position = vec{0, 0, 3 * float64(i)}
	}
	for name, edit := range map[string]func(int, *slice){
		"upright": nil, "tilted": leaning,
		"slopes":  func(i int, s *slice) { s.slope, s.intercept = float64(i%2+1), float64(i) },
		"rounded": func(_ int, s *slice) { s.position[2] = math.Round(6.25*s.position[2]) / 10 },
	} {
		for _, missing := range [][]int{{4}, {1}, {10}, {3, 4}, {2, 7, 8}} {
			t.Run(fmt.Sprint(name, missing), func(t *testing.T) {
				all := stack(12, edit) // values that rise evenly from slice to slice are whole again
				whole, want := only(t, open(t, all...))
				v, got := only(t, open(t, without(all, missing...)...))
				assert.Equal(t, missing, v.Missing)
				assert.Equal(t, whole.Shape, v.Shape)
				assert.Equal(t, whole.Affine, v.Affine)
				assert.Equal(t, whole.Tilt, v.Tilt)
				if name == "slopes" { // not even: by the definition
					plane := v.Shape[1] * v.Shape[2]
					d := missing[0]
					if len(missing) == 1 {
						for i := range plane {
							assert.Equal(t, (want.Data[(d-1)*plane+i]+want.Data[(d+1)*plane+i])/2, got.Data[d*plane+i])
						}
					}
					return
				}
				assert.Equal(t, want.Data, got.Data)
				require.Len(t, v.Instances, 12)
				for _, d := range missing {
					assert.Empty(t, v.Instances[d])
				}
			})
		}
	}
}

func TestMissingSlicesAreToldOf(t *testing.T) {
	all := stack(40, nil)
	whole, _ := only(t, open(t, all...))
	assert.Empty(t, whole.Warning())
	v, _ := only(t, open(t, without(all, 3, 4, 20)...))
	w := v.Warning()
	assert.Contains(t, w, "Slices are missing from the series, 3 of 40: 2 between -1 and 5 mm (images 38 and 35), 1 between 33 and 37 mm (images 21 and 19). They were interpolated")
	assert.NotContains(t, w, "Secret")
	v, _ = only(t, open(t, without(all, 3)...))
	assert.Contains(t, v.Warning(), "1 of 40: 1 between -1 and 3 mm")
	v, _ = only(t, open(t, without(all, 3, 8, 13, 18, 23, 28)...))
	assert.Equal(t, 4, strings.Count(v.Warning(), "images"), "no list without end")
	assert.Contains(t, v.Warning(), "(images 23 and 21), and elsewhere. They")
}

func TestSeriesThatAreMostlyGapsAreRefused(t *testing.T) {
	all := stack(16, nil)
	v, _ := only(t, open(t, without(all, 5, 6, 7, 8)...))
	assert.Equal(t, 16, v.Shape[0], "a quarter is filled")
	c := open(t, without(all, 5, 6, 7, 8, 9)...)
	assert.ErrorContains(t, c.Series[0].Volumes[0].Err, "5 of 16 slices are missing, the first after scan/004 (instance 12) at 3 mm; at most a quarter is filled: ask the archive for the whole series")
	assert.Empty(t, c.Series[0].Warnings())
	far := stack(16, func(i int, s *slice) {
		if i == 15 {
			s.position[2] = 1e300 // takes no memory
		}
	})
	assert.ErrorContains(t, open(t, far...).Series[0].Volumes[0].Err, "at most a quarter is filled")
}

func TestGapsThatAreNoWholeSlicesAreRefused(t *testing.T) {
	for name, shift := range map[string]float64{"half a slice more": 1, "a slice and a half": 3, "almost a slice and a half": 2.9} {
		c := open(t, stack(12, func(i int, s *slice) {
			if i > 5 {
				s.position[2] += shift
			}
		})...)
		assert.ErrorContains(t, c.Series[0].Volumes[0].Err, "spacing", name)
	}
	near := stack(12, func(i int, s *slice) {
		if i == 6 {
			s.position[2] -= 1.7 // almost in the place of the one before
		}
	})
	assert.ErrorContains(t, open(t, near...).Series[0].Volumes[0].Err, "the next slice is 0.3 mm away, others 2 mm")
}

func TestATimeMayLackASlice(t *testing.T) {
	var all []slice
	for turn := range 3 {
		all = append(all, stack(8, func(_ int, s *slice) {
			s.first += int16(turn)
			s.uid, s.time = fmt.Sprintf("1.2.3.%d.%d", turn, s.number), fmt.Sprint(turn+1)
		})...)
	}
	c := open(t, without(all, 8+3)...)
	require.Len(t, c.Series, 1)
	s := c.Series[0]
	require.Len(t, s.Volumes, 3)
	assert.Empty(t, s.Volumes[0].Missing)
	assert.Equal(t, []int{3}, s.Volumes[1].Missing)
	require.Len(t, s.Warnings(), 1)
	assert.Contains(t, s.Warnings()[0], "time 2: Slices are missing from the series, 1 of 8: ")
	im, err := s.Image(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []float32{300, 301, 302}, im.Data[3*36:3*36+3])
}

func TestABrokenFileIsNoMissingSlice(t *testing.T) {
	var files []File
	for i, s := range stack(9, nil) {
		b := s.bytes()
		if i == 4 {
			b = b[:len(b)-5]
		}
		files = append(files, memory(fmt.Sprintf("a/%d", i), b))
	}
	c, err := OpenFiles(context.Background(), files)
	require.NoError(t, err)
	assert.ErrorContains(t, c.Series[0].Volumes[0].Err, "a/4, in the same series or folder")
	assert.Empty(t, c.Series[0].Warnings())
}

// lacking is a series of a real scan without the slices at missing, and the whole one.
func lacking(t *testing.T, path string, missing ...int) (v, whole *Volume) {
	whole = scanAt(t, path)
	files, err := folder(data(t, path))
	require.NoError(t, err)
	files = slices.DeleteFunc(files, func(f File) bool {
		return slices.ContainsFunc(missing, func(d int) bool { return whole.Instances[d].File == f.Name })
	})
	c, err := OpenFiles(context.Background(), files)
	require.NoError(t, err)
	v = c.Series[0].Volumes[0]
	require.NoError(t, v.Err)
	require.Equal(t, missing, v.Missing)
	return v, whole
}

func TestObjectsReferToSlicesThatExist(t *testing.T) {
	v, whole := lacking(t, "series_ref/udacity", 4, 11, 12)
	for axis := range 3 {
		assert.InDeltaSlice(t, whole.Affine[axis][:], v.Affine[axis][:], 1e-9)
	}
	all := blobs(v.Grid, 5, 1)
	want := volume.NewLabels(v.Grid)
	copy(want.Data, all.Data)
	plane := v.Shape[1] * v.Shape[2]
	for _, d := range v.Missing {
		clear(want.Data[d*plane : (d+1)*plane])
	}
	for name, file := range written(t, v, all, testOptions(5)) {
		t.Run(name, func(t *testing.T) {
			for d, in := range whole.Instances {
				named := regexp.MustCompile(regexp.QuoteMeta(in.SOPInstanceUID) + `[^0-9.]`).Match(file)
				assert.Equal(t, !slices.Contains(v.Missing, d), named, "slice %d", d)
			}
			assert.Equal(t, want.Data, readLabels(t, file, v).Data)
			assert.Equal(t, want.Data, readLabels(t, file, whole).Data, "read by one who has the whole series")
			if !strings.HasPrefix(name, "LABELMAP") { // which dciodvfy does not know
				requireValid(t, file)
			}
		})
	}
	blank := volume.NewLabels(v.Grid)
	for _, d := range v.Missing { // nothing but what no image has
		blank.Data[d*plane] = 1
	}
	for name, file := range written(t, v, blank, testOptions(5)) {
		assert.Zero(t, readLabels(t, file, v).Counts()[1], name)
	}
}

func TestABrokenFileElsewhereIsNotOfASeriesThatLacksSlices(t *testing.T) {
	var files []File
	for i, s := range without(stack(9, nil), 4) {
		files = append(files, memory(fmt.Sprintf("a/%d", i), s.bytes()))
	}
	b := slice{}.bytes()
	files = append(files, memory("broken", b[:400]))
	c, err := OpenFiles(context.Background(), files)
	require.NoError(t, err)
	require.Len(t, c.Skipped, 1)
	require.NotErrorIs(t, c.Skipped[0].Err, ErrNotDICOM)
	assert.NoError(t, c.Series[0].Volumes[0].Err)
}
