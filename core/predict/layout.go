package predict

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/core/volume"
)

// shape is all that the programs for a scan depend on.
type shape struct {
	volume  [3]int  // of the preprocessed scan
	out     [3]int  // of the cropped scan
	nearest [3]bool // axes along which logits are not interpolated
}

func shapeOf(p volume.Placement) shape {
	s := shape{volume: p.Shape, out: p.Cropped}
	if axis, ok := volume.SeparateAxis(p.Spacing, p.CropSpacing); ok {
		s.nearest[axis] = true
	}
	return s
}

// layout is how a shape is worked off.
type layout struct {
	shape
	rows    int // in one run
	chunk   int // rows that all folds add before the next chunk begins
	planes  int // of the accumulator and of the volume on the device
	outRows int // planes of out decided in one run
}

// slabs says whether the accumulator is smaller than the volume.
func (l *layout) slabs() bool { return l.planes < l.volume[0] }

// Memory is what a prediction takes on the device.
type Memory struct {
	Bytes  [graph.Regions]int64 // by graph.Region
	Tiles  int                  // places of the patch in the volume
	Steps  int                  // tiles, mirrored ones and folds counted each: Progress.Total
	Runs   int                  // of the device, for all tiles, mirrors and folds
	Rows   int                  // tiles, mirrored ones counted each, in one run
	Planes int                  // of the accumulator and of the volume on the device
	Depth  int                  // planes of the volume; more than Planes: it is worked off in slabs
	Host   int64                // bytes beside the device: the scan as it was read, cropped and resampled, and labels
	State  int64                // bytes of a State, which Save gets beside that
	Unsure int64                // bytes that Uncertainty takes beside that
	Logits bool                 // labels are made of logits on the host: where planes wander, a State has none of them
}

// Total is the sum over the regions.
func (m Memory) Total() (n int64) {
	for _, b := range m.Bytes {
		n += b
	}
	return n
}

// Plan says what the prediction of a scan on grid g will take, if none of it can
// be cropped. A scan that does not fit is an error with the numbers.
func (p *Predictor) Plan(g volume.Grid) (Memory, error) {
	place, err := p.preprocess.Whole(g)
	if err != nil {
		return Memory{}, fmt.Errorf("predict: %w", err)
	}
	pr, err := p.choose(shapeOf(place), func(*programs) error { return nil })
	if err != nil {
		return Memory{}, fmt.Errorf("predict: %w", err)
	}
	return p.memory(pr, place), nil
}

// memory is what programs take, and the host for a scan that is placed so.
func (p *Predictor) memory(pr *programs, at volume.Placement) Memory {
	m := pr.memory()
	m.Steps = m.Tiles * len(p.mirrors) * len(p.Model.Folds)
	m.Host = hostBytes(at, p.plan.InputChannels(p.config))
	m.Unsure = unsureBytes(&pr.layout, p.plan.Classes(), at)
	if p.cubic(at) {
		m.Logits = true
		m.Host += cubicBytes(&pr.layout, p.plan.Classes(), at)
	}
	m.State = 4*int64(pr.planes*pr.volume[1]*pr.volume[2])*int64(p.plan.Classes()+1) + int64(pr.out[0]*pr.out[1]*pr.out[2])
	return m
}

// unsureBytes are those of the logits, of the sums that they are made of, and of two
// maps.
func unsureBytes(l *layout, k int, at volume.Placement) int64 {
	plane := 4 * int64(l.volume[1]*l.volume[2])
	sums := plane * int64(l.planes)
	if l.slabs() {
		sums *= int64(k + 1)
	}
	return plane*int64(l.volume[0]*k) + sums + 2*int64(at.BeforeCrop[0]*at.BeforeCrop[1]*at.BeforeCrop[2])
}

// cubicBytes are those of the logits, of the sums that they are made of, and of a class at
// both sizes, twice.
func cubicBytes(l *layout, k int, at volume.Placement) int64 {
	count := func(shape [3]int) int64 { return 4 * int64(shape[0]) * int64(shape[1]) * int64(shape[2]) }
	return unsureBytes(l, k, at) + 2*(count(at.Shape)+count(at.Cropped))
}

// hostBytes are those of f32 images of c channels and two label maps.
func hostBytes(at volume.Placement, c int) int64 {
	count := func(shape [3]int) int64 { return int64(shape[0]) * int64(shape[1]) * int64(shape[2]) }
	return 4*int64(c)*(count(at.BeforeCrop)+count(at.Cropped)+count(at.Shape)) + 2*count(at.BeforeCrop)
}

// MemoryError says that a volume does not fit the memory that may be taken.
type MemoryError struct {
	Need, Have int64 // bytes
	Text       string
}

func (e *MemoryError) Error() string { return e.Text }

// programs are what a layout is compiled to.
type programs struct {
	layout
	tiles     [][3]int
	tile      *unet.Tile
	decide    *unet.Decide
	tileCode  *compile.Program
	labelCode *compile.Program
	runs      int
}

func (pr *programs) memory() Memory {
	m := Memory{Tiles: len(pr.tiles), Runs: pr.runs, Rows: pr.rows, Planes: pr.planes, Depth: pr.volume[0]}
	for r := range graph.Region(graph.Regions) {
		m.Bytes[r] = pr.tileCode.Bytes(r)
		if r != graph.Data { // shared
			m.Bytes[r] += pr.labelCode.Bytes(r)
		}
	}
	return m
}

