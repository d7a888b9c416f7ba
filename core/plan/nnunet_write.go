package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"

	"github.com/gounet/gounet/internal/atomicfile"
)

// WriteNNUNet writes p as a plans.json that nnU-Net v2 (2.4 and later) reads. The
// recipe has no place there.
func WriteNNUNet(w io.Writer, p *Plan) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("plans.json: %w", err)
	}
	out := plansFile{
		Dataset: p.Dataset, Name: p.Name, MedianSpacing: p.MedianSpacing[:], Reader: p.Reader,
		Transpose: p.Transpose[:], TransposeBack: p.TransposeBack[:], Planner: class(p.Planner),
		LabelManager: "LabelManager", Intensities: byChannel(p.Intensities),
	}
	for _, s := range p.MedianShape {
		out.MedianShape = append(out.MedianShape, float64(s))
	}
	for i := range p.Configurations {
		c := &p.Configurations[i]
		if n := &c.Network; n.UpBias && !n.ConvBias || n.Heads > 0 || n.DecoderKernels != nil || n.Kind != Plain && n.Kind != Residual {
			return fmt.Errorf("plans.json: %s: nnU-Net has no network of the kind %s, with a bias in the up-sampling alone, fewer heads, or other kernels in the decoder", c.Name, n.Kind)
		}
		if n := c.Network.Norm; n != "" && n != InstanceNorm {
			return fmt.Errorf("plans.json: %s: its networks have the norm %q: only plans with instance norms are written", c.Name, n)
		}
		if c.Crop != "" || c.Truncate || c.NormalizeLast || c.Planes || slices.Contains(c.Normalization, NormNonZero) {
			return fmt.Errorf("plans.json: %s: nnU-Net has no preprocessing that crops to positive voxels, rounds shapes down, resamples plane by plane, or normalises last or where voxels are not 0", c.Name)
		}
		var v any = c.file()
		if parent := p.twin(i); parent != "" {
			v = struct {
				Inherits string `json:"inherits_from"`
				Previous string `json:"previous_stage"`
			}{parent, c.Previous}
		}
		if err := out.Configurations.add(c.Name, v); err != nil {
			return fmt.Errorf("plans.json: %s: %w", c.Name, err)
		}
	}
	return writeIndented(w, out)
}

// SaveNNUNet writes WriteNNUNet's form to path, whole or not at all.
func (p *Plan) SaveNNUNet(path string) error {
	return atomicfile.Write(path, func(w io.Writer) error { return WriteNNUNet(w, p) })
}

