package nrrd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// toRAS has the signs that turn the first two coordinates of a space to RAS+.
// Spaces that are not here count as left-posterior-superior, as ITK takes them.
var toRAS = map[string][2]float64{
	"right-anterior-superior": {1, 1}, "ras": {1, 1},
	"left-anterior-superior": {-1, 1}, "las": {-1, 1},
	"left-posterior-superior": {-1, -1}, "lps": {-1, -1},
	"right-anterior-superior-time": {1, 1}, "rast": {1, 1},
	"left-anterior-superior-time": {-1, 1}, "last": {-1, 1},
}

// units are lengths in mm. Names that are not here count as mm.
var units = map[string]float64{"m": 1000, "cm": 10, "um": 1e-3, "µm": 1e-3}

// readGeometry fills grid, lead and trail of h.Data.
func (h *Header) readGeometry() error {
	h.Space = h.get("space")
	vectors, err := h.directions()
	if err != nil {
		return err
	}
	first, n, err := h.spatial(vectors)
	if err != nil {
		return err
	}
	spacings, err := h.spacings()
	if err != nil {
		return err
	}
	g := volume.Grid{Shape: [3]int{1, 1, 1}}
	var axes [3][3]float64 // of x, y, z, in the file's space
	for i := range n {
		g.Shape[2-i] = h.Sizes[first+i]
		if v := vectors[first+i]; v != nil {
			copy(axes[i][:], v)
			continue
		}
		axes[i][i] = spacings[first+i]
	}
	complete(&axes, n)
	origin, err := h.origin()
	if err != nil {
		return err
	}
	h.place(&g, axes, origin)
	h.Data.Grid = g
	h.Data.Lead, h.Data.Trail = 1, 1
	for i, s := range h.Sizes {
		if i < first {
			h.Data.Lead *= s
		} else if i >= first+n {
			h.Data.Trail *= s
		}
	}
	return nil
}

// place turns axes and origin to mm and RAS+.
func (h *Header) place(g *volume.Grid, axes [3][3]float64, origin [3]float64) {
	sign, ok := toRAS[strings.ToLower(h.Space)]
	if !ok {
		sign = [2]float64{-1, -1}
	}
	scale := [3]float64{1, 1, 1}
	for i, u := range quoted(h.get("space units")) {
		if mm, ok := units[u]; ok && i < 3 {
			scale[i] = mm
		}
	}
	scale[0] *= sign[0]
	scale[1] *= sign[1]
	for i := range 3 {
		length := 0.0
		for row := range 3 {
			v := axes[i][row] * scale[row]
			g.Affine[row][i] = v
			length = math.Hypot(length, v)
		}
		g.Spacing[2-i] = length
		g.Affine[i][3] = origin[i] * scale[i]
	}
	g.Affine[3][3] = 1
}

// complete gives axes without voxels a direction: across those that are there.
func complete(axes *[3][3]float64, n int) {
	switch n {
	case 1:
		least := 0 // the world axis most across the one that is there
		for i := range 3 {
			if math.Abs(axes[0][i]) < math.Abs(axes[0][least]) {
				least = i
			}
		}
		if axes[0][2] == 0 && axes[0][1] == 0 {
			least = 1
		}
		var e [3]float64
		e[least] = 1
		axes[2] = unit(cross(axes[0], e))
		axes[1] = unit(cross(axes[2], axes[0]))
	case 2:
		axes[2] = unit(cross(axes[0], axes[1]))
	}
}

