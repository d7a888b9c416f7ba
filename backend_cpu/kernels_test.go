package cpu

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// checkTile compares two tiles of a kernel with plain sums over two segments of
// exact inputs, from a first row and from what C has.
func checkTile(t *testing.T, kind string, kernel func(*tile), mr, nr, k int) {
	t.Helper()
	const aStep, tiles = 5 * maxRows, 2
	r := rand.New(rand.NewPCG(uint64(mr*nr), uint64(k)))
	a, b := store(graph.F32, eighths(r, aStep*64)).f32, store(graph.F32, eighths(r, 64*nr)).f32
	init := store(graph.F32, eighths(r, nr)).f32
	segs := []segment{
		{unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0])},
		{unsafe.Pointer(&a[3]), unsafe.Pointer(&b[8*nr])},
	}
	c := make([]float32, 3*64*nr)
	x := &tile{
		seg: &segs[0], n: 2, k: k, tiles: tiles, aOff: 4, aStep: aStep * 4, bStep: nr * 4, c: &c[0], cStep: nr * 4,
		cRun: 64 * nr * 4, init: &init[0],
	}
	if kind == "gather3" {
		x.bStep = 16 * nr * 4
	}
	kernel(x)
	require.Equal(t, tiles*mr*nr*4, x.cOff)
	x.tiles, x.aOff, x.cOff, x.init = tiles, 4, 0, nil
	kernel(x)
	if strings.HasPrefix(kind, "gather") {
		checkRows(t, kernel, x, &init[0], mr, nr)
	}
	for i := range tiles * mr {
		for j := range nr {
			for tap := range 3 {
				want := init[j]
				for s, first := range []int{1, 4} {
					for l := range k {
						from := s * 8 * nr
						switch kind {
						case "gather":
							want += 2 * a[first+i*aStep+l] * b[from+l*nr+j]
						case "outer":
							want += 2 * a[first+l*aStep+i] * b[from+l*nr+j]
						case "gather3":
							for tap := range 3 {
								want += 2 * a[first+(i+tap)*aStep+l] * b[from+(tap*16+l)*nr+j]
							}
						case "outer3":
							want += 2 * a[first+(l+tap)*aStep+i] * b[from+l*nr+j]
						}
					}
				}
				got := c[(tap*64+i)*nr+j]
				if kind == "outer3" || tap == 0 {
					require.Equal(t, want, got, "%s %dx%d k %d: c[%d][%d] tap %d", kind, mr, nr, k, i, j, tap)
				}
			}
		}
	}
}

// checkRows compares two rows of tiles of a gather with two calls.
func checkRows(t *testing.T, kernel func(*tile), x *tile, init *float32, mr, nr int) {
	t.Helper()
	want, got := make([]float32, 64*nr), make([]float32, 64*nr)
	for row := range 2 {
		y := *x
		y.tiles, y.init, y.c = 1, init, &want[0]
		y.aOff, y.cOff = 4+row*(mr+2)*y.aStep, row*(mr+3)*y.cStep
		kernel(&y)
	}
	y := *x
	y.tiles, y.init, y.c, y.aOff, y.cOff = 1, init, &got[0], 4, 0
	y.each, y.more, y.aNext, y.cNext = 1, 1, 2*y.aStep, 3*y.cStep
	kernel(&y)
	require.Equal(t, want, got)
	require.Zero(t, y.more)
}

func TestTilesEqualPlainSums(t *testing.T) {
	for _, s := range isas() {
		t.Run(s.name, func(t *testing.T) {
			for nv := 1; nv <= s.vectors; nv++ {
				for mr := 1; mr <= s.rows[nv]; mr++ {
					for k := 1; k <= 7; k++ {
						checkTile(t, "gather", s.gather[nv][mr], mr, nv*s.lanes, k)
						checkTile(t, "outer", s.outer[nv][mr], mr, nv*s.lanes, k)
						if nv == 1 && s.outer3Rows > 0 {
							checkTile(t, "gather3", s.gather3[mr], mr, s.lanes, k)
						}
						if nv == 1 && mr <= s.outer3Rows && k > 1 {
							checkTile(t, "outer3", s.outer3[mr], mr, s.lanes, k)
						}
					}
				}
			}
		})
	}
}

// All 65536 values in 16 bits, and f32 around them, convert as internal/half
// does it, NaNs included.
func TestConversionsHaveTheBitsOfHalf(t *testing.T) {
	for _, s := range isas() {
		t.Run(s.name, func(t *testing.T) {
			for _, d := range []graph.DType{graph.F16, graph.BF16} {
				all := tensor{dtype: d, u16: make([]uint16, 1<<16)}
				for i := range all.u16 {
					all.u16[i] = uint16(i)
				}
				wide, want := make([]float32, 1<<16), make([]float32, 1<<16)
				s.fetch(wide, 1, all, 0, 1, 1<<16, 1)
				one, back := half.FromF16, half.ToF16
				if d == graph.BF16 {
					one, back = half.FromBF16, half.ToBF16
				}
				for i := range want {
					want[i] = one(uint16(i))
				}
				require.Equal(t, bits(want), bits(wide))
				for _, add := range []uint32{0, 1, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001} {
					src, narrow := make([]float32, 1<<16), tensor{dtype: d, u16: make([]uint16, 1<<16)}
					for i, b := range bits(wide) {
						src[i] = *(*float32)(unsafe.Pointer(&[]uint32{b + add}[0]))
					}
					s.put(narrow, 0, 1, src, 1, 1<<16, 1)
					for i, x := range src {
						if back(x) != narrow.u16[i] {
							require.Failf(t, "not equal", "%v of %x is %x, want %x", d, bits(src[i:i+1]), narrow.u16[i], back(x))
						}
					}
				}
			}
		})
	}
}

// The gradients of heads round by themselves.
func TestSpreadHasTheBitsOfHalf(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, f := range flats() {
		for co := range f.heads {
			h := f.heads[co][1]
			if h == nil {
				continue
			}
			const voxels = 4096
			strip := 2 * f.lanes
			dy, w, dx := make([]float32, voxels*co), make([]float32, strip*co), make([]uint16, voxels*strip)
			for v := range voxels { // exact in f32 and a half of the last place of bf16 above
				dy[v*co] = *(*float32)(unsafe.Pointer(&[]uint32{uint32(v)<<20 | 0x7fff + uint32(v%3)}[0]))
			}
			dy[0], dy[co], dy[2*co] = inf, -inf, float32(math.NaN())
			for i := range strip {
				w[i] = 1
			}
			h.spread(unsafe.Pointer(&dx[0]), &dy[0], &w[0], 1, voxels)
			for v := range voxels {
				for i := range strip {
					require.Equal(t, half.ToBF16(dy[v*co]), dx[v*strip+i], "%d lanes, %d outputs, voxel %d, channel %d", f.lanes, co, v, i)
				}
			}
		}
	}
}

// bits are the bits of f32, which tell NaNs apart.
func bits(v []float32) []uint32 { return unsafe.Slice((*uint32)(unsafe.Pointer(&v[0])), len(v)) }
