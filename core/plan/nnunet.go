package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// plansFile is nnU-Net v2's plans.json, in the order in which nnU-Net writes it.
type plansFile struct {
	Dataset        string               `json:"dataset_name"`
	Name           string               `json:"plans_name"`
	MedianSpacing  []float64            `json:"original_median_spacing_after_transp"`
	MedianShape    []float64            `json:"original_median_shape_after_transp"`
	Reader         string               `json:"image_reader_writer"`
	Transpose      []int                `json:"transpose_forward"`
	TransposeBack  []int                `json:"transpose_backward"`
	Configurations object               `json:"configurations"`
	Planner        string               `json:"experiment_planner_used"`
	LabelManager   string               `json:"label_manager"`
	Intensities    map[string]Intensity `json:"foreground_intensity_properties_per_channel"`
}

// configFile is a configuration there, after inheritance. The fields from
// UNetClass on are those of nnU-Net 2.0 to 2.3, instead of Architecture.
type configFile struct {
	Data          string        `json:"data_identifier"`
	Preprocessor  string        `json:"preprocessor_name"`
	Batch         int           `json:"batch_size"`
	Patch         []int         `json:"patch_size"`
	MedianShape   []float64     `json:"median_image_size_in_voxels"`
	Spacing       []float64     `json:"spacing"`
	Normalization []string      `json:"normalization_schemes"`
	MaskNorm      []bool        `json:"use_mask_for_norm"`
	ResampleImage string        `json:"resampling_fn_data"`
	ResampleLabel string        `json:"resampling_fn_seg"`
	ImageOrders   *ordersFile   `json:"resampling_fn_data_kwargs"`
	LabelOrders   *ordersFile   `json:"resampling_fn_seg_kwargs"`
	ResampleLogit string        `json:"resampling_fn_probabilities"`
	LogitOrders   *ordersFile   `json:"resampling_fn_probabilities_kwargs"`
	Architecture  *architecture `json:"architecture,omitempty"`
	BatchDice     bool          `json:"batch_dice"`
	Next          string        `json:"next_stage,omitempty"`
	Previous      string        `json:"previous_stage,omitempty"`

	UNetClass    string  `json:"UNet_class_name,omitempty"`
	BaseFeatures int     `json:"UNet_base_num_features,omitempty"`
	MaxFeatures  int     `json:"unet_max_num_features,omitempty"`
	EncoderConvs numbers `json:"n_conv_per_stage_encoder,omitempty"`
	DecoderConvs numbers `json:"n_conv_per_stage_decoder,omitempty"`
	OldStrides   rows    `json:"pool_op_kernel_sizes,omitempty"`
	OldKernels   rows    `json:"conv_kernel_sizes,omitempty"`
}

type ordersFile struct {
	IsSeg     bool  `json:"is_seg"`
	Order     int   `json:"order"`
	OrderZ    int   `json:"order_z"`
	SeparateZ *bool `json:"force_separate_z"`
}

type architecture struct {
	Class  string           `json:"network_class_name"`
	Args   architectureArgs `json:"arch_kwargs"`
	Import []string         `json:"_kw_requires_import"`
}

type architectureArgs struct {
	Stages       int             `json:"n_stages"`
	Features     numbers         `json:"features_per_stage"`
	ConvOp       string          `json:"conv_op"`
	Kernels      rows            `json:"kernel_sizes"`
	Strides      rows            `json:"strides"`
	Convs        numbers         `json:"n_conv_per_stage,omitempty"`
	Blocks       numbers         `json:"n_blocks_per_stage,omitempty"`
	DecoderConvs numbers         `json:"n_conv_per_stage_decoder"`
	ConvBias     bool            `json:"conv_bias"`
	NormOp       string          `json:"norm_op"`
	Norm         *normArgs       `json:"norm_op_kwargs"`
	DropoutOp    *string         `json:"dropout_op"`
	Dropout      json.RawMessage `json:"dropout_op_kwargs"`
	Nonlin       string          `json:"nonlin"`
	NonlinArgs   *nonlinArgs     `json:"nonlin_kwargs"`
}

