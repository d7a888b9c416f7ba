package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Forms of a dataset.json.
const (
	FormNNUNet = "nnunet" // nnU-Net v2's raw data folders
	FormMSD    = "msd"    // the Medical Segmentation Decathlon's
)

// DatasetJSON is what a dataset.json says, in either form.
type DatasetJSON struct {
	Form        string
	Name        string
	Description string
	Reference   string
	Licence     string
	Release     string
	Channels    []string // names, by channel number
	Labels      []Label  // background first, without ignore; plain labels by value, regions as listed
	RegionOrder []int    // nnU-Net's regions_class_order, nil without regions
	Ignore      int      // −1: none
	NumTraining int      // as the file says; of an MSD file without it, the cases listed
	FileEnding  string   // with the dot
	Reader      string   // nnU-Net's overwrite_image_reader_writer
	Dim         int      // MSD's tensorImageSize: 4 where a file holds all channels, else 3; 0 in nnU-Net's form

	Training []DatasetCase // MSD: training; nnU-Net: dataset, by name; nil where the folders are the list
	Test     []string      // MSD: images without a label
}

// DatasetCase is a case that a dataset.json lists, with paths as it has them,
// without a leading "./".
type DatasetCase struct {
	Name   string
	Images []string // a channel each, or one 4-D file
	Label  string
}

// HasRegions says whether any label has several values.
func (d *DatasetJSON) HasRegions() bool { return (&Plan{Labels: d.Labels}).HasRegions() }

// entries is the number of labels in the file, ignore and background included.
func (d *DatasetJSON) entries() int {
	if d.Ignore >= 0 {
		return len(d.Labels) + 1
	}
	return len(d.Labels)
}

// LoadDatasetJSON reads the dataset.json in the file path.
func LoadDatasetJSON(path string) (*DatasetJSON, error) {
	return load(path, "dataset.json", ParseDatasetJSON)
}

// CheckDatasetJSON is LoadDatasetJSON that goes on: d is what can be read of the file
// and problems are all for which it would be refused. It fails where nothing can.
func CheckDatasetJSON(path string) (d *DatasetJSON, problems []string, err error) {
	d, err = load(path, "dataset.json", func(r io.Reader) (*DatasetJSON, error) {
		d, e, err := readDatasetJSON(r)
		problems = *e.list
		return d, err
	})
	return d, problems, err
}

// ParseDatasetJSON reads a dataset.json of nnU-Net v2 or of the Medical
// Segmentation Decathlon. Its *InvalidError lists everything that is wrong.
func ParseDatasetJSON(r io.Reader) (*DatasetJSON, error) {
	d, e, err := readDatasetJSON(r)
	if err == nil {
		err = e.err("dataset.json")
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func readDatasetJSON(r io.Reader) (*DatasetJSON, problems, error) {
	var raw rawDataset
	e := newProblems()
	if err := readJSON(r, &raw, false); err != nil {
		return nil, e, fmt.Errorf("dataset.json: %w", err)
	}
	d := &DatasetJSON{
		Name: text(raw.Name), Description: text(raw.Description), Reference: text(raw.Reference),
		Licence: first(text(raw.Licence), text(raw.License)), Release: first(text(raw.Release), text(raw.Relase)),
		FileEnding: raw.FileEnding, Reader: raw.Reader, Ignore: -1,
	}
	d.channels(e, &raw)
	d.labels(e.in("labels"), raw.Labels)
	d.RegionOrder = raw.RegionOrder
	d.cases(e, &raw)
	if d.FileEnding == "" {
		d.FileEnding = listedEnding(d.Training)
	}
	e.need(d.FileEnding == "" || strings.HasPrefix(d.FileEnding, "."), "file_ending is %q, wanted a dot first, as in .nii.gz", d.FileEnding)
	e.need(d.FileEnding != "" || d.Form == FormMSD, "file_ending is missing: give the ending of the images, for example .nii.gz")
	if len(raw.Labels) > 0 {
		validateLabels(e.in("labels"), d.Labels, d.RegionOrder, d.Ignore)
	}
	return d, e, nil
}

// rawDataset is the file. Texts are raw: data sets have numbers and objects there.
type rawDataset struct {
	Name        json.RawMessage `json:"name"`
	Description json.RawMessage `json:"description"`
	Reference   json.RawMessage `json:"reference"`
	Licence     json.RawMessage `json:"licence"`
	License     json.RawMessage `json:"license"`
	Release     json.RawMessage `json:"release"`
	Relase      json.RawMessage `json:"relase"` // so spelled in some Decathlon sets
	ImageSize   json.RawMessage `json:"tensorImageSize"`
	ChannelName object          `json:"channel_names"`
	Modality    object          `json:"modality"`
	Labels      object          `json:"labels"`
	RegionOrder []int           `json:"regions_class_order"`
	NumTraining *int            `json:"numTraining"`
	FileEnding  string          `json:"file_ending"`
	Reader      string          `json:"overwrite_image_reader_writer"`
	Dataset     object          `json:"dataset"`
	Training    []struct {
		Image string `json:"image"`
		Label string `json:"label"`
	} `json:"training"`
	Test []json.RawMessage `json:"test"` // a path, or an object with the path
}

// object is a JSON object in the order of the file: regions depend on it.
type object []member

type member struct {
	key   string
	value json.RawMessage
}

func (o *object) UnmarshalJSON(data []byte) error {
	*o = nil
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("found %.20s where an object {…} is wanted", data)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return err
		}
		*o = append(*o, member{key: t.(string), value: v}) // a key is a string
	}
	return nil
}

