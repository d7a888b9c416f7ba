package train

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// state is what a training continues from, beside the tensors.
type state struct {
	Epoch     int     `json:"epoch"`     // the one under way
	Iteration int     `json:"iteration"` // steps of it that are done
	LossSum   float64 `json:"loss_sum"`  // of these steps
	BestEMA   Number  `json:"best_ema"`
	BestEpoch int     `json:"best_epoch"` // −1: none
	Log       []Epoch `json:"log"`
	Time      Timing  `json:"time"`

	// What must be the same for the bits to be the same.
	Seed          uint64 `json:"seed"`
	Configuration string `json:"configuration"`
	Fold          string `json:"fold"`
	Storage       string `json:"storage"`
	Batch         int    `json:"batch"`
	Iterations    int    `json:"iterations"`
	Ranks         int    `json:"ranks,omitempty"` // 0: one, as before there were several

	Cases  dataset.Fold      `json:"cases"`            // by their IDs; none: a state of before they were kept
	Before map[string]string `json:"before,omitempty"` // Options.Before; none: as Cases, or no cascade
}

// CasesOf are the cases that the training in the run folder dir learns from and is
// measured on, in the order that it has them. There are none where there is no
// checkpoint yet, or one that does not say.
func CasesOf(dir string) (dataset.Fold, error) {
	s, err := stateOf(dir)
	return s.Cases, err
}

// BeforeOf is Options.Before of the training in the run folder dir. It is empty where
// CasesOf has no cases, and for all but second stages of cascades.
func BeforeOf(dir string) (map[string]string, error) {
	s, err := stateOf(dir)
	return s.Before, err
}

// stateOf is the state in a run folder, an empty one where there is none.
func stateOf(dir string) (s state, err error) {
	meta, err := checkpoint.RunMeta(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(meta[stateKey]), &s)
	}
	if err != nil {
		return state{}, fmt.Errorf("train: %s: %w", dir, err)
	}
	return s, nil
}

func idsOf(samples []*dataset.Sample) (ids []string) {
	for _, s := range samples {
		ids = append(ids, s.ID)
	}
	return ids
}

// Steps is the number of training steps that are done.
func (s *state) Steps(sch plan.Schedule) int { return s.Epoch*sch.Iterations + s.Iteration }

// stateKey is the part of checkpoint.State's Meta that holds the state.
const stateKey = "state"

// begin gives the device the first weights: fresh ones, or those of a checkpoint. Other
// ranks have them from the first.
func (t *trainer) begin(ctx context.Context) error {
	t.state = state{
		BestEpoch: -1, Seed: t.Seed, Configuration: t.Configuration, Fold: t.Fold,
		Storage: t.Storage.String(), Batch: t.config.Batch, Iterations: t.recipe.Schedule.Iterations, Ranks: t.world(),
		Cases: dataset.Fold{Train: idsOf(t.Train), Val: idsOf(t.Val)}, Before: t.Before,
	}
	if t.leads() {
		if err := t.beginHere(ctx); err != nil {
			return err
		}
	}
	if err := t.spread(ctx); err != nil {
		return err
	}
	return t.evaCtl(ctx)
}

// beginHere is begin on the rank that has the run folder.
func (t *trainer) beginHere(ctx context.Context) error {
	path := filepath.Join(t.Dir, checkpoint.StateFile)
	if _, err := os.Stat(path); err == nil {
		if !t.Resume {
			return fmt.Errorf("%s holds a training already: continue it with --resume, or choose another --output", t.Dir)
		}
		return t.load(ctx)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(t.Dir, checkpoint.WeightsFile)); err == nil {
		return fmt.Errorf("%s holds a model without the %s that it could go on from: choose another --output", t.Dir, checkpoint.StateFile)
	}
	// A run that was killed before its first checkpoint left a log.
	if err := t.rewriteLogs(); err != nil {
		return err
	}
	defer runtime.GC()
	weights := unet.InitialWeights(t.step.Graph, t.step.Params, t.Seed)
	if t.Pretrained != nil {
		if err := t.transfer(weights); err != nil {
			return err
		}
	}
	for i, v := range t.step.Params {
		if err := t.train.WriteWeight(ctx, v, weights[i]); err != nil {
			return err
		}
	}
	ctl := make([]float32, t.step.CtlLen)
	ctl[graph.CtlLossScale], ctl[graph.CtlClip] = 1, float32(t.recipe.Optimizer.ClipNorm)
	if t.Storage == graph.F16 {
		ctl[graph.CtlLossScale] = lossScale
	}
	return t.train.WriteF32(ctx, t.step.Ctl, ctl)
}

// evaCtl gives the validation program a ctl of its own: no loss scale.
func (t *trainer) evaCtl(ctx context.Context) error {
	ctl := make([]float32, t.val.CtlLen)
	ctl[graph.CtlLossScale] = 1
	return t.eva.WriteF32(ctx, t.val.Ctl, ctl)
}

// tensors lists what a checkpoint has beside the weights, by their names in it.
func (t *trainer) tensors() map[string]graph.Value {
	m := map[string]graph.Value{"ctl": t.step.Ctl}
	for i, info := range t.train.Program.Values {
		if info.Region == graph.State {
			m[info.Name] = graph.Value(i + 1)
		}
	}
	return m
}

