package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/train"
)

// nextStageFolder is where a first stage keeps what the second one trains on.
const nextStageFolder = "predicted_next_stage"

// stage is the first stage of a cascade, all folds of it.
type stage struct {
	w       *workspace
	name    string // of its configuration
	next    string // the configuration that it is for
	runs    []string
	folds   []dataset.Fold // of each run
	heldOut map[string]int // case → index of the run that has not seen it
	keys    map[int]string // of runs, see key
	done    int            // cases that predict has made
}

// stageBefore finds the runs of the first stage of c. That they are trained is not
// sure.
func (w *workspace) stageBefore(splits string, c *plan.Configuration) (*stage, error) {
	folds, err := w.folds(splits)
	if err != nil {
		return nil, err
	}
	s := &stage{w: w, name: c.Previous, next: c.Name, folds: folds, heldOut: map[string]int{}, keys: map[int]string{}}
	for n, fold := range folds {
		s.runs = append(s.runs, w.run(c.Previous, strconv.Itoa(n)))
		for _, id := range fold.Val {
			s.heldOut[id] = n
		}
	}
	return s, nil
}

// errFirstStage is in the chain of the error of a cascade whose first stage is not
// trained.
var errFirstStage = errors.New("the first stage is not trained and validated")

// trained returns an error that names the folds which samples need and which are not
// trained and validated.
func (s *stage) trained(ids []string) error {
	var missing, nowhere []string
	for _, id := range ids {
		n, ok := s.heldOut[id]
		if !ok {
			nowhere = append(nowhere, id)
			continue
		}
		if _, err := os.Stat(filepath.Join(s.runs[n], validationFolder, summaryFile)); err != nil {
			missing = append(missing, strconv.Itoa(n))
		}
	}
	for n, run := range s.runs { // else it could have seen what it is to label unseen
		if err := (&trainFlags{other: "--work"}).sameCases(run, s.folds[n]); err != nil {
			return err
		}
	}
	slices.Sort(missing)
	switch missing = slices.Compact(missing); {
	case len(nowhere) > 0:
		return fmt.Errorf("%s needs labels of %s by a network that has not seen the case, but no fold holds out %s: use splits in which each case is held out once", s.next, s.name, join(nowhere, ", "))
	case len(missing) > 0:
		return fmt.Errorf("%s needs the labels of %s: %w, folds %s: run gounet train with %s and each of these folds", s.next, s.name, errFirstStage, join(missing, ", "), s.name)
	}
	return nil
}

// labels is the file with the labels of a held-out case.
func (s *stage) labels(made *plan.Plan) func(dataset.Case) string {
	ending := predict.LabelFormat(made).Endings[0]
	return func(c dataset.Case) string {
		return filepath.Join(s.runs[s.heldOut[c.ID]], validationFolder, c.ID+ending)
	}
}

// give makes what is missing of the labels that the first stage finds in cases that
// it has not seen, on the grid of the second stage, and gives them to the samples.
func (s *stage) give(ctx context.Context, a *app, p *progress, f *deviceFlags, samples []*dataset.Sample) error {
	dir := filepath.Join(s.w.dir, s.name, nextStageFolder, s.next)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	todo := make([][]*dataset.Sample, len(s.runs))
	count := 0
	for _, sample := range samples {
		n := s.heldOut[sample.ID]
		key, err := s.caseKey(sample.ID)
		if err != nil {
			return err
		}
		there, err := sample.OpenPrevious(dir, key)
		if err != nil {
			return err
		}
		if !there {
			todo[n] = append(todo[n], sample)
			count++
		}
	}
	if count == 0 {
		return nil
	}
	t := p.start("labels of "+s.name, "cases", count)
	defer t.end()
	for n, list := range todo {
		if len(list) > 0 {
			if err := s.predict(ctx, a, t, f, n, dir, list); err != nil {
				return fmt.Errorf("%s: %w", s.runs[n], err)
			}
		}
	}
	return nil
}

// key is a hash of the network of run n.
func (s *stage) key(n int) (string, error) {
	if key := s.keys[n]; key != "" {
		return key, nil
	}
	f, err := os.Open(filepath.Join(s.runs[n], checkpoint.WeightsFile))
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	s.keys[n] = hex.EncodeToString(h.Sum(nil))
	return s.keys[n], nil
}

// caseKey changes with the network that labels a case, and with the scan.
func (s *stage) caseKey(id string) (string, error) {
	key, err := s.key(s.heldOut[id])
	if err != nil {
		return "", err
	}
	stamp, err := s.caseOf(id).Stamp()
	return key + " " + stamp, err
}

func (s *stage) caseOf(id string) dataset.Case {
	return s.w.raw.Cases[slices.IndexFunc(s.w.raw.Cases, func(c dataset.Case) bool { return c.ID == id })]
}

// before are the keys of the runs that label the cases ids, by fold: what
// train.Options has of them.
func (s *stage) before(ids []string) (map[string]string, error) {
	keys := map[string]string{}
	for _, id := range ids {
		n := s.heldOut[id]
		key, err := s.key(n)
		if err != nil {
			return nil, err
		}
		keys[strconv.Itoa(n)] = key
	}
	return keys, nil
}

