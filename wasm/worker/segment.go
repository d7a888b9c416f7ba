package worker

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

// segment labels the scan.
func (w *Worker) segment(j *job) (*api.Done, [][]byte, error) {
	if w.model == nil || w.scan == nil {
		return nil, nil, fail(api.FailedRequest, errors.New("there is no model, or no scan: load one and open one first"))
	}
	begun := time.Now()
	done := &api.Done{Grid: gridOf(w.scan.Grid)}
	w.seen = nil // the memory is wanted
	dev, why, err := w.choose(j.Segment.Device)
	if err != nil {
		return nil, nil, err
	}
	p, err := w.predictor(dev, j.Segment)
	if err != nil {
		return nil, nil, err
	}
	done.Device, done.Times.ModelMS = dev.describe(why), since(begun)
	saves, err := w.fits(p, j.Segment)
	if err != nil {
		return nil, nil, err
	}
	o, err := w.options(j, saves)
	if err != nil {
		return nil, nil, err
	}
	pre, err := w.preprocessed(j, p, &done.Times)
	if err != nil {
		return nil, nil, err
	}
	at := time.Now()
	r, err := p.Case(j.ctx, pre, o)
	if err != nil {
		return nil, nil, err
	}
	done.Times.SegmentMS, done.Times.TotalMS = since(at), since(begun)
	done.Labels = labelsOf(w.model.Plan)
	api.CountLabels(done.Labels, r.Labels.Counts(), mesh.VoxelVolume(r.Labels.Grid)/1000)
	done.Memory = api.Memory{
		DeviceBytes: r.Memory.Total(), HostBytes: r.Memory.Host, Tiles: r.Memory.Tiles, Runs: r.Memory.Runs,
		Planes: r.Memory.Planes, Depth: r.Memory.Depth,
	}
	maps := [][]byte{r.Labels.Data}
	if done.Uncertainty = r.Uncertainty != nil; done.Uncertainty {
		maps = append(maps, r.Uncertainty.Data)
	}
	if j.Segment.Page {
		t := turnOf(w.scan.Grid)
		done.Grid = gridOf(t.grid())
		for i, m := range maps {
			maps[i] = toPage(t, m, 1, 0)
		}
	}
	return done, maps, nil
}

// predictor puts the model on the device, unless it is there for like options.
func (w *Worker) predictor(dev *opened, s *api.Segment) (*predict.Predictor, error) {
	if c, err := w.model.Config(); err == nil && c.Previous != "" {
		return nil, fail(api.FailedModel, fmt.Errorf("%s is the second of two networks, behind %s: a browser runs one, send the scan to a server", c.Name, c.Previous))
	}
	const leastStep = 0.1 // patches: 1000 times as many tiles as with 1
	if s.Step != 0 && (s.Step < leastStep || s.Step > 1) {
		return nil, fail(api.FailedRequest, fmt.Errorf("step %v: wanted 0 (the model's) or %v to 1 patch", s.Step, leastStep))
	}
	o := predict.Options{Device: dev.Device, Step: s.Step, Mirror: s.Mirror, NoMirror: s.NoMirror, MemoryBytes: s.Memory}
	switch s.Storage {
	case "", "f32":
	case "f16":
		o.Storage = graph.F16
	default:
		return nil, fail(api.FailedRequest, fmt.Errorf("storage %.20q: wanted f32 or f16", s.Storage))
	}
	if w.ready != nil && w.ready.dev == dev && same(w.ready.o, o) {
		return w.ready.Predictor, nil
	}
	w.forget()
	p, err := predict.New(w.model.Model, o)
	if err != nil {
		return nil, err
	}
	w.ready = &ready{Predictor: p, dev: dev, o: o}
	return p, nil
}

// same tells whether two options give the same predictor on one device.
func same(a, b predict.Options) bool {
	mirrors := a.Mirror == b.Mirror || a.Mirror != nil && b.Mirror != nil && *a.Mirror == *b.Mirror
	return mirrors && a.Step == b.Step && a.NoMirror == b.NoMirror && a.MemoryBytes == b.MemoryBytes && a.Storage == b.Storage
}

// fits makes sure, before anything is read, that the scan is one for the model and
// that there is memory for it, and says whether there is enough to save states.
func (w *Worker) fits(p *predict.Predictor, s *api.Segment) (saves bool, err error) {
	if have, want := w.scan.Channels, w.model.Plan.Scans(); have != want {
		return false, fail(api.FailedScan, fmt.Errorf("the scan has %d channels, the model was trained on %d", have, want))
	}
	m, err := p.Plan(w.scan.Grid)
	if err != nil {
		return false, err
	}
	slabs := m.Planes < m.Depth // their states have no logits of those before
	if w.host.Bytes == 0 {
		return !((s.Uncertainty || m.Logits) && slabs), nil
	}
	const copies = 3 // of a state: as it is made, as a file, as JavaScript has it
	what, need := "the scan", m.Host
	if s.Uncertainty {
		what, need = what+", the map of its uncertainty", need+m.Unsure
	}
	most, all := w.host.Bytes, need+copies*m.State
	if s.SaveSeconds > 0 || s.Resume != nil {
		what, need = what+", its saved states", all
	}
	if need > most {
		return false, &predict.MemoryError{
			Need: need, Have: most,
			Text: fmt.Sprintf("%s: up to %d MiB beside the device, of %d MiB that a program in a browser may take", what, need>>20, most>>20),
		}
	}
	return all <= most && !((s.Uncertainty || m.Logits) && slabs), nil
}

