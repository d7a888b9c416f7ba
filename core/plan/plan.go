// Package plan decides how a data set is prepared, trained and predicted, by the
// rules of nnU-Net v2: it measures the cases (Fingerprint), derives spacing,
// patch, network and batch from the measurements (Make), and keeps the result
// with the recipe of the training as data (Plan). It also reads and writes the
// plans of nnU-Net itself.
//
// The one idea: everything that varies is in the plan. A plan and the weights
// rebuild a model; no part of the program asks which planner or recipe made it.
//
// Axes are D H W after the plan's transpose, spacings are mm, shapes and patches
// are voxels. A 2-D configuration has 1 in D.
package plan

import (
	"fmt"
	"slices"
)

// FormatVersion is the version of plan.json that this package writes and reads.
const FormatVersion = 1

// Names of the configurations, as nnU-Net has them.
const (
	Config2D      = "2d"
	ConfigLowRes  = "3d_lowres"
	ConfigFullRes = "3d_fullres"
	ConfigCascade = "3d_cascade_fullres"
)

// Kinds of Network.
const (
	Plain    = "plain"    // nnU-Net's PlainConvUNet
	Residual = "residual" // nnU-Net's ResidualEncoderUNet
	Strided  = "strided"  // MONAI's DynUNet with residual blocks: one a stage, whose way around is a strided convolution
	PreNorm  = "prenorm"  // NVIDIA's BraTS'22 model: two layers of norm, convolution and ReLU a stage, linear up-sampling
)

// NormUp and NormSkip end the names of the norms of the two inputs of a decoder stage
// of the kind PreNorm.
const (
	NormUp   = ".up"
	NormSkip = ".skip"
)

// Values of Network.Norm.
const (
	InstanceNorm = "instance"
	BatchNorm    = "batch" // of the batch in training, by running statistics else
	GroupNorm    = "group"
)

// Normalization schemes of Channel and Configuration.
const (
	NormCT      = "ct"             // clip to the 0.5 and 99.5 percentiles, (x − mean) / std, all of the foreground of the data set
	NormZScore  = "zscore"         // (x − mean) / std of the image, or of its mask
	NormNone    = "none"           // as it is
	NormRescale = "rescale_to_0_1" // (x − min) / (max − min) of the image
	NormRGB     = "rgb_to_0_1"     // x / 255
	// A channel that no file has: 1 where all others are above 0, before or after they are
	// normalised; after that is how NVIDIA's --ohe does it.
	NormForeground     = "foreground"
	NormForegroundLate = "foreground_normalized"

	NormNonZero = "zscore_nonzero" // (x − mean) / std of the channel's voxels that are not 0, which stay 0
)

// Plan is a planned data set: what plan.json holds.
type Plan struct {
	Version int    `json:"version"` // FormatVersion
	Dataset string `json:"dataset"` // for example Dataset004_Hippocampus
	Name    string `json:"name"`    // nnU-Net's plans_name, for example nnUNetPlans
	Planner string `json:"planner"` // nnunet, resenc-m, resenc-l, resenc-xl, or what an imported file says

	Description string `json:"description,omitempty"` // of the data set, by its dataset.json
	Licence     string `json:"licence,omitempty"`     // of the data set, which may bind what is trained on it

	Channels    []Channel   `json:"channels"`
	Labels      []Label     `json:"labels"`                 // background first; without the ignore label
	RegionOrder []int       `json:"region_order,omitempty"` // value painted for each region, in the order of Labels without background
	Ignore      int         `json:"ignore"`                 // value of the ignore label, −1: none
	Intensities []Intensity `json:"intensities"`            // a channel each
	FileEnding  string      `json:"file_ending"`            // for example .nii.gz
	Reader      string      `json:"reader,omitempty"`       // nnU-Net's image_reader_writer, kept for its plans file

	Transpose     [3]int     `json:"transpose"`      // axis of the plan → axis D H W of the file
	TransposeBack [3]int     `json:"transpose_back"` // its inverse
	MedianSpacing [3]float64 `json:"median_spacing"` // mm, of the cases as they are, transposed
	MedianShape   [3]int     `json:"median_shape"`   // voxels, of the cropped cases as they are, transposed

	Configurations []Configuration `json:"configurations"`
	Recipe         Recipe          `json:"recipe"`
}

