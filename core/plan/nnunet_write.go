package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/internal/atomicfile"
)

// ErrNotNNUNet is in the chain of the error of a plan with what nnU-Net has no class for.
var ErrNotNNUNet = errors.New("nnU-Net v2 has no class for this plan")

// WriteNNUNet writes p as a plans.json that nnU-Net v2 (2.4 and later) reads. The
// recipe has no place there. The error of a plan that nnU-Net cannot follow says why, and
// is ErrNotNNUNet.
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
		if why := c.notNNUNet(); why != nil {
			return fmt.Errorf("plans.json: %w: %s: %s", ErrNotNNUNet, c.Name, strings.Join(why, "; "))
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

// notNNUNet says what of c nnU-Net's classes, those of dynamic_network_architectures and
// its DefaultPreprocessor, cannot do.
func (c *Configuration) notNNUNet() (why []string) {
	n := &c.Network
	for _, x := range []struct {
		has bool
		why string
	}{
		{n.Kind == Strided, "the way around its residual blocks is a strided convolution, in ResidualEncoderUNet it is pooled"},
		{n.Kind == PreNorm, "its norms are in front of the convolutions, and it enlarges by interpolation"},
		{n.Norm == GroupNorm, "its norms are of groups of channels, and nnU-Net's layers give a norm the number of channels alone"},
		{n.Kind != PreNorm && n.UpBias && !n.ConvBias, "its up-sampling has a bias, its convolutions have none"},
		{n.Heads > 0, "it has fewer heads than decoder stages"},
		{n.DecoderKernels != nil, "its decoder has other kernels than its encoder, nnU-Net's networks have the same in both"},
		{c.Crop != "", "its scans are cropped to positive voxels"},
		{c.Truncate, "its shapes are rounded down"},
		{c.NormalizeLast, "its scans are normalised behind the resampling"},
		{c.Planes, "its scans are resampled plane by plane"},
		{slices.Contains(c.Normalization, NormNonZero), "its scans are normalised where they are not 0"},
	} {
		if x.has {
			why = append(why, x.why)
		}
	}
	return why
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
	if n.Norm == BatchNorm {
		a.Args.NormOp = "torch.nn.modules.batchnorm.BatchNorm" + d + "d"
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
