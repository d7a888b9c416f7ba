package mesh

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
)

func grid(d, h, w int) volume.Grid {
	c, s := math.Cos(0.4), math.Sin(0.4)
	return volume.Grid{
		Shape: [3]int{d, h, w}, Spacing: [3]float64{2.5, 0.75, 0.5},
		Affine: [4][4]float64{{-0.5 * c, 0.75 * s, 0, 12}, {0.5 * s, 0.75 * c, 0, -7.25}, {0, 0, 2.5, 100}, {0, 0, 0, 1}},
	}
}

// shapes are masks whose surfaces are hard in different ways.
func shapes() map[string]*volume.Labels {
	out := map[string]*volume.Labels{}
	make := func(name string, g volume.Grid, in func(x, y, z int) bool) {
		l := volume.NewLabels(g)
		i := 0
		for z := range g.Shape[0] {
			for y := range g.Shape[1] {
				for x := range g.Shape[2] {
					if in(x, y, z) {
						l.Data[i] = 3
					}
					i++
				}
			}
		}
		out[name] = l
	}
	r := rand.New(rand.NewPCG(1, 2))
	make("noise", grid(9, 10, 11), func(int, int, int) bool { return r.IntN(2) == 0 }) // every case of the table, and the border
	make("sparse noise", grid(9, 10, 11), func(int, int, int) bool { return r.IntN(5) == 0 })
	make("one voxel", grid(3, 3, 3), func(x, y, z int) bool { return x == 1 && y == 1 && z == 1 })
	make("all of the scan", grid(2, 3, 4), func(int, int, int) bool { return true })
	make("two corners that touch", grid(4, 4, 4), func(x, y, z int) bool { return x == y && y == z && x > 0 && x < 3 })
	ball := grid(30, 30, 30)
	ball.Spacing, ball.Affine = [3]float64{1, 1, 1}, [4][4]float64{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}
	make("ball", ball, func(x, y, z int) bool {
		return math.Hypot(math.Hypot(float64(x-15), float64(y-15)), float64(z-15)) <= 12
	})
	flat := grid(1, 6, 7)
	flat.Affine = [4][4]float64{}
	make("one slice without a place", flat, func(x, y, _ int) bool { return x+y > 4 })
	return out
}

func TestSurfacesAreClosedAndHaveOneOutside(t *testing.T) {
	for name, l := range shapes() {
		for _, s := range []Smoothing{{}, DefaultSmoothing()} {
			m, err := FromLabels(l, 3, s)
			require.NoError(t, err)
			require.NotEmpty(t, m.Triangles)
			count := map[[2]uint32]int{}
			for _, tri := range m.Triangles {
				for i := range 3 {
					count[[2]uint32{tri[i], tri[(i+1)%3]}]++
				}
			}
			for e, n := range count {
				require.Equal(t, n, count[[2]uint32{e[1], e[0]}], "%s: edge %v", name, e)
			}
			assert.Positive(t, m.Volume(), name) // inside is inside, whichever way the affine turns
		}
	}
}

func TestEveryCaseOfTheTableCutsEachEdgeItMust(t *testing.T) {
	for set, list := range triangles {
		var used, crossed [12]bool
		for _, e := range list {
			used[e] = true
		}
		for i, e := range edges {
			crossed[i] = has(set, e[0]) != has(set, e[1])
		}
		assert.Equal(t, crossed, used, "set %08b", set)
	}
}

// TestABoxHasTheVolumeOfItsCells compares with the sum over cells: whole ones, halves
// at sides, eighths at edges (a triangle with legs of a half), 1/48 at corners (a
// tetrahedron with legs of a half).
func TestABoxHasTheVolumeOfItsCells(t *testing.T) {
	for _, n := range [][3]int{{1, 1, 1}, {2, 3, 4}, {5, 1, 7}} {
		g := grid(n[2]+2, n[1]+2, n[0]+2)
		l := volume.NewLabels(g)
		for z := range n[2] {
			for y := range n[1] {
				for x := range n[0] {
					l.Data[((z+1)*g.Shape[1]+y+1)*g.Shape[2]+x+1] = 1
				}
			}
		}
		a, b, c := float64(n[0]-1), float64(n[1]-1), float64(n[2]-1)
		want := (a*b*c + (a*b + b*c + c*a) + (a+b+c)/2 + 8.0/48) * VoxelVolume(g)
		m, err := FromLabels(l, 1, Smoothing{})
		require.NoError(t, err)
		// Vertices are float32 within 128 mm: an error of 2⁻¹⁸ mm over the area.
		assert.InDelta(t, want, m.Volume(), m.Area()*0x1p-17)
		// Each of its cells holds a share of the voxels' volume that differs by less than
		// 7/8 of a voxel; here of the mixed ones, all but a·b·c.
		mixed := (a+2)*(b+2)*(c+2) - a*b*c
		assert.InDelta(t, float64(n[0]*n[1]*n[2])*VoxelVolume(g), m.Volume(), mixed*7/8*VoxelVolume(g))
	}
}

