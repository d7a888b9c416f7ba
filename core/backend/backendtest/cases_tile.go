package backendtest

import (
	"fmt"
	"math"

	"github.com/gounet/gounet/core/graph"
)

// rowsAt writes rows into the slots of a ctl.
func rowsAt(first int, rows ...[]float64) map[int]float64 {
	slots := map[int]float64{}
	for r, row := range rows {
		for i, v := range row {
			slots[first+r*len(row)+i] = v
		}
	}
	return slots
}

func tileCases() []testCase {
	var cs []testCase
	corners := [][3]float64{{0, 0, 0}, {1, 2, 3}, {-1, -2, -3}, {2, 3, 4}, {-9, 0, 0}, {90, 90, 90}, {-3, 4, -1}, {3, -1, 5}}
	for i, s := range []struct {
		name        string
		volume      []int
		tile        [3]int
		first, rows int
	}{
		{"eight mirrors", []int{1, 4, 5, 7, 2}, [3]int{2, 3, 4}, 16, 8},
		{"tile larger than the volume", []int{1, 2, 3, 3, 1}, [3]int{4, 5, 6}, 17, 8},
		{"2-D of 17 channels", []int{1, 1, 6, 5, 17}, [3]int{1, 4, 4}, 24, 3},
		{"one voxel", []int{1, 3, 3, 3, 5}, k111, 16, 1},
	} {
		r := newSource(7000 + i)
		var rows [][]float64
		for n := range s.rows {
			c := corners[n]
			rows = append(rows, []float64{c[0], c[1], c[2], 1000, 1000, 1000, float64(n), 1})
		}
		ctl := ctlOf(s.first+8*s.rows, rowsAt(s.first, rows...))
		cs = append(cs, testCase{
			name: s.name, op: graph.TileLoad{N: s.rows, Tile: s.tile, Ctl: s.first}, exact: true,
			in: []operand{float("volume", graph.Data, r.eighths, s.volume...), ctl},
		})
	}
	for i, s := range []struct {
		name            string
		tile            [3]int
		acc             []int // S H W K
		depth, rows     int
		empty, straight bool
	}{
		{"eight mirrors", [3]int{2, 3, 4}, []int{5, 6, 7, 3}, 5, 8, false, false},
		{"ring", [3]int{3, 3, 2}, []int{4, 5, 6, 2}, 11, 8, false, false},
		{"an empty row", [3]int{2, 2, 3}, []int{4, 4, 4, 2}, 4, 3, true, false},
		{"2-D of 17 classes", [3]int{1, 4, 5}, []int{1, 6, 6, 17}, 1, 4, false, true},
		{"2-D stack", [3]int{1, 4, 5}, []int{3, 6, 6, 2}, 3, 4, false, true},
		{"one class", k111, []int{2, 2, 2, 1}, 2, 1, false, true},
	} {
		cs = append(cs, blendCases(s.name, s.tile, s.acc, s.depth, s.rows, s.empty, s.straight, newSource(7100+i))...)
	}
	return cs
}

func blendCases(name string, tile [3]int, acc []int, depth, n int, empty, straight bool, r source) []testCase {
	const first = 16
	var cs []testCase
	corners := [][3]float64{{0, 0, 0}, {1, 2, 3}, {-1, -2, -3}, {2, 3, 4}, {7, 0, 1}, {90, 90, 90}, {-1, 4, -1}, {9, -1, 5}}
	for _, f := range []struct {
		suffix string
		d      data
		exact  bool
	}{{"", r.eighths, true}, {" normal", r.normal, false}} {
		var rows [][]float64
		for i := range n {
			c := corners[i]
			if straight {
				c = [3]float64{float64(min(i, depth-1)), float64(i % 3), 1}
			}
			rows = append(rows, []float64{1000, 1000, 1000, c[0], c[1], c[2], float64(i), []float64{1, 0.5}[i%2]})
		}
		z := activation("logits", f.d, n, tile[0], tile[1], tile[2], acc[3])
		if empty {
			rows[1][graph.RowWeight] = 0
			per := len(z.data) / n
			for i := range per { // what an empty row holds is nobody's
				z.data[per+i] = math.NaN()
			}
		}
		cs = append(cs, testCase{
			name: name + f.suffix, op: graph.TileBlend{Depth: depth, Ctl: first}, exact: f.exact,
			in: []operand{
				z,
				float("weights", graph.IO, f.d, tile[0], tile[1], tile[2]),
				ctlOf(first+8*n, rowsAt(first, rows...)),
				float("acc", graph.Data, f.d, acc...),
				float("norm", graph.Data, f.d, acc[:3]...),
			},
		})
	}
	return cs
}

