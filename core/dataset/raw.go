// Package dataset reads data sets as users have them on disk (the folders of
// the Medical Segmentation Decathlon and of nnU-Net v2), checks them whole,
// splits them into folds, and keeps preprocessed cases where training can cut
// patches out of them without reading more than it needs.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// Progress is told of work that is done: n of total steps, and what the last was.
// Calls do not overlap.
type Progress func(n, total int, what string)

// Case is a scan with the files of its channels and, for training, its label.
type Case struct {
	ID     string
	Images []string // a file a channel, or one file or folder of a scan with all of them
	Series []string // of a DICOM study: a series a channel
	Label  string   // "" for test cases
}

// Raw is a data set on disk.
type Raw struct {
	Dir   string
	JSON  *plan.DatasetJSON
	Cases []Case // with labels, in byte-wise order of their IDs
	Test  []Case

	Warnings map[string][]string // after Measure: what a scan warns of → the cases that do
	problems []string            // of the folders: files of no case, test cases without a channel
}

// Name is the name of the data set: that of its folder.
func (r *Raw) Name() string { return filepath.Base(r.Dir) }

// Open finds the cases of the data set in dir: a folder with dataset.json,
// imagesTr and labelsTr. It reads no voxels; Check does.
func Open(dir string) (*Raw, error) {
	r, bad, err := look(dir)
	if err == nil && len(bad) > 0 {
		err = &plan.InvalidError{What: filepath.Join(r.Dir, datasetJSON), Problems: bad}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

const datasetJSON = "dataset.json"

// look is Open that goes on where dataset.json is wrong, as far as it tells where the
// cases are: bad is what is wrong in it.
func look(dir string) (r *Raw, bad []string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	name := filepath.Join(dir, datasetJSON)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, nil, fmt.Errorf("dataset: %s: there is no such folder: give that of a Decathlon task or of an nnU-Net v2 raw data set", dir)
	}
	if _, err := os.Stat(name); err != nil {
		return nil, nil, fmt.Errorf("dataset: %s: has no dataset.json: give the folder of a Decathlon task or of an nnU-Net v2 raw data set", dir)
	}
	d, bad, err := plan.CheckDatasetJSON(name)
	if err != nil {
		return nil, nil, err
	}
	r = &Raw{Dir: dir, JSON: d}
	if len(bad) > 0 && (len(d.Channels) == 0 || d.FileEnding == "") {
		return nil, nil, &plan.InvalidError{What: name, Problems: bad}
	}
	if advice := notRead[strings.ToLower(d.FileEnding)]; advice != "" {
		return nil, nil, &plan.InvalidError{What: name, Problems: append(bad, fmt.Sprintf("file_ending is %s: %s", d.FileEnding, advice))}
	}
	find := r.folders
	if len(d.Training) > 0 {
		find = r.listed
	}
	if err = find(); err == nil && len(r.Cases) == 0 {
		err = fmt.Errorf("dataset: %s: no training cases: wanted images in imagesTr that end in %s and labels of the same names in labelsTr", dir, d.FileEnding)
	}
	if err != nil && len(bad) > 0 {
		err = &ProblemsError{Dir: dir, Problems: append(inJSON(bad), strings.TrimPrefix(err.Error(), "dataset: "+dir+": "))}
	}
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(r.Cases, func(a, b Case) int { return strings.Compare(a.ID, b.ID) })
	if d.NumTraining > 0 && d.NumTraining != len(r.Cases) { // by which the planner chooses batches
		r.problems = append(r.problems, fmt.Sprintf("dataset.json: numTraining is %d, the training cases that are there are %d: add those that are missing, or correct the number", d.NumTraining, len(r.Cases)))
	}
	r.problems = append(r.problems, r.findStrays()...)
	return r, bad, nil
}

// notRead are endings that nnU-Net's readers have and that are not read here, with what
// to do.
var notRead = map[string]string{
	".bmp":     "BMP is not read, convert images and labels to PNG",
	".gipl":    "GIPL is not read, convert images and labels to NIfTI, NRRD or MetaImage",
	".gipl.gz": "GIPL is not read, convert images and labels to NIfTI, NRRD or MetaImage",
	".jpg":     "JPEG is not read, for its values are not those that were measured: give PNG or TIFF",
	".jpeg":    "JPEG is not read, for its values are not those that were measured: give PNG or TIFF",
}

// inJSON says of problems that they are dataset.json's.
func inJSON(problems []string) (out []string) {
	for _, p := range problems {
		out = append(out, datasetJSON+": "+p)
	}
	return out
}

// listed takes the cases that dataset.json names.
func (r *Raw) listed() (err error) {
	for _, c := range r.JSON.Training {
		k := Case{ID: c.Name, Label: filepath.Join(r.Dir, filepath.FromSlash(c.Label))}
		for _, f := range c.Images {
			k.Images = append(k.Images, filepath.Join(r.Dir, filepath.FromSlash(f)))
		}
		if files := channelFiles(k.Images[0], len(r.JSON.Channels)); len(k.Images) == 1 && files != nil {
			k.Images = files
		}
		r.Cases = append(r.Cases, k)
	}
	for _, f := range r.JSON.Test {
		base := filepath.Base(f)
		if !strings.HasPrefix(base, "._") {
			k := Case{ID: strip(base, r.JSON.FileEnding), Images: []string{filepath.Join(r.Dir, filepath.FromSlash(f))}}
			if files := channelFiles(k.Images[0], len(r.JSON.Channels)); files != nil {
				k.Images = files
			}
			r.Test = append(r.Test, k)
		}
	}
	if len(r.JSON.Test) == 0 { // scans that the file does not list
		return r.scanTest()
	}
	return nil
}

// scanTest takes the cases of imagesTs, if there is that folder.
func (r *Raw) scanTest() error {
	cases, problems, err := list(filepath.Join(r.Dir, "imagesTs"), r.JSON.FileEnding, len(r.JSON.Channels))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	r.Test = cases
	for _, p := range problems {
		r.problems = append(r.problems, p.text)
	}
	return err
}

func strip(name, ending string) string {
	if s, ok := strings.CutSuffix(name, ending); ok && ending != "" {
		return s
	}
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".nii")
}

