package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/pickle"
)

// nnunetTrainer is the trainer that builds the network of a plan and nothing else.
const nnunetTrainer = "nnUNetTrainer"

// ExportNNUNet writes m into dir as a results folder of nnU-Net v2, which
// nnUNetv2_predict_from_modelfolder loads, and returns its path:
// TRAINER__PLANS__CONFIGURATION with plans.json, dataset.json and
// fold_N/checkpoint_final.pth. The state of the optimizer has no place there.
//
// A network that nnU-Net has no class for is an error.
func ExportNNUNet(dir string, m *Model) (string, error) {
	if err := m.check(); err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	m, err := asNNUNet(m)
	if err != nil {
		return "", notNNUNet(err)
	}
	c, err := m.Config()
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	trainer := m.Trainer
	if trainer == "" {
		trainer = nnunetTrainer
	}
	name := m.Plan.Name
	if name == "" {
		name = "nnUNetPlans"
	}
	top := filepath.Join(dir, trainer+"__"+name+"__"+m.Configuration)
	if _, err := os.Stat(top); err == nil {
		return "", fmt.Errorf("export: %s is there already: choose another folder", top)
	}
	p := *m.Plan
	p.Name = name
	var plans bytes.Buffer
	if err := plan.WriteNNUNet(&plans, &p); err != nil {
		return "", notNNUNet(err)
	}
	if err := os.MkdirAll(top, 0o777); err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	err = atomicfile.Write(filepath.Join(top, nnunetPlans), func(w io.Writer) error {
		_, err := w.Write(plans.Bytes())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	err = atomicfile.Write(filepath.Join(top, nnunetDataset), func(w io.Writer) error {
		return p.DatasetJSON(1).WriteNNUNet(w) // how many cases there were is not known
	})
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	for i, f := range m.Folds {
		if f.Name == "" {
			f.Name = fmt.Sprint(i)
		}
		file := filepath.Join(top, foldPrefix+f.Name, nnunetFinal)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return "", fmt.Errorf("export: %w", err)
		}
		root := strings.TrimSuffix(nnunetFinal, ".pth")
		if err := atomicfile.Write(file, func(w io.Writer) error { return pickle.Write(w, root, m.nnunetFile(f, trainer, c)) }); err != nil {
			return "", fmt.Errorf("export: %s: %w", file, err)
		}
	}
	return top, nil
}

// notNNUNet says which form to take instead of nnU-Net's.
func notNNUNet(err error) error {
	if errors.Is(err, plan.ErrNotNNUNet) {
		return fmt.Errorf("export: %w: write it as ONNX, which is the network alone, or as a %s file", err, Extension)
	}
	return fmt.Errorf("export: %w", err)
}

// nnunetFile is the content of a fold's file.
func (m *Model) nnunetFile(f Fold, trainer string, c *plan.Configuration) pickle.Mapping {
	var axes []any
	for a := 3 - c.Dim; a < 3; a++ {
		if m.Mirror[a] {
			axes = append(axes, a-(3-c.Dim))
		}
	}
	var mirror any
	if axes != nil {
		mirror = axes
	}
	return pickle.Mapping{
		{Key: "network_weights", Value: stateDict(f.Weights, Parameters(m.Plan, c))},
		{Key: "optimizer_state", Value: nil},
		{Key: "grad_scaler_state", Value: nil},
		{Key: "logging", Value: pickle.Mapping{}},
		{Key: "_best_ema", Value: nil},
		{Key: "current_epoch", Value: f.Epoch},
		{Key: "init_args", Value: pickle.Mapping{{Key: "configuration", Value: m.Configuration}, {Key: "fold", Value: f.Name}}},
		{Key: "trainer_name", Value: trainer},
		{Key: "inference_allowed_mirroring_axes", Value: mirror},
	}
}

// stateDict are the weights under all names that nnU-Net's modules show them by: a
// layer's members again as a list, and the encoder again inside the decoder. A batch
// norm also counts batches there, for averages that nnU-Net does not take.
func stateDict(w Weights, order []Parameter) pickle.Mapping {
	var own, inside pickle.Mapping
	add := func(name string, a *pickle.Array) {
		for _, name := range append([]string{name}, alias(name)...) {
			own = append(own, pickle.Member{Key: name, Value: a})
			if strings.HasPrefix(name, "encoder.") {
				inside = append(inside, pickle.Member{Key: "decoder." + name, Value: a})
			}
		}
	}
	for _, p := range order {
		add(p.Name, &pickle.Array{Shape: p.Shape, Data: w[p.Name].Data})
		if norm, ok := strings.CutSuffix(p.Name, ".running_var"); ok {
			add(norm+batchesTracked, &pickle.Array{Int64s: []int64{0}})
		}
	}
	return slices.Concat(own, inside)
}

// alias is the second name of a member of nnU-Net's ConvDropoutNormReLU.
func alias(name string) []string {
	for i, member := range []string{".conv.", ".norm."} {
		if at := strings.LastIndex(name, member); at >= 0 {
			return []string{fmt.Sprintf("%s.all_modules.%d.%s", name[:at], i, name[at+len(member):])}
		}
	}
	return nil
}

// asNNUNet is m with what nnU-Net's networks have beside it: one bias for all
// convolutions or none, a head for each decoder stage. What is added is zero.
func asNNUNet(m *Model) (*Model, error) {
	c, err := m.Config()
	if err != nil {
		return nil, err
	}
	n := c.Network
	if slices.Equal(n.DecoderKernels, n.Kernels[:n.Stages()-1]) {
		n.DecoderKernels = nil
	}
	n.ConvBias, n.UpBias, n.Heads = n.HasUpBias(), false, 0
	out := *m
	p := *m.Plan
	p.Configurations = slices.Clone(p.Configurations)
	p.Configuration(m.Configuration).Network = n
	out.Plan, out.Folds = &p, nil
	for _, f := range m.Folds {
		w := maps.Clone(f.Weights)
		for _, want := range Parameters(&p, p.Configuration(m.Configuration)) {
			if _, ok := w[want.Name]; !ok {
				w[want.Name] = Tensor{Shape: want.Shape, Data: make([]float32, product(want.Shape))}
			}
		}
		f.Weights = w
		out.Folds = append(out.Folds, f)
	}
	return &out, nil
}
