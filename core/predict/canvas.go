package predict

import (
	"context"
	"errors"
	"fmt"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/core/volume"
)

// canvas is a batch on the device: the volumes of several cases one behind the other, each
// as large as the patch, and for each case the sums of its logits and its labels.
type canvas struct {
	*batchPrograms
	session *backend.Session
	image   []float32 // of a case, padded to the patch
	owns    []*own    // of each case
}

// own is what one case has of its own on the device.
type own struct {
	*ownProgram
	session *backend.Session
	used    bool // sums of a volume are, or may be, in the accumulator
}

// batchCode is the program that all cases share. It depends on nothing but their number.
type batchCode struct {
	batch *unet.Batch
	code  *compile.Program
	sizes unet.BatchOptions
}

// ownProgram is that of one shape of a case, in a batch of a size.
type ownProgram struct {
	shape
	program *unet.BatchCase
	code    *compile.Program
}

// batchPrograms are what a batch is compiled to.
type batchPrograms struct {
	*batchCode
	cases []*ownProgram // those of one shape are the same
}

// total is what the programs take on the device.
func (pr *batchPrograms) total() (bytes [graph.Regions]int64) {
	for r := range graph.Region(graph.Regions) {
		bytes[r] = pr.code.Bytes(r)
		for _, one := range pr.cases {
			if r != graph.Data { // shared
				bytes[r] += one.code.Bytes(r)
			}
		}
	}
	return bytes
}

// memory is what all take on the device, as a case that is placed so states it.
func (pr *batchPrograms) memory(p *Predictor, at volume.Placement) Memory {
	return Memory{
		Bytes: pr.total(), Tiles: 1, Runs: len(p.Model.Folds), Rows: pr.sizes.Rows,
		Planes: at.Shape[0], Depth: at.Shape[0], Host: hostBytes(at, p.plan.InputChannels(p.config)),
	}
}

// batchPrograms compiles what cases that are placed so share, and what each has of its own;
// an error if they do not fit the device.
func (p *Predictor) batchPrograms(places []volume.Placement) (*batchPrograms, error) {
	if len(places) == 0 {
		return nil, errors.New("no cases")
	}
	pr, byShape := &batchPrograms{}, map[shape]*ownProgram{}
	var err error
	if pr.batchCode, err = p.batchCode(len(places)); err != nil {
		return nil, err
	}
	for i, at := range places {
		if !Small(p.config, at) {
			return nil, fmt.Errorf("case %d of %d×%d×%d voxels is no single tile whose labels the device makes: segment it alone", i+1, at.Shape[0], at.Shape[1], at.Shape[2])
		}
		s := shapeOf(at)
		if byShape[s] == nil {
			if byShape[s], err = p.ownProgram(pr.sizes, s); err != nil {
				return nil, err
			}
		}
		pr.cases = append(pr.cases, byShape[s])
	}
	need, most := pr.memory(p, places[0]).Total(), p.budget()
	if most > 0 && need > most {
		return nil, &MemoryError{need, most, fmt.Sprintf("%d cases of a tile each need %s on %s; allowed are %d MiB: segment fewer together",
			len(places), mib(need), p.o.Device.Name(), most>>20)}
	}
	return pr, nil
}

// batchCode makes the program that n cases share, or has it.
func (p *Predictor) batchCode(n int) (*batchCode, error) {
	if c := p.batches[n]; c != nil {
		return c, nil
	}
	c := &batchCode{sizes: unet.BatchOptions{Cases: n, Rows: n * len(p.mirrors)}}
	var err error
	if c.batch, err = unet.NewBatch(p.plan, p.config, c.sizes); err != nil {
		return nil, err
	}
	if c.code, err = compile.Compile(c.batch.Graph, p.batchCompile()); err != nil {
		return nil, err
	}
	if p.batches == nil {
		p.batches = map[int]*batchCode{}
	}
	p.batches[n] = c
	return c, nil
}