func (d *DatasetJSON) channels(e problems, raw *rawDataset) {
	list, at := raw.ChannelName, e.in("channel_names")
	if len(list) == 0 {
		list, at = raw.Modality, e.in("modality")
	}
	if !e.need(len(list) > 0, "channel_names (of MSD: modality) is missing or empty: give each channel's name, as in {\"0\": \"CT\"}") {
		return
	}
	names := make([]string, len(list))
	seen := make([]bool, len(list))
	for _, m := range list {
		i, err := strconv.Atoi(m.key)
		if err != nil || i < 0 || i >= len(list) || seen[i] {
			at.add("the key %q: wanted 0 to %d, each once", m.key, len(list)-1)
			continue
		}
		seen[i] = true
		at.need(json.Unmarshal(m.value, &names[i]) == nil, "%q is %.40s, wanted a name in quotes", m.key, m.value)
	}
	at.need(len(names) <= maxChannels, "there are %d, wanted at most %d", len(names), maxChannels)
	d.Channels = names
}

// labels reads {"name": value | [values]} of nnU-Net or {"value": "name"} of MSD.
func (d *DatasetJSON) labels(e problems, list object) {
	if !e.need(len(list) > 0, "missing or empty") {
		return
	}
	d.Form = FormNNUNet
	if isMSD(list) {
		d.Form = FormMSD
	}
	for _, m := range list {
		l, err := d.label(m)
		if err != nil {
			e.add("%q: %v", m.key, err)
			continue
		}
		if d.Form == FormNNUNet && l.Name == "ignore" {
			e.need(len(l.Values) == 1 && l.Values[0] > 0, "ignore is %v, wanted one value > 0", l.Values)
			d.Ignore = first(l.Values...)
			continue
		}
		d.Labels = append(d.Labels, l)
	}
	if d.HasRegions() {
		background := slices.IndexFunc(d.Labels, func(l Label) bool { return slices.Equal(l.Values, []int{0}) })
		if background > 0 {
			l := d.Labels[background]
			d.Labels = slices.Insert(slices.Delete(d.Labels, background, background+1), 0, l)
		}
		return
	}
	slices.SortStableFunc(d.Labels, func(a, b Label) int { return first(a.Values...) - first(b.Values...) })
}

// isMSD says whether the keys are numbers and the values names.
func isMSD(list object) bool {
	for _, m := range list {
		if _, err := strconv.Atoi(m.key); err != nil || len(m.value) == 0 || m.value[0] != '"' {
			return false
		}
	}
	return true
}