// writeIndented writes JSON as Python does, with four spaces.
func writeIndented(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// twin is the name of a configuration that a second stage i of a cascade equals
// but for its place in the cascade.
func (p *Plan) twin(i int) string {
	c := p.Configurations[i]
	if c.Previous == "" {
		return ""
	}
	for j, o := range p.Configurations {
		if j == i || o.Previous != "" || o.Next != "" || c.Next != "" {
			continue
		}
		o.Name, o.Previous = c.Name, c.Previous
		if reflect.DeepEqual(o, c) {
			return p.Configurations[j].Name
		}
	}
	return ""
}

func (c *Configuration) file() configFile {
	from := 3 - c.Dim
	r := c.Resampling
	orders := func(isSeg bool, order, z int) *ordersFile {
		return &ordersFile{IsSeg: isSeg, Order: order, OrderZ: z, SeparateZ: separateFile(r.SeparateZ)}
	}
	f := configFile{
		Data: c.Data, Preprocessor: first(c.Preprocessor, "DefaultPreprocessor"), Batch: c.Batch,
		Patch: c.Patch[from:], MedianShape: c.MedianShape[from:], Spacing: c.Spacing[from:], MaskNorm: c.MaskNorm,
		ResampleImage: resampler, ResampleLabel: resampler, ResampleLogit: resampler,
		ImageOrders: orders(false, r.ImageOrder, r.ImageOrderZ), LabelOrders: orders(true, r.LabelOrder, r.LabelOrderZ),
		LogitOrders:  orders(false, r.LogitOrder, r.LogitOrderZ),
		Architecture: c.Network.file(c.Dim), BatchDice: c.BatchDice, Next: c.Next, Previous: c.Previous,
	}
	for _, s := range c.Normalization {
		for _, pair := range schemeClasses() {
			if pair[0] == s {
				f.Normalization = append(f.Normalization, pair[1])
			}
		}
	}
	return f
}

func (n *Network) file(dim int) *architecture {
	d := strconv.Itoa(dim)
	a := &architecture{
		Class:  "dynamic_network_architectures.architectures.unet.PlainConvUNet",
		Import: []string{"conv_op", "norm_op", "dropout_op", "nonlin"},
		Args: architectureArgs{
			Stages: n.Stages(), Features: n.Features, ConvOp: "torch.nn.modules.conv.Conv" + d + "d",
			Kernels: rowsOf(n.Kernels, dim), Strides: rowsOf(n.Strides, dim), Convs: n.Convs,
			DecoderConvs: n.DecoderConvs, ConvBias: n.ConvBias,
			NormOp: "torch.nn.modules.instancenorm.InstanceNorm" + d + "d", Norm: &normArgs{Eps: &n.NormEps, Affine: true},
			Nonlin: "torch.nn.LeakyReLU", NonlinArgs: &nonlinArgs{Inplace: true},
		},
	}
	if n.Kind == Residual {
		a.Class = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
		a.Args.Convs, a.Args.Blocks = nil, n.Convs
	}
	if n.Slope != 0.01 { // PyTorch's default
		a.Args.NonlinArgs.Slope = &n.Slope
	}
	return a
}

func rowsOf(v [][3]int, dim int) rows {
	out := make(rows, len(v))
	for i := range v {
		out[i] = v[i][3-dim:]
	}
	return out
}

// DatasetJSON is the dataset.json that belongs to p in an nnU-Net results folder,
// of a data set with that many training cases.
func (p *Plan) DatasetJSON(training int) *DatasetJSON {
	d := &DatasetJSON{
		Form: FormNNUNet, Name: p.Dataset, Labels: p.Labels, RegionOrder: p.RegionOrder, Ignore: p.Ignore,
		NumTraining: training, FileEnding: p.FileEnding, Description: p.Description, Licence: p.Licence,
	}
	for _, c := range p.Channels {
		d.Channels = append(d.Channels, c.Name)
	}
	return d
}

// WriteNNUNet writes d in the form of nnU-Net v2, without lists of cases.
func (d *DatasetJSON) WriteNNUNet(w io.Writer) error {
	var channels, labels, out object
	var errs []error
	add := func(o *object, key string, v any) { errs = append(errs, o.add(key, v)) }
	for i, name := range d.Channels {
		add(&channels, strconv.Itoa(i), name)
	}
	for _, l := range d.Labels {
		if len(l.Values) == 1 && !d.HasRegions() || len(l.Values) == 1 && l.Values[0] == 0 {
			add(&labels, l.Name, l.Values[0])
			continue
		}
		add(&labels, l.Name, l.Values)
	}
	if d.Ignore >= 0 {
		add(&labels, "ignore", d.Ignore)
	}
	for _, t := range [][2]string{{"name", d.Name}, {"description", d.Description}, {"reference", d.Reference}, {"licence", d.Licence}, {"release", d.Release}} {
		if t[1] != "" {
			add(&out, t[0], t[1])
		}
	}
	add(&out, "channel_names", channels)
	add(&out, "labels", labels)
	if len(d.RegionOrder) > 0 {
		add(&out, "regions_class_order", d.RegionOrder)
	}
	add(&out, "numTraining", d.NumTraining)
	add(&out, "file_ending", d.FileEnding)
	if d.Reader != "" {
		add(&out, "overwrite_image_reader_writer", d.Reader)
	}
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("dataset.json: %w", err)
		}
	}
	return writeIndented(w, out)
}