func (p *Predictor) ownProgram(of unet.BatchOptions, s shape) (*ownProgram, error) {
	o := &ownProgram{shape: s}
	var err error
	if o.program, err = unet.NewBatchCase(p.plan, p.config, of, unet.LabelOptions{Volume: s.volume, Out: s.out, Nearest: s.nearest}); err != nil {
		return nil, err
	}
	o.code, err = compile.Compile(o.program.Graph, p.batchCompile())
	return o, err
}

func (p *Predictor) batchCompile() compile.Options {
	l := p.o.Device.Limits()
	return compile.Options{Storage: p.o.Storage, BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes, InPlace: l.InPlace}
}

// canvasFor puts programs on the device. What the batch before has that is the same is
// kept; shapes of scans alone are, where there is room for both.
func (p *Predictor) canvasFor(pr *batchPrograms) (*canvas, error) {
	if p.canvas != nil && p.canvas.batchCode != pr.batchCode {
		p.closeCanvas()
	}
	used := ownBytes(pr.total())
	for _, e := range p.engines {
		used += ownBytes(e.memory().Bytes)
	}
	if used > p.budget()/engineShare {
		p.closeShapes()
	}
	err := p.fill(pr)
	if err != nil { // the device has less than it says
		p.closeEngines()
		err = p.fill(pr)
	}
	if err != nil {
		p.closeCanvas()
		return nil, err
	}
	return p.canvas, nil
}

// fill makes the canvas that of pr.
func (p *Predictor) fill(pr *batchPrograms) (err error) {
	c := p.canvas
	if c == nil {
		c = &canvas{}
		p.canvas = c
		if c.session, err = backend.NewSession(p.o.Device, pr.code, p.weights.session, graph.Weights, graph.Half); err != nil {
			p.canvas = nil
			return err
		}
		if err := c.start(pr.batchCode, p); err != nil {
			return err
		}
	}
	c.batchPrograms = pr
	before := c.owns
	c.owns = make([]*own, len(pr.cases))
	for i, one := range pr.cases {
		for j, o := range before {
			if o != nil && o.shape == one.shape {
				c.owns[i], before[j] = o, nil
				break
			}
		}
	}
	closeOwns(before)
	for i, one := range pr.cases {
		if c.owns[i] != nil {
			continue
		}
		s, err := backend.NewSession(p.o.Device, one.code, c.session, graph.Data)
		if err != nil {
			return err
		}
		c.owns[i] = &own{ownProgram: one, session: s}
	}
	return nil
}

// start writes what stays the same in all batches: the weights of a tile's voxels, and
// where the tiles lie.
func (c *canvas) start(code *batchCode, p *Predictor) error {
	patch := p.config.Patch
	c.image = make([]float32, patch[0]*patch[1]*patch[2]*p.plan.InputChannels(p.config))
	if err := c.session.WriteF32(context.Background(), code.batch.Blend, p.blend); err != nil {
		return err
	}
	ctl := make([]float32, graph.CtlRows+code.sizes.Rows*graph.RowLen)
	for r := range code.sizes.Rows {
		row := ctl[graph.CtlRows+r*graph.RowLen:]
		row[graph.RowLoad] = float32(r / len(p.mirrors) * patch[0])
		row[graph.RowMirror] = float32(p.mirrors[r%len(p.mirrors)])
		row[graph.RowWeight] = 1
	}
	return c.session.WriteF32(context.Background(), code.batch.Ctl, ctl)
}

func (p *Predictor) closeCanvas() {
	if p.canvas == nil {
		return
	}
	closeOwns(p.canvas.owns)
	p.canvas.session.Close()
	p.canvas = nil
}

func closeOwns(list []*own) {
	for _, o := range list {
		if o != nil {
			o.session.Close()
		}
	}
}

// ownBytes are those beside the weights, which all programs share.
func ownBytes(bytes [graph.Regions]int64) (n int64) {
	for r, b := range bytes {
		if r := graph.Region(r); r != graph.Weights && r != graph.Half {
			n += b
		}
	}
	return n
}
