package predict

import (
	"context"
	"fmt"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/core/volume"
)

// weights are those of one fold at a time on the device, for the programs of all
// shapes. The session that owns them is that of a tile as small as the network
// allows, and never runs.
type weights struct {
	session *backend.Session
	params  []graph.Value
	folds   []map[string][]float32 // in the order of the graph
	now     int                    // fold on the device
}

func newWeights(p *Predictor) (*weights, error) {
	c := *p.config
	c.Patch = c.Network.Divisor()
	t, err := unet.NewTile(p.plan, &c, unet.TileOptions{Volume: [3]int{1, 1, 1}, Rows: 1, Planes: 1})
	if err != nil {
		return nil, err
	}
	l := p.o.Device.Limits()
	code, err := compile.Compile(t.Graph, compile.Options{Storage: p.o.Storage, BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes, InPlace: l.InPlace})
	if err != nil {
		return nil, err
	}
	w := &weights{params: t.Params, now: -1}
	for _, f := range p.Model.Folds {
		byName, err := ordered(code, t.Params, f)
		if err != nil {
			return nil, err
		}
		w.folds = append(w.folds, byName)
	}
	if w.session, err = backend.NewSession(p.o.Device, code, nil); err != nil {
		return nil, err
	}
	if err := w.load(context.Background(), 0); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// ordered brings the weights of a fold into the order of the graph's parameters.
func ordered(code *compile.Program, params []graph.Value, f checkpoint.Fold) (map[string][]float32, error) {
	byName := map[string][]float32{}
	for _, v := range params {
		name := code.Info(v).Name
		t, ok := f.Weights[name]
		if !ok {
			return nil, fmt.Errorf("fold %s has no parameter %s: the weights are not those of this plan", f.Name, name)
		}
		data, shape, err := checkpoint.ToGraph(name, t)
		if err != nil {
			return nil, fmt.Errorf("fold %s: %w", f.Name, err)
		}
		if want := code.Type(v).Shape; graph.Shape(shape).String() != want.String() {
			return nil, fmt.Errorf("fold %s: parameter %s has shape %v, wanted %v", f.Name, name, graph.Shape(shape), want)
		}
		byName[name] = data
	}
	return byName, nil
}

// load makes fold f the one on the device.
func (w *weights) load(ctx context.Context, f int) error {
	if w.now == f {
		return nil
	}
	w.now = -1
	for _, v := range w.params {
		if err := w.session.WriteWeight(ctx, v, w.folds[f][w.session.Program.Info(v).Name]); err != nil {
			return err
		}
	}
	w.now = f
	if len(w.folds) == 1 {
		w.folds[0] = nil // the device has them
	}
	return nil
}

func (w *weights) close() { w.session.Close() }

// engine is the programs for one shape on the device, ready for a volume.
type engine struct {
	*programs
	tiler   *backend.Session
	labeler *backend.Session
	used    bool // sums of a volume are, or may be, in the accumulator
}

// Shapes that are kept ready, because series of one scanner come with the same
// few: so many, and in so small a share of the memory.
const (
	mostEngines = 3
	engineShare = 4 // a quarter
)

// engine returns that of a case's shape, made anew if it is not one of the last
// few.
func (p *Predictor) engine(place volume.Placement) (*engine, error) {
	s := shapeOf(place)
	for i, e := range p.engines {
		if e.shape == s {
			p.engines = append(append(p.engines[:i:i], p.engines[i+1:]...), e)
			return e, nil
		}
	}
	var e *engine
	_, err := p.choose(s, func(pr *programs) (err error) {
		p.makeRoom(pr)
		e, err = p.newEngine(pr)
		if err != nil && (len(p.engines) > 0 || p.canvas != nil) { // the device has less than it says
			p.closeEngines()
			e, err = p.newEngine(pr)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	p.engines = append(p.engines, e)
	return e, nil
}

func (p *Predictor) newEngine(pr *programs) (*engine, error) {
	e := &engine{programs: pr}
	var err error
	if e.tiler, err = backend.NewSession(p.o.Device, pr.tileCode, p.weights.session, graph.Weights, graph.Half); err != nil {
		return nil, err
	}
	if e.labeler, err = backend.NewSession(p.o.Device, pr.labelCode, e.tiler, graph.Data); err != nil {
		e.close()
		return nil, err
	}
	if err := e.tiler.WriteF32(context.Background(), pr.tile.Blend, p.blend); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (p *Predictor) closeEngines() {
	p.closeCanvas()
	p.closeShapes()
}

func (p *Predictor) closeShapes() {
	for _, e := range p.engines {
		e.close()
	}
	p.engines = nil
}

// makeRoom closes the canvas and engines until there are few, and they and the next one
// take little. Where memory is not known, none is kept.
func (p *Predictor) makeRoom(next *programs) {
	own := func(pr *programs) int64 { return ownBytes(pr.memory().Bytes) }
	need := next.memory().Total()
	for _, e := range p.engines {
		need += own(e.programs)
	}
	most := p.budget() / engineShare
	if p.canvas != nil {
		if need += ownBytes(p.canvas.total()); need > most {
			need -= ownBytes(p.canvas.total())
			p.closeCanvas()
		}
	}
	for len(p.engines) > 0 && (len(p.engines) >= mostEngines || need > most) {
		need -= own(p.engines[0].programs)
		p.engines[0].close()
		p.engines = p.engines[1:]
	}
}

func (e *engine) close() {
	if e.labeler != nil {
		e.labeler.Close()
	}
	if e.tiler != nil {
		e.tiler.Close()
	}
}