// outdated says which networks of this stage are others than those whose labels the
// training in dir, of the next stage and the cases ids, was begun with; "": none.
func (s *stage) outdated(dir string, ids []string) (string, error) {
	was, err := train.BeforeOf(dir)
	if err != nil || len(was) == 0 {
		return "", err
	}
	now, err := s.before(ids)
	if err != nil {
		return "", err
	}
	var changed []string
	for _, fold := range slices.Sorted(maps.Keys(now)) {
		if now[fold] != was[fold] {
			changed = append(changed, fold)
		}
	}
	if len(changed) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s was begun with the labels of other networks: %s was trained anew since, fold %s", dir, s.name, join(changed, ", ")), nil
}

// predict makes the labels of one fold.
func (s *stage) predict(ctx context.Context, a *app, t *task, f *deviceFlags, n int, dir string, samples []*dataset.Sample) (err error) {
	pr, release, err := f.predictor(a, s.runs[n], checkpoint.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	for _, sample := range samples {
		key, err := s.caseKey(sample.ID)
		if err != nil {
			return err
		}
		im, _, _, err := s.caseOf(sample.ID).Read()
		if err != nil {
			return err
		}
		pre, err := pr.Preprocess(im)
		if err != nil {
			return fmt.Errorf("%s: %w", sample.ID, err)
		}
		labels, err := pr.Onto(ctx, pre, sample.Shape)
		if err != nil {
			return fmt.Errorf("%s: %w", sample.ID, err)
		}
		if err := dataset.WritePrevious(dir, sample, labels, key); err != nil {
			return err
		}
		if there, err := sample.OpenPrevious(dir, key); err != nil || !there {
			return errors.Join(err, fmt.Errorf("%s: what was written to %s is not there", sample.ID, dir))
		}
		s.done++
		t.set(s.done, sample.ID)
	}
	return nil
}

// predictor is a model on a device; release frees both.
func (f *deviceFlags) predictor(a *app, model string, which checkpoint.Options) (p *predict.Predictor, release func() error, err error) {
	return f.predictorOn(func() (backend.Device, error) { return f.open(a.settings) }, model, which)
}

// predictorOn is a model on the device that open opens.
func (f *deviceFlags) predictorOn(open func() (backend.Device, error), model string, which checkpoint.Options) (p *predict.Predictor, release func() error, err error) {
	m, err := checkpoint.OpenWith(model, which)
	if err != nil {
		return nil, nil, err
	}
	dev, err := open()
	if err != nil {
		return nil, nil, err
	}
	o := predict.Options{Device: dev}
	if o.Storage, err = f.storage(dev); err == nil {
		p, err = predict.New(m, o)
	}
	if err != nil {
		return nil, nil, errors.Join(err, dev.Close())
	}
	return p, func() error { p.Close(); return dev.Close() }, nil
}

// errNoFirstStage is in the chain of the error of a second stage alone.
var errNoFirstStage = errors.New("no model of that is with")

// withFirstStage gives m, the model at path, its first stage if it is the second stage of
// a cascade and does not bring it: the model previous, or else the one beside path.
func withFirstStage(m *checkpoint.Model, path, previous string) error {
	c, err := m.Config()
	if err != nil {
		return err
	}
	if c.Previous == "" {
		if previous != "" {
			return usagef("--previous: configuration %s is no second stage of a cascade", c.Name)
		}
		return nil
	}
	if previous == "" && m.Before != nil {
		return nil
	}
	if previous == "" {
		if previous, err = m.StageBeside(path); err != nil {
			return err
		}
	}
	if previous == "" {
		return usageError{fmt.Errorf("configuration %s needs the labels of %s, and %w it, nor beside %s: give it as --previous", c.Name, c.Previous, errNoFirstStage, path)}
	}
	before, err := checkpoint.Open(previous)
	if err != nil {
		return err
	}
	return m.SetBefore(before)
}

// firstStage makes sure that the labels of the first stage of a cascade are there,
// and returns their folder; "" for models that need none.
func (f *predictFlags) firstStage(ctx context.Context, a *app, m *checkpoint.Model, cases []dataset.Case, dev backend.Device) (folder string, err error) {
	c, err := m.Config()
	if err != nil {
		return "", err
	}
	if st, err := os.Stat(f.previous); err == nil && c.Previous != "" && !isModel(f.previous, st.IsDir()) {
		return f.previous, nil // labels
	}
	if err := withFirstStage(m, f.model, f.previous); err != nil || c.Previous == "" {
		return "", err
	}
	o := predict.Options{Device: dev, Step: f.step, NoMirror: f.noMirror, MemoryBytes: int64(f.memoryGB * (1 << 30))}
	if o.Storage, err = f.storage(dev); err != nil {
		return "", err
	}
	pr, err := predict.New(m.Before, o)
	if err != nil {
		return "", err
	}
	defer pr.Close()
	p := a.progressOf()
	defer p.wait()
	folder = filepath.Join(f.output, c.Previous)
	return folder, label(ctx, p, c.Previous, pr, cases, folder, predict.FolderOptions{Continue: f.resume})
}

// previousLabels are the files of the first stage's labels.
func (f *predictFlags) previousLabels(made *plan.Plan) func(dataset.Case) string {
	ending := predict.LabelFormat(made).Endings[0]
	return func(c dataset.Case) string { return filepath.Join(f.previous, c.ID+ending) }
}
