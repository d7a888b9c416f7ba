package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// Planes that kernels fill hold what row by row would be in them.
func TestFoldedRowsEqualRowByRow(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	in := size{2, 9, 37}
	values := eighths(r, in.volume())
	for _, s := range isas() {
		for _, p := range []pairing{single, channelPairs, voxelPairs} {
			src := source{isa: s, c: [2]int{1}, size: in, fold: 3, w0: -1, pairs: p}
			dtype := graph.F32
			if p != single {
				dtype, src.isa = graph.BF16, s.pairs
			}
			if src.isa == nil {
				continue
			}
			src.in[0] = store(dtype, values)
			for _, src.gridStep = range []int{1, 2} {
				for _, src.rowStep = range []int{1, 2} {
					for _, src.w = range []int{20, 39, 41} { // within the input, to its end and beyond
						t.Run(fmt.Sprintf("%s pairs %d steps %d %d width %d", s.name, p, src.gridStep, src.rowStep, src.w), func(t *testing.T) {
							checkFolded(t, &src)
						})
					}
				}
			}
		}
	}
}

func checkFolded(t *testing.T, s *source) {
	for h := -2; h < s.size[1]+1; h++ {
		const rows = 4
		got, want := make([]float32, rows*s.stride()), make([]float32, rows*s.stride())
		for i := range got {
			got[i], want[i] = -7, -7
		}
		made := s.foldRows(got, 0, 1, h, rows)
		if flatOf(s.isa).foldSingles != nil && h >= 0 && h+3 <= s.size[1] {
			require.Equal(t, min(rows, (s.size[1]-3-h)/s.rowStep+1), made)
		} else {
			require.Zero(t, made)
		}
		for i := range made {
			s.row(want[i*s.stride():][:s.stride()], 0, 1, h+i*s.rowStep)
		}
		require.Equal(t, bits(want), bits(got), "row %d", h)
	}
}