// folders takes the cases of imagesTr and imagesTs.
func (r *Raw) folders() (err error) {
	// Measure misses the files of channels that are missing; those of no case are strays.
	cases, _, err := list(filepath.Join(r.Dir, "imagesTr"), r.JSON.FileEnding, len(r.JSON.Channels))
	if err != nil {
		return err
	}
	r.Cases = cases
	for i := range r.Cases {
		r.Cases[i].Label = filepath.Join(r.Dir, "labelsTr", r.Cases[i].ID+r.JSON.FileEnding)
	}
	return r.scanTest()
}

// pictures are the endings of files that hold several channels also where they are
// numbered.
var pictures = []string{".png", ".tif", ".tiff"}

// Scan lists the cases of a folder of images: CASE_0000.nii.gz, CASE_0001.nii.gz
// … a channel each, or CASE.nii.gz, and CASE_0000.png alone, where a file holds all
// channels. Every case must have all its channels, and no others.
func Scan(dir, ending string, channels int) ([]Case, error) {
	cases, problems, err := list(dir, ending, channels)
	return cases, errors.Join(err, errorsOf(dir, problems))
}

// ScanFile is the case that a file, of whatever channel, belongs to.
func ScanFile(path string, channels int) (Case, error) {
	dir, name := filepath.Split(path)
	ending := name[len(name)-len(voxel.Ending(name)):]
	id, channel := scan.SplitChannel(strings.TrimSuffix(name, ending))
	if channel < 0 {
		return Case{ID: id, Images: []string{path}}, nil
	}
	cases, problems, err := list(filepath.Clean(dir), ending, channels)
	problems = slices.DeleteFunc(problems, func(p problem) bool { return p.id != id })
	if err := errors.Join(err, errorsOf(dir, problems)); err != nil {
		return Case{}, err
	}
	i := slices.IndexFunc(cases, func(c Case) bool { return c.ID == id })
	if i < 0 {
		return Case{}, fmt.Errorf("dataset: %s: not found", path)
	}
	return cases[i], nil
}

