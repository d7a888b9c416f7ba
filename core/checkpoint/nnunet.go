package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/pickle"
)

// Files of an nnU-Net v2 results folder.
const (
	nnunetPlans   = "plans.json"
	nnunetDataset = "dataset.json"
	nnunetFinal   = "checkpoint_final.pth"
	nnunetBest    = "checkpoint_best.pth"
	nnunetAll     = "all" // the fold that trains on everything
)

// openNNUNet imports a results folder with the weights that o asks for.
func openNNUNet(d folder, o Options) (*Model, error) {
	candidates := map[string][]string{"": {nnunetFinal, nnunetBest}, Final: {nnunetFinal}, Best: {nnunetBest}}[o.Checkpoint]
	var errs []error
	for _, base := range candidates {
		m, err := openNNUNetFile(d, base, o)
		if !errors.Is(err, ErrNoFold) {
			return m, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// batchesTracked ends the name of a count that batch norms have in PyTorch.
const batchesTracked = ".num_batches_tracked"

// ErrNoFold is in the chain of the error of a model that lacks a wanted fold.
var ErrNoFold = errors.New("there is no fold")

// openNNUNetFile imports a results folder with the weights in base of each fold.
func openNNUNetFile(d folder, base string, o Options) (*Model, error) {
	names, err := nnunetFolds(d, base, o.Folds)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", string(d), err)
	}
	p, err := readNNUNetPlan(d)
	if err != nil {
		return nil, err
	}
	m := &Model{Plan: p}
	for i, name := range names {
		path := d.path(foldPrefix + name + "/" + base)
		if err := m.importFile(path, name, i == 0); err != nil {
			return nil, err
		}
	}
	m.Plan.Recipe.Inference.Mirror = m.Mirror
	return m, nil
}

// nnunetFolds names the wanted folds that have the file base.
func nnunetFolds(d folder, base string, wanted []string) ([]string, error) {
	folders, err := d.folds("")
	if err != nil {
		return nil, err
	}
	var names, missing []string
	for _, f := range folders {
		if d.has(f + "/" + base) {
			names = append(names, strings.TrimPrefix(f, foldPrefix))
		}
	}
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			missing = append(missing, w)
		}
	}
	switch {
	case len(missing) > 0 || len(names) == 0:
		return nil, fmt.Errorf("%w %s with %s, there are %q", ErrNoFold, strings.Join(missing, ", "), base, names)
	case len(wanted) > 0:
		return wanted, nil
	case len(names) > 1:
		names = slices.DeleteFunc(names, func(n string) bool { return n == nnunetAll })
	}
	return names, nil
}

func readNNUNetPlan(d folder) (*plan.Plan, error) {
	ds, err := plan.LoadDatasetJSON(d.path(nnunetDataset))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: nnU-Net writes it beside %s; copy it from the training", err, nnunetPlans)
		}
		return nil, err
	}
	f, err := os.Open(d.path(nnunetPlans))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := plan.ReadNNUNet(f, ds)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", string(d), err)
	}
	return p, nil
}

