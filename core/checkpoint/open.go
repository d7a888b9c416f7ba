package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/safetensors"
)

// Options of OpenWith.
type Options struct {
	// Checkpoint is "final" (the last weights; model.safetensors or
	// checkpoint_final.pth) or "best" (best.safetensors or
	// checkpoint_best.pth). Empty takes final, and of an nnU-Net folder
	// without it best.
	Checkpoint string
	// Folds are the names of the folds to load. Empty takes all; of an nnU-Net
	// folder that has numbered folds, all but fold_all.
	Folds []string

	stage int // of a cascade, from the last
}

// Values of Options.Checkpoint.
const (
	Final = "final"
	Best  = "best"
)

// Open is OpenWith without options.
func Open(path string) (*Model, error) { return OpenWith(path, Options{}) }

// OpenWith loads the model at path and checks that all belongs together. path is
//
//   - a model folder or a run folder, or a folder of such folds (fold_0, …),
//   - a .gounet file,
//   - a results folder of nnU-Net v2 (plans.json, dataset.json, fold_0, …), one
//     of its folds, or a .pth file there.
//
// Its error lists every parameter that is missing, too many or misshapen.
func OpenWith(path string, o Options) (*Model, error) {
	if o.Checkpoint != "" && o.Checkpoint != Final && o.Checkpoint != Best {
		return nil, fmt.Errorf("checkpoint %q is unknown, wanted %s or %s", o.Checkpoint, Final, Best)
	}
	stat, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: wanted a run, a model folder, a .gounet file, or a results folder of nnU-Net", err)
	}
	path = filepath.Clean(path)
	if !stat.IsDir() {
		return openFile(path, o)
	}
	d := folder(path)
	switch {
	case d.has(plan.FileName):
		m, err := load(d, path, o)
		if err != nil {
			err = fmt.Errorf("%w%s", err, d.modelsBelow())
		}
		return m, err
	case d.has(nnunetPlans):
		return openNNUNet(d, o)
	}
	folds, err := d.folds("")
	if err != nil {
		return nil, err
	}
	for _, f := range folds {
		if d.has(f + "/" + plan.FileName) {
			return load(d, path, o)
		}
	}
	parent, name, isFold := foldOf(path)
	if isFold && parent.has(nnunetPlans) {
		o.Folds = []string{name}
		return openNNUNet(parent, o)
	}
	return nil, notAModel(d)
}

// modelsBelow names the models in the folders of d, for one that gave the folder
// of all work instead of a run.
func (d folder) modelsBelow() string {
	runs, _ := filepath.Glob(d.path("*/" + foldPrefix + "*/" + WeightsFile)) // the pattern is right
	if len(runs) == 0 || d.has(WeightsFile) {
		return ""
	}
	for i, r := range runs {
		runs[i] = filepath.Dir(r)
	}
	return fmt.Sprintf("; there are models in %s", strings.Join(runs, ", "))
}

func openFile(path string, o Options) (*Model, error) {
	if filepath.Base(path) == WeightsFile { // the weights of the model around it
		return OpenWith(filepath.Dir(path), o)
	}
	switch filepath.Ext(path) {
	case Extension:
		d, base := filepath.Split(path)
		f, err := folder(d).open(base)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return Read(f, f.size, path, o)
	case ".pth":
		parent, name, isFold := foldOf(filepath.Dir(path))
		if !isFold || !parent.has(nnunetPlans) {
			return nil, fmt.Errorf("%s: its nnU-Net results folder was wanted around it: %s and %s beside the fold's folder",
				path, nnunetPlans, nnunetDataset)
		}
		o.Folds = []string{name}
		return openNNUNetFile(parent, filepath.Base(path), o)
	}
	return nil, fmt.Errorf("%s: not a model: a model folder, a run folder, a %s file, an nnU-Net v2 results folder or a .pth file in one was wanted",
		path, Extension)
}

// Read loads a model from the size bytes of a .gounet file, for programs that
// have it in memory or get it otherwise. Errors call it name.
func Read(r io.ReaderAt, size int64, name string, o Options) (*Model, error) {
	a := &archive{name: name, r: r, size: size}
	if err := a.index(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return load(a, name, o)
}

// foldOf takes a fold's folder apart: where it is, and the name of the fold.
func foldOf(path string) (parent folder, name string, ok bool) {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute // for "." inside a fold
	}
	name, ok = strings.CutPrefix(filepath.Base(path), foldPrefix)
	return folder(filepath.Dir(path)), name, ok
}

// notAModel says what was looked for, and what is near.
func notAModel(d folder) error {
	near, _ := filepath.Glob(d.path("*/plan*.json"))
	hint := ""
	if len(near) > 0 {
		hint = "; it holds models, name one of them:"
		for _, n := range near {
			hint += "\n  " + filepath.Dir(n)
		}
	}
	return fmt.Errorf("%s: not a model: neither %s (a model or run folder) nor %s (nnU-Net v2 results) is in it%s",
		string(d), plan.FileName, nnunetPlans, hint)
}