// preprocessed reads the scan and makes of it what the model wants.
func (w *Worker) preprocessed(j *job, p *predict.Predictor, t *api.Times) (*volume.Preprocessed, error) {
	w.tell(j, api.Answer{Progress: &api.Progress{Stage: api.StageRead}})
	at := time.Now()
	im, err := w.scan.Image(j.ctx)
	if err != nil {
		return nil, fail(api.FailedScan, err)
	}
	t.ReadMS = since(at)
	if err := w.rest(); err != nil {
		return nil, err
	}
	w.tell(j, api.Answer{Progress: &api.Progress{Stage: api.StagePreprocess}})
	at = time.Now()
	pre, err := p.Preprocess(im)
	t.PreprocessMS = since(at)
	if err != nil {
		return nil, fail(api.FailedScan, err)
	}
	return pre, w.rest()
}

// options connect a segmentation with its request.
func (w *Worker) options(j *job, saves bool) (predict.ImageOptions, error) {
	s := j.Segment
	o := predict.ImageOptions{
		EveryRun: true, Uncertainty: s.Uncertainty, Model: w.model.sha, Pause: j.save, SaveEvery: time.Duration(s.SaveSeconds * float64(time.Second)),
	}
	if saves {
		o.Save = func(st *predict.State) { w.saved(j, st) }
	}
	if s.SaveSeconds < 0 {
		return o, fail(api.FailedRequest, fmt.Errorf("a state every %v seconds: wanted 0 or more", s.SaveSeconds))
	}
	if s.Resume != nil {
		f, err := w.files(j, []api.File{*s.Resume}, false)
		if err != nil {
			return o, err
		}
		if o.Resume, err = predict.ReadState(f[0], f[0].Size, f[0].name); err != nil {
			return o, fail(api.FailedRequest, err)
		}
	}
	if s.Page {
		o.Partial, o.PartialEvery, o.PartialShare = func(p predict.Partial) { w.partial(j, p) }, partialEvery, partialShare
	}
	e := estimate{}
	o.Progress = func(p predict.Progress) {
		left := e.left(time.Now(), p)
		g := &api.Progress{Stage: api.StageSegment, Done: int64(p.Done), Of: int64(p.Total), LeftMS: float64(left) / float64(time.Millisecond)}
		if s.Page && p.Done < p.Total {
			g.Next = &api.Box{}
			g.Next.Lo, g.Next.Shape = turnOf(w.scan.Grid).box(p.Next)
		}
		w.tell(j, api.Answer{Progress: g})
	}
	return o, nil
}

const (
	partialEvery = 500 * time.Millisecond
	partialShare = 0.02
	// partialBytes are sent at a time: a page puts them on the screen in a few ms.
	partialBytes = 4 << 20
)

// partial sends labels of the tiles that are done.
func (w *Worker) partial(j *job, p predict.Partial) {
	lo, shape, labels := turnOf(w.scan.Grid).part(p.Box, p.Labels)
	plane := shape[1] * shape[2]
	few := max(partialBytes/plane, 1)
	for d := 0; d < shape[0]; d += few {
		n := min(few, shape[0]-d)
		part := &api.Partial{Box: api.Box{Lo: [3]int{lo[0] + d, lo[1], lo[2]}, Shape: [3]int{n, shape[1], shape[2]}}}
		w.tell(j, api.Answer{PageAnswer: api.PageAnswer{Partial: part}}, labels[d*plane:(d+n)*plane])
	}
}

// saved sends a state.
func (w *Worker) saved(j *job, st *predict.State) {
	var b bytes.Buffer
	b.Grow(int(st.Bytes()))
	if err := st.Write(&b); err != nil {
		return // a buffer takes all; numbers of ours are right
	}
	w.tell(j, api.Answer{Saved: &api.Saved{Done: int64(st.Done), Of: int64(st.Total), Bytes: int64(b.Len())}}, b.Bytes())
}

// estimate is what is left, by the pace since the first progress: the time before
// that is of kernels that are compiled, or of tiles that were done before.
type estimate struct {
	at   time.Time
	done int
}

func (e *estimate) left(now time.Time, p predict.Progress) time.Duration {
	if e.at.IsZero() || p.Done <= e.done {
		e.at, e.done = now, p.Done
		return 0
	}
	return time.Duration(float64(now.Sub(e.at)) / float64(p.Done-e.done) * float64(p.Total-p.Done))
}

func since(t time.Time) float64 { return float64(time.Since(t)) / float64(time.Millisecond) }

// labelsOf are the labels of a plan's models.
func labelsOf(p *plan.Plan) (out []api.Label) {
	for i, g := range predict.Segments(p) {
		c := preview.Hue(i)
		out = append(out, api.LabelOf(g.Label, g.Name, c.R, c.G, c.B))
	}
	return out
}
