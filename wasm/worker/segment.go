package worker

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/gounet/gounet/core/checkpoint"
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
	nets, err := w.networks(dev, j.Segment)
	if err != nil {
		return nil, nil, err
	}
	done.Device, done.Times.ModelMS = dev.describe(why), since(begun)
	r, err := w.runAll(j, dev, nets, done)
	if err != nil {
		return nil, nil, err
	}
	done.Times.TotalMS = since(begun)
	done.Labels = labelsOf(w.model.Plan)
	api.CountLabels(done.Labels, r.Labels.Counts(), mesh.VoxelVolume(r.Labels.Grid)/1000)
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

// predictor puts a network on the device, unless it is there for like options.
func (w *Worker) predictor(dev *opened, m *checkpoint.Model, s *api.Segment) (*predict.Predictor, error) {
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
	if w.ready != nil && w.ready.Model == m && w.ready.dev == dev && same(w.ready.o, o) {
		return w.ready.Predictor, nil
	}
	w.forget()
	p, err := predict.New(m, o)
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

// preprocessed reads the scan and makes of it what the network wants; previous are the
// labels of the one before.
func (w *Worker) preprocessed(j *job, p *predict.Predictor, previous *volume.Labels, t *api.Times) (*volume.Preprocessed, error) {
	w.tell(j, api.Answer{Progress: &api.Progress{Stage: api.StageRead}})
	at := time.Now()
	im, err := w.scan.Image(j.ctx)
	if err != nil {
		return nil, fail(api.FailedScan, err)
	}
	t.ReadMS += since(at)
	if err := w.rest(); err != nil {
		return nil, err
	}
	w.tell(j, api.Answer{Progress: &api.Progress{Stage: api.StagePreprocess}})
	at = time.Now()
	pre, err := p.PreprocessAfter(im, previous)
	t.PreprocessMS += since(at)
	if err != nil {
		return nil, fail(api.FailedScan, err)
	}
	return pre, w.rest()
}

// options connect the work of a network with its request.
func (w *Worker) options(j *job, n *network) predict.ImageOptions {
	s := j.Segment
	o := predict.ImageOptions{
		EveryRun: true, Uncertainty: s.Uncertainty && n.last(), Model: w.model.sha, Pause: j.save, SaveEvery: time.Duration(s.SaveSeconds * float64(time.Second)),
	}
	if n.saves {
		o.Save = func(st *predict.State) { w.saved(j, n, st) }
	}
	if s.Page {
		o.Partial, o.PartialEvery, o.PartialShare = func(p predict.Partial) { w.partial(j, p) }, partialEvery, partialShare
	}
	e := estimate{}
	o.Progress = func(p predict.Progress) {
		left := e.left(time.Now(), p, n.after)
		n.done = n.before + p.Done
		g := &api.Progress{Stage: api.StageSegment, Done: int64(n.done), Of: int64(n.before + p.Total + n.after), LeftMS: float64(left) / float64(time.Millisecond)}
		if n.of > 1 {
			g.Network, g.Networks = n.i+1, n.of
		}
		if s.Page && p.Done < p.Total {
			g.Next = &api.Box{}
			g.Next.Lo, g.Next.Shape = turnOf(w.scan.Grid).box(p.Next)
		}
		w.tell(j, api.Answer{Progress: g})
	}
	return o
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
func (w *Worker) saved(j *job, n *network, st *predict.State) {
	if n.previous != nil {
		st.Previous = n.previous.Data
	}
	var b bytes.Buffer
	b.Grow(int(st.Bytes()))
	if err := st.Write(&b); err != nil {
		return // a buffer takes all; numbers of ours are right
	}
	w.tell(j, api.Answer{Saved: &api.Saved{Done: int64(n.before + st.Done), Of: int64(n.before + st.Total + n.after), Bytes: int64(b.Len())}}, b.Bytes())
}

// estimate is what is left, also of the tiles of networks after this one, by the pace
// since the first progress: the time before that is of kernels that are compiled, or of
// tiles that were done before.
type estimate struct {
	at   time.Time
	done int
}

func (e *estimate) left(now time.Time, p predict.Progress, after int) time.Duration {
	if e.at.IsZero() || p.Done <= e.done {
		e.at, e.done = now, p.Done
		return 0
	}
	return time.Duration(float64(now.Sub(e.at)) / float64(p.Done-e.done) * float64(p.Total-p.Done+after))
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
