package preview

import (
	"math"

	"github.com/gounet/gounet/core/volume"
)

// View is how a plane through a scan is shown: rows and columns of the picture
// are axes of D H W, perhaps reversed.
type View struct {
	Name         string // axial, coronal, sagittal; or the axis it is perpendicular to
	Normal       int    // axis of D H W
	Row, Col     int    // axes of D H W that run down and to the right
	FlipR, FlipC bool
	Edges        [4]string // patient's side at left, right, top, bottom; empty if not known
}

// world axes of RAS+: a plane is named for the one it is perpendicular to.
const (
	right = iota
	anterior
	superior
)

var (
	planeNames = [3]string{right: "Sagittal", anterior: "Coronal", superior: "Axial"}
	positive   = [3]string{right: "R", anterior: "A", superior: "S"}
	negative   = [3]string{right: "L", anterior: "P", superior: "I"}
)

// Views are the three planes in radiological convention, axial first: the
// patient's right is at the left of the picture, anterior at the top of axial
// planes and at the left of sagittal ones, superior at the top of the others. A
// scan whose affine says nothing is shown as it lies in the file.
func Views(g volume.Grid) []View {
	world, sign, ok := orientation(g.Affine)
	if !ok {
		return []View{
			{Name: "Slices along D", Normal: 0, Row: 1, Col: 2},
			{Name: "Slices along H", Normal: 1, Row: 0, Col: 2},
			{Name: "Slices along W", Normal: 2, Row: 0, Col: 1},
		}
	}
	var axis [3]int // of D H W, for each world axis
	for a, w := range world {
		axis[w] = a
	}
	var out []View
	for _, p := range [3][3]int{{superior, anterior, right}, {anterior, superior, right}, {right, superior, anterior}} {
		normal, row, col := p[0], p[1], p[2]
		out = append(out, View{
			Name: planeNames[normal], Normal: axis[normal], Row: axis[row], Col: axis[col],
			FlipR: sign[axis[row]] > 0, FlipC: sign[axis[col]] > 0,
			Edges: [4]string{positive[col], negative[col], positive[row], negative[row]},
		})
	}
	return out
}

// orientation finds, for each axis of D H W, the world axis it is nearest to and
// whether it runs along or against it. It is false for an affine without three
// independent axes.
func orientation(affine [4][4]float64) (world [3]int, sign [3]float64, ok bool) {
	var cosine [3][3]float64 // of D H W, with R A S
	for a := range 3 {
		norm := 0.0
		for w := range 3 {
			cosine[a][w] = affine[w][2-a] // columns are x y z
			norm += cosine[a][w] * cosine[a][w]
		}
		norm = math.Sqrt(norm)
		if !(norm > 0) || math.IsInf(norm, 0) {
			return world, sign, false
		}
		for w := range 3 {
			cosine[a][w] /= norm
		}
	}
	best := 0.0
	for _, p := range [6][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		product := 1.0
		for a, w := range p {
			product *= math.Abs(cosine[a][w])
		}
		if product > best {
			best, world = product, p
		}
	}
	for a, w := range world {
		sign[a] = math.Copysign(1, cosine[a][w])
	}
	return world, sign, best > 0
}