func cross(a, b [3]float64) [3]float64 {
	return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

func unit(a [3]float64) [3]float64 {
	n := math.Hypot(math.Hypot(a[0], a[1]), a[2])
	return [3]float64{a[0] / n, a[1] / n, a[2] / n}
}

// spatial finds the axes of space, which must be neighbours: n of them from first on.
func (h *Header) spatial(vectors [][]float64) (first, n int, err error) {
	is := make([]bool, len(h.Sizes))
	kinds := strings.Fields(strings.ToLower(h.get("kinds")))
	if len(kinds) > 0 && len(kinds) != len(h.Sizes) {
		return 0, 0, fmt.Errorf("field kinds has %d words, dimension says %d", len(kinds), len(h.Sizes))
	}
	placed := false
	for i, v := range vectors {
		is[i] = v != nil
		placed = placed || is[i]
	}
	for i := range is {
		if placed {
			break
		}
		switch {
		case len(kinds) > 0 && kinds[i] != "domain" && kinds[i] != "space" && kinds[i] != "???" && kinds[i] != "none":
		case len(kinds) == 0 && i >= 3: // as in NIfTI: what follows z are channels
		default:
			is[i] = true
		}
	}
	last := -1
	for i, yes := range is {
		if !yes {
			continue
		}
		if last >= 0 && last != i-1 {
			return 0, 0, fmt.Errorf("axes %d and %d are of space, axis %d between them is not: permute the axes", last, i, i-1)
		}
		if last < 0 {
			first = i
		}
		last = i
		n++
	}
	if n < 1 || n > 3 {
		return 0, 0, fmt.Errorf("%d axes of space, wanted 1 to 3: name the others list in the field kinds", n)
	}
	return first, n, nil
}

// directions are the vectors of the axes, nil for those without one.
func (h *Header) directions() ([][]float64, error) {
	out := make([][]float64, len(h.Sizes))
	value := h.get("space directions")
	if value == "" {
		return out, nil
	}
	vectors, err := parseVectors(value)
	if err != nil {
		return nil, fmt.Errorf("field space directions: %w", err)
	}
	if len(vectors) != len(out) {
		return nil, fmt.Errorf("field space directions has %d vectors, dimension says %d", len(vectors), len(out))
	}
	for i, v := range vectors {
		switch {
		case v == nil || len(v) > 3 && v[0] == 0 && v[1] == 0 && v[2] == 0: // along time
		case len(v) > 4 || len(v) == 4 && v[3] != 0:
			return nil, fmt.Errorf("field space directions: vector %d has %d numbers, wanted 2 or 3", i, len(v))
		default:
			out[i] = v[:min(3, len(v))]
		}
	}
	return out, nil
}

// origin is the place of the first voxel's centre.
func (h *Header) origin() (o [3]float64, err error) {
	value := h.get("space origin")
	if value == "" {
		return o, nil
	}
	v, err := parseVectors(value)
	if err != nil || len(v) != 1 || v[0] == nil {
		return o, fmt.Errorf("field space origin is %q, wanted (x,y,z)", voxel.Printable(value, 60))
	}
	copy(o[:], v[0])
	return o, nil
}

// spacings are the distances of samples along the axes, 1 where the file has none.
func (h *Header) spacings() ([]float64, error) {
	out := make([]float64, len(h.Sizes))
	words := strings.Fields(h.get("spacings"))
	if len(words) > 0 && len(words) != len(out) {
		return nil, fmt.Errorf("field spacings has %d numbers, dimension says %d", len(words), len(out))
	}
	for i := range out {
		out[i] = 1
		if len(words) == 0 || strings.EqualFold(words[i], "nan") {
			continue
		}
		v, err := strconv.ParseFloat(words[i], 64)
		if err != nil || v == 0 {
			return nil, fmt.Errorf("field spacings: %q, wanted a number that is not 0", voxel.Printable(words[i], 40))
		}
		out[i] = math.Abs(v)
	}
	return out, nil
}

// parseVectors reads "(1,0,0) none (0,1,0)". A vector of NaN is none as well.
func parseVectors(s string) (out [][]float64, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if rest, ok := strings.CutPrefix(s, "none"); ok {
			out = append(out, nil)
			s = rest
			continue
		}
		body, rest, ok := strings.Cut(s, ")")
		if !ok || !strings.HasPrefix(body, "(") {
			return nil, fmt.Errorf("%q, wanted (x,y,z) or none", voxel.Printable(s, 60))
		}
		var v []float64
		nan := false
		for _, word := range strings.Split(body[1:], ",") {
			x, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
			if err != nil || math.IsInf(x, 0) {
				return nil, fmt.Errorf("%q is no number", voxel.Printable(word, 40))
			}
			nan = nan || math.IsNaN(x)
			v = append(v, x)
		}
		if nan {
			v = nil
		} else if len(v) < 2 {
			return nil, errors.New("a vector of one number, wanted 2 or 3")
		}
		out = append(out, v)
		if len(out) > maxAxes {
			return nil, fmt.Errorf("more than %d vectors", maxAxes)
		}
		s = rest
	}
	return out, nil
}

// quoted are the words in quotation marks.
func quoted(s string) (out []string) {
	for i, w := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, w)
		}
	}
	return out
}
