package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/gounet/gounet/internal/atomicfile"
)

// Fingerprint is what planning needs to know of a data set. Its JSON is
// nnU-Net's dataset_fingerprint.json. Axes are D H W of the files.
type Fingerprint struct {
	Spacings           [][3]float64 // mm, a case each, in the order of the cases
	Shapes             [][3]int     // voxels after cropping to the non-zero region
	Intensities        []Intensity  // of the foreground, a channel each
	MedianRelativeSize float64      // voxels after cropping / before, median over the cases
}

// fingerprintFile is the form of nnU-Net.
type fingerprintFile struct {
	Intensities  map[string]Intensity `json:"foreground_intensity_properties_per_channel"`
	RelativeSize float64              `json:"median_relative_size_after_cropping"`
	Shapes       [][3]int             `json:"shapes_after_crop"`
	Spacings     [][3]float64         `json:"spacings"`
}

// MarshalJSON writes nnU-Net's form.
func (f *Fingerprint) MarshalJSON() ([]byte, error) {
	return json.Marshal(fingerprintFile{
		Intensities: byChannel(f.Intensities), RelativeSize: f.MedianRelativeSize,
		Shapes: f.Shapes, Spacings: f.Spacings,
	})
}

// UnmarshalJSON reads nnU-Net's form.
func (f *Fingerprint) UnmarshalJSON(data []byte) error {
	var in fingerprintFile
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if err := checkLists(data, &in); err != nil {
		return err
	}
	values, err := inOrder(in.Intensities)
	*f = Fingerprint{Spacings: in.Spacings, Shapes: in.Shapes, Intensities: values, MedianRelativeSize: in.RelativeSize}
	return err
}

func byChannel(list []Intensity) map[string]Intensity {
	m := make(map[string]Intensity, len(list))
	for i, v := range list {
		m[strconv.Itoa(i)] = v
	}
	return m
}

func inOrder(m map[string]Intensity) ([]Intensity, error) {
	list := make([]Intensity, len(m))
	for i := range list {
		v, ok := m[strconv.Itoa(i)]
		if !ok {
			return nil, fmt.Errorf("foreground_intensity_properties_per_channel has no channel %d of %d", i, len(m))
		}
		list[i] = v
	}
	return list, nil
}

// Validate returns an *InvalidError with everything that is wrong with f, or nil.
func (f *Fingerprint) Validate() error {
	e := newProblems()
	e.need(len(f.Shapes) > 0 && len(f.Shapes) == len(f.Spacings), "shapes_after_crop has %d cases and spacings %d, wanted equally many", len(f.Shapes), len(f.Spacings))
	for i, s := range f.Spacings {
		e.need(positive(s[0]) && positive(s[1]) && positive(s[2]), "spacings[%d] is %v, wanted mm > 0", i, s)
	}
	for i, s := range f.Shapes {
		e.need(min(s[0], s[1], s[2]) > 0 && max(s[0], s[1], s[2]) <= 1<<20, "shapes_after_crop[%d] is %v, wanted voxels > 0", i, s)
	}
	e.need(len(f.Intensities) > 0, "foreground_intensity_properties_per_channel is empty")
	e.need(f.MedianRelativeSize > 0 && f.MedianRelativeSize <= 1, "median_relative_size_after_cropping is %v, wanted more than 0, at most 1", f.MedianRelativeSize)
	return e.err("fingerprint")
}

// ParseFingerprint reads and validates a dataset_fingerprint.json.
func ParseFingerprint(r io.Reader) (*Fingerprint, error) {
	var f Fingerprint
	if err := readJSON(r, &f, false); err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	if err := f.Validate(); err != nil {
		return nil, err
	}
	return &f, nil
}

// LoadFingerprint reads the dataset_fingerprint.json in the file path.
func LoadFingerprint(path string) (*Fingerprint, error) {
	return load(path, "fingerprint", ParseFingerprint)
}

// Save writes f to path in nnU-Net's form, whole or not at all.
func (f *Fingerprint) Save(path string) error {
	err := atomicfile.Write(path, func(w io.Writer) error {
		data, err := encode(f)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	return nil
}