// problem is what is wrong with the files of a case.
type problem struct{ id, text string }

func errorsOf(dir string, problems []problem) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("dataset: %s: %s", dir, p.text))
	}
	return errors.Join(errs...)
}

// list is Scan that tells of each problem and goes on. The files of missing
// channels are named in the cases nevertheless.
func list(dir, ending string, channels int) (out []Case, problems []problem, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset: %w", err)
	}
	type found map[int]string // by channel; −1: the name has none
	cases := map[string]found{}
	for _, e := range entries {
		at := len(e.Name()) - len(ending) // also .NII.GZ
		if at <= 0 || !strings.EqualFold(e.Name()[at:], ending) || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		id, channel := scan.SplitChannel(e.Name()[:at])
		if cases[id] == nil {
			cases[id] = found{}
		}
		if other := cases[id][channel]; other != "" {
			problems = append(problems, problem{id, fmt.Sprintf("%s and %s are the same file of case %s: move one away", filepath.Base(other), e.Name(), id)})
		}
		cases[id][channel] = filepath.Join(dir, e.Name())
	}
	for id, f := range cases {
		whole, ok := f[-1]
		if !ok && channels > 1 && slices.Contains(pictures, ending) {
			whole, ok = f[0] // as in nnU-Net, a picture has its colours
		}
		if ok && len(f) == 1 {
			out = append(out, Case{ID: id, Images: []string{whole}})
			continue
		}
		c := Case{ID: id}
		for i := range channels {
			name := fmt.Sprintf("%s_%04d%s", id, i, ending)
			if f[i] == "" {
				problems = append(problems, problem{id, fmt.Sprintf("case %s has no channel %d: wanted %s", id, i, name)})
			}
			c.Images = append(c.Images, filepath.Join(dir, name))
		}
		for i, path := range f {
			if i < 0 || i >= channels {
				problems = append(problems, problem{id, fmt.Sprintf("case %s has a file %s beside its %d channels, 0 to %d: remove it, or use the model or dataset.json that has it", id, filepath.Base(path), channels, channels-1)})
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Case) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(problems, func(a, b problem) int { return strings.Compare(a.text, b.text) })
	return out, problems, nil
}

// Open finds the channels of c; all must have the grid of the first. The scan must
// be closed when it is read.
func (c Case) Open(ctx context.Context) (*scan.Scan, error) {
	s, err := scan.Open(ctx, scan.Options{Series: c.Series, Alone: true}, c.Images...)
	if err != nil {
		return nil, fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	if bad := flaw(s); bad != "" {
		return nil, errors.Join(fmt.Errorf("dataset: %s: the image has %s: correct its header", c.ID, bad), s.Close())
	}
	return s, nil
}

// Read reads image and label of a training case; they must lie on one grid. The scan
// is closed: it still has the facts of the header.
func (c Case) Read() (*volume.Image, *volume.Labels, *scan.Scan, error) {
	ctx := context.Background()
	s, err := c.Open(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	im, err := s.Image(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, nil, nil, fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	seg, err := scan.ReadLabels(c.Label)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	if seg.Shape != im.Shape {
		return nil, nil, nil, fmt.Errorf("dataset: %s: the label has shape %v, the image %v (D H W): use the label that was drawn on this image (%s)", c.ID, seg.Shape, im.Shape, c.Label)
	}
	return im, seg, s, nil
}
