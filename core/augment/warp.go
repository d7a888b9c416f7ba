package augment

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// WarpPrevious does to the labels [d h w] of a cascade's previous stage, in a crop of
// the source's shape, what the op Warp does to those of the target: row is the sample's
// row of ctl, field [D H W 3] what an elastic recipe has drawn, or nil. The patch is
// written to dst [D H W].
func (b Batch) WarpPrevious(dst, labels []uint8, row, field []float32) {
	i := 0
	for d := range b.Patch[0] {
		for h := range b.Patch[1] {
			for w := range b.Patch[2] {
				o := [3]float64{centred(d, b.Patch[0]), centred(h, b.Patch[1]), centred(w, b.Patch[2])}
				for a := range o {
					if field != nil {
						o[a] += float64(field[3*i+a])
					}
				}
				var p [3]float64
				for a := range p {
					m := row[graph.RowAffine+3*a:]
					p[a] = float64(m[0])*o[0] + float64(m[1])*o[1] + float64(m[2])*o[2] + float64(row[graph.RowOffset+a])
				}
				dst[i] = b.labelAt(labels, p)
				i++
			}
		}
	}
}

// centred is voxel i, counted from the centre of an axis of n.
func centred(i, n int) float64 { return float64(i) - float64(n-1)/2 }

// labelAt is the label with the largest linear weight around p, of equals Unseen, else
// the smallest; of a recipe with another interpolation, that of the voxel next to p.
func (b Batch) labelAt(labels []uint8, p [3]float64) uint8 {
	if b.Recipe.Interpolation != "" {
		return b.nearest(labels, p)
	}
	var low [3]int
	var f [3]float64
	for a, x := range p {
		if x <= -1 || x >= float64(b.Source[a]) {
			return graph.Unseen
		}
		floor := math.Floor(x)
		low[a], f[a] = int(floor), x-floor
	}
	var around [8]uint8
	same := true
	for k := range around {
		at, in := 0, true
		for a := range 3 {
			i := low[a] + k>>(2-a)&1
			in = in && i >= 0 && i < b.Source[a]
			at = at*b.Source[a] + i
		}
		around[k] = graph.Unseen
		if in {
			around[k] = labels[at]
		}
		same = same && around[k] == around[0]
	}
	if same {
		return around[0]
	}
	best, most := uint8(0), -1.0
	for _, l := range around {
		sum := 0.0
		for k, other := range around {
			if other == l {
				sum += share(f[0], k>>2) * share(f[1], k>>1&1) * share(f[2], k&1)
			}
		}
		if sum > most || sum == most && l+1 < best+1 { // 255 + 1 is 0
			best, most = l, sum
		}
	}
	return best
}

// nearest is the label of the voxel next to p.
func (b Batch) nearest(labels []uint8, p [3]float64) uint8 {
	at := 0
	for a, x := range p {
		i := int(math.Floor(x + 0.5))
		if i < 0 || i >= b.Source[a] {
			return graph.Unseen
		}
		at = at*b.Source[a] + i
	}
	return labels[at]
}

// share is the weight of the lower or the upper of two voxels.
func share(f float64, upper int) float64 {
	if upper == 1 {
		return f
	}
	return 1 - f
}