// Channel is an input of the network.
type Channel struct {
	Name          string `json:"name"`          // as in dataset.json, for example CT or T1
	Normalization string `json:"normalization"` // NormCT …
}

// Label is a class. Several values make a region: nnU-Net then predicts each
// region with a sigmoid of its own.
type Label struct {
	Name   string `json:"name"`
	Values []int  `json:"values"`
}

// Intensity is the distribution of a channel over the foreground of all cases.
type Intensity struct {
	Mean            float64 `json:"mean"`
	Median          float64 `json:"median"`
	Std             float64 `json:"std"`
	Min             float64 `json:"min"`
	Max             float64 `json:"max"`
	Percentile_00_5 float64 `json:"percentile_00_5"`
	Percentile_99_5 float64 `json:"percentile_99_5"`
}

// Configuration is one way to train on the data set.
type Configuration struct {
	Name          string     `json:"name"`         // Config2D …
	Dim           int        `json:"dim"`          // 2 or 3
	Patch         [3]int     `json:"patch"`        // voxels; D = 1 for 2-D
	Batch         int        `json:"batch"`        // samples a step
	Spacing       [3]float64 `json:"spacing"`      // mm that images are resampled to; 2-D: first 0, the slices stay as they are
	MedianShape   [3]float64 `json:"median_shape"` // voxels at Spacing; 2-D: first 1
	Normalization []string   `json:"normalization"`
	MaskNorm      []bool     `json:"mask_norm"`              // a channel each: statistics inside the non-zero mask only, 0 outside
	BatchDice     bool       `json:"batch_dice"`             // Dice over the batch, not a sample each
	Previous      string     `json:"previous,omitempty"`     // cascade: the configuration whose labels are an input
	Next          string     `json:"next,omitempty"`         // cascade: the configuration that uses this one's labels
	Data          string     `json:"data,omitempty"`         // folder of the preprocessed cases; nnU-Net's data_identifier
	Preprocessor  string     `json:"preprocessor,omitempty"` // nnU-Net's preprocessor_name, kept for its plans file
	Resampling    Resampling `json:"resampling"`
	Network       Network    `json:"network"`

	// What NVIDIA's preprocessing has and nnU-Net's has not.
	Crop          string `json:"crop,omitempty"`           // CropPositive, or "": to voxels that are not 0, as nnU-Net does
	Truncate      bool   `json:"truncate,omitempty"`       // the resampled shape is rounded down
	NormalizeLast bool   `json:"normalize_last,omitempty"` // behind the resampling
	Planes        bool   `json:"planes,omitempty"`         // images and labels are resampled by its rules (volume.PreprocessOptions); 2-D: they are not
}

// CropPositive crops to voxels above 0.
const CropPositive = "positive"

// Resampling says how images, labels and logits change their grid: spline
// orders in the plane and, where the slices are thick, across it.
type Resampling struct {
	ImageOrder  int    `json:"image_order"`
	ImageOrderZ int    `json:"image_order_z"`
	LabelOrder  int    `json:"label_order"`
	LabelOrderZ int    `json:"label_order_z"`
	LogitOrder  int    `json:"logit_order"`
	LogitOrderZ int    `json:"logit_order_z"`
	SeparateZ   string `json:"separate_z"` // SeparateAuto …
}

// Values of Resampling.SeparateZ.
const (
	SeparateAuto   = "auto"   // where the largest spacing is more than 3 times the smallest
	SeparateAlways = "always" // nnU-Net's force_separate_z true
	SeparateNever  = "never"  // nnU-Net's force_separate_z false
)

