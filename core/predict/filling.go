package predict

import (
	"slices"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
)

// The model of a device of many units, by which the rows of a run are chosen: a GPU's. A
// unit makes a part of a convolution at a time, and all parts that run at once take as
// long as one. Only their ratios count; they are near those of an H200, of which a
// multiprocessor has an 800 TFLOP/s' 132nd, in convolutions about half of that, and a
// 4.3 TB/s' 132nd of the memory.
const (
	partVoxels, partChannels = 128, 64 // of the result, that a unit makes at a time
	unitFLOPs                = 3e12    // a second
	unitBytes                = 32e9    // a second
	launchSeconds            = 2e-6    // of any node, however small
	worthwhile               = 0.05    // of the time of a row, that more rows must save
)

// filling is how many rows fill a device of so many units: the fewest, as a power of two,
// whose time each is within 5 % of the shortest. With a patch of 128³ the stages of 8³ and
// 4³ voxels leave most units idle; of a small patch all stages do.
func (p *Predictor) filling(units int) (int, error) {
	t, err := unet.NewTile(p.plan, p.config, unet.TileOptions{Volume: p.config.Patch, Rows: 1, Planes: p.config.Patch[0]})
	if err != nil {
		return 0, err
	}
	var times []float64 // of a row, with 1, 2, 4 … of them
	for rows := 1; rows <= mostRows; rows *= 2 {
		times = append(times, runSeconds(t.Graph, rows, units)/float64(rows))
	}
	shortest := slices.Min(times)
	for i, s := range times {
		if s <= shortest*(1+worthwhile) {
			return 1 << i, nil
		}
	}
	return mostRows, nil
}

// runSeconds is the time that the model has for a run of g, which is made for one row,
// with more of them.
func runSeconds(g *graph.Graph, rows, units int) float64 {
	all := 0.0
	for _, n := range g.Nodes {
		c := g.Cost(n)
		if c.FLOP == 0 {
			all += max(launchSeconds, float64(c.Bytes)*float64(rows)/unitBytes/float64(units))
			continue
		}
		y := g.Type(n.Out[0]).Shape
		voxels := y.Elems() / y[4]
		parts := ceil(rows*voxels, partVoxels) * ceil(y[4], partChannels)
		part := float64(c.FLOP) / float64(voxels*y[4]) * partVoxels * partChannels / unitFLOPs
		all += max(launchSeconds, part*float64(ceil(parts, units)))
	}
	return all
}

func ceil(n, by int) int { return (n + by - 1) / by }
