// Package predict turns scans into labels with a trained model, on any device:
// preprocess, blend the logits of overlapping and mirrored tiles, decide on the
// scan's own grid. Native programs and the browser run the same code; only
// Folder and WriteProbabilities touch files.
//
// The one idea: the volume goes to the device once and labels come back. What
// does not fit is worked off from one end of D to the other, through an
// accumulator of a few planes that wanders along; the labels have the same bits.
//
// What is computed is nnU-Net v2's nnUNetPredictor with float32 sums.
package predict

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

// Options of a Predictor. The zero value but for Device is what nnU-Net does.
type Options struct {
	Device   backend.Device
	Storage  graph.DType // of activations: F32 (the zero value), F16 or BF16
	Step     float64     // largest move between tiles, in patches; 0: the recipe's
	Mirror   *[3]bool    // D H W: axes of test-time mirroring, of those that the model allows; nil: all of those
	NoMirror bool        // no test-time mirroring
	Rows     int         // tiles, mirrored ones counted each, in one run of the device; 0: enough to keep it busy, fewer where memory is short
	// MemoryBytes bounds what is taken on the device; 0: the device's own memory,
	// if it is known.
	MemoryBytes int64
}

// Predictor is a model on a device. It belongs to the goroutine that the device
// belongs to.
type Predictor struct {
	Model *checkpoint.Model

	o          Options
	plan       *plan.Plan
	config     *plan.Configuration
	inference  plan.Inference
	mirrors    []int
	blend      []float32
	preprocess volume.PreprocessOptions

	weights *weights
	engines []*engine // least recently used first
	canvas  *canvas   // of the last batch; nil: none
	batches map[int]*batchCode
}

// New puts the weights of m on the device.
//
// Errors: weights that are not finite, logits that are resampled in another way than
// nnU-Net's default, options out of range, a device that lacks the storage type or the memory.
func New(m *checkpoint.Model, o Options) (*Predictor, error) {
	p, err := newPredictor(m, o)
	if err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	return p, nil
}

func newPredictor(m *checkpoint.Model, o Options) (*Predictor, error) {
	c, err := m.Config()
	if err != nil {
		return nil, err
	}
	p := &Predictor{Model: m, o: o, plan: m.Plan, config: c, inference: m.Plan.Recipe.For(c).Inference}
	if err := p.check(); err != nil {
		return nil, err
	}
	if o.Step > 0 {
		p.inference.Step = o.Step
	}
	axes := m.Mirror
	for a := range axes {
		axes[a] = axes[a] && !o.NoMirror && (o.Mirror == nil || o.Mirror[a]) && c.Patch[a] > 1
	}
	p.mirrors = mirrorsOf(axes)
	p.blend = Weights(c.Patch, p.inference)
	p.preprocess = dataset.PreprocessOptions(m.Plan, c)
	if p.weights, err = newWeights(p); err != nil {
		return nil, err
	}
	return p, nil
}

// check reports what cannot be predicted.
func (p *Predictor) check() error {
	o := p.o
	l := o.Device.Limits()
	switch {
	case len(p.Model.Folds) == 0:
		return errors.New("the model has no weights")
	case o.Step < 0 || o.Step > 1:
		return fmt.Errorf("step %v, wanted more than 0 and at most 1 patch", o.Step)
	case o.Rows < 0:
		return fmt.Errorf("%d rows, wanted 0 (chosen) or more", o.Rows)
	case o.Storage == graph.F16 && !l.F16 || o.Storage == graph.BF16 && !l.BF16:
		return fmt.Errorf("%s: does not store %s: use f32", o.Device.Name(), o.Storage)
	}
	if err := p.Model.CheckFinite(); err != nil {
		return err
	}
	return p.config.Resampled()
}

// Close frees what the predictor has on the device; the device stays open.
func (p *Predictor) Close() {
	p.closeEngines()
	p.weights.close()
}

// Progress is how far the prediction of one scan is.
type Progress struct {
	Done, Total int        // tiles: mirrored ones and folds counted each
	Next        volume.Box // of the scan: the tile that comes next, empty after the last
}

// ImageOptions say what is wanted of one scan beside its labels.
type ImageOptions struct {
	Probabilities bool
	Uncertainty   bool
	Previous      *volume.Labels // of a cascade: labels of the previous stage, on the grid of the scan
	Progress      func(Progress) // after each run or few of them; may be nil
	EveryRun      bool           // Progress after each run, for which the device is waited for

	// Partial gets labels of tiles as they are added, between two runs of the device:
	// at most as often as PartialEvery, and in at most PartialShare of the time (0: all).
	// Later tiles may change them. May be nil.
	Partial      func(Partial)
	PartialEvery time.Duration
	PartialShare float64

	// Save gets the state of the segmentation, from which Resume goes on, as often as
	// SaveEvery (0: never) and when Pause is closed, which ends the segmentation with
	// ErrPaused after the run that is under way. Nil saves nothing.
	Save      func(*State)
	SaveEvery time.Duration
	Pause     <-chan struct{}
	// Resume goes on from a state. It has to be one of the same scan, the same model
	// and the same options; on the same kind of device the labels have the bits of a
	// segmentation that was not interrupted.
	Resume *State
	// Model names the model in a state, by a hash of its files; a state of another
	// name is refused.
	Model string
}