func (d *DatasetJSON) label(m member) (Label, error) {
	if d.Form == FormMSD {
		v, _ := strconv.Atoi(m.key) // isMSD has seen a number
		l := Label{Values: []int{v}}
		if err := json.Unmarshal(m.value, &l.Name); err != nil {
			return l, fmt.Errorf("%.40s is not a name", m.value)
		}
		if v == 0 {
			l.Name = "background" // whatever a data set calls it
		}
		return l, nil
	}
	l := Label{Name: m.key}
	var v int
	if json.Unmarshal(m.value, &v) == nil && string(m.value) != "null" {
		l.Values = []int{v}
		return l, nil
	}
	if err := json.Unmarshal(m.value, &l.Values); err != nil || len(l.Values) == 0 {
		return l, fmt.Errorf("%.40s is neither a whole number nor a list of such", m.value)
	}
	slices.Sort(l.Values)
	l.Values = slices.Compact(l.Values)
	return l, nil
}

func (d *DatasetJSON) cases(e problems, raw *rawDataset) {
	for i, c := range raw.Training {
		if !e.need(c.Image != "" && c.Label != "", "training[%d]: image is %q and label %q, wanted two paths", i, c.Image, c.Label) {
			continue
		}
		if strings.HasPrefix(path.Base(c.Image), "._") {
			continue // what tar on macOS leaves beside each file
		}
		d.Training = append(d.Training, DatasetCase{Name: caseName(c.Image), Images: []string{relative(c.Image)}, Label: relative(c.Label)})
	}
	for _, m := range raw.Dataset {
		var c struct {
			Images []string `json:"images"`
			Label  string   `json:"label"`
		}
		if err := json.Unmarshal(m.value, &c); err != nil || len(c.Images) != len(d.Channels) || c.Label == "" {
			e.add("dataset: %q: %d images and label %q, wanted an image for each of the %d channels and a label", m.key, len(c.Images), c.Label, len(d.Channels))
			continue
		}
		d.Training = append(d.Training, DatasetCase{Name: m.key, Images: c.Images, Label: c.Label})
	}
	if len(raw.Dataset) > 0 {
		slices.SortStableFunc(d.Training, func(a, b DatasetCase) int { return strings.Compare(a.Name, b.Name) })
	}
	listed := map[string]bool{}
	for _, c := range d.Training {
		e.need(!listed[c.Name], "the case %s is listed twice: list it once", c.Name)
		listed[c.Name] = true
	}
	for i, t := range raw.Test {
		var s string
		if json.Unmarshal(t, &s) != nil {
			var o struct {
				Image string `json:"image"`
			}
			e.need(json.Unmarshal(t, &o) == nil && o.Image != "", "test[%d] is %.40s, wanted a path", i, t)
			s = o.Image
		}
		if s != "" && !strings.HasPrefix(path.Base(s), "._") {
			d.Test = append(d.Test, relative(s))
		}
	}
	d.NumTraining = len(d.Training)
	if raw.NumTraining != nil {
		d.NumTraining = *raw.NumTraining
	}
	e.need(d.NumTraining > 0, "numTraining is %d, wanted the number of training cases", d.NumTraining)
	if d.Form == FormMSD && len(raw.ImageSize) > 0 {
		d.Dim = 3
		if strings.HasPrefix(text(raw.ImageSize), "4") {
			d.Dim = 4
		}
	}
}

// caseName is the file's name without its ending: hippocampus_001.
func caseName(p string) string {
	base := path.Base(p)
	return base[:len(base)-len(ending(base))]
}

// ending is the extension with the dot, both of .nii.gz.
func ending(base string) string {
	e := path.Ext(base)
	if e == ".gz" || e == ".bz2" || e == ".zst" {
		e = path.Ext(strings.TrimSuffix(base, e)) + e
	}
	return e
}

func listedEnding(cases []DatasetCase) string {
	if len(cases) == 0 {
		return ""
	}
	return ending(path.Base(cases[0].Images[0]))
}

func relative(p string) string { return strings.TrimPrefix(p, "./") }

// text is a string, or what else a data set has there, as it is written.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// first is the first value that is not zero, else zero.
func first[T comparable](v ...T) T {
	var zero T
	for _, x := range v {
		if x != zero {
			return x
		}
	}
	return zero
}
