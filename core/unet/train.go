package unet

import (
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// TrainOptions are what a training step depends on beside the plan.
type TrainOptions struct {
	Batch  int    // samples a step on this device; 0: the configuration's
	First  int    // samples of the step that devices before this one have
	Source [3]int // voxels of the padded crops that the host provides; zero: the patch
	Store  int    // voxels of cases that lie on the device, out of which it cuts the crops; 0: the host provides these
	Growth int    // steps after which the loss scale doubles; 0: it is fixed
}

// Train is a training step, or without Step its validation: the loss and the
// Dice of a batch.
type Train struct {
	Graph  *graph.Graph
	Source graph.Value   // IO f32[N d h w C]: padded crops of the images; without a Store written by the host
	Labels graph.Value   // IO u8[N d h w]
	Store  *Store        // of cases; nil without one
	Shift  graph.Value   // IO T[N D H W K]: to be written once, with Shift; 0 if the recipe needs none
	Stage  *Stage        // of a cascade; nil without one
	Ctl    graph.Value   // IO f32
	Field  graph.Value   // IO f32[N D H W 3]: displacements of an elastic recipe, in voxels; else 0
	Loss   graph.Value   // IO f32[1]
	Hard   graph.Value   // IO f32[N K 5]: SegSums of the decided labels, for the pseudo Dice
	Params []graph.Value // all parameters, in order
	Slots  []Slot        // of the augmentation; the affine maps come first
	CtlLen int
}

// NewTrain is one step of training of configuration c: augmentation, network,
// loss with deep supervision, backward pass, and the recipe's optimizer.
func NewTrain(p *plan.Plan, c *plan.Configuration, o TrainOptions) (*Train, error) {
	r := p.Recipe.For(c)
	return build(p, c, o, r, true)
}

// NewValidation is the loss and the Dice of a batch, without augmentation and
// with the weights of NewTrain in the same layout.
func NewValidation(p *plan.Plan, c *plan.Configuration, batch int) (*Train, error) {
	r := p.Recipe.For(c)
	r.Augmentation, r.Interpolation = nil, "" // patches are copied
	return build(p, c, TrainOptions{Batch: batch}, r, false)
}

func build(p *plan.Plan, c *plan.Configuration, o TrainOptions, r plan.Recipe, step bool) (*Train, error) {
	weights := r.DeepSupervision.Weights(c.Network.Stages())
	if o.Batch == 0 {
		o.Batch = c.Batch
	}
	if o.Source == [3]int{} {
		o.Source = c.Patch
	}
	heads := len(weights)
	for heads > 1 && weights[heads-1] == 0 {
		heads--
	}
	t := &Train{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		n, s := o.Batch, o.Source
		channels := len(p.Channels)
		_, t.CtlLen = slotsOf(r.Augmentation, c.Patch, n, channels)
		if o.Store > 0 {
			t.Store = &Store{Ctl: t.CtlLen}
			t.CtlLen += n * graph.CutLen
		}
		t.Ctl = b.Declare("ctl", graph.IO, graph.F32, t.CtlLen)
		if o.Store > 0 {
			t.cutFrom(b, o.Store, s, n, channels)
		} else {
			t.Source = b.Declare("source", graph.IO, graph.F32, n, s[0], s[1], s[2], channels)
			t.Labels = b.Declare("labels", graph.IO, graph.U8, n, s[0], s[1], s[2])
		}
		x, y := t.augmentation(b, r, c, o.First)
		var before graph.Value
		if c.Previous != "" {
			t.Stage, before = newStage(b, p, c, n)
		}
		network := &net{Builder: b, Network: c.Network, training: step, devices: r.SyncBatchNorm}
		var logits []graph.Value
		logits, t.Params = network.forward(x, before, p.Classes(), heads)
		hard := segSums(p, one)
		hard.Act, hard.Gamma, hard.Smoothing = graph.Hard, 0, 0
		t.Hard = b.Apply("dice", hard, logits[0], y)[0]
		b.Place(t.Hard, graph.IO)
		t.Shift = NewShift(b, p, logits[0])
		t.Loss = LossOfForeground(b, p, c, logits, y, t.Ctl, weights, t.Shift)
		b.Place(t.Loss, graph.IO)
		if step {
			update(b, p, c, t, o.Growth, network.tracks)
		}
		return []graph.Value{t.Loss, t.Hard}
	})
	if err != nil {
		return nil, fmt.Errorf("unet: %s: %w", c.Name, err)
	}
	t.Graph = g
	return t, nil
}

// update adds the backward pass and the optimizer. Parameters without a
// gradient are left alone: neither decay nor momentum touches them.
//
// Over several devices, gradient and loss are those of one device with all of their
// samples. With batch Dice the sums of the loss are reduced before it is made: each
// device has the loss of all, and its part of the gradient, so that gradients are
// added. Without it each has the loss of its samples, and both are averaged.
//
// A batch norm has the statistics of all samples, and its running ones move towards them,
// where the recipe says so. Else it has those of its device, as in PyTorch's DDP, and its
// running ones move towards their mean over all devices, where DDP has those of the first.
//
// Nothing that lasts is changed before that: a step in which a device is lost has not been.
func update(b *graph.Builder, p *plan.Plan, c *plan.Configuration, t *Train, growth int, tracks []track) {
	ctl := t.Ctl
	var trained, grads []graph.Value
	for i, g := range b.Backward(t.Loss, t.Params) {
		if g != 0 {
			trained, grads = append(trained, t.Params[i]), append(grads, g)
		}
	}
	reduced := grads
	if !c.BatchDice {
		reduced = append(slices.Clone(grads), t.Loss)
	}
	b.Apply("reduce", graph.AllReduce{Mean: !c.BatchDice}, reduced...)
	var batches []graph.Value
	for _, n := range tracks {
		batches = append(batches, n.batch...)
	}
	if len(batches) > 0 && !p.Recipe.SyncBatchNorm {
		b.Apply("reduce.batch", graph.AllReduce{Mean: true}, batches...)
	}
	for _, n := range tracks {
		b.Apply(n.name+".track", graph.Track{Momentum: batchMomentum}, slices.Concat(n.batch, n.running)...)
	}
	b.Apply("norm", graph.GradNorm{Growth: growth}, append([]graph.Value{ctl}, grads...)...)
	o := p.Recipe.Optimizer
	op := graph.Step{
		Rule: rules[o.Kind], N: len(trained), Momentum: float32(o.Momentum), Decay: float32(o.WeightDecay),
		Nesterov: o.Nesterov, Beta1: float32(o.Beta1), Beta2: float32(o.Beta2), Beta3: float32(o.Beta3), Epsilon: float32(o.Epsilon),
	}
	in := append([]graph.Value{ctl}, trained...)
	in = append(in, grads...)
	for slot := range op.Rule.Slots() {
		for _, w := range trained {
			in = append(in, b.State(w, slot))
		}
	}
	b.Apply("step", op, in...)
}

var rules = map[string]graph.Rule{plan.SGD: graph.SGD, plan.Adam: graph.Adam, plan.AdamW: graph.AdamW, plan.Adan: graph.Adan}
