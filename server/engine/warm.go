package engine

import (
	"cmp"
	"slices"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/api"
)

// warm is a model on the device.
type warm struct {
	*predict.Predictor
	key
	bytes int64 // that it takes there, at most
}

// key is what a predictor is made of.
type key struct {
	model, sha string
	step       float64
	noMirror   bool
}

func keyOf(j *job) key {
	s := &j.Submit
	return key{j.model.ID, j.model.SHA256, s.Step, s.Mirror != nil && !*s.Mirror}
}

// mostWarm models stay on a device that does not say how much memory it has.
const mostWarm = 2

// predictor returns the model of a job on the device.
func (o *owner) predictor(j *job) (*warm, error) {
	k := keyOf(j)
	for i, w := range o.warm {
		if w.key == k {
			o.warm = append(slices.Delete(o.warm, i, i+1), w)
			return w, nil
		}
	}
	m, err := checkpoint.Open(j.model.File)
	if err != nil {
		return nil, failed(api.FailedModel, err)
	}
	options := predict.Options{Device: o.open, Step: k.step, NoMirror: k.noMirror, MemoryBytes: o.device.MemoryBytes}
	if o.device.Storage != nil {
		if options.Storage, err = o.device.Storage(o.open); err != nil {
			return nil, err
		}
	}
	if o.budget() == 0 {
		o.evict(len(o.warm) - mostWarm + 1)
	} else {
		o.makeRoom(nil, weightBytes(m))
	}
	p, err := predict.New(m, options)
	if err != nil && len(o.warm) > 0 { // the device has less than it says
		o.evict(len(o.warm))
		p, err = predict.New(m, options)
	}
	if err != nil {
		return nil, err
	}
	w := &warm{Predictor: p, key: k, bytes: weightBytes(m)}
	o.warm = append(o.warm, w)
	o.tell()
	o.line.learn(kind{k.model, k.sha, k.noMirror}, cmp.Or(o.device.BatchJobs, p.Together()))
	return w, nil
}

// weightBytes are those of the weights that are on the device at a time.
func weightBytes(m *checkpoint.Model) (n int64) {
	for _, t := range m.Folds[0].Weights {
		n += 4 * int64(len(t.Data))
	}
	return n
}

// budget is how many bytes may be taken on the device; 0: nobody knows.
func (o *owner) budget() int64 {
	if o.device.MemoryBytes > 0 {
		return o.device.MemoryBytes
	}
	return o.open.Limits().TotalBytes
}

// admit makes room for what the compiled programs of a job state, or says with
// numbers that there is not enough.
func (o *owner) admit(w *warm, j *job) (predict.Memory, error) {
	m, err := w.Plan(j.scan.Grid)
	if err != nil {
		return m, err
	}
	o.admitted(w, m.Total())
	return m, nil
}

// admitted makes room for a run of w that takes so many bytes.
func (o *owner) admitted(w *warm, bytes int64) {
	o.makeRoom(w, bytes)
	w.bytes = max(w.bytes, bytes)
	o.tell()
}

// makeRoom lets the least recently used models go until need bytes are free for w,
// as far as they are in the way.
func (o *owner) makeRoom(w *warm, need int64) {
	most := o.budget()
	if most == 0 {
		return
	}
	for {
		used, oldest := need, -1
		for i, other := range o.warm {
			if other == w {
				continue
			}
			used += other.bytes
			if oldest < 0 {
				oldest = i
			}
		}
		if used <= most || oldest < 0 {
			return
		}
		o.let(oldest)
	}
}

// evict lets n models go, the least recently used first.
func (o *owner) evict(n int) {
	for range n {
		o.let(0)
	}
}

func (o *owner) let(i int) {
	o.warm[i].Close()
	o.log.Info("model leaves the device", "model", o.warm[i].model)
	o.warm = slices.Delete(o.warm, i, i+1)
	o.tell()
}

// tell says what is on the device.
func (o *owner) tell() {
	var used int64
	var models []string
	for _, w := range o.warm {
		used += w.bytes
		models = append(models, w.model)
	}
	o.set(func(d *api.ServerDevice) { d.UsedBytes, d.Models = used, models })
}
