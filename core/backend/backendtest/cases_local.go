package backendtest

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// localCases are of the ops that change a part of an image or look around a voxel.
func localCases() []testCase {
	var cs []testCase
	shapes := [][]int{{2, 4, 6, 7, 2}, {1, 1, 9, 8, 3}, {1, 3, 5, 11, 5}, {3, 1, 1, 1, 1}, {1, 5, 1, 2, 1}, {1, 9, 10, 11, 1}}
	for i, shape := range shapes {
		r := newSource(8300 + i)
		const first = 20
		size, rows := space(shape), shape[0]*shape[4]
		name := graph.Shape(shape).String()
		x := activation("x", r.normal, shape...)
		params := func(choices ...float64) operand {
			slots := map[int]float64{}
			for j := range rows {
				slots[first+j] = choices[j%len(choices)]
			}
			return ctlOf(first+rows, slots)
		}
		flat := activation("x", constant(0.75), shape...)
		few := activation("x", r.eighths, shape...) // many are equal
		cs = append(cs,
			testCase{name: name, op: graph.Median{Most: 5, Ctl: first}, in: []operand{x, params(3, 0, 2, 4, 5)}, exact: true},
			testCase{name: "even " + name, op: graph.Median{Most: 4, Ctl: first}, in: []operand{few, params(4, 2)}, exact: true},
			testCase{name: "nothing " + name, op: graph.Median{Most: 7, Ctl: first}, in: []operand{x, params(0, 1)}, exact: true},
			testCase{name: name, op: graph.Sharpen{Ctl: first}, in: []operand{x, params(0.3, 0, 1)}},
			testCase{name: "by halves " + name, op: graph.Sharpen{Ctl: first}, in: []operand{few, params(0.5, 0, 1)}, exact: true},
			testCase{name: "nothing " + name, op: graph.Sharpen{Ctl: first}, in: []operand{x, params(0)}, exact: true},
			testCase{name: name, op: graph.Blank{Boxes: 3, Ctl: first}, in: []operand{x, boxes(r, size, rows, first, 3)}},
			testCase{name: "one " + name, op: graph.Blank{Boxes: 1, Ctl: first}, in: []operand{x, boxes(r, size, rows, first, 1)}},
			testCase{name: "nothing " + name, op: graph.Blank{Boxes: 2, Ctl: first}, in: []operand{x, boxes(r, [3]int{}, rows, first, 2)}, exact: true},
		)
		for _, gamma := range []bool{false, true} {
			op := graph.Local{Gamma: gamma, Ctl: first}
			kind := map[bool]string{true: "gamma "}[gamma]
			cs = append(cs,
				testCase{name: kind + name, op: op, in: []operand{x, bumps(size, rows, first, 0.4, 0, 1.7)}},
				testCase{name: kind + "of a constant " + name, op: op, in: []operand{flat, bumps(size, rows, first, 2.5)}},
				testCase{name: kind + "nothing " + name, op: op, in: []operand{x, bumps(size, rows, first, 0)}, exact: true},
			)
		}
	}
	return cs
}

// boxes are rows of Blank: boxes that may overlap, and every third row, or all of no voxels,
// without.
func boxes(r source, size [3]int, rows, first, n int) operand {
	slots := map[int]float64{}
	for row := range rows {
		for b := range n {
			for d := range size {
				begin, edge := 0, 0
				if row%3 != 1 && size[d] > 0 {
					edge = 1 + r.IntN(size[d])
					begin = r.IntN(size[d] - edge + 1)
				}
				to := first + (row*n+b)*graph.BoxLen + d
				slots[to+graph.BoxFirst], slots[to+graph.BoxSize] = float64(begin), float64(edge)
			}
		}
	}
	return ctlOf(first+rows*n*graph.BoxLen, slots)
}

// bumps are rows of Local with a bell about a voxel of each axis.
func bumps(size [3]int, rows, first int, strengths ...float64) operand {
	slots := map[int]float64{}
	length := graph.LocalFactors + size[0] + size[1] + size[2]
	for row := range rows {
		to := first + row*length
		slots[to+graph.LocalStrength] = strengths[row%len(strengths)]
		least, most, at := 1.0, 1.0, to+graph.LocalFactors
		for d, n := range size {
			low, high := 1.0, 0.0
			for i := range n {
				away := (float64(i) - float64((row+d)%n)) / float64(n)
				f := float64(float32(math.Exp(-away * away)))
				slots[at+i], low, high = f, min(low, f), max(high, f)
			}
			least, most, at = least*low, most*high, at+n
		}
		slots[to+graph.LocalFrom] = float64(float32(least))
		if most > least {
			slots[to+graph.LocalScale] = float64(float32(1 / (most - least)))
		}
	}
	return ctlOf(first+rows*length, slots)
}
