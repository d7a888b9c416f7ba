package cuda

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// gemm is a convolution, or an adjoint of one, for conv3d_mma: see there.
type gemm struct {
	y, x, w, b, x2       graph.Value
	kernel, stride, pad  [3]int
	scatter, byInput     bool
	wRows, wCols, wFirst int // of w: rows of a tap, their length, the first row
}

// multiplies says that tensor cores make v from weights w.
func (s *scope) multiplies(v, w graph.Value) bool {
	t := s.Type(v).DType
	return !s.Simple && t == s.Type(w).DType && s.hasMatrices(t)
}

// hasMatrices says that tensor cores multiply elements of t: those of f32 in two parts
// of 11 bits, so that nothing is lost.
func (s *scope) hasMatrices(t graph.DType) bool {
	return t == graph.F16 && s.Arch >= 75 || t != graph.U8 && s.Arch >= 80
}

// sharedBytes is the dynamic shared memory that kernels use at most: what every GPU
// of an architecture has.
func (s *scope) sharedBytes() int {
	if s.Arch < 80 {
		return 64 << 10
	}
	return 99 << 10 // of compute capability 8.6
}

// sharedOfMultiprocessor is what the blocks of one have together.
func (s *scope) sharedOfMultiprocessor() int {
	switch {
	case s.Arch < 80:
		return 64 << 10
	case s.Arch < 90 || s.Arch >= 110:
		return 100 << 10 // of compute capabilities 8.6 and 12.0
	}
	return 228 << 10
}

// half3 is what a kernel reaches to either side.
func half3(k []int) [3]int { return [3]int{(k[0] - 1) / 2, (k[1] - 1) / 2, (k[2] - 1) / 2} }

// mmaTile is how conv3d_mma is cut.
type mmaTile struct {
	size, halo      [3]int // voxels of y and of x
	rows            int    // of 16 voxels, of a warp
	wide            int    // channels of y
	channels        int    // of x at a time
	chunks          int    // of them
	stages, buffers int
	shared          int // bytes
	more            int // registers of a thread beside its sums
}

func (t mmaTile) warps() int { return t.size[0] * t.size[1] * t.size[2] / (16 * t.rows) }

// registers are what a thread needs for its sums and what goes with them.
func (t mmaTile) registers() int { return t.rows*t.wide/2 + t.more }

// mostRegisters is what a thread can have. Where more are counted, NVRTC 13.0 finds room
// before Blackwell, for which one of the real plans' kernels spilled.
const mostRegisters = 255

// resident is the blocks for which a thread may have as many registers as it needs.
func (t mmaTile) resident() int { return residentOf(t.warps(), t.registers()) }

// residentOf is the blocks of so many warps, eight at most, whose threads may have so many
// registers each: one where not even that has them.
func residentOf(warps, registers int) int {
	n := 8
	for n > 1 && registersOf(n*warps) < registers {
		n--
	}
	return n
}

// registersOf is what a thread may have where so many warps run: a multiprocessor has four
// files of 2^14, each for a quarter of the warps, and gives them out by eights.
func registersOf(warps int) int { return (1 << 14) / (32 * ceil(warps, 4)) / 8 * 8 }

// tiles are the shapes to choose from. Rows of eight lie in different banks of shared
// memory.
var tiles = [][3]int{
	{4, 8, 8}, {2, 8, 16}, {1, 16, 16}, // 256
	{4, 4, 8}, {2, 8, 8}, {1, 8, 16}, {1, 16, 8}, {4, 8, 4}, // 128
	{2, 4, 8}, {4, 4, 4}, {1, 8, 8}, {1, 4, 16}, // 64
}

// warps are the ways to cut g for conv3d_mma.
func (s *scope) warps(g gemm) (list []tiling) {
	wide := 16
	switch co := s.channels(g.y); {
	case co > 32:
		wide = 64
	case co > 16:
		wide = 32
	}
	for _, bk := range []int{32, 16} {
		for _, size := range tiles {
			for _, rows := range []int{4, 2} {
				t := mmaTile{size: size, rows: rows, wide: wide, channels: bk, stages: 3, buffers: 1, more: 80}
				if s.Type(g.y).DType == graph.F32 { // in two parts
					t.more = 136
				}
				if t.warps() < 2 || t.warps() > 4 || s.Arch >= 100 && t.registers() > mostRegisters {
					continue
				}
				if blocks, clocks := s.timeOf(&t, g); t.shared <= s.sharedBytes() {
					list = s.split(list, tiling{warps: t}, g, blocks, t.chunks, clocks)
				}
			}
		}
	}
	return list
}

