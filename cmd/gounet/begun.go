package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/train"
)

// done says whether a fold is trained and validated. One that was trained with other
// settings or on other cases is an error.
func (f *trainFlags) done(a *app, p *progress, made *plan.Plan, w *workspace, name string) (bool, error) {
	dir := w.run(name, f.fold)
	fold, err := w.split(f.splits, f.fold)
	if err != nil {
		return false, err
	}
	if err := errors.Join(f.sameCases(dir, fold), f.sameStart(a.settings, dir)); err != nil {
		return false, err
	}
	if why, err := f.outdated(made, w, name, fold); why != "" || err != nil {
		if errors.Is(err, errFirstStage) {
			err = nil // then it is not sure what this one is
		}
		return false, err
	}
	if len(fold.Val) == 0 { // fold all: there is no validation that says so
		return f.ended(made, name, dir)
	}
	folder := filepath.Join(dir, validationFolder)
	s, err := metric.ReadSummary(filepath.Join(folder, summaryFile))
	if err != nil {
		return false, nil //nolint:nilerr // it is trained then
	}
	if !covers(s, made, fold.Val) {
		return false, nil
	}
	for _, id := range fold.Val {
		if _, err := os.Stat(filepath.Join(folder, id+".npz")); f.probabilities && err != nil {
			return false, nil //nolint:nilerr // it is validated again
		}
	}
	if _, err := f.planOf(made, name, dir); err != nil {
		return false, err
	}
	w.warnEdited(p, dir, fold, true)
	return true, nil
}

// outdated says why the second stage of a cascade is not of its first stage of today; ""
// if it is, and of all other trainings.
func (f *trainFlags) outdated(made *plan.Plan, w *workspace, name string, fold dataset.Fold) (string, error) {
	c, err := configuration(made, name)
	if err != nil || c.Previous == "" {
		return "", err
	}
	ids := slices.Concat(fold.Train, fold.Val)
	before, err := w.stageBefore(f.splits, c)
	if err == nil {
		err = before.trained(ids)
	}
	if err != nil {
		return "", err
	}
	return before.outdated(w.run(name, f.fold), ids)
}

// outdatedFolder is where run keeps trainings of second stages whose first stage was
// trained anew, in the folder of their configuration.
const outdatedFolder = "outdated"

// renew puts a training that is outdated out of the way of one that begins anew.
func (f *trainFlags) renew(p *progress, made *plan.Plan, w *workspace, name string) (err error) {
	fold, err := w.split(f.splits, f.fold)
	if err != nil {
		return err
	}
	why, err := f.outdated(made, w, name, fold)
	if why == "" || err != nil {
		return err
	}
	dir := w.run(name, f.fold)
	release, err := train.TakeFolder(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	to := filepath.Join(w.dir, name, outdatedFolder)
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	to = filepath.Join(to, filepath.Base(dir))
	for n, free := 2, to; ; n++ {
		if _, err := os.Lstat(free); err != nil {
			to = free
			break
		}
		free = fmt.Sprintf("%s_%d", to, n)
	}
	if err := os.Rename(dir, to); err != nil {
		return err
	}
	p.print("outdated  %s: it is trained again; what was there is kept as %s, remove it if it is not wanted", why, to)
	return nil
}

// ended says whether a training without held-out cases has all its epochs.
func (f *trainFlags) ended(made *plan.Plan, name, dir string) (bool, error) {
	log, err := train.ReadLog(dir)
	if err != nil {
		return false, nil //nolint:nilerr // it is trained then
	}
	of, err := f.planOf(made, name, dir)
	return err == nil && len(log) >= of.Recipe.Schedule.Epochs, err
}

// covers says whether s has scores of the cases ids, and of no others.
func covers(s *metric.Summary, made *plan.Plan, ids []string) bool {
	ending := predict.LabelFormat(made).Endings[0]
	scored := map[string]bool{}
	for _, c := range s.Cases {
		scored[strings.TrimSuffix(filepath.Base(c.PredictionFile), ending)] = true
	}
	return len(scored) == len(ids) && !slices.ContainsFunc(ids, func(id string) bool { return !scored[id] })
}

// sameCases returns an error if the training in dir was begun with other cases than
// those of fold: a network would be measured on what it has seen.
func (f *trainFlags) sameCases(dir string, fold dataset.Fold) error {
	began, err := train.CasesOf(dir)
	if err != nil || len(began.Train) == 0 {
		return err
	}
	if changed := fold.Changed(began); changed != "" {
		return usagef("%s was begun with other cases: %s: give the data set and --splits that it began with, or choose another %s", dir, changed, f.elsewhere())
	}
	return nil
}

// sameStart returns an error if the training in dir was begun with another seed, precision
// or model to begin with than those that the user gave.
func (f *trainFlags) sameStart(s *settings, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, checkpoint.StateFile)); err != nil {
		return nil //nolint:nilerr // it has not begun
	}
	if err := f.deviceFlags.check(s); err != nil {
		return err
	}
	began, err := startOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range []struct {
		flag       string
		given      bool
		was, wants any
	}{
		{"seed", s.setByUser("seed"), began.Seed, f.seed},
		{"precision", s.setByUser("precision") || f.amp, began.Precision, f.precision},
		{"pretrained", s.setByUser("pretrained"), absolute(began.Pretrained), absolute(f.pretrained)},
	} {
		if !c.given || c.was == c.wants {
			continue
		}
		if c.was == "" {
			return usagef("%s was begun without --%s: leave it out, or choose another %s", dir, c.flag, f.elsewhere())
		}
		return usagef("%s was begun with --%s %v, not %v: give the same, or choose another %s", dir, c.flag, c.was, c.wants, f.elsewhere())
	}
	return nil
}

// start is what a training began with beside its plan and its cases.
type start struct {
	Seed       uint64 `json:"seed"`
	Precision  string `json:"precision"`
	Pretrained string `json:"pretrained"`
}

// startOf reads it in a run folder.
func startOf(dir string) (s start, err error) {
	file := filepath.Join(dir, train.SettingsFile)
	b, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// absolute is a path that can be compared; "" stays so.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil && path != "" {
		return whole
	}
	return path
}

// elsewhere is the flag that leads to another run folder.
func (f *trainFlags) elsewhere() string { return cmp.Or(f.other, "--output") }

// warnEdited names the files of a fold that are newer than the network in dir, which has
// not seen them: one that is whole will not, one that is trained further sees them from
// now on.
func (w *workspace) warnEdited(p *progress, dir string, fold dataset.Fold, whole bool) {
	weights := filepath.Join(dir, checkpoint.WeightsFile)
	if _, err := os.Stat(weights); err != nil {
		return
	}
	var edited []string
	for _, c := range w.cases(slices.Concat(fold.Train, fold.Val)) {
		for _, file := range append(slices.Clone(c.Images), c.Label) {
			if newer(file, weights) {
				edited = append(edited, filepath.Base(file))
			}
		}
	}
	if len(edited) == 0 {
		return
	}
	more := ""
	if n := len(edited) - 1; n > 0 {
		more = " and " + count(n, "other file")
	}
	what := "was trained: remove that folder to train again"
	if !whole {
		what = "was begun: the training goes on with them as they are now, and has seen them as they were; remove that folder to train with one and the same from the beginning"
	}
	p.warn("%s%s changed after %s %s", edited[0], more, dir, what)
}
