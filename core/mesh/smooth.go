package mesh

import "math"

// Smoothing is Taubin's: each round moves all vertices towards the mean of their
// neighbours by Lambda, then away from it by Mu. What shrinks nevertheless is given
// back by moving each connected surface along its normals until it holds the volume
// that it had, and no vertex leaves the half voxel around its place along any axis.
//
// G. Taubin, A signal processing approach to fair surface design, 1995.
type Smoothing struct {
	Rounds     int
	Lambda, Mu float64
}

// DefaultSmoothing removes the steps of voxels and keeps what is larger than about
// four of them: Taubin's pass band 1/λ + 1/μ = 0.1 with λ = 0.5.
func DefaultSmoothing() Smoothing { return Smoothing{Rounds: 15, Lambda: 0.5, Mu: -0.5263} }

// reach is how far a vertex may move along an axis, in voxels.
const reach = 0.5

// smooth gives the points of c their places, in voxels: the mean of neighbours and
// the volume are the same in every affine frame.
func smooth(c *cells, s Smoothing) [][3]float64 {
	if s.Rounds == 0 || len(c.points) == 0 {
		return c.points
	}
	start, neighbours := neighboursOf(c)
	now, then := append([][3]float64(nil), c.points...), make([][3]float64, len(c.points))
	for range s.Rounds {
		for _, factor := range [2]float64{s.Lambda, s.Mu} {
			for i, p := range now {
				list := neighbours[start[i]:start[i+1]]
				var mean [3]float64
				for _, n := range list {
					for a := range 3 {
						mean[a] += now[n][a]
					}
				}
				for a := range 3 {
					then[i][a] = p[a] + factor*(mean[a]/float64(len(list))-p[a])
				}
			}
			now, then = then, now
		}
	}
	c.hold(now)
	c.restore(now)
	return now
}

// hold keeps points within reach of where the voxels have them.
func (c *cells) hold(points [][3]float64) {
	for i := range points {
		for a := range 3 {
			o := c.points[i][a]
			points[i][a] = min(max(points[i][a], o-reach), o+reach)
		}
	}
}

// restore gives each connected surface the volume back that smoothing took: a move δ
// along the normals changes it by the area times δ.
func (c *cells) restore(points [][3]float64) {
	surface := c.surfaces()
	want, _, _ := c.measure(c.points, surface)
	const rounds = 5 // the error falls to a tenth in each, unless a bound is met
	for range rounds {
		have, area, normals := c.measure(points, surface)
		for i, n := range normals {
			length := math.Sqrt(dot(n, n))
			s := surface[i]
			if length == 0 || area[s] == 0 {
				continue
			}
			move := min(max((want[s]-have[s])/area[s], -reach/2), reach/2)
			for a := range 3 {
				points[i][a] += move * n[a] / length
			}
		}
		c.hold(points)
	}
}

// surfaces numbers the connected surfaces, a number a vertex.
func (c *cells) surfaces() []int {
	parent := make([]int, len(c.points))
	for i := range parent {
		parent[i] = i
	}
	root := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for _, t := range c.triangles {
		for _, v := range t[1:] {
			a, b := root(int(t[0])), root(int(v))
			parent[max(a, b)] = min(a, b)
		}
	}
	number, n := make([]int, len(parent)), 0
	for i := range parent { // a root comes before those below it
		if r := root(i); r == i {
			number[i] = n
			n++
		} else {
			number[i] = number[r]
		}
	}
	return number
}

// measure gives volume and area of each surface, in voxels, and the normals of the
// vertices by area.
func (c *cells) measure(points [][3]float64, surface []int) (volume, area []float64, normals [][3]float64) {
	n := 0
	for _, s := range surface {
		n = max(n, s+1)
	}
	volume, area, normals = make([]float64, n), make([]float64, n), make([][3]float64, len(points))
	for _, t := range c.triangles {
		o := points[t[0]]
		var u, v [3]float64
		for a := range 3 {
			u[a], v[a] = points[t[1]][a]-o[a], points[t[2]][a]-o[a]
		}
		normal := cross(u, v)
		s := surface[t[0]]
		volume[s] += dot(o, normal) / 6
		area[s] += math.Sqrt(dot(normal, normal)) / 2
		for _, i := range t {
			for a := range 3 {
				normals[i][a] += normal[a]
			}
		}
	}
	return volume, area, normals
}

// neighboursOf lists the vertices that share an edge with each: those of vertex i are
// list[start[i]:start[i+1]]. In a closed surface each is the start of as many edges as
// it has neighbours.
func neighboursOf(c *cells) (start []int, list []uint32) {
	start = make([]int, len(c.points)+1)
	for _, t := range c.triangles {
		for _, v := range t {
			start[v+1]++
		}
	}
	for i := range c.points {
		start[i+1] += start[i]
	}
	list = make([]uint32, start[len(c.points)])
	fill := append([]int(nil), start...)
	for _, t := range c.triangles {
		for v := range 3 {
			list[fill[t[v]]] = t[(v+1)%3]
			fill[t[v]]++
		}
	}
	return start, list
}
