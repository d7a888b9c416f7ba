package cuda

import "math"

// outerGroup is how conv3d_grad_weight_wgmma is cut.
type outerGroup struct {
	size, grid    [3]int // voxels of a tile, and tiles
	tiles, shared int    // of all samples; bytes
	work          float64
}

// outerSizes are the tiles to choose from. Rows come in pairs of a multiple of eight voxels.
var outerSizes = [][3]int{{2, 8, 8}, {1, 16, 8}, {1, 8, 16}, {1, 8, 8}, {4, 4, 8}, {2, 4, 8}}

// rateOfGroups is how much more wgmma multiplies in a clock than mma.sync.
const rateOfGroups = 1.5

// outerGrouped cuts o for conv3d_grad_weight_wgmma; ok is false if that does not make it. It may
// not be sooner done, as work beyond the channels and the grid takes as long.
func (s *scope) outerGrouped(o outer) (best outerGroup, sooner, ok bool) {
	t := s.Type(o.dense)
	if s.Arch != 90 || s.Groups == never || o.turned || t.DType.Size() != 2 || o.stride != [3]int{1, 1, 1} ||
		o.kernel[1] > 3 || o.kernel[2] > 3 || s.channels(o.reached)%8 != 0 || t.Shape[4]%8 != 0 {
		return best, false, false
	}
	best.work = math.Inf(1)
	for _, size := range outerSizes {
		g := outerGroup{size: size, tiles: t.Shape[0]}
		cells, voxels := size[0], 1
		for a := range 3 {
			g.grid[a] = ceil(t.Shape[a+1], size[a])
			g.tiles *= g.grid[a]
			voxels *= size[a]
			if a > 0 {
				cells *= size[a] + o.kernel[a] - 1
			}
		}
		g.shared = 2 * 8 * (cells + (9-cells%8)%8 + voxels + 1) * 16
		// Products, which are as many for each voxel of a tile, and what is copied for them.
		g.work = float64(g.tiles) * (float64(voxels*o.kernel[1]*o.kernel[2])*2 + float64(cells+voxels)*128/40)
		if g.shared <= hopperBlock && g.work < best.work {
			best = g
		}
	}
	v, done := best.size, float64(best.tiles*ceil(s.channels(o.reached), 64)*ceil(t.Shape[4], 64)*64*64)
	wanted := float64(t.Shape.Elems() * s.channels(o.reached))
	return best, done*float64(v[0]*v[1]*v[2]) < rateOfGroups*wanted, true
}

// outerSplitsOf is how many parts of a gradient keep the device busy.
func (s *scope) outerSplitsOf(o outer) int {
	if !o.groups {
		return s.outerSplits(o)
	}
	g, _, _ := s.outerGrouped(o)
	blocks := ceil(s.channels(o.reached), 64) * ceil(s.channels(o.dense), 64) * o.kernel[0]
	return max(1, min(g.tiles, o.times*max(s.SMs, 1)/blocks))
}

// outerByGroups adds the kernel of o, cut so.
func (s *scope) outerByGroups(o outer, g outerGroup, parts place, splits int) error {
	x, dy := s.Type(o.reached).Shape, s.Type(o.dense).Shape
	from, table, slope := s.source(o.reached)
	c := merged(axes("", dy), triple("P", o.pad[:]), triple("G", g.grid[:]), consts{
		"T": s.Type(o.dense).DType, "NORM": s.made[o.reached] != nil, "SLOPE": slope,
		"CA": x[4], "CB": dy[4], "CI": o.ci, "CO": o.co, "C0": o.c0, "SPLITS": splits, "TILES": g.tiles,
		"KD": fixed(o.kernel[0]), "KH": fixed(o.kernel[1]), "KW": fixed(o.kernel[2]),
		"TD": fixed(g.size[0]), "TH": fixed(g.size[1]), "TW": fixed(g.size[2]),
	})
	l := launch{
		Kernel: "conv3d_grad_weight_wgmma", Shared: uint32(g.shared), Block: [3]uint32{uint32(128 * o.kernel[1]), 1, 1},
		Grid: [3]uint32{uint32(ceil(x[4], 64) * ceil(dy[4], 64)), uint32(splits), uint32(o.kernel[0])},
	}
	return s.add(l, c, parts, s.value(o.dense), from, table)
}

// outerGroupLoads is how often the kernel of o, cut so, loads an element of x.
func (s *scope) outerGroupLoads(o outer, g outerGroup) float64 {
	times := float64(o.kernel[0] * ceil(s.channels(o.dense), 64))
	for a := range 3 {
		reach := g.size[a]
		if a > 0 {
			reach += o.kernel[a] - 1
		}
		times *= float64(g.grid[a]*reach) / float64(s.Type(o.reached).Shape[a+1])
	}
	return times
}
