package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

// networks are what a segmentation runs one after the other: the model, or both stages of
// a cascade, of which one at a time is on the device.
type networks struct {
	models []*checkpoint.Model
	plans  []predict.Memory // what each takes
	labels int64            // bytes of the labels of the first stage, beside all else
	saves  bool             // there is memory for states
}

// network is one of them at work.
type network struct {
	i, of         int
	before, after int // tiles of the networks before and after it
	done          int // tiles, with those before
	saves         bool
	previous      *volume.Labels // of the network before; nil: none
}

func (n *network) last() bool { return n.i == n.of-1 }

// networks makes sure, before anything is read, that the scan is one for the model and
// that there is memory for each network.
func (w *Worker) networks(dev *opened, s *api.Segment) (*networks, error) {
	c, err := w.model.Config()
	if err != nil {
		return nil, err
	}
	n := &networks{models: []*checkpoint.Model{w.model.Model}, saves: true}
	if c.Previous != "" {
		if w.model.Before == nil {
			return nil, fail(api.FailedModel, fmt.Errorf("%s is the second of two networks, and the first, %s, is not in the file: gounet export --to zip puts both into one", c.Name, c.Previous))
		}
		n.models = []*checkpoint.Model{w.model.Before, w.model.Model}
		n.labels = int64(w.scan.Grid.Voxels())
	}
	if have, want := w.scan.Channels, w.model.Plan.Scans(); have != want {
		return nil, fail(api.FailedScan, fmt.Errorf("the scan has %d channels, the model was trained on %d", have, want))
	}
	if s.SaveSeconds < 0 {
		return nil, fail(api.FailedRequest, fmt.Errorf("a state every %v seconds: wanted 0 or more", s.SaveSeconds))
	}
	for _, m := range n.models {
		p, err := w.predictor(dev, m, s)
		if err != nil {
			return nil, err
		}
		plan, err := p.Plan(w.scan.Grid)
		if err != nil {
			return nil, err
		}
		plan.Host, plan.State = plan.Host+n.labels, plan.State+n.labels
		saves, err := w.fits(plan, s)
		if err != nil {
			return nil, err
		}
		n.plans, n.saves = append(n.plans, plan), n.saves && saves
	}
	return n, nil
}

// fits makes sure that there is memory beside the device, and says whether there is
// enough to save states.
func (w *Worker) fits(m predict.Memory, s *api.Segment) (saves bool, err error) {
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

// add adds what a network takes to what those before it do.
func add(to *api.Memory, m predict.Memory) {
	to.DeviceBytes, to.HostBytes = max(to.DeviceBytes, m.Total()), max(to.HostBytes, m.Host)
	to.Tiles, to.Runs = to.Tiles+m.Tiles, to.Runs+m.Runs
	to.Planes, to.Depth = m.Planes, m.Depth
}

// runAll runs the networks, each with the labels of the one before, and goes on from a
// state if there is one: the second network then needs no first.
func (w *Worker) runAll(j *job, dev *opened, nets *networks, done *api.Done) (*predict.Result, error) {
	resume, err := w.resumed(j)
	if err != nil {
		return nil, err
	}
	n := &network{of: len(nets.models), saves: nets.saves}
	if resume != nil && resume.Previous != nil {
		if n.of == 1 || len(resume.Previous) != w.scan.Grid.Voxels() {
			return nil, fail(api.FailedRequest, errors.New("the state has labels of another network or scan: begin anew"))
		}
		n.i, n.previous = 1, &volume.Labels{Grid: w.scan.Grid, Data: resume.Previous}
		n.before = nets.plans[0].Steps
	}
	for {
		n.after = 0
		for _, m := range nets.plans[n.i+1:] {
			n.after += m.Steps
		}
		r, err := w.runOne(j, dev, nets.models[n.i], n, resume, &done.Times)
		if err != nil {
			return nil, err
		}
		r.Memory.Host += nets.labels
		add(&done.Memory, r.Memory)
		if n.last() {
			return r, nil
		}
		n.i, n.before, n.previous, resume = n.i+1, n.done, r.Labels, nil
	}
}

func (w *Worker) runOne(j *job, dev *opened, m *checkpoint.Model, n *network, resume *predict.State, t *api.Times) (*predict.Result, error) {
	at := time.Now()
	p, err := w.predictor(dev, m, j.Segment)
	if err != nil {
		return nil, err
	}
	t.ModelMS += since(at)
	pre, err := w.preprocessed(j, p, n.previous, t)
	if err != nil {
		return nil, err
	}
	o := w.options(j, n)
	o.Resume = resume
	at = time.Now()
	r, err := p.Case(j.ctx, pre, o)
	t.SegmentMS += since(at)
	return r, err
}

// resumed is the state that a request goes on from, nil where it begins anew.
func (w *Worker) resumed(j *job) (*predict.State, error) {
	if j.Segment.Resume == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	f, err := w.files(j, []api.File{*j.Segment.Resume}, false)
	if err != nil {
		return nil, err
	}
	st, err := predict.ReadState(f[0], f[0].Size, f[0].name)
	if err != nil {
		return nil, fail(api.FailedRequest, err)
	}
	return st, nil
}
