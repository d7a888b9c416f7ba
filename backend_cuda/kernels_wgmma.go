package cuda

import "math"

// groupTile is how conv3d_wgmma is cut.
type groupTile struct {
	size            [3]int // voxels of y, in slices of 8·8 of a plane
	slices          int    // of a group of four warps
	wide            int    // channels of y
	channels        int    // of x at a time
	stages, buffers int
	chunks, shared  int // shared in bytes
}

func (t groupTile) threads() int { return t.size[0] * t.size[1] * t.size[2] / t.slices * 2 }

// resident is the blocks for which registers and shared memory of a multiprocessor have room.
func (t groupTile) resident() int {
	return max(1, min((1<<16)/(t.threads()*(t.slices*t.wide/2+72)), hopperShared/(t.shared+1<<10)))
}

// Shared memory of a Hopper: of a multiprocessor, and of a block at most.
const (
	hopperShared = 228 << 10
	hopperBlock  = 227 << 10
)

// groupTiles are the shapes to choose from.
var groupTiles = [][3]int{
	{4, 8, 8}, {2, 16, 8}, {2, 8, 16}, {1, 16, 16}, {1, 32, 8}, {1, 8, 32}, // 256
	{2, 8, 8}, {1, 16, 8}, {1, 8, 16}, // 128
	{8, 8, 8}, {4, 16, 8}, {4, 8, 16}, {2, 16, 16}, // 512
}

// dense is g as a convolution of stride 1 of halves, whose taps conv3d_wgmma multiplies; false if it is none.
func (s *scope) dense(g gemm) (reversed, ok bool) {
	t := s.Type(g.y)
	if s.Arch != 90 || s.Groups == never || t.DType.Size() != 2 || g.stride != [3]int{1, 1, 1} || g.kernel[2] > 3 || g.scatter == g.byInput {
		return false, false
	}
	return g.scatter, s.channels(g.x)%8 == 0 && s.channels(g.x2)%8 == 0
}

// groups are the ways to cut g for conv3d_wgmma.
func (s *scope) groups(g gemm) (list []tiling) {
	if _, is := s.dense(g); !is {
		return nil
	}
	co := s.channels(g.y)
	for _, wide := range []int{32, 64, 128} {
		if wide > 32 && wide-co >= wide/2 {
			continue
		}
		for _, size := range groupTiles {
			for _, stages := range []int{3, 4} {
				t := groupTile{size: size, slices: size[0] * size[1] * size[2] / 128, wide: wide, channels: 32, stages: stages}
				if s.channels(g.x) <= 16 && s.channels(g.x2) <= 16 {
					t.channels = 16
				}
				if t.slices*wide > 256 || g.kernel[0]*g.kernel[1] < stages-1 {
					continue
				}
				if blocks, clocks := s.groupTime(&t, g); t.shared <= hopperBlock {
					list = s.split(list, tiling{groups: t, byGroups: true}, g, blocks, t.chunks, clocks)
				}
			}
		}
	}
	return list
}

// groupTime makes chunks, buffers and shared of t, counts its blocks and estimates the clocks
// of one.
func (s *scope) groupTime(t *groupTile, g gemm) (blocks int, clocks float64) {
	y := s.Type(g.y).Shape
	blocks = y[0] * ceil(y[4], t.wide)
	halo, taps := 1, 1
	for a := range 3 {
		halo *= t.size[a] + g.kernel[a] - 1
		taps *= g.kernel[a]
		blocks *= ceil(y[a+1], t.size[a])
	}
	t.chunks = ceil(s.channels(g.x), t.channels) + ceil(s.channels(g.x2), t.channels)
	t.buffers = min(t.chunks, 2)
	apart := halo + (10-halo%8)%8
	t.shared = t.channels * 2 * (t.buffers*apart + t.stages*g.kernel[2]*t.wide)

	// Clocks of a multiprocessor for sixteen channels of a slice: of tensor cores (2048
	// multiply-adds), of shared memory (128 bytes).
	one := max(float64(t.wide)/2, 16+float64(t.wide)/4)
	product := float64(taps*t.channels/16*t.threads()/128*t.slices) * one
	block := float64(t.chunks) * (product + 150*float64(taps/g.kernel[2])/float64(t.resident()) + float64(halo*t.channels*2)/40)
	if warps := t.resident() * t.threads() / 32; warps < 12 {
		block *= math.Sqrt(12 / float64(warps))
	}
	return blocks, block
}

