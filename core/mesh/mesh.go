// Package mesh makes surfaces of label maps (marching cubes, smoothing) and writes
// them as STL, OBJ and GLB. It draws nothing.
//
// The one idea: a surface runs through the middles between voxel centres inside and
// outside, so that it is closed, has one outside and holds the volume of its voxels
// but for the corners it cuts; smoothing may move a vertex by half a voxel at most.
//
// Coordinates in memory are mm, RAS+, as in volume.Grid. Files have others, each the
// one that its readers expect; see WriteSTL, WriteOBJ and WriteGLB.
package mesh

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/gounet/gounet/core/volume"
)

// Mesh is a closed surface of triangles, counterclockwise seen from outside.
type Mesh struct {
	Vertices  [][3]float32 // mm, RAS+
	Triangles [][3]uint32
}

// FromLabels is the surface of the voxels of l with the value label, smoothed by s
// (the zero Smoothing leaves it as it is). A label without voxels has an empty mesh.
// The scan's border closes what reaches it. A grid without a place is taken as lying
// along its axes.
func FromLabels(l *volume.Labels, label uint8, s Smoothing) (*Mesh, error) {
	if err := check(l, s); err != nil {
		return nil, err
	}
	return fromBox(l, label, boxesOf(l)[label], s)
}

// FromAll is FromLabels for every label that occurs but 0 and volume.Outside, in one
// pass over the map and on all processors.
func FromAll(l *volume.Labels, s Smoothing) (map[uint8]*Mesh, error) {
	if err := check(l, s); err != nil {
		return nil, err
	}
	boxes := boxesOf(l)
	var meshes [256]*Mesh
	var errs [256]error
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for v := int(next.Add(1)); v <= volume.MaxLabel; v = int(next.Add(1)) {
				if boxes[v].hi[0] >= 0 {
					meshes[v], errs[v] = fromBox(l, uint8(v), boxes[v], s)
				}
			}
		})
	}
	wg.Wait()
	out := map[uint8]*Mesh{}
	for v, m := range meshes {
		if m != nil {
			out[uint8(v)] = m
		}
	}
	return out, errors.Join(errs[:]...)
}

func check(l *volume.Labels, s Smoothing) error {
	if len(l.Data) != l.Voxels() {
		return fmt.Errorf("mesh: %d labels for a grid of %v", len(l.Data), l.Shape)
	}
	if s.Rounds < 0 || s.Rounds > 1000 || !(s.Lambda >= 0 && s.Lambda < 1) || !(s.Mu <= 0 && s.Mu > -1) {
		return fmt.Errorf("mesh: smoothing %+v, wanted 0 to 1000 rounds, λ from 0 to 1, μ from −1 to 0", s)
	}
	return nil
}

func fromBox(l *volume.Labels, label uint8, b box, s Smoothing) (*Mesh, error) {
	if b.hi[0] < 0 {
		return &Mesh{}, nil
	}
	c := newCells(l, label, b)
	if err := c.march(); err != nil {
		return nil, err
	}
	place := Place(l.Grid)
	g := volume.Grid{Affine: place}
	m := &Mesh{Vertices: make([][3]float32, len(c.points)), Triangles: c.triangles}
	if g.Determinant() < 0 {
		for i, t := range m.Triangles {
			m.Triangles[i] = [3]uint32{t[0], t[2], t[1]}
		}
	}
	points := smooth(c, s)
	for i, p := range points {
		for r := range 3 {
			m.Vertices[i][r] = float32(place[r][0]*p[0] + place[r][1]*p[1] + place[r][2]*p[2] + place[r][3])
		}
	}
	return m, nil
}

// Place is the affine of g, or of a grid without one the axes of its spacing.
func Place(g volume.Grid) [4][4]float64 {
	if g.Affine == ([4][4]float64{}) {
		return [4][4]float64{{g.Spacing[2]}, {0, g.Spacing[1]}, {0, 0, g.Spacing[0]}, {0, 0, 0, 1}}
	}
	return g.Affine
}

// VoxelVolume is the volume of a voxel of g in mm³: that of its affine, which a
// tilted gantry makes smaller than the product of the spacing.
func VoxelVolume(g volume.Grid) float64 {
	return math.Abs(volume.Grid{Affine: Place(g)}.Determinant())
}

// Volume is what m encloses, in mm³: the sum of the signed volumes of tetrahedra
// from one point to each triangle.
func (m *Mesh) Volume() float64 {
	if len(m.Vertices) == 0 {
		return 0
	}
	o, sum := m.Vertices[0], 0.0 // near the surface: little is lost in differences
	for _, t := range m.Triangles {
		var v [3][3]float64
		for i, n := range t {
			for r := range 3 {
				v[i][r] = float64(m.Vertices[n][r]) - float64(o[r])
			}
		}
		sum += dot(v[0], cross(v[1], v[2]))
	}
	return sum / 6
}

// Area is that of the surface, in mm².
func (m *Mesh) Area() float64 {
	sum := 0.0
	for _, t := range m.Triangles {
		n := m.normal(t)
		sum += math.Sqrt(dot(n, n)) / 2
	}
	return sum
}

// normal points outside; its length is twice the area of the triangle.
func (m *Mesh) normal(t [3]uint32) [3]float64 {
	var a, b [3]float64
	for r := range 3 {
		a[r] = float64(m.Vertices[t[1]][r]) - float64(m.Vertices[t[0]][r])
		b[r] = float64(m.Vertices[t[2]][r]) - float64(m.Vertices[t[0]][r])
	}
	return cross(a, b)
}

// Normals are directions of length 1 at the vertices: the means of the triangles
// around them, by area.
func (m *Mesh) Normals() [][3]float32 {
	sum := make([][3]float64, len(m.Vertices))
	for _, t := range m.Triangles {
		n := m.normal(t)
		for _, v := range t {
			for r := range 3 {
				sum[v][r] += n[r]
			}
		}
	}
	out := make([][3]float32, len(sum))
	for i, n := range sum {
		length := math.Sqrt(dot(n, n))
		if length == 0 {
			n, length = [3]float64{0, 0, 1}, 1 // of a vertex whose triangles cancel
		}
		for r := range 3 {
			out[i][r] = float32(n[r] / length)
		}
	}
	return out
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func cross(a, b [3]float64) [3]float64 {
	return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}