// timeOf makes halo, chunks, buffers and shared of t, counts its blocks and estimates the
// clocks of one.
func (s *scope) timeOf(t *mmaTile, g gemm) (blocks int, clocks float64) {
	blocks = s.Type(g.y).Shape[0] * ceil(s.channels(g.y), t.wide)
	halo, most := 1, 1
	voxels, _ := s.gridOf(g)
	for a := range 3 {
		apart, taps := g.stride[a], g.kernel[a]
		if g.scatter {
			apart, taps = 1, ceil(g.kernel[a], g.stride[a])
			blocks *= g.stride[a]
		}
		t.halo[a] = (t.size[a]-1)*apart + taps
		blocks, halo, most = blocks*ceil(voxels[a], t.size[a]), halo*t.halo[a], most*taps
	}
	chunks := ceil(s.channels(g.x), t.channels) + ceil(s.channels(g.x2), t.channels)
	t.chunks = chunks
	if chunks > 1 {
		fewest := most
		for a := 0; g.scatter && a < 3; a++ { // of a class that has any
			fewest = fewest / ceil(g.kernel[a], g.stride[a]) * max(1, g.kernel[a]/g.stride[a])
		}
		t.buffers = min(chunks, 1+ceil(t.stages-1, fewest))
	}
	size := s.Type(g.y).DType.Size()
	t.shared = size * t.channels * (t.buffers*halo + t.stages*t.wide)

	// Clocks of a multiprocessor for a tap of 16 channels and a warp: of tensor cores
	// (1300 multiply-adds a clock by mma.sync), of shared memory (128 bytes), of issue.
	m, n := float64(t.rows), float64(t.wide)/8
	product := max(m*n*2048/1300, 4*(m+n/2), (m*n+m+n/2+60/float64(t.channels/16))/4)
	block := float64(chunks) * (float64(t.channels/16*most*t.warps())*product + float64(halo*t.channels*size)/40) // bytes of the cache a clock
	resident := min(t.resident(), s.sharedOfMultiprocessor()/t.shared)
	if warps := resident * t.warps(); warps < 12 { // too few to hide latency
		block *= math.Sqrt(12 / float64(max(warps, 1)))
	}
	return blocks, block
}

// foldClocks is what a second kernel costs that has nothing to do: 2 µs.
const foldClocks = 3500

// split adds t to the list with each number of blocks that may sum up a tile, where the
// device has more room than there are tiles. Each block has some of the chunks.
func (s *scope) split(list []tiling, t tiling, g gemm, tiles, chunks int, clocks float64) []tiling {
	y, sms := s.Type(g.y), max(s.SMs, 1)
	for _, n := range []int{1, 2, 3, 4, 6, 8, 12, 16} {
		if n > 1 && (n > chunks || tiles*n > 4*sms && s.Split != always) {
			break
		}
		t.splits = n
		t.time = float64(ceil(tiles*n, sms)) * clocks * float64(ceil(chunks, n)) / float64(chunks)
		if n > 1 {
			t.time += foldClocks + float64(y.Shape.Elems()*(8*n+y.DType.Size()))/float64(bytesOfAClock*sms)
		}
		list = append(list, t)
	}
	return list
}

// sums is memory for the sums of p's splits of y; folded adds the kernel that adds them.
func (s *scope) sums(g gemm, p layout) place { return s.floats(p.splits * s.Type(g.y).Shape.Elems()) }

func (s *scope) folded(g gemm, p layout, sums place) error {
	y := s.Type(g.y)
	c := consts{"T": y.DType, "HAS_B": g.b != 0, "SPLITS": p.splits, "CO": y.Shape[4]}
	return s.each("conv3d_fold", y.Shape.Elems(), c, s.value(g.y), sums, s.value(g.b))
}

// turn exchanges rows and columns of the weights of g: fragments of floats come from
// rows along c.
func (s *scope) turn(g *gemm) (place, error) {
	n := s.Type(g.w).Shape.Elems()
	turned := s.floats(n)
	err := s.each("turn", n, consts{"ROWS": g.wRows, "COLS": g.wCols}, turned, s.value(g.w))
	g.byInput, g.wRows, g.wCols = false, g.wCols, g.wRows
	return turned, err
}

// tiling is one way to cut a product.
type tiling struct {
	time     float64 // clocks, as far as a rough model goes
	warps    mmaTile // of conv3d_mma
	groups   groupTile
	byGroups bool // by conv3d_wgmma
	splits   int  // of the sum over channels
}

// layout is how the product of g is cut.
type layout struct {
	tiling
	grid    [3]int  // tiles of y, or of one of its classes
	classes int     // of voxels
	loads   float64 // how often an element of x is loaded
}

