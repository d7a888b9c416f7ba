package dicom

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inside is the definition: a ray to the left crosses the polygons an odd number of times.
func inside(polygons []outline, x, y float64) bool {
	odd := false
	for _, p := range polygons {
		for i, b := range p {
			a := p[(i+len(p)-1)%len(p)]
			if (a[1] <= y) != (b[1] <= y) && a[0]+(y-a[1])*(b[0]-a[0])/(b[1]-a[1]) < x {
				odd = !odd
			}
		}
	}
	return odd
}

// masks are drawings of slices; # has the label.
var masks = map[string][]string{
	"single voxel":       {"...", ".#.", "..."},
	"the whole":          {"##", "##"},
	"a hole":             {"####", "#..#", "####"},
	"a hole in an isle":  {"#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"},
	"corners touch":      {"#.#", ".#.", "#.#"},
	"holes touch":        {"#####", "#.###", "##.##", "###.#", "#####"},
	"hole at a corner":   {"###.", "#.#.", "##..", "..##"},
	"holes in a row":     {"#########", "#.#.##..#", "#########"},
	"holes in a column":  {"###", "#.#", "###", "#.#", "###"},
	"a comb":             {"#.#.#", "#.#.#", "#####"},
	"a staircase inside": {"######", "#.####", "#..###", "#...##", "######"},
	"opening by corners": {"####", "#..#", "#.#.", "####"},
}

func parseMask(rows []string) (data []uint8, w, h int) {
	h, w = len(rows), len(rows[0])
	for _, r := range rows {
		for _, c := range r {
			v := uint8(0)
			if c == '#' {
				v = 3
			}
			data = append(data, v)
		}
	}
	return data, w, h
}

// checkOutlines holds outlines against the mask, by the definition.
func checkOutlines(t *testing.T, data []uint8, w, h int) []outline {
	tr := &tracer{width: w, height: h}
	polygons := tr.outlines(data, 3, 0, 0, w, h)
	for y := range h {
		for x := range w {
			require.Equal(t, data[y*w+x] == 3, inside(polygons, float64(x), float64(y)), "x %d y %d of %v", x, y, polygons)
		}
	}
	for _, p := range polygons {
		require.GreaterOrEqual(t, len(p), 4)
		for i, b := range p {
			a := p[(i+len(p)-1)%len(p)]
			require.True(t, (a[0] == b[0]) != (a[1] == b[1]), "a point is repeated or an edge leans: %v", p)
			for _, c := range [][2]float64{a, b} { // rounding points to voxels must find voxels of the label
				require.Equal(t, uint8(3), data[int(c[1]+0.5)*w+int(c[0]+0.5)], "%v", p)
			}
		}
	}
	return polygons
}

func TestOutlinesConvertBackToTheMask(t *testing.T) {
	for name, rows := range masks {
		t.Run(name, func(t *testing.T) {
			data, w, h := parseMask(rows)
			checkOutlines(t, data, w, h)
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		w, h, density := 1+r.IntN(14), 1+r.IntN(14), r.Float64()
		data := make([]uint8, w*h)
		for i := range data {
			if r.Float64() < density {
				data[i] = 3
			} else {
				data[i] = uint8(r.IntN(2)) * 7
			}
		}
		checkOutlines(t, data, w, h)
	}
}

func TestEachRegionIsOneOutline(t *testing.T) {
	for name, want := range map[string]int{
		"a hole": 1, "a hole in an isle": 2, "corners touch": 5, "holes touch": 1, "holes in a row": 1, "a comb": 1,
	} {
		data, w, h := parseMask(masks[name])
		assert.Len(t, checkOutlines(t, data, w, h), want, name)
	}
}

func TestOutlinesStayInTheirBox(t *testing.T) {
	data, w, h := parseMask([]string{".....", "..##.", "..##.", "....."})
	tr := &tracer{width: w, height: h}
	tr.outlines(data, 3, 0, 0, w, h)
	assert.Equal(t, []outline{{{3.4375, 0.5625}, {3.4375, 2.4375}, {1.5625, 2.4375}, {1.5625, 0.5625}}}, tr.outlines(data, 3, 2, 1, 4, 3))
}