func labelCases() []testCase {
	var cs []testCase
	for i, s := range []struct {
		name  string
		acc   []int // S H W K
		op    graph.Labels
		start float64
		exact bool
	}{
		{"same grid", []int{3, 4, 5, 3}, graph.Labels{Depth: 3, Out: [3]int{3, 4, 5}, Planes: 3}, 0, true},
		{"same grid of one class", []int{2, 4, 5, 1}, graph.Labels{Depth: 2, Out: [3]int{2, 4, 5}, Planes: 2}, 0, true},
		{"same grid regions", []int{3, 4, 5, 3}, graph.Labels{Depth: 3, Out: [3]int{3, 4, 5}, Planes: 3, Regions: []uint8{1, 4, 2}}, 0, true},
		{"planes of a ring", []int{4, 4, 5, 3}, graph.Labels{Depth: 9, Out: [3]int{9, 4, 5}, Planes: 3}, 5, true},
		{"planes beyond the end", []int{3, 4, 5, 3}, graph.Labels{Depth: 3, Out: [3]int{3, 4, 5}, Planes: 4}, 1, true},
		{"up", []int{3, 4, 5, 3}, graph.Labels{Depth: 3, Out: [3]int{5, 9, 8}, Planes: 5}, 0, false},
		{"down", []int{6, 7, 9, 4}, graph.Labels{Depth: 6, Out: [3]int{4, 3, 5}, Planes: 4}, 0, false},
		{"up and down of 17 classes", []int{4, 4, 5, 17}, graph.Labels{Depth: 4, Out: [3]int{7, 2, 6}, Planes: 2}, 4, false},
		{"nearest planes", []int{3, 4, 5, 3}, graph.Labels{Depth: 3, Out: [3]int{8, 4, 5}, Planes: 8, Nearest: [3]bool{true, false, false}}, 0, true},
		{"nearest half way", []int{4, 6, 8, 2}, graph.Labels{Depth: 4, Out: [3]int{2, 3, 4}, Planes: 2, Nearest: [3]bool{true, true, true}}, 0, true},
		{"nearest planes up", []int{3, 4, 5, 3}, graph.Labels{Depth: 3, Out: [3]int{8, 7, 9}, Planes: 8, Nearest: [3]bool{true, false, false}}, 0, false},
		{"regions up", []int{3, 4, 5, 3}, graph.Labels{Depth: 3, Out: [3]int{5, 6, 7}, Planes: 5, Regions: []uint8{3, 1, 2}}, 0, false},
		{"ring up", []int{4, 3, 3, 2}, graph.Labels{Depth: 8, Out: [3]int{16, 5, 5}, Planes: 3}, 7, false},
		{"2-D from one voxel", []int{1, 1, 1, 2}, graph.Labels{Depth: 1, Out: [3]int{1, 3, 2}, Planes: 1}, 0, false},
	} {
		r := newSource(7300 + i)
		d, norm := data(r.normal), data(func(n int) []float64 {
			v := r.normal(n)
			for j := range v {
				v[j] = 1 + v[j]*v[j]
			}
			return v
		})
		if s.exact { // quotients of eighths and of powers of two are exact
			d, norm = r.eighths, func(n int) []float64 {
				v := make([]float64, n)
				for j := range v {
					v[j] = float64(int(1) << r.IntN(3))
				}
				return v
			}
		}
		s.op.Ctl = 19
		cs = append(cs, testCase{name: s.name, op: s.op, exact: s.exact, in: []operand{
			float("acc", graph.Data, d, s.acc...), float("norm", graph.Data, norm, s.acc[:3]...),
			ctlOf(20, map[int]float64{19: s.start}),
		}})
	}
	return cs
}

