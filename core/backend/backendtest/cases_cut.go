package backendtest

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// cutCases cut out of three cases of different sizes, at corners within, beside and beyond
// them.
func cutCases() []testCase {
	sizes := [][3]int{{4, 5, 7}, {61, 35, 33}, {6, 2, 9}} // the last begins where 16 bits do not reach
	var firsts []int
	total := 3 // a store may begin with what nobody cuts
	for _, s := range sizes {
		firsts = append(firsts, total)
		total += s[0] * s[1] * s[2]
	}
	corners := [][3]int{{0, 0, 0}, {1, 2, 3}, {-1, -2, -3}, {3, 4, 6}, {-9, 0, 0}, {90, 90, 90}, {2, -1, 5}}
	var cs []testCase
	for i, s := range []struct {
		name string
		crop [3]int
		c    int // 0: labels
		n    int
		fill uint8
	}{
		{"an image", [3]int{2, 3, 4}, 2, 7, 0},
		{"larger than the cases", [3]int{8, 7, 11}, 3, 7, 0},
		{"labels", [3]int{2, 3, 5}, 0, 7, 255},
		{"labels of an odd number", [3]int{1, 1, 3}, 0, 1, 255},
		{"one voxel", k111, 1, 3, 0},
		{"2-D", [3]int{1, 6, 5}, 4, 5, 0},
	} {
		r := newSource(7300 + i)
		const first = 18
		var rows [][]float64
		for n := range s.n {
			k, o := n%len(sizes), corners[n]
			row := []float64{float64(firsts[k] & 0xFFFF), float64(firsts[k] >> 16)}
			for _, v := range append(sizes[k][:], o[:]...) {
				row = append(row, float64(v))
			}
			rows = append(rows, row)
		}
		store := float("store", graph.Data, r.eighths, total, max(1, s.c))
		if s.c == 0 {
			store = bytesOf("store", func(n int) []float64 {
				v := r.eighths(n)
				for i := range v {
					v[i] = math.Abs(8 * v[i])
				}
				return v
			}, total)
			store.region = graph.Data
		}
		cs = append(cs, testCase{
			name: s.name, op: graph.Cut{N: s.n, Crop: s.crop, Fill: s.fill, Ctl: first}, exact: true,
			in: []operand{store, ctlOf(first+graph.CutLen*s.n, rowsAt(first, rows...))},
		})
	}
	return cs
}