// gridOf is the voxels of y, or of one of its classes, of which there are so many.
func (s *scope) gridOf(g gemm) (voxels [3]int, classes int) {
	classes = 1
	for a, n := range s.Type(g.y).Shape[1:4] {
		voxels[a] = n
		if g.scatter {
			voxels[a] = ceil(n, g.stride[a])
			classes *= g.stride[a]
		}
	}
	return voxels, classes
}

// laid is g cut so.
func (s *scope) laid(g gemm, t tiling) layout {
	p := layout{tiling: t}
	voxels, classes := s.gridOf(g)
	p.classes = classes
	size, halo, wide := t.warps.size, t.warps.halo, t.warps.wide
	if t.byGroups {
		size, wide = t.groups.size, t.groups.wide
		for a := range 3 {
			halo[a] = size[a] + g.kernel[a] - 1
		}
	}
	p.loads = float64(ceil(s.channels(g.y), wide) * classes)
	for a := range 3 {
		p.grid[a] = ceil(voxels[a], size[a])
		p.loads *= float64(p.grid[a]*halo[a]) / float64(s.Type(g.x).Shape[a+1])
	}
	return p
}

// matrices adds the kernel of g; ok is false if it does not fit.
func (s *scope) matrices(g gemm) (ok bool, err error) {
	list := shortlist(s.tilings(g))
	if len(list) == 0 {
		return false, nil
	}
	t, err := pick(s, s.keyOf(g), list, func(alone *scope, t tiling) error { return alone.multiply(g, alone.laid(g, t)) })
	if err != nil {
		return true, err
	}
	return true, s.multiply(g, s.laid(g, t))
}

// multiply adds the kernels of g, cut so.
func (s *scope) multiply(g gemm, p layout) error {
	if p.byGroups {
		return s.multiplyGroups(g, p)
	}
	return s.multiplyWarps(g, p)
}

// multiplyWarps adds the kernels of g, cut so.
func (s *scope) multiplyWarps(g gemm, p layout) (err error) {
	x, y, t := s.Type(g.x).Shape, s.Type(g.y).Shape, p.warps
	c1, c2 := s.channels(g.x), s.channels(g.x2)
	per := 16 / s.Type(g.y).DType.Size() // elements that are copied at once
	w := s.value(g.w)
	if g.byInput && s.Type(g.w).DType == graph.F32 {
		if w, err = s.turn(&g); err != nil {
			return err
		}
	}
	parts := s.leaveMoments(g, p, t.size)
	moments := parts.In != nobody
	if p.splits > 1 {
		parts = s.sums(g, p)
	}
	from, table, slope := s.source(g.x)
	from2, table2, slope2 := s.source(g.x2)
	c := merged(axes("", x), axes("O", y), triple("K", g.kernel[:]), triple("S", g.stride[:]), triple("P", g.pad[:]),
		triple("G", p.grid[:]), triple("H", t.halo[:]), consts{
			"T": s.Type(g.y).DType, "HAS_B": g.b != 0, "MOMENTS": moments, "SPLITS": p.splits, "SCATTER": g.scatter, "W_BY_INPUT": g.byInput,
			"NORM": s.made[g.x] != nil, "NORM2": s.made[g.x2] != nil, "SLOPE": slope, "SLOPE2": slope2,
			"X_WHOLE": c1%per == 0 && c2%per == 0, "W_WHOLE": g.wCols%per == 0 && (g.byInput || c2 == 0 || c1%per == 0),
			"C1": c1, "C2": c2, "CO": y[4], "WROWS": g.wRows, "WCOLS": g.wCols, "W0": g.wFirst,
			"TD": fixed(t.size[0]), "TH": fixed(t.size[1]), "TW": fixed(t.size[2]), "BN": fixed(t.wide), "BK": fixed(t.channels),
			"STAGES": fixed(t.stages), "ABUFS": fixed(t.buffers), "MT": fixed(t.rows), "BLOCKS": fixed(t.resident()),
		})
	l := launch{
		Kernel: "conv3d_mma", Shared: uint32(t.shared), Block: [3]uint32{uint32(32 * t.warps()), 1, 1},
		Grid: [3]uint32{uint32(y[0] * p.grid[0] * p.grid[1] * p.grid[2]), uint32(ceil(y[4], t.wide)), uint32(p.classes * p.splits)},
	}
	if err := s.add(l, c, s.value(g.y), parts, from, w, s.value(g.b), from2, table, table2); err != nil || p.splits == 1 {
		return err
	}
	return s.folded(g, p, parts)
}