// affine is a row of Warp: the matrix, and where the centre of the patch lies.
func affine(a [9]float64, t ...float64) []float64 { return append(a[:], t...) }

// turn is a rotation by angle in the plane of the last two axes, times zoom.
func turn(angle, zoom float64) [9]float64 {
	c, s := zoom*math.Cos(angle), zoom*math.Sin(angle)
	return [9]float64{zoom, 0, 0, 0, c, -s, 0, s, c}
}

func warpCases() []testCase {
	identity := turn(0, 1)
	mirror := [9]float64{-1, 0, 0, 0, 1, 0, 0, 0, -1}
	swap := [9]float64{1, 0, 0, 0, 0, -1, 0, 1, 0}
	// Generic rotations about all axes.
	oblique := [9]float64{0.36, 0.48, -0.8, -0.8, 0.6, 0, 0.48, 0.64, 0.6}
	var cs []testCase
	for i, s := range []struct {
		name  string
		src   []int // N d h w C
		patch [3]int
		rows  [][]float64
		exact bool
	}{
		{"identity", []int{2, 4, 5, 6, 2}, [3]int{2, 3, 4}, [][]float64{affine(identity, 1.5, 2, 2.5), affine(identity, 0.5, 1, 1.5)}, true},
		{"mirrors and quarter turns", []int{3, 5, 6, 6, 1}, [3]int{3, 4, 4}, [][]float64{affine(mirror, 2, 2.5, 2.5), affine(swap, 2, 2.5, 2.5), affine(mirror, 3, 3.5, 1.5)}, true},
		{"beyond the source", []int{2, 3, 3, 3, 3}, [3]int{5, 6, 5}, [][]float64{affine(identity, 1, 1.5, 1), affine(identity, -9, 1.5, 1)}, true},
		{"half way", []int{1, 4, 4, 4, 1}, [3]int{2, 3, 3}, [][]float64{affine(identity, 1, 1.5, 1.5)}, true},
		{"rotation", []int{2, 5, 9, 9, 2}, [3]int{4, 6, 6}, [][]float64{affine(turn(0.3, 1), 2, 4, 4), affine(turn(-2, 1), 2.1, 4.2, 3.9)}, false},
		{"oblique", []int{1, 7, 8, 9, 17}, [3]int{5, 5, 6}, [][]float64{affine(oblique, 3.1, 3.4, 4.2)}, false},
		{"zoom", []int{2, 4, 9, 9, 1}, [3]int{3, 6, 7}, [][]float64{affine(turn(0.1, 0.7), 1.6, 4, 4), affine(turn(0.2, 1.4), 1.4, 4, 4)}, false},
		{"2-D", []int{2, 1, 9, 8, 3}, [3]int{1, 6, 5}, [][]float64{affine(turn(1, 1.1), 0, 4, 3.5), affine(turn(-1, 0.9), 0, 4, 3.5)}, false},
	} {
		r := newSource(8000 + i)
		const first = 18
		n := len(s.rows)
		c := testCase{
			name: s.name, op: graph.Warp{Patch: s.patch, Ctl: first}, exact: s.exact,
			in: []operand{
				float("src", graph.IO, r.eighths, s.src...),
				bytesOf("labels", func(n int) []float64 { return r.labels(n, 3, 255) }, s.src[:4]...),
				ctlOf(first+n*graph.WarpLen, rowsAt(first, s.rows...)),
			},
		}
		cs = append(cs, c)
		c.name += ", elastic"
		c.op = graph.Warp{Patch: s.patch, Ctl: first, Elastic: true}
		c.in = append(c.in[:3:3], float("field", graph.IO, r.eighths, s.src[0], s.patch[0], s.patch[1], s.patch[2], 3))
		cs = append(cs, c)
		c.name = s.name + ", nearest labels"
		c.op = graph.Warp{Patch: s.patch, Ctl: first, Nearest: true}
		c.in = c.in[:3:3]
		cs = append(cs, c)
		c.name = s.name + ", cubic"
		c.op = graph.Warp{Patch: s.patch, Ctl: first, Cubic: true}
		c.in = c.in[:3]
		cs = append(cs, c)
		c.name += ", elastic"
		c.op = graph.Warp{Patch: s.patch, Ctl: first, Elastic: true, Cubic: true}
		c.exact = false // cubes of eighths have too many bits, and eighths lie on the rim, where x leaps
		c.in = append(c.in[:3:3], float("field", graph.IO, r.normal, s.src[0], s.patch[0], s.patch[1], s.patch[2], 3))
		cs = append(cs, c)
	}
	return cs
}