func TestSmoothingKeepsTheVolumeAndTakesTheSteps(t *testing.T) {
	l := shapes()["ball"]
	n := 0
	for _, v := range l.Data {
		if v == 3 {
			n++
		}
	}
	rough, err := FromLabels(l, 3, Smoothing{})
	require.NoError(t, err)
	m, err := FromLabels(l, 3, DefaultSmoothing())
	require.NoError(t, err)
	assert.Less(t, m.Area(), rough.Area())
	// No body of a volume has less surface than a ball.
	v := m.Volume()
	assert.GreaterOrEqual(t, m.Area(), math.Cbrt(36*math.Pi*v*v))
	// A step of half a voxel is what smoothing moves a vertex by at most along an axis, so
	// that the surface stays between balls of radius 12 ± 0.5 (middles of edges) ± √3/2.
	outer, inner := 12.5+math.Sqrt(3)/2, 11.5-math.Sqrt(3)/2
	assert.Less(t, v, 4*math.Pi/3*outer*outer*outer)
	assert.Greater(t, v, 4*math.Pi/3*inner*inner*inner)
	assert.InDelta(t, rough.Volume(), v, 1e-4*v) // what is given back, to a tenth of what is left in each of five rounds
	for i, p := range m.Vertices {
		for r := range 3 {
			assert.LessOrEqual(t, math.Abs(float64(p[r]-rough.Vertices[i][r])), 0.5+0x1p-19)
		}
	}
	t.Logf("ball of %d voxels: %.1f mm³ as it is, %.1f smoothed; area %.1f and %.1f mm², of a ball %.1f", n, rough.Volume(), v, rough.Area(), m.Area(), 4*math.Pi*144)
}

func TestSmallStructuresDoNotVanish(t *testing.T) {
	for _, name := range []string{"one voxel", "two corners that touch", "sparse noise", "one slice without a place"} {
		rough, err := FromLabels(shapes()[name], 3, Smoothing{})
		require.NoError(t, err)
		m, err := FromLabels(shapes()[name], 3, DefaultSmoothing())
		require.NoError(t, err)
		assert.Greater(t, m.Volume(), rough.Volume()/2, name)
		t.Logf("%s: %.3f mm³, smoothed %.3f", name, rough.Volume(), m.Volume())
	}
}

func TestALabelWithoutVoxelsHasNoSurface(t *testing.T) {
	m, err := FromLabels(shapes()["ball"], 7, DefaultSmoothing())
	require.NoError(t, err)
	assert.Empty(t, m.Triangles)
	assert.Zero(t, m.Volume())
	for _, ending := range []string{".stl", ".obj", ".glb"} {
		require.NoError(t, Write(filepath.Join(t.TempDir(), "a"+ending), []Part{{Name: "none", Mesh: m}}))
	}
	_, err = FromLabels(shapes()["ball"], 3, Smoothing{Rounds: -1})
	assert.ErrorContains(t, err, "smoothing")
	assert.ErrorContains(t, Write("a.ply", nil), ".stl, .obj or .glb")
}

func TestAllAtOnceAreTheSameSurfaces(t *testing.T) {
	l := volume.NewLabels(grid(9, 10, 11))
	r := rand.New(rand.NewPCG(5, 6))
	for i := range l.Data {
		l.Data[i] = []uint8{0, 1, 4, 254, 255}[r.IntN(5)]
	}
	all, err := FromAll(l, DefaultSmoothing())
	require.NoError(t, err)
	require.Len(t, all, 3)
	for v, m := range all {
		one, err := FromLabels(l, v, DefaultSmoothing())
		require.NoError(t, err)
		assert.Equal(t, one, m)
	}
	l.Data = l.Data[1:]
	_, err = FromAll(l, DefaultSmoothing())
	assert.ErrorContains(t, err, "989 labels for a grid")
}