func (m *Model) importFile(path, name string, first bool) error {
	f, err := pickle.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	top, ok := f.Value.(*pickle.Dict)
	if !ok {
		return fmt.Errorf("%s: it holds a %T, a checkpoint of nnU-Net v2 is a dict", path, f.Value)
	}
	if err := m.importFold(top, path, name, first); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// importFold adds the weights of one checkpoint. The first also says which
// configuration, trainer and mirroring it is; the others must agree on the
// configuration.
func (m *Model) importFold(top *pickle.Dict, path, name string, first bool) error {
	configuration := configurationOf(top, path)
	if first {
		m.Configuration = configuration
		m.Trainer, _ = pickle.Lookup[string](top, "trainer_name")
	}
	if configuration != m.Configuration {
		return fmt.Errorf("configuration %q, the other folds have %q", configuration, m.Configuration)
	}
	c, err := m.Config()
	if err != nil {
		return err
	}
	if first {
		if m.Mirror, err = mirrorAxes(top, c.Dim); err != nil {
			return err
		}
	}
	fold := Fold{Name: name}
	if epoch, err := pickle.Lookup[int64](top, "current_epoch"); err == nil {
		fold.Epoch = int(epoch)
	}
	state, err := pickle.Lookup[*pickle.Dict](top, "network_weights")
	if err != nil {
		return fmt.Errorf("not a checkpoint of nnU-Net v2: %w", err)
	}
	if first && hasRunning(state) { // nnUNetTrainerBN, whatever the plan says
		c.Network.Norm = plan.BatchNorm
	}
	if fold.Weights, err = importWeights(state, path, Parameters(m.Plan, c)); err != nil {
		return err
	}
	m.Folds = append(m.Folds, fold)
	return nil
}

// hasRunning says whether a state dict has the running statistics of batch norms.
func hasRunning(state *pickle.Dict) bool {
	for key := range state.All() {
		if name, ok := key.(string); ok && strings.HasSuffix(name, ".running_mean") {
			return true
		}
	}
	return false
}

// configurationOf is what the checkpoint says of itself, else the third part of
// the folder's name, <trainer>__<plans>__<configuration>.
func configurationOf(top *pickle.Dict, path string) string {
	if args, err := pickle.Lookup[*pickle.Dict](top, "init_args"); err == nil {
		if name, err := pickle.Lookup[string](args, "configuration"); err == nil {
			return name
		}
	}
	parts := strings.Split(filepath.Base(filepath.Dir(filepath.Dir(path))), "__")
	if len(parts) == 3 {
		return parts[2]
	}
	return ""
}

// mirrorAxes reads inference_allowed_mirroring_axes: numbers of the network's
// own axes, which are H W in 2-D, or None.
func mirrorAxes(top *pickle.Dict, dim int) (mirror [3]bool, err error) {
	const key = "inference_allowed_mirroring_axes"
	v, ok := top.Get(key)
	if !ok || v == nil {
		return mirror, nil
	}
	axes, ok := v.([]any)
	if !ok {
		return mirror, fmt.Errorf("key %q holds a %T, axes or None were wanted", key, v)
	}
	for _, a := range axes {
		axis, ok := a.(int64)
		if !ok || axis < 0 || axis >= int64(dim) {
			return mirror, fmt.Errorf("key %q holds %v, axes 0 to %d were wanted", key, axes, dim-1)
		}
		mirror[int(axis)+3-dim] = true
	}
	return mirror, nil
}

// importWeights reads a state dict: prefixes of wrappers are stripped, and
// names under which a module shows a parameter a second time are left out.
func importWeights(state *pickle.Dict, path string, wanted []Parameter) (Weights, error) {
	tensors, shapes, seconds := map[string]*pickle.Tensor{}, map[string][]int{}, map[string][]int{}
	for key, v := range state.All() {
		name, isText := key.(string)
		t, isTensor := v.(*pickle.Tensor)
		if !isText || !isTensor {
			return nil, fmt.Errorf("network_weights: %v holds a %T, a tensor was wanted", key, v)
		}
		name = withoutWrappers(name)
		if strings.HasSuffix(name, batchesTracked) {
			continue
		}
		if isAlias(name) {
			seconds[name] = t.Shape
			continue
		}
		if shapes[name] != nil {
			return nil, fmt.Errorf("network_weights: %s comes twice", name)
		}
		tensors[name], shapes[name] = t, t.Shape
	}
	advice, problems := "", compareShapes(shapes, wanted)
	if problems != nil {
		advice = fits(shapes)
	}
	if err := invalid("network_weights", append(problems, misshapenAliases(seconds, wanted)...), advice); err != nil {
		return nil, err
	}
	if err := fitsInto(path, tensors); err != nil {
		return nil, err
	}
	w := make(Weights, len(tensors))
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		data, err := tensors[name].Float32s()
		if err != nil {
			return nil, fmt.Errorf("network_weights: %s: %w", name, err)
		}
		w[name] = Tensor{Shape: tensors[name].Shape, Data: data}
	}
	return w, nil
}

// fitsInto refuses a small file whose tensors all look into the same bytes.
func fitsInto(path string, tensors map[string]*pickle.Tensor) error {
	stat, err := os.Stat(path)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, t := range tensors {
		total += t.Bytes()
	}
	if total > stat.Size() {
		return fmt.Errorf("network_weights: parameters of %d bytes in a file of %d: they overlap", total, stat.Size())
	}
	return nil
}

// withoutWrappers strips what DistributedDataParallel and torch.compile put in
// front of names.
func withoutWrappers(name string) string {
	for {
		before := name
		name = strings.TrimPrefix(strings.TrimPrefix(name, "module."), "_orig_mod.")
		if name == before {
			return name
		}
	}
}

// misshapenAliases lists the second names whose shape is not that of the parameter.
func misshapenAliases(seconds map[string][]int, wanted []Parameter) (problems []string) {
	shapes := make(map[string][]int, len(wanted))
	for _, p := range wanted {
		shapes[p.Name] = p.Shape
	}
	for _, name := range slices.Sorted(maps.Keys(seconds)) {
		first := firstName(name)
		if want, known := shapes[first]; known && !slices.Equal(seconds[name], want) {
			problems = append(problems, fmt.Sprintf("%s: shape is %v, wanted %v: it is %s under a second name", name, seconds[name], want, first))
		}
	}
	return problems
}

// firstName is the name of the parameter that an alias shows: the inverse of alias and
// of the encoder inside the decoder. Behind a convolution comes its norm, a dropout
// between them or not.
func firstName(alias string) string {
	name := alias
	if strings.HasPrefix(alias, "decoder.encoder.") {
		name = strings.TrimPrefix(alias, "decoder.")
	}
	layer, rest, ok := strings.Cut(name, ".all_modules.")
	if !ok {
		return name
	}
	i, member, _ := strings.Cut(rest, ".")
	if i == "0" {
		return layer + ".conv." + member
	}
	return layer + ".norm." + member
}

// isAlias says whether the name is a second one: a layer's members again as a
// list, or the encoder again inside the decoder.
func isAlias(name string) bool {
	return strings.Contains(name, ".all_modules.") || strings.HasPrefix(name, "decoder.encoder.")
}