type normArgs struct {
	Eps    *float32 `json:"eps,omitempty"`
	Affine bool     `json:"affine"`
}

type nonlinArgs struct {
	Inplace bool     `json:"inplace"`
	Slope   *float32 `json:"negative_slope,omitempty"`
}

// numbers is a list, or one number that stands for each stage.
type numbers []int

func (n *numbers) UnmarshalJSON(data []byte) error {
	var one int
	if json.Unmarshal(data, &one) == nil && string(data) != "null" {
		*n = numbers{one}
		return nil
	}
	return json.Unmarshal(data, (*[]int)(n))
}

// of returns a number for each of n stages.
func (n numbers) of(stages int) []int {
	if len(n) == 1 {
		return fill(stages, n[0])
	}
	return n
}

// rows is a list of sizes; a size may be one number that stands for each axis.
type rows []numbers

// of returns D H W with 1 in D for 2-D.
func (r rows) of(dim int) ([][3]int, error) {
	out := make([][3]int, len(r))
	for i, v := range r {
		v := v.of(dim)
		if len(v) != dim {
			return nil, fmt.Errorf("%v has %d axes, wanted %d", v, len(v), dim)
		}
		out[i] = cube(v, 1)
	}
	return out, nil
}

// MarshalJSON keeps the order of the members.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// add appends a member.
func (o *object) add(key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	*o = append(*o, member{key, data})
	return nil
}

func (o object) member(key string) (json.RawMessage, bool) {
	for _, m := range o {
		if m.key == key {
			return m.value, true
		}
	}
	return nil, false
}

// inherit merges a configuration over the one that it names in inherits_from,
// and that one over its own.
func (o object) inherit(name string) (map[string]json.RawMessage, error) {
	merged := map[string]json.RawMessage{}
	for seen := map[string]bool{}; ; {
		if seen[name] {
			return nil, fmt.Errorf("inherits_from goes in a circle over %q", name)
		}
		seen[name] = true
		data, ok := o.member(name)
		if !ok {
			return nil, fmt.Errorf("inherits_from is %q, which is not a configuration of this file", name)
		}
		var own map[string]json.RawMessage
		if err := json.Unmarshal(data, &own); err != nil {
			return nil, err
		}
		for k, v := range own {
			if _, ok := merged[k]; !ok {
				merged[k] = v
			}
		}
		parent, ok := own["inherits_from"]
		if !ok {
			delete(merged, "inherits_from")
			return merged, nil
		}
		if err := json.Unmarshal(parent, &name); err != nil {
			return nil, fmt.Errorf("inherits_from: %w", err)
		}
	}
}

// schemeClasses pairs our schemes with nnU-Net's classes.
func schemeClasses() [][2]string {
	return [][2]string{
		{NormCT, "CTNormalization"},
		{NormZScore, "ZScoreNormalization"},
		{NormNone, "NoNormalization"},
		{NormRescale, "RescaleTo01Normalization"},
		{NormRGB, "RGBTo01Normalization"},
	}
}

// class is nnU-Net's name of a planner, the name itself if it is no planner of ours.
func class(planner string) string {
	for _, p := range planners() {
		if p.id == planner {
			return p.class
		}
	}
	return planner
}

func plannerOf(class string) string {
	for _, p := range planners() {
		if p.class == class {
			return p.id
		}
	}
	return class
}

const resampler = "resample_data_or_seg_to_shape" // nnU-Net's function with the rules of Resampling

var errResampler = errors.New("wanted " + resampler)

func separate(v *bool) string {
	switch {
	case v == nil:
		return SeparateAuto
	case *v:
		return SeparateAlways
	}
	return SeparateNever
}

func separateFile(s string) *bool {
	v := s == SeparateAlways
	if s == SeparateAuto {
		return nil
	}
	return &v
}

// lastName is what stands after the last dot: LeakyReLU of torch.nn.LeakyReLU.
func lastName(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