// choose compiles the first layout that fits and that use, which may ask for the
// memory, accepts: as many rows as go well together, the whole volume at once.
func (p *Predictor) choose(s shape, use func(*programs) error) (*programs, error) {
	tiles, err := tilesOf(s.volume, p.config.Patch, p.inference.Step)
	if err != nil {
		return nil, err
	}
	var last error
	first, err := p.rows(len(tiles) * len(p.mirrors))
	if err != nil {
		return nil, err
	}
	for rows := first; rows > 0; rows /= 2 {
		l := layout{shape: s, rows: rows, chunk: p.chunk(rows)}
		ring := p.ring(l, tiles)
		for _, l.planes = range []int{s.volume[0], ring} {
			pr, err := p.compile(l, tiles)
			if err == nil {
				err = use(pr)
			}
			if err == nil || errors.Is(err, backend.ErrLost) {
				return pr, err
			}
			last = err
			if ring == s.volume[0] {
				break
			}
		}
		if p.o.Rows > 0 {
			break
		}
	}
	return nil, last
}

const (
	// mostVoxels of all rows of a run on a device of few units: few enough for the caches
	// of a CPU (with 8 tiles of 40×56×40 a run instead of 2 it makes half as many in a
	// second).
	mostVoxels = 64 * 64 * 64
	mostRows   = 32
	// foldRows is how many rows are worth the change of the weights to those of
	// another fold. It does not depend on memory, because the order of the sums
	// does on it.
	foldRows = 32
	// labelBytes are decided in one run.
	labelBytes = 8 << 20
)

// rows is how many of n go into one run: a power of two that leaves at most an
// eighth of the work to empty rows.
func (p *Predictor) rows(n int) (int, error) {
	if p.o.Rows > 0 {
		return min(p.o.Rows, n), nil
	}
	patch := p.config.Patch[0] * p.config.Patch[1] * p.config.Patch[2]
	most := min(mostRows, max(1, mostVoxels/patch))
	if units := p.o.Device.Limits().Units; units > 0 {
		var err error
		if most, err = p.filling(units); err != nil {
			return 0, err
		}
	}
	rows := 1 << (bits.Len(uint(most)) - 1)
	for rows > 1 && ((n+rows-1)/rows*rows-n)*8 > n {
		rows /= 2
	}
	return rows, nil
}

// chunk is how many rows one fold adds before the next one does.
func (p *Predictor) chunk(rows int) int {
	if len(p.Model.Folds) == 1 {
		return rows
	}
	return (foldRows + rows - 1) / rows * rows
}

// ring is the smallest number of planes through which the chunks of l can
// wander: those that the tiles of one chunk touch, and the planes before them
// that are still needed to interpolate.
func (p *Predictor) ring(l layout, tiles [][3]int) int {
	const before = 2 // neighbours of a position between voxels, one of them for a position that is rounded down
	depth, m, most := l.volume[0], len(p.mirrors), 0
	for first := 0; first < len(tiles)*m; first += l.chunk {
		last := min(first+l.chunk, len(tiles)*m) - 1
		from, to := tiles[first/m][0], tiles[last/m][0]+p.config.Patch[0]
		most = max(most, min(to, depth)-max(from-before, 0))
	}
	return min(most, depth)
}

// compile makes the programs of l, or an error if they do not fit the device.
func (p *Predictor) compile(l layout, tiles [][3]int) (*programs, error) {
	limits := p.o.Device.Limits()
	plane := l.out[1] * l.out[2]
	l.outRows = min(max(labelBytes/plane, 1), l.out[0])
	if l.slabs() {
		l.outRows = min(l.outRows, l.planes*l.out[0]/l.volume[0]+1)
	}
	pr := &programs{layout: l, tiles: tiles}
	rows := len(tiles) * len(p.mirrors)
	for first := 0; first < rows; first += l.chunk {
		pr.runs += (min(l.chunk, rows-first) + l.rows - 1) / l.rows * len(p.Model.Folds)
	}
	var err error
	if pr.tile, err = unet.NewTile(p.plan, p.config, unet.TileOptions{Volume: l.volume, Rows: l.rows, Planes: l.planes}); err != nil {
		return nil, err
	}
	o := unet.LabelOptions{Volume: l.volume, Planes: l.planes, Out: l.out, OutRows: l.outRows, Nearest: l.nearest}
	if pr.decide, err = unet.NewDecide(p.plan, p.config, o); err != nil {
		return nil, err
	}
	o2 := compile.Options{Storage: p.o.Storage, BufferBytes: limits.BufferBytes, ValueBytes: limits.ValueBytes, InPlace: limits.InPlace}
	if pr.tileCode, err = compile.Compile(pr.tile.Graph, o2); err != nil {
		return nil, err
	}
	if pr.labelCode, err = compile.Compile(pr.decide.Graph, o2); err != nil {
		return nil, err
	}
	return pr, p.fits(pr)
}

// budget is how many bytes may be taken; 0: any number.
func (p *Predictor) budget() int64 {
	if p.o.MemoryBytes > 0 {
		return p.o.MemoryBytes
	}
	return p.o.Device.Limits().TotalBytes
}

func (p *Predictor) fits(pr *programs) error {
	m, most := pr.memory(), p.budget()
	if most == 0 || m.Total() <= most {
		return nil
	}
	v := pr.volume
	return &MemoryError{m.Total(), most, fmt.Sprintf("a volume of %d×%d×%d voxels needs %s on %s, of which are: volume and sums of %d planes %s, activations at %d a run %s, weights %s; allowed are %d MiB: "+
		"use 16-bit storage, a model with a smaller patch, or a device with more memory",
		v[0], v[1], v[2], mib(m.Total()), p.o.Device.Name(), pr.planes, mib(m.Bytes[graph.Data]), pr.rows, mib(m.Bytes[graph.Scratch]),
		mib(m.Bytes[graph.Weights]+m.Bytes[graph.Half]), most>>20)}
}

// mib is n bytes, rounded up.
func mib(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }
