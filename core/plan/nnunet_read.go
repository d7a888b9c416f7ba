package plan

import (
	"encoding/json"
	"fmt"
	"io"
)

// ReadNNUNet reads a plans.json of nnU-Net v2, the form with "architecture" and
// that of 2.0 to 2.3, inherits_from included, for the data set of ds. The recipe
// is that of nnU-Net's default trainer. What this program cannot do the same way
// (another resampling, norm or activation, dropout) is an error.
func ReadNNUNet(r io.Reader, ds *DatasetJSON) (*Plan, error) {
	var in plansFile
	if err := readJSON(r, &in, false); err != nil {
		return nil, fmt.Errorf("plans.json: %w", err)
	}
	p, err := in.plan(ds)
	if err != nil {
		return nil, fmt.Errorf("plans.json: %w", err)
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("plans.json: %w", err)
	}
	return p, nil
}

func (in *plansFile) plan(ds *DatasetJSON) (*Plan, error) {
	values, err := inOrder(in.Intensities)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Version: FormatVersion, Dataset: in.Dataset, Name: in.Name, Planner: plannerOf(in.Planner), Description: ds.Description, Licence: ds.Licence,
		Labels: ds.Labels, RegionOrder: ds.RegionOrder, Ignore: ds.Ignore, FileEnding: ds.FileEnding,
		Reader: in.Reader, Intensities: values, Recipe: NNUNet(3),
	}
	if p.HasRegions() {
		p.Recipe.Loss.Voxel = BinaryCrossEntropy
	}
	if len(in.Transpose) != 3 || len(in.TransposeBack) != 3 || len(in.MedianSpacing) != 3 || len(in.MedianShape) != 3 {
		return nil, fmt.Errorf("transpose_forward, transpose_backward, original_median_spacing_after_transp and original_median_shape_after_transp have %d, %d, %d, %d entries, wanted 3 each",
			len(in.Transpose), len(in.TransposeBack), len(in.MedianSpacing), len(in.MedianShape))
	}
	p.Transpose, p.TransposeBack = [3]int(in.Transpose), [3]int(in.TransposeBack)
	p.MedianSpacing = [3]float64(in.MedianSpacing)
	for a, s := range in.MedianShape {
		p.MedianShape[a] = int(min(max(s, -1), 1<<30))
	}
	for _, m := range in.Configurations {
		c, err := in.configuration(m.key)
		if err != nil {
			return nil, fmt.Errorf("configurations: %s: %w", m.key, err)
		}
		p.Configurations = append(p.Configurations, c)
	}
	for i, name := range ds.Channels {
		s := normalizationOf(name)
		if len(p.Configurations) > 0 && i < len(p.Configurations[0].Normalization) {
			s = p.Configurations[0].Normalization[i]
		}
		p.Channels = append(p.Channels, Channel{Name: name, Normalization: s})
	}
	return p, nil
}

func (in *plansFile) configuration(name string) (Configuration, error) {
	merged, err := in.Configurations.inherit(name)
	if err != nil {
		return Configuration{}, err
	}
	data, err := json.Marshal(merged)
	if err != nil {
		return Configuration{}, err
	}
	var f configFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Configuration{}, err
	}
	dim := len(f.Patch)
	if (dim != 2 && dim != 3) || len(f.Spacing) != dim || len(f.MedianShape) != dim {
		return Configuration{}, fmt.Errorf("patch_size, spacing and median_image_size_in_voxels have %d, %d and %d axes, wanted 2 or 3, the same each", dim, len(f.Spacing), len(f.MedianShape))
	}
	c := Configuration{
		Name: name, Dim: dim, Patch: cube(f.Patch, 1), Batch: f.Batch, Spacing: cube(f.Spacing, 0),
		MedianShape: cube(f.MedianShape, 1), MaskNorm: f.MaskNorm, BatchDice: f.BatchDice,
		Previous: f.Previous, Next: f.Next, Data: f.Data, Preprocessor: f.Preprocessor,
	}
	if c.Normalization, err = schemesOf(f.Normalization); err != nil {
		return c, err
	}
	if c.Resampling, err = f.resampling(); err != nil {
		return c, err
	}
	if f.Architecture != nil {
		c.Network, err = f.Architecture.network(dim)
	} else {
		c.Network, err = f.oldNetwork(dim)
	}
	return c, err
}

func schemesOf(classes []string) ([]string, error) {
	var out []string
	for _, class := range classes {
		s := ""
		for _, pair := range schemeClasses() {
			if pair[1] == class {
				s = pair[0]
			}
		}
		if s == "" {
			return nil, fmt.Errorf("normalization_schemes: %q is unknown", class)
		}
		out = append(out, s)
	}
	return out, nil
}

func (f *configFile) resampling() (Resampling, error) {
	r := DefaultResampling()
	var sep []string
	for _, x := range []struct {
		key, function string
		in            *ordersFile
		order, orderZ *int
	}{
		{"resampling_fn_data", f.ResampleImage, f.ImageOrders, &r.ImageOrder, &r.ImageOrderZ},
		{"resampling_fn_seg", f.ResampleLabel, f.LabelOrders, &r.LabelOrder, &r.LabelOrderZ},
		{"resampling_fn_probabilities", f.ResampleLogit, f.LogitOrders, &r.LogitOrder, &r.LogitOrderZ},
	} {
		if x.function != "" && x.function != resampler {
			return r, fmt.Errorf("%s is %q: %w", x.key, x.function, errResampler)
		}
		if x.in == nil {
			continue
		}
		*x.order, *x.orderZ = x.in.Order, x.in.OrderZ
		sep = append(sep, separate(x.in.SeparateZ))
	}
	for _, s := range sep {
		if s != sep[0] {
			return r, fmt.Errorf("force_separate_z differs between images, labels and probabilities: %v", sep)
		}
		r.SeparateZ = s
	}
	return r, nil
}

func (a *architecture) network(dim int) (Network, error) {
	k := &a.Args
	n := Network{ConvBias: k.ConvBias, NormEps: 1e-5, Slope: 0.01} // PyTorch's defaults, too
	if k.Stages < 1 || k.Stages > maxStages {
		return n, fmt.Errorf("n_stages is %d, wanted 2 to %d", k.Stages, maxStages)
	}
	convs, err := n.setClass(a.Class, k.Convs, k.Blocks)
	if err != nil {
		return n, err
	}
	n.Features, n.Convs = k.Features.of(k.Stages), convs.of(k.Stages)
	n.DecoderConvs = k.DecoderConvs.of(k.Stages - 1)
	wantNorm := fmt.Sprintf("InstanceNorm%dd", dim)
	if batch := fmt.Sprintf("BatchNorm%dd", dim); lastName(k.NormOp) == batch {
		n.Norm, wantNorm = BatchNorm, batch
	}
	for _, c := range []struct{ key, found, want string }{
		{"conv_op", lastName(k.ConvOp), fmt.Sprintf("Conv%dd", dim)},
		{"norm_op", lastName(k.NormOp), wantNorm},
		{"nonlin", lastName(k.Nonlin), "LeakyReLU"},
	} {
		if c.found != c.want {
			return n, fmt.Errorf("%s is %q, wanted %s for a patch of %d axes", c.key, c.found, c.want, dim)
		}
	}
	if k.DropoutOp != nil {
		return n, fmt.Errorf("dropout_op is %q, wanted null: networks with dropout are not supported", *k.DropoutOp)
	}
	if k.Norm == nil || !k.Norm.Affine {
		return n, fmt.Errorf("norm_op_kwargs has no \"affine\": true, which is wanted")
	}
	if k.Norm.Eps != nil {
		n.NormEps = *k.Norm.Eps
	}
	if k.NonlinArgs != nil && k.NonlinArgs.Slope != nil {
		n.Slope = *k.NonlinArgs.Slope
	}
	return n, n.setSizes(dim, k.Kernels, k.Strides)
}

// setClass takes the kind and says which of the two depths is that kind's.
func (n *Network) setClass(name string, convs, blocks numbers) (numbers, error) {
	switch lastName(name) {
	case "PlainConvUNet":
		n.Kind = Plain
		return convs, nil
	case "ResidualEncoderUNet":
		n.Kind = Residual
		return blocks, nil
	}
	return nil, fmt.Errorf("network class %q is unknown, wanted PlainConvUNet or ResidualEncoderUNet", name)
}

func (n *Network) setSizes(dim int, kernels, strides rows) (err error) {
	if n.Kernels, err = kernels.of(dim); err != nil {
		return fmt.Errorf("kernel sizes: %w", err)
	}
	if n.Strides, err = strides.of(dim); err != nil {
		return fmt.Errorf("strides: %w", err)
	}
	return nil
}

func (f *configFile) oldNetwork(dim int) (Network, error) {
	n := Network{ConvBias: true, NormEps: 1e-5, Slope: 0.01}
	if f.UNetClass == "" {
		return n, fmt.Errorf("neither \"architecture\" nor \"UNet_class_name\" is there: wanted a plans file of nnU-Net v2")
	}
	convs, err := n.setClass(f.UNetClass, f.EncoderConvs, f.EncoderConvs)
	if err != nil {
		return n, err
	}
	stages := len(f.OldKernels)
	if stages < 1 || stages > maxStages || f.BaseFeatures < 1 || f.BaseFeatures > maxFeatures || f.MaxFeatures < 1 {
		return n, fmt.Errorf("conv_kernel_sizes has %d stages, UNet_base_num_features is %d, unet_max_num_features %d: wanted 2 to %d stages and features > 0", stages, f.BaseFeatures, f.MaxFeatures, maxStages)
	}
	for i := range stages {
		n.Features = append(n.Features, min(f.BaseFeatures<<i, f.MaxFeatures))
	}
	n.Convs, n.DecoderConvs = convs.of(stages), f.DecoderConvs.of(stages-1)
	return n, n.setSizes(dim, f.OldKernels, f.OldStrides)
}