// load reads a model of this program.
func load(s source, path string, o Options) (*Model, error) {
	weights, err := weightsFiles(s, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	planBytes, err := readAll(s, plan.FileName)
	if errors.Is(err, fs.ErrNotExist) { // a folder of runs
		planBytes, err = readAll(s, strings.TrimSuffix(weights[0], weightsBase(o))+plan.FileName)
	}
	if err != nil {
		return nil, err
	}
	p, err := plan.Parse(bytes.NewReader(planBytes))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := &Model{Plan: p}
	for _, name := range weights {
		f, err := m.loadFold(s, name, hashOf(planBytes))
		if err != nil {
			return nil, err
		}
		if fold, _, inFolder := strings.Cut(name, "/"); inFolder {
			f.Name = strings.TrimPrefix(fold, foldPrefix)
		}
		m.Folds = append(m.Folds, f)
	}
	if err := errors.Join(m.setMirror(), m.loadBefore(s, path, o)); err != nil {
		return nil, err
	}
	return m, m.wanted(path, o)
}

// wanted makes sure that m has the folds that were asked for.
func (m *Model) wanted(path string, o Options) error {
	var have []string
	for _, f := range m.Folds {
		have = append(have, f.Name)
	}
	for _, name := range o.Folds {
		if !slices.Contains(have, name) {
			return fmt.Errorf("%s: %w %s, the model has fold %s", path, ErrNoFold, name, strings.Join(have, ", "))
		}
	}
	return nil
}

func weightsBase(o Options) string {
	if o.Checkpoint == Best {
		return BestFile
	}
	return WeightsFile
}

// weightsFiles finds the weights that o asks for: at the root or in folds.
func weightsFiles(s source, o Options) ([]string, error) {
	base := weightsBase(o)
	root, err := s.open(base)
	if err == nil {
		return []string{base}, root.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	folds, err := s.folds("")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, fold := range folds {
		f, err := s.open(fold + "/" + base)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		if len(o.Folds) == 0 || slices.Contains(o.Folds, strings.TrimPrefix(fold, foldPrefix)) {
			names = append(names, fold+"/"+base)
		}
	}
	if len(names) == 0 || len(o.Folds) > len(names) {
		return nil, fmt.Errorf("no %s, neither here nor in each wanted %s* (there are %v): the training has not saved it yet, or it is not copied whole",
			base, foldPrefix, folds)
	}
	return names, nil
}

// loadFold reads one weights file and checks it against the plan.
func (m *Model) loadFold(s source, name, planHash string) (Fold, error) {
	f, err := s.open(name)
	if err != nil {
		return Fold{}, err
	}
	defer f.Close()
	st, err := safetensors.New(f, f.size, f.name)
	if err != nil {
		return Fold{}, err
	}
	return m.readFold(st, f.name, "", planHash)
}

// readFold reads the weights whose names begin with prefix. It sets the
// configuration of m, or makes sure that it is the same.
func (m *Model) readFold(st *safetensors.File, what, prefix, planHash string) (Fold, error) {
	meta := st.Metadata()
	if meta[metaPlan] != planHash {
		return Fold{}, fmt.Errorf("%s: it was trained with the plan %.20q, %s beside it is %.20q: the two files do not belong together",
			what, meta[metaPlan], plan.FileName, planHash)
	}
	if m.Configuration != "" && m.Configuration != meta[metaConfiguration] {
		return Fold{}, fmt.Errorf("%s: configuration %q, the other folds have %q", what, meta[metaConfiguration], m.Configuration)
	}
	m.Configuration, m.Trainer = meta[metaConfiguration], meta[metaTrainer]
	c, err := m.Config()
	if err != nil {
		return Fold{}, fmt.Errorf("%s: %w", what, err)
	}
	fold := Fold{Name: meta[metaFold]}
	if fold.Epoch, err = strconv.Atoi(meta[metaEpoch]); err != nil {
		return Fold{}, fmt.Errorf("%s: metadata epoch: %w", what, err)
	}
	fold.Weights, err = readWeights(st, what, prefix, Parameters(m.Plan, c))
	if err == nil && fold.Weights.hash() != meta[metaWeights] {
		err = fmt.Errorf("%s: the weights are not those that were saved: the file is damaged, get it or save it again", what)
	}
	return fold, err
}

// setMirror takes the axes from the recipe.
func (m *Model) setMirror() error {
	c, err := m.Config()
	if err != nil {
		return err
	}
	m.Mirror = m.Plan.Recipe.For(c).Inference.Mirror
	return nil
}

// readWeights reads the tensors whose names begin with prefix, once names and
// shapes are right.
func readWeights(st *safetensors.File, what, prefix string, wanted []Parameter) (Weights, error) {
	shapes := map[string][]int{}
	for _, name := range st.Names() {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			info, _ := st.Info(name)
			shapes[rest] = info.Shape
		}
	}
	if err := checkShapes(what, shapes, wanted); err != nil {
		return nil, err
	}
	w := make(Weights, len(shapes))
	for name := range shapes {
		data, shape, err := st.Float32s(prefix + name)
		if err != nil {
			return nil, err
		}
		w[name] = Tensor{Shape: shape, Data: data}
	}
	return w, nil
}
