package augment

import (
	"math"
	"math/rand/v2"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// choices is what was chosen for a sample from transforms with a name of one choice.
type choices struct {
	r    *rand.Rand
	made map[string]int // which of them, in order
}

// is says whether transform i of ts, which has a Choice, is the chosen one.
func (c *choices) is(ts []plan.Transform, i int) bool {
	place, all := 0, 0
	for j, t := range ts {
		if t.Choice == ts[i].Choice {
			all++
			if j < i {
				place++
			}
		}
	}
	if c.made == nil {
		c.made = map[string]int{}
	}
	if _, ok := c.made[ts[i].Choice]; !ok {
		c.made[ts[i].Choice] = c.r.IntN(all)
	}
	return c.made[ts[i].Choice] == place
}

// turned is the map of a quarter turn or a transposition: voxel o of the result, counted from
// the centre, is voxel m·o of what is turned.
func turned(t plan.Transform, r *rand.Rand) (m [3][3]float64) {
	var axes []int
	for a, ok := range t.Axes {
		if ok {
			axes = append(axes, a)
		}
	}
	order := r.Perm(len(axes))
	turns := r.IntN(4)
	m = [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	switch {
	case t.Op == plan.Transposition:
		to := [3]int{0, 1, 2}
		for i, a := range axes {
			to[a] = axes[order[i]]
		}
		return transposed(to)
	case len(axes) > 1:
		i, j := axes[order[0]], axes[order[1]]
		return quarters(min(i, j), max(i, j), turns)
	}
	return m
}

// transposed is torch.permute: axis a of the result is axis order[a] of what is turned.
func transposed(order [3]int) (m [3][3]float64) {
	for a, from := range order {
		m[from][a] = 1
	}
	return m
}

// quarters is k times torch.rot90 in the plane of axes i < j: out[a, b] = in[b, n−1−a].
func quarters(i, j, k int) (m [3][3]float64) {
	m = [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	one := m
	one[i][i], one[j][j] = 0, 0
	one[i][j], one[j][i] = 1, -1
	for range k {
		m = multiply(m, one)
	}
	return m
}

// rows draws a row of ctl for each channel; one of zeros leaves a channel alone.
func (b Batch) rows(dst []float32, t plan.Transform, fires bool, channels []bool, r *rand.Rand) {
	n := len(dst) / len(channels)
	for c, chosen := range channels {
		row := dst[c*n:][:n]
		clear(row)
		switch {
		case !fires || !chosen:
		case t.Op == plan.BlankBoxes:
			b.boxes(row, t, r)
		default:
			strength := parameter(t, r)
			var place, scale [3]float64
			for a := range 3 {
				place[a], scale[a] = b.bell(a, t, r)
			}
			Bell(row, b.Patch, strength, place, scale)
		}
	}
}

// boxes draws a row of Blank. Source: batchgeneratorsv2's BlankRectangleTransform.
func (b Batch) boxes(row []float32, t plan.Transform, r *rand.Rand) {
	count := t.Ranges["count"]
	for i := range int(count[0]) + r.IntN(int(count[1]-count[0])+1) {
		box := row[i*graph.BoxLen:]
		for a, n := range b.Patch {
			least, most := t.Edges(n)
			edge := least + r.IntN(most-least+1)
			box[graph.BoxFirst+a] = float32(r.IntN(n - edge + 1))
			box[graph.BoxSize+a] = float32(edge)
		}
	}
}

// bell draws where the centre of a bell lies on axis a, from the middle of the first voxel, and
// its deviation, both in voxels.
func (b Batch) bell(a int, t plan.Transform, r *rand.Rand) (place, scale float64) {
	n := float64(b.Patch[a])
	share := t.Ranges["scale"]
	low := math.Log(max(1, math.Floor(n*share[0]+1e-9)))
	high := math.Log(max(1, n*share[1]))
	return uniform(t.Ranges["place"], r) * n, math.Exp(uniform(plan.Range{low, high}, r))
}

// Bell fills a row of the op Local: the share of a voxel is the part of a normal distribution
// about place with the deviation scale, both in voxels from the middle of the first one, that
// falls on it, brought to [0, 1]; nowhere if that is nothing. Source: batchgeneratorsv2's
// LocalTransform.
func Bell(row []float32, patch [3]int, strength float64, place, scale [3]float64) {
	least, f := 1.0, row[graph.LocalFactors:]
	for a, n := range patch {
		part := make([]float64, n)
		low, high := math.Inf(1), 0.0
		for i := range part {
			part[i] = within(float64(i), place[a], scale[a])
			low, high = min(low, part[i]), max(high, part[i])
		}
		if high == 0 {
			clear(row)
			return
		}
		for i := range part {
			f[i] = float32(part[i] / high)
		}
		least *= low / high
		f = f[n:]
	}
	row[graph.LocalStrength], row[graph.LocalFrom] = float32(strength), float32(least)
	row[graph.LocalScale] = 0
	if least < 1 {
		row[graph.LocalScale] = float32(1 / (1 - least))
	}
}

// within is the share of a normal distribution on [i, i+1] − ½, by the tails, so that it
// has all digits far from the middle.
func within(i, place, scale float64) float64 {
	from, to := (i-0.5-place)/scale, (i+0.5-place)/scale
	if from > 0 {
		from, to = -to, -from
	}
	return (math.Erfc(-to/math.Sqrt2) - math.Erfc(-from/math.Sqrt2)) / 2
}