// Result is a segmented scan.
type Result struct {
	Labels        *volume.Labels // on the grid of the scan
	Probabilities *Probabilities // nil unless they were asked for
	// Uncertainty is 255 times the probability that a label is wrong, on the grid of
	// the scan; nil unless it was asked for.
	Uncertainty *volume.Labels
	Memory      Memory // what was taken
}

// Image segments a scan, as it was read: preprocessing is included. It needs on
// the host the scan twice, and the probabilities twice if they are wanted.
//
// Of the second stage of a cascade without the labels of the first (o.Previous) it runs
// the first one before, if the model brings it: on the device they are one after the other.
//
// Errors: another number of channels than the plan has, values that are not
// finite (*volume.NotFiniteError), more memory than there is, what the device
// reports, and ctx's.
func (p *Predictor) Image(ctx context.Context, im *volume.Image, o ImageOptions) (*Result, error) {
	if p.Model.Before != nil && o.Previous == nil {
		var err error
		if o.Previous, err = p.labelsBefore(ctx, im, o); err != nil {
			return nil, err
		}
	}
	pre, err := p.PreprocessAfter(im, o.Previous)
	if err != nil {
		return nil, err
	}
	return p.Case(ctx, pre, o)
}

// Preprocess does what the model's configuration asks of a scan. It does not use
// the device: it may run in any goroutine, beside all else.
func (p *Predictor) Preprocess(im *volume.Image) (*volume.Preprocessed, error) {
	return p.PreprocessAfter(im, nil)
}

// Previous is the configuration whose labels the model needs beside a scan, "" if none.
func (p *Predictor) Previous() string { return p.config.Previous }

// Case segments a preprocessed scan, of which it uses the data and channels of
// the image and the placement; the labels are on the grid of the scan before that.
func (p *Predictor) Case(ctx context.Context, pre *volume.Preprocessed, o ImageOptions) (*Result, error) {
	r, err := p.segment(ctx, pre, o)
	if err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	return r, nil
}

func (p *Predictor) segment(ctx context.Context, pre *volume.Preprocessed, o ImageOptions) (*Result, error) {
	if err := p.checkCase(pre); err != nil {
		return nil, err
	}
	e, err := p.engine(pre.Placement)
	if err != nil {
		return nil, err
	}
	cubic := p.cubic(pre.Placement)
	if saved := o.Save != nil || o.Resume != nil; saved && (o.Probabilities || o.Uncertainty && e.slabs()) {
		return nil, errors.New("probabilities of a segmentation that is saved or resumed, whose state has none: ask for one of the two")
	} else if saved && cubic && e.slabs() {
		return nil, errors.New("a segmentation by cubic logits that is saved or resumed where planes wander: its state has no logits: do it at once")
	}
	s := newSweep(p, e, pre, o)
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	r := &Result{Memory: p.memory(e.programs, pre.Placement)}
	if cubic {
		if s.labels, err = pre.LabelsCubic(s.logits, p.plan.Classes(), p.regions()); err != nil {
			return nil, err
		}
	}
	if r.Labels, err = pre.Uncrop(s.labels); err != nil {
		return nil, err
	}
	if o.Probabilities {
		if r.Probabilities, err = p.probabilities(pre.Placement, s.logits); err != nil {
			return nil, err
		}
	}
	if o.Uncertainty {
		r.Uncertainty, err = p.uncertainty(pre.Placement, s.logits)
	}
	return r, err
}

// checkCase reports a case that is not one of the model.
func (p *Predictor) checkCase(pre *volume.Preprocessed) error {
	if have, want := pre.Image.C, p.plan.InputChannels(p.config); have == len(p.plan.Channels) && have < want {
		return fmt.Errorf("configuration %s needs the labels of %s as an input: predict with a model of that first", p.config.Name, p.config.Previous)
	} else if have != want {
		return fmt.Errorf("the image has %d channels, the model was trained on %d", have, want)
	}
	if have, want := len(pre.Image.Data), pre.Shape[0]*pre.Shape[1]*pre.Shape[2]*pre.Image.C; have != want || want == 0 {
		return fmt.Errorf("the preprocessed image has %d values, its shape %v (D H W) and %d channels want %d", have, pre.Shape, pre.Image.C, want)
	}
	return nil
}