func maskCases() []testCase {
	var cs []testCase
	for i, channels := range [][]bool{{true}, {false, true, true}, {true, false}, {false}} {
		r := newSource(8050 + i)
		cs = append(cs, testCase{
			name: fmt.Sprint(channels), op: graph.Mask{Channels: channels}, exact: true,
			in: []operand{
				activation("x", r.eighths, 2, 3, 4, 5, len(channels)),
				bytesOf("labels", func(n int) []float64 { return r.labels(n, 2, 255) }, 2, 3, 4, 5),
			},
		})
	}
	return cs
}

func augmentCases() []testCase {
	cs := append(warpCases(), maskCases()...)
	cs = append(cs, localCases()...)
	shapes := [][]int{{2, 4, 6, 7, 2}, {1, 1, 9, 8, 3}, {1, 3, 5, 17, 17}, {3, 1, 1, 1, 1}, {1, 5, 1, 2, 1}}
	for i, shape := range shapes {
		r := newSource(8100 + i)
		const first = 20
		n := shape[0] * shape[4]
		params := func(choices ...float64) operand {
			slots := map[int]float64{}
			for j := range n {
				slots[first+j] = choices[j%len(choices)]
			}
			slots[first+n], slots[first+n+1] = 0xABCDEF, 0x123456 // a seed
			return ctlOf(first+n+2, slots)
		}
		x := activation("x", r.normal, shape...)
		name := graph.Shape(shape).String()
		for axis := range 3 {
			cs = append(cs, testCase{
				name: fmt.Sprintf("axis %d %s", axis, name), op: graph.Blur{Axis: axis, Radius: 4 - axis, Ctl: first},
				in: []operand{x, params(0.5, 0, 0.93, 1.3)},
			})
		}
		cs = append(cs,
			testCase{name: "nothing " + name, op: graph.Blur{Axis: 2, Radius: 3, Ctl: first}, in: []operand{x, params(0)}, exact: true},
			testCase{name: name, op: graph.LowRes{Ctl: first}, in: []operand{x, params(0.55, 0, 0.8, 1, 0.66)}},
			testCase{name: "D as it is " + name, op: graph.LowRes{Ctl: first, Keep: [3]bool{true}}, in: []operand{x, params(0.55, 0, 0.8)}},
			testCase{name: "tiny " + name, op: graph.LowRes{Ctl: first}, in: []operand{x, params(0.05)}},
			testCase{name: "nothing " + name, op: graph.LowRes{Ctl: first}, in: []operand{x, params(0, 1)}, exact: true},
			testCase{
				name: "brightness by halves " + name, op: graph.Intensity{Kind: graph.Brightness, Ctl: first},
				in: []operand{activation("x", r.eighths, shape...), params(0.5, 2, 0)}, exact: true,
			})
		part := graph.Intensity{Kind: graph.Noise, Ctl: first, Seed: first + n, First: 1000}
		cs = append(cs, testCase{name: "noise of a later part " + name, op: part, in: []operand{x, params(0.8, 0, 1.3, 0.1)}})
		flat := activation("x", constant(0.75), shape...)
		for kind := graph.Noise; kind <= graph.GammaInvert; kind++ {
			op := graph.Intensity{Kind: kind, Ctl: first, Seed: first + n}
			cs = append(cs,
				testCase{name: fmt.Sprintf("%v %s", kind, name), op: op, in: []operand{x, params(0.8, 0, 1.3, 0.1)}},
				testCase{name: fmt.Sprintf("%v nothing %s", kind, name), op: op, in: []operand{x, params(0)}, exact: true},
				testCase{name: fmt.Sprintf("%v of a constant %s", kind, name), op: op, in: []operand{flat, params(0.8, 1.3)}})
		}
	}
	return cs
}