func parts(t testing.TB) []Part {
	t.Helper()
	var out []Part
	for i, name := range []string{"ball", "noise"} {
		m, err := FromLabels(shapes()[name], 3, DefaultSmoothing())
		require.NoError(t, err)
		out = append(out, Part{Name: "the " + name, Color: color.NRGBA{uint8(200 * i), 128, 255, 255}, Mesh: m})
	}
	return out
}

func TestSTLIsLPSAndWhole(t *testing.T) {
	p := parts(t)
	var b bytes.Buffer
	require.NoError(t, WriteSTL(&b, p))
	n := len(p[0].Triangles) + len(p[1].Triangles)
	require.Len(t, b.Bytes(), 84+50*n)
	assert.Contains(t, string(b.Bytes()[:80]), "SPACE=LPS")
	assert.Equal(t, uint32(n), binary.LittleEndian.Uint32(b.Bytes()[80:]))
	var first [12]float32
	_, err := binary.Decode(b.Bytes()[84:], binary.LittleEndian, &first)
	require.NoError(t, err)
	v := p[0].Vertices[p[0].Triangles[0][0]]
	assert.Equal(t, []float32{0 - v[0], 0 - v[1], v[2]}, first[3:6])
}

func TestOBJNamesItsParts(t *testing.T) {
	p := parts(t)
	var b bytes.Buffer
	require.NoError(t, WriteOBJ(&b, p))
	text := b.String()
	assert.Contains(t, text, "g the_ball\n")
	assert.Equal(t, len(p[0].Triangles)+len(p[1].Triangles), strings.Count(text, "\nf "))
	last := fmt.Sprintf("%d//%[1]d\n", len(p[0].Vertices)+len(p[1].Vertices))
	assert.Contains(t, text, last)
}

func TestGLBFollowsTheSpecification(t *testing.T) {
	p := parts(t)
	var out bytes.Buffer
	require.NoError(t, WriteGLB(&out, p))
	b := out.Bytes()
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }
	assert.Equal(t, "glTF", string(b[:4]))
	assert.Equal(t, 2, u32(4))
	assert.Equal(t, len(b), u32(8))
	n := u32(12)
	assert.Zero(t, n%4)
	assert.Equal(t, "JSON", string(b[16:20]))
	var g gltf
	require.NoError(t, json.Unmarshal(b[20:20+n], &g))
	assert.Equal(t, "BIN\x00", string(b[24+n:28+n]))
	assert.Equal(t, len(b)-28-n, u32(20+n))
	assert.Equal(t, g.Buffers[0].Length, int64(u32(20+n)))
	require.Len(t, g.Nodes, 3)
	assert.Equal(t, "the ball", g.Nodes[1].Name)
	// The front, −P, is glTF's +Z; superior is its +Y; left its +X; a mm is 1/1000 m.
	m := g.Nodes[0].Matrix
	at := func(v [3]float64) (o [3]float64) {
		for r := range 3 {
			o[r] = m[r]*v[0] + m[4+r]*v[1] + m[8+r]*v[2] + m[12+r]
		}
		return o
	}
	assert.Equal(t, [3]float64{0, 0, 1}, at([3]float64{0, -1000, 0}))
	assert.Equal(t, [3]float64{0, 1, 0}, at([3]float64{0, 0, 1000}))
	assert.Equal(t, [3]float64{1, 0, 0}, at([3]float64{1000, 0, 0}))
}

// TestWrittenFilesForOthers writes files where GOUNET_WRITE says, for testdata/check.py.
func TestWrittenFilesForOthers(t *testing.T) {
	dir := os.Getenv("GOUNET_WRITE")
	if dir == "" {
		t.Skip("GOUNET_WRITE is not set: it names a folder for files that testdata/check.py reads")
	}
	p := parts(t)
	facts := map[string]any{"volumes": []float64{p[0].Volume(), p[1].Volume()}, "areas": []float64{p[0].Area(), p[1].Area()}}
	for _, ending := range []string{".stl", ".obj", ".glb"} {
		require.NoError(t, Write(filepath.Join(dir, "both"+ending), p))
		require.NoError(t, Write(filepath.Join(dir, "ball"+ending), p[:1]))
	}
	b, err := json.Marshal(facts)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mesh.json"), b, 0o600))
}

func BenchmarkFromLabels(b *testing.B) {
	l := shapes()["ball"]
	for b.Loop() {
		if _, err := FromLabels(l, 3, DefaultSmoothing()); err != nil {
			b.Fatal(err)
		}
	}
}
