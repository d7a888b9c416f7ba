package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/pickle"
)

// ImportOptions are what Import has to be told where a file does not say it.
type ImportOptions struct {
	Options
	Model   string       // part of the name of one of the models in a zip
	Foreign plan.Foreign // of NVIDIA's and MONAI's networks
}

// Import reads a model of another program. path is
//
//   - all that OpenWith reads,
//   - a zip of nnUNetv2_export_model_to_zip,
//   - one .pth file of nnU-Net v2, which holds its plan,
//   - a checkpoint of NVIDIA's nnU-Net (Lightning, .ckpt), or a state dict of MONAI's
//     DynUNet (.pt, .pth), in a dict or by itself,
//   - a bundle of MONAI, folder or zip, with such a network.
//
// Its error lists every tensor that is missing, too many, misshapen or not finite.
// Nothing in a file is executed.
func Import(path string, o ImportOptions) (*Model, error) {
	m, err := importAny(path, o)
	if err == nil {
		err = m.CheckFinite()
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func importAny(path string, o ImportOptions) (*Model, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		if file := filepath.Join(path, bundleWeights); folder(path).has(bundleWeights) && folder(path).has(bundleConfig) {
			return importBundle(file, filepath.Join(path, bundleConfig), o)
		}
		return OpenWith(path, o.Options)
	}
	if filepath.Ext(path) == Extension {
		return OpenWith(path, o.Options)
	}
	if isZipOfModels(path) {
		return importZip(path, o)
	}
	if parent, _, isFold := foldOf(filepath.Dir(path)); isFold && parent.has(nnunetPlans) {
		return OpenWith(path, o.Options)
	}
	return importTorch(path, o)
}

// importTorch reads one file of torch.save.
func importTorch(path string, o ImportOptions) (*Model, error) {
	f, err := pickle.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	top, ok := f.Value.(*pickle.Dict)
	if !ok {
		return nil, fmt.Errorf("%s: it holds a %T, a dict of tensors was wanted", path, f.Value)
	}
	var m *Model
	if _, ok := top.Get("network_weights"); ok {
		m, err = importLoneFold(top, path)
	} else {
		m, err = importDynUNet(top, path, o.Foreign)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// importLoneFold reads a checkpoint of nnU-Net v2 without the folder around it. Its
// init_args have the plan.
func importLoneFold(top *pickle.Dict, path string) (*Model, error) {
	args, err := pickle.Lookup[*pickle.Dict](top, "init_args")
	if err != nil {
		return nil, fmt.Errorf("a checkpoint of nnU-Net v2 alone: %w: copy plans.json and dataset.json from its results folder beside the folder of the fold", err)
	}
	var files [2]bytes.Buffer
	for i, key := range []string{"plans", "dataset_json"} {
		d, err := pickle.Lookup[*pickle.Dict](args, key)
		if err != nil {
			return nil, fmt.Errorf("init_args: %w: give the results folder instead", err)
		}
		if err := writeJSON(&files[i], d, 0); err != nil {
			return nil, fmt.Errorf("init_args: %s: %w", key, err)
		}
	}
	ds, err := plan.ParseDatasetJSON(&files[1])
	if err != nil {
		return nil, err
	}
	p, err := plan.ReadNNUNet(&files[0], ds)
	if err != nil {
		return nil, err
	}
	name := "0"
	if v, ok := args.Get("fold"); ok {
		name = fmt.Sprint(v)
	}
	m := &Model{Plan: p}
	if err := m.importFold(top, path, name, true); err != nil {
		return nil, err
	}
	m.Plan.Recipe.Inference.Mirror = m.Mirror
	return m, nil
}

// deepest is how deep values in a checkpoint may be nested.
const deepest = 32

// writeJSON writes what a pickle holds as JSON, in its order.
func writeJSON(b *bytes.Buffer, v any, depth int) error {
	if depth > deepest {
		return errors.New("values are nested too deep")
	}
	switch v := v.(type) {
	case *pickle.Dict:
		b.WriteByte('{')
		first := true
		for k, x := range v.All() {
			if !first {
				b.WriteByte(',')
			}
			first = false
			key, err := json.Marshal(fmt.Sprint(k))
			if err != nil {
				return err
			}
			b.Write(key)
			b.WriteByte(':')
			if err := writeJSON(b, x, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, x, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case nil, bool, int64, float64, string:
		x, err := json.Marshal(v)
		if err != nil {
			return err
		}
		b.Write(x)
	default:
		return fmt.Errorf("a %T has no place in JSON", v)
	}
	return nil
}

// importDynUNet reads a network of NVIDIA's or MONAI's.
func importDynUNet(top *pickle.Dict, path string, f plan.Foreign) (*Model, error) {
	state := top
	for _, key := range []string{"state_dict", "model", "model_state_dict"} {
		if d, err := pickle.Lookup[*pickle.Dict](top, key); err == nil {
			state = d
			break
		}
	}
	d, err := readDynUNet(state)
	if err != nil {
		return nil, err
	}
	p, err := f.Plan(d.network, d.dim, d.in, d.classes)
	if err != nil {
		return nil, fmt.Errorf("a network with the features %v, kernels %v and strides %v, %d inputs and %d outputs: %w",
			d.network.Features, d.network.Kernels, d.network.Strides, d.in, d.classes, err)
	}
	c := &p.Configurations[0]
	fold := Fold{Name: "0"}
	if epoch, err := pickle.Lookup[int64](top, "epoch"); err == nil {
		fold.Epoch = int(epoch) + 1 // Lightning counts from 0
	}
	if fold.Weights, err = d.weights(path, p, c); err != nil {
		return nil, err
	}
	m := &Model{Plan: p, Configuration: c.Name, Folds: []Fold{fold}}
	return m, errors.Join(m.setMirror(), m.check())
}

// Files of a bundle of MONAI.
const (
	bundleWeights = "models/model.pt"
	bundleConfig  = "configs/inference.json"
)

// importBundle reads a bundle of MONAI. Its tensors have the axes x y z.
func importBundle(weights, config string, o ImportOptions) (*Model, error) {
	b, err := os.ReadFile(config)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	f := &o.Foreign
	if f.Transpose == [3]int{} {
		f.Transpose = [3]int{2, 1, 0}
	}
	if x := numbersAt(v, "roi_size", 0); f.Patch == [3]int{} && len(x) == 3 {
		f.Patch = [3]int{int(x[0]), int(x[1]), int(x[2])}
	}
	if x := numbersAt(v, "pixdim", 0); f.Spacing == [3]float64{} && len(x) == 3 {
		f.Spacing = [3]float64(x)
	}
	if f.Dataset == "" {
		f.Dataset = filepath.Base(filepath.Dir(filepath.Dir(config)))
	}
	return importTorch(weights, o)
}

// numbersAt finds the list of numbers under a key, wherever that is.
func numbersAt(v any, key string, depth int) []float64 {
	if depth > deepest {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if list, ok := v[key].([]any); ok {
			var out []float64
			for _, x := range list {
				n, ok := x.(float64)
				if !ok {
					return nil // a reference or an expression
				}
				out = append(out, n)
			}
			return out
		}
		for _, name := range sortedKeys(v) {
			if x := numbersAt(v[name], key, depth+1); x != nil {
				return x
			}
		}
	case []any:
		for _, x := range v {
			if x := numbersAt(x, key, depth+1); x != nil {
				return x
			}
		}
	}
	return nil
}

func hasBase(name string, bases ...string) bool {
	for _, b := range bases {
		if name == b || strings.HasSuffix(name, "/"+b) {
			return true
		}
	}
	return false
}