// DefaultResampling is nnU-Net v2's: cubic images, linear labels and logits,
// nearest across thick slices.
func DefaultResampling() Resampling {
	return Resampling{ImageOrder: 3, LabelOrder: 1, LogitOrder: 1, SeparateZ: SeparateAuto}
}

// nvidiaResampling is NVIDIA's, of configurations with Planes: logits by cubic B-splines on
// all axes.
func nvidiaResampling() Resampling {
	return Resampling{ImageOrder: 3, LabelOrder: 1, LogitOrder: 3, SeparateZ: SeparateNever}
}

// CubicLogits says whether logits come to the grid of the scan by cubic B-splines, a class
// at a time, as NVIDIA's; nnU-Net's are linear.
func (c *Configuration) CubicLogits() bool { return c.Resampling.LogitOrder == 3 }

// Resampled returns an error if cases of c cannot be resampled as it says: images may have
// any order, all else has to be as nnU-Net's default. Whoever prepares or labels cases asks.
func (c *Configuration) Resampled() error {
	r, want := c.Resampling, DefaultResampling()
	want.ImageOrder = r.ImageOrder
	if r == want || c.Planes && r == nvidiaResampling() {
		return nil
	}
	show := func(r Resampling) string {
		return fmt.Sprintf("images order_z %d, labels order %d and order_z %d, logits order %d and order_z %d, separate_z %s",
			r.ImageOrderZ, r.LabelOrder, r.LabelOrderZ, r.LogitOrder, r.LogitOrderZ, r.SeparateZ)
	}
	return fmt.Errorf("configuration %s resamples with %s; supported is nnU-Net's default: %s", c.Name, show(r), show(want))
}

// Configuration returns the configuration called name, or nil.
func (p *Plan) Configuration(name string) *Configuration {
	i := slices.IndexFunc(p.Configurations, func(c Configuration) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Configurations[i]
}

// ConfigurationNames lists the configurations in the order of the plan.
func (p *Plan) ConfigurationNames() []string {
	names := make([]string, len(p.Configurations))
	for i, c := range p.Configurations {
		names[i] = c.Name
	}
	return names
}

// HasRegions says whether any label has several values: the network then has a
// sigmoid a region instead of a softmax over the labels.
func (p *Plan) HasRegions() bool {
	return slices.ContainsFunc(p.Labels, func(l Label) bool { return len(l.Values) > 1 })
}

// Classes is the number of outputs K of the network: labels with background, or
// regions without it.
func (p *Plan) Classes() int {
	if p.HasRegions() {
		return len(p.Labels) - 1
	}
	return len(p.Labels)
}

// Foreground returns the labels or regions without the background.
func (p *Plan) Foreground() []Label {
	if len(p.Labels) == 0 {
		return nil
	}
	return p.Labels[1:]
}

// Scans is the number of channels that the files of a case have. The last of Channels
// may be one that is made of them.
func (p *Plan) Scans() int {
	n := len(p.Channels)
	if n > 0 && madeHere(p.Channels[n-1].Normalization) {
		n--
	}
	return n
}

func madeHere(scheme string) bool { return scheme == NormForeground || scheme == NormForegroundLate }

// InputChannels is the number of channels C that the network of c gets: those of
// the images and, in a cascade, one for each of ForegroundValues.
func (p *Plan) InputChannels(c *Configuration) int {
	n := len(p.Channels)
	if c.Previous != "" {
		n += len(p.ForegroundValues())
	}
	return n
}

// ForegroundValues lists the values above background that labels or regions
// have, each once, in order. A cascade has a channel for each.
func (p *Plan) ForegroundValues() []int {
	var values []int
	for _, l := range p.Labels {
		for _, v := range l.Values {
			if v != 0 {
				values = append(values, v)
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}
