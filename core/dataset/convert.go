package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// Forms of data sets on disk that Convert writes.
const (
	MSD      = "msd"      // the Decathlon's: a file a case, 4-D where there are several channels
	NNUNetV1 = "nnunetv1" // a file a channel, dataset.json as the Decathlon's
	NNUNetV2 = "nnunetv2" // a file a channel
)

// Forms lists the values of Convert's form.
func Forms() []string { return []string{MSD, NNUNetV1, NNUNetV2} }

const niftiEnding = ".nii.gz"

// Convert writes the data set in another form to the folder dir, which must not exist
// and appears whole or not at all. Files whose content stays are copied.
//
// Regions and an ignored label have no place in the older two forms: an error.
func (r *Raw) Convert(ctx context.Context, dir, form string, progress Progress) (err error) {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("dataset: %s is there already: choose another folder", dir)
	}
	if form != NNUNetV2 && (r.JSON.HasRegions() || r.JSON.Ignore >= 0) {
		return fmt.Errorf("dataset: %s has regions or an ignored label, which only %s has", r.Dir, NNUNetV2)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir))
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	v := &converter{Raw: r, dir: temp, form: form, ending: r.JSON.FileEnding}
	if form == MSD || voxel.Ending("x"+v.ending) == "" || form == NNUNetV1 && slices.Contains(pictures, v.ending) {
		v.ending = niftiEnding // pictures came with the second nnU-Net
	}
	for _, folder := range []string{"imagesTr", "labelsTr", "imagesTs"} {
		if err := os.MkdirAll(filepath.Join(temp, folder), 0o777); err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
	}
	cases := append(append([]Case(nil), r.Cases...), r.Test...)
	err = each(ctx, len(cases), progress, func(i int) (string, error) {
		c := cases[i]
		if err := v.images(ctx, c, map[bool]string{true: "imagesTr", false: "imagesTs"}[c.Label != ""]); err != nil {
			return "", fmt.Errorf("dataset: %s: %w", c.ID, err)
		}
		if c.Label == "" {
			return c.ID, nil
		}
		return c.ID, v.label(c)
	})
	if err == nil {
		err = v.describe()
	}
	if err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

// converter writes one data set.
type converter struct {
	*Raw
	dir, form, ending string
}

// images writes the files of a case.
func (v *converter) images(ctx context.Context, c Case, folder string) error {
	channels := len(v.JSON.Channels)
	whole := filepath.Join(v.dir, folder, c.ID+v.ending)
	name := func(i int) string { return filepath.Join(v.dir, folder, fmt.Sprintf("%s_%04d%s", c.ID, i, v.ending)) }
	same := voxel.Ending(c.Images[0]) == v.ending
	switch {
	case v.form == MSD && channels == 1 && same:
		return v.copy(c, c.Images[0], whole)
	case v.form != MSD && len(c.Images) == channels && same:
		for i, from := range c.Images {
			if err := v.copy(c, from, name(i)); err != nil {
				return err
			}
		}
		return nil
	case v.form == NNUNetV2 && len(c.Images) == 1 && same && slices.Contains(pictures, v.ending):
		return v.copy(c, c.Images[0], name(0)) // with all its colours
	}
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	im, err := s.Image(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if v.form == MSD {
		return scan.WriteImage(whole, im, s.Header())
	}
	for i := range im.C {
		one := volume.NewImage(im.Grid, 1)
		for j := range one.Data {
			one.Data[j] = im.Data[j*im.C+i]
		}
		if err := scan.WriteImage(name(i), one, s.Header()); err != nil {
			return err
		}
	}
	return nil
}

// copy copies a file of a case, and the one with its spacing where it has that.
func (v *converter) copy(c Case, from, to string) error {
	if beside := scan.SpacingFile(from); beside != "" {
		if err := copyFile(beside, filepath.Join(filepath.Dir(to), c.ID+".json")); err != nil {
			return err
		}
	}
	return copyFile(from, to)
}

// label writes the label of a case.
func (v *converter) label(c Case) error {
	to := filepath.Join(v.dir, "labelsTr", c.ID+v.ending)
	if voxel.Ending(c.Label) == v.ending {
		if err := v.copy(c, c.Label, to); err != nil {
			return fmt.Errorf("dataset: %s: %w", c.ID, err)
		}
		return nil
	}
	l, err := scan.ReadLabels(c.Label)
	if err != nil {
		return fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	format, err := scan.FormatOf(scan.Formats(), to)
	if err != nil {
		return fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	s, err := scan.Open(context.Background(), scan.Options{Alone: true}, c.Label)
	if err != nil {
		return fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	if err := errors.Join(format.Write(to, s.WithoutHeader(), l, nil), s.Close()); err != nil {
		return fmt.Errorf("dataset: %s: %w", c.ID, err)
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // nothing was written
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// describe writes dataset.json.
func (v *converter) describe() error {
	f, err := os.Create(filepath.Join(v.dir, "dataset.json"))
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	d := *v.JSON
	d.FileEnding, d.NumTraining = v.ending, len(v.Cases)
	if v.form == NNUNetV2 {
		return errors.Join(d.WriteNNUNet(f), f.Close())
	}
	return errors.Join(v.describeMSD(f, &d), f.Close())
}

// msdFile is a dataset.json of the Decathlon, in its order.
type msdFile struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Reference   string            `json:"reference"`
	Licence     string            `json:"licence"`
	Release     string            `json:"release"`
	ImageSize   string            `json:"tensorImageSize"`
	Modality    map[string]string `json:"modality"`
	Labels      map[string]string `json:"labels"`
	NumTraining int               `json:"numTraining"`
	NumTest     int               `json:"numTest"`
	Training    []msdCase         `json:"training"`
	Test        []string          `json:"test"`
}

type msdCase struct {
	Image string `json:"image"`
	Label string `json:"label"`
}

func (v *converter) describeMSD(w io.Writer, d *plan.DatasetJSON) error {
	f := msdFile{
		Name: d.Name, Description: d.Description, Reference: d.Reference, Licence: d.Licence, Release: d.Release, ImageSize: "3D",
		Modality: map[string]string{}, Labels: map[string]string{}, NumTraining: len(v.Cases), NumTest: len(v.Test), Training: []msdCase{}, Test: []string{},
	}
	if len(d.Channels) > 1 && v.form == MSD {
		f.ImageSize = "4D"
	}
	for i, name := range d.Channels {
		f.Modality[strconv.Itoa(i)] = name
	}
	for _, l := range d.Labels {
		f.Labels[strconv.Itoa(l.Values[0])] = l.Name
	}
	for _, c := range v.Cases {
		f.Training = append(f.Training, msdCase{"./imagesTr/" + c.ID + v.ending, "./labelsTr/" + c.ID + v.ending})
	}
	for _, c := range v.Test {
		f.Test = append(f.Test, "./imagesTs/"+c.ID+v.ending)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	return e.Encode(f)
}

// channelFiles are the files of the channels beside a file that a dataset.json of
// nnU-Net v1 lists without them; nil if there are none.
func channelFiles(listed string, channels int) (files []string) {
	if _, err := os.Stat(listed); err == nil {
		return nil
	}
	ending := voxel.Ending(listed)
	stem := strings.TrimSuffix(listed, ending)
	for i := range channels {
		files = append(files, fmt.Sprintf("%s_%04d%s", stem, i, ending))
		if _, err := os.Stat(files[i]); err != nil {
			return nil
		}
	}
	return files
}
