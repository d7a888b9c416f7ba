package kernel

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cpu/wasm"
)

// convs are kernels, strides and widths around the sizes of tiles.
func convs() (cs []Conv) {
	for _, k := range []int{1, 3, 5, 7} {
		for _, s := range []int{1, 2, 3} {
			for _, w := range []int{1, 2, 3, 5, 6, 7, 12, 13, 40, 64, 67} {
				for _, co := range []int{3, 4, 8, 33, 320} {
					cs = append(cs, Conv{N: 2, In: [3]int{3, 9, w}, C1: 2, C2: 1, Co: co, Kernel: [3]int{k, k, k}, Stride: [3]int{s, s, s}})
				}
			}
		}
	}
	return cs
}

// What a tile adds: for each voxel of a row the taps that are inside x, each once.
func TestTilesAddEveryTapThatIsInsideOnce(t *testing.T) {
	for _, c := range convs() {
		width, k := c.out()[2], c.Kernel[2]
		for _, most := range []int{4, 6, 8, 10} {
			added := map[[2]int]int{}
			at := 0
			for _, tl := range c.tiles(most) {
				require.LessOrEqual(t, tl.n, most)
				require.Equal(t, at, tl.first, "tiles are side by side: %+v", c)
				for range tl.count {
					tap := 0
					for _, s := range c.segments(tile{tl.first, tl.n, 1}) {
						for range s.taps {
							for v := s.from; v < s.to; v++ {
								added[[2]int{at + v, tap}]++
							}
							tap++
						}
					}
					require.Equal(t, k, tap)
					at += tl.n
				}
			}
			require.Equal(t, width, at, "tiles cover the row: %+v", c)
			for w := range width {
				for tap := range k {
					i := w*c.Stride[2] + tap - k/2
					inside := 0
					if i >= 0 && i < c.In[2] {
						inside = 1
					}
					require.Equal(t, inside, added[[2]int{w, tap}], "voxel %d, tap %d: %+v", w, tap, c)
				}
			}
		}
	}
}

func TestChunksAreAllRowsAndChannels(t *testing.T) {
	for _, c := range convs() {
		k, o := c.cut(), c.out()
		assert.Equal(t, c.N*o[0], k.planes)
		assert.GreaterOrEqual(t, k.bands*k.band, o[1])
		assert.Less(t, (k.bands-1)*k.band, o[1], "no band is empty")
		assert.GreaterOrEqual(t, k.groups*k.perGroup*tileChannels, c.Co)
		assert.Less(t, (k.groups-1)*k.perGroup*tileChannels, c.Co, "no group is empty")
		assert.Equal(t, k.planes*k.bands*k.groups, c.Chunks())
	}
}

// samples is a kernel of each kind.
func samples() []Kernel {
	n := Norm{N: 2, V: 60, C: 9}
	return []Kernel{
		convs()[7],
		Conv{N: 1, In: [3]int{4, 4, 4}, C1: 8, Co: 8, Kernel: [3]int{3, 3, 3}, Stride: [3]int{1, 1, 1}, Fused: true, Bias: true},
		UpConv{N: 1, In: [3]int{2, 2, 7}, Ci: 3, Co: 9, Stride: [3]int{2, 2, 2}, Bias: true},
		Pack{Outer: 9, Taps: 3, C1: 2, C2: 1, Co: 9},
		NormMoments{n},
		NormStatistics{n, 1e-5, false},
		NormApply{n, 0.01},
		Add{Elems: 7, Slope: 0.01},
		AvgPool{N: 1, Out: [3]int{1, 2, 3}, C: 5, Stride: [3]int{1, 2, 2}},
		TileLoad{Rows: Row{Count: 1, Length: 8}, Size: [3]int{4, 4, 4}, Tile: [3]int{2, 2, 2}, C: 1},
		TileBlend{Rows: Row{Count: 1, Length: 8}, Size: [3]int{4, 4, 4}, Tile: [3]int{2, 2, 2}, K: 3},
		Labels{Size: [3]int{2, 3, 4}, K: 3, Out: [3]int{4, 5, 6}, Planes: 2},
	}
}

// A program is compiled once more for every scan of another size, and the modules
// of all threads must be one: the same kernel is the same code.
func TestEqualKernelsAreEqualCode(t *testing.T) {
	code := func(k Kernel) []byte {
		m := &wasm.Module{}
		k.Emit(m.Func("", Params))
		return m.Bytes()
	}
	seen := map[string]string{}
	for _, k := range samples() {
		name := fmt.Sprintf("%T", k)
		b := code(k)
		assert.Equal(t, b, code(k), name)
		assert.Empty(t, seen[string(b)], "%s has the code of another kernel", name)
		seen[string(b)] = name
		assert.Positive(t, k.Work(), name)
		assert.Positive(t, k.Chunks(), name)
		assert.Less(t, len(b), 64<<10, "%s: code stays small", name)
	}
}