// save writes a checkpoint: the state, and the model of the same moment.
func (t *trainer) save(ctx context.Context) error {
	if !t.leads() {
		return nil
	}
	return t.saveHere(ctx)
}

// saveHere is save on the rank that has the run folder.
func (t *trainer) saveHere(ctx context.Context) error {
	defer runtime.GC() // else the copies of some checkpoints lie about
	b, err := json.Marshal(t.state)
	if err != nil {
		return err
	}
	st := &checkpoint.State{Tensors: map[string]checkpoint.Tensor{}, Meta: map[string]string{stateKey: string(b)}}
	for name, v := range t.tensors() {
		shape := t.shapeOf(v)
		data := make([]float32, shape.Elems())
		if err := t.train.ReadF32(ctx, v, data); err != nil {
			return err
		}
		st.Tensors[name] = checkpoint.Tensor{Shape: shape, Data: data}
	}
	m, err := t.model(ctx)
	if err != nil {
		return err
	}
	return checkpoint.SaveRun(t.Dir, m, st)
}

// load continues from the checkpoint in the run folder.
func (t *trainer) load(ctx context.Context) error {
	m, st, err := checkpoint.LoadRun(t.Dir)
	if err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal([]byte(st.Meta[stateKey]), &s); err != nil {
		return fmt.Errorf("%s: %w", t.Dir, err)
	}
	if err := t.state.same(s); err != nil {
		return fmt.Errorf("%s: %w", t.Dir, err)
	}
	for _, v := range t.step.Params {
		name := t.train.Program.Info(v).Name
		data, _, err := checkpoint.ToGraph(name, m.Folds[0].Weights[name])
		if err != nil {
			return err
		}
		if err := t.train.WriteWeight(ctx, v, data); err != nil {
			return fmt.Errorf("%s: %w: resume with the plan and options that it began with", t.Dir, err)
		}
	}
	for name, v := range t.tensors() {
		if x := st.Tensors[name]; len(x.Data) != t.shapeOf(v).Elems() {
			return fmt.Errorf("%s: %s has shape %v, the plan wants %v: resume with the plan and options that it began with",
				t.Dir, name, x.Shape, t.shapeOf(v))
		}
		if err := t.train.WriteF32(ctx, v, st.Tensors[name].Data); err != nil {
			return err
		}
	}
	t.state = s
	return t.rewriteLogs()
}

// same says what would keep a resumed run from having the bits of one that went on.
func (s *state) same(o state) error {
	for _, c := range []struct {
		what        string
		have, wants any
	}{
		{"--seed", s.Seed, o.Seed},
		{"the configuration", s.Configuration, o.Configuration},
		{"--fold", s.Fold, o.Fold},
		{"--precision", s.Storage, o.Storage},
		{"--batch", s.Batch, o.Batch},
		{"--iterations", s.Iterations, o.Iterations},
		{"a number of ranks of", cmp.Or(s.Ranks, 1), cmp.Or(o.Ranks, 1)},
	} {
		if c.have != c.wants {
			return fmt.Errorf("the training began with %s %v, not %v: resume with the same", c.what, c.wants, c.have)
		}
	}
	if len(o.Cases.Train) == 0 {
		return nil
	}
	if changed := s.Cases.Changed(o.Cases); changed != "" {
		return fmt.Errorf("the training began with other cases: %s: resume with the same", changed)
	}
	if !slices.Equal(s.Cases.Train, o.Cases.Train) || !slices.Equal(s.Cases.Val, o.Cases.Val) {
		return errors.New("the training began with its cases in another order: resume with the same")
	}
	if len(o.Before) > 0 && !maps.Equal(s.Before, o.Before) {
		return errors.New("the training began with labels of other networks of the first stage: begin it anew")
	}
	return nil
}

// model is the network as it is now.
func (t *trainer) model(ctx context.Context) (*checkpoint.Model, error) {
	w := checkpoint.Weights{}
	for _, v := range t.step.Params {
		info := t.train.Program.Info(v)
		data := make([]float32, info.Type.Shape.Elems())
		if err := t.train.ReadF32(ctx, v, data); err != nil {
			return nil, err
		}
		x, err := checkpoint.FromGraph(info.Name, info.Type.Shape, data, t.config.Dim)
		if err != nil {
			return nil, err
		}
		w[info.Name] = x
	}
	return &checkpoint.Model{
		Plan: t.Plan, Configuration: t.Configuration, Mirror: t.recipe.Inference.Mirror,
		Folds: []checkpoint.Fold{{Name: t.Fold, Epoch: t.state.Epoch, Weights: w}},
	}, nil
}

// saveBest keeps the weights of the best epoch so far.
func (t *trainer) saveBest(ctx context.Context) error {
	if !t.leads() {
		return nil
	}
	defer runtime.GC() // else the copies of some checkpoints lie about
	m, err := t.model(ctx)
	if err != nil {
		return err
	}
	return checkpoint.SaveBest(t.Dir, m)
}