// cells adds the kernel that lays out the weights of g.
func (s *scope) cells(g gemm, t groupTile) (place, error) {
	reversed, _ := s.dense(g)
	taps, co := g.kernel[0]*g.kernel[1]*g.kernel[2], s.channels(g.y)
	count := ceil(co, t.wide) * t.wide * t.chunks * t.channels * taps
	cells := s.partial(2 * int64(count))
	return cells, s.each("weight_cells", count, consts{
		"T": s.Type(g.w).DType, "REVERSED": reversed, "WROWS": g.wRows, "WCOLS": g.wCols, "W0": g.wFirst,
		"C1": s.channels(g.x), "C2": s.channels(g.x2), "CO": co, "TAPS": taps, "CHUNKS": t.chunks,
		"CHUNKS1": ceil(s.channels(g.x), t.channels), "BN": t.wide, "BK": t.channels,
	}, cells, s.value(g.w))
}

// multiplyGroups adds the kernels of g, cut so.
func (s *scope) multiplyGroups(g gemm, p layout) error {
	y, t, grid, pad := s.Type(g.y).Shape, p.groups, p.grid, g.pad
	for a := range 3 {
		if g.scatter { // taps from the other end
			pad[a] = g.kernel[a] - 1 - g.pad[a]
		}
	}
	parts := s.leaveMoments(g, p, t.size)
	moments := parts.In != nobody
	if p.splits > 1 {
		parts = s.sums(g, p)
	}
	cells, err := s.cells(g, t)
	if err != nil {
		return err
	}
	from, table, slope := s.source(g.x)
	from2, table2, slope2 := s.source(g.x2)
	c := merged(axes("", y), triple("P", pad[:]), triple("G", grid[:]), consts{
		"T": s.Type(g.y).DType, "HAS_B": g.b != 0, "MOMENTS": moments, "SPLITS": p.splits,
		"NORM": s.made[g.x] != nil, "NORM2": s.made[g.x2] != nil, "SLOPE": slope, "SLOPE2": slope2,
		"C1": s.channels(g.x), "C2": s.channels(g.x2), "CO": y[4],
		"KD": fixed(g.kernel[0]), "KH": fixed(g.kernel[1]), "KW": fixed(g.kernel[2]),
		"TD": fixed(t.size[0]), "TH": fixed(t.size[1]), "TW": fixed(t.size[2]), "BN": fixed(t.wide), "BK": fixed(t.channels),
		"STAGES": fixed(t.stages), "ABUFS": fixed(t.buffers), "MT": fixed(t.slices), "BLOCKS": fixed(t.resident()),
	})
	l := launch{
		Kernel: "conv3d_wgmma", Shared: uint32(t.shared), Block: [3]uint32{uint32(t.threads()), 1, 1},
		Grid: [3]uint32{uint32(y[0] * grid[0] * grid[1] * grid[2]), uint32(ceil(y[4], t.wide)), uint32(p.splits)},
	}
	if err := s.add(l, c, s.value(g.y), parts, from, cells, s.value(g.b), from2, table, table2); err != nil || p.splits == 1 {
		return err
	}
	return s.folded(g, p, parts)
}

// leaveMoments is memory for the moments of tiles of y, if the next node is its norm and
// a block makes all of a tile.
func (s *scope) leaveMoments(g gemm, p layout, tile [3]int) place {
	y := s.Type(g.y).Shape
	if g.scatter || p.splits > 1 || s.alone || !s.normed(g.y) {
		return place{}
	}
	parts := s.floats(4 * y[0] * y[4] * p.grid[0] * p.grid[1] * p.grid[2])
	s.kept = kept{g.y, s.at, tile, p.grid, parts}
	return parts
}
