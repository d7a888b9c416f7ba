package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
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

// Mend writes a copy of the data set in dir to the new folder out, in which is mended
// what can only be meant one way, and says what that was, a line each:
//
//   - label values with gaps become consecutive, in dataset.json and in all label maps,
//     if every label map can be read and has no other values
//   - headers of channels and labels that differ from the first channel's by less than
//     a tenth of a voxel become equal to it
//   - numTraining of dataset.json becomes the number of cases, if each has all its files
//     and no file is left over
//   - CASE.nii.gz of nnU-Net v2's form with one channel becomes CASE_0000.nii.gz
//
// What else is wrong stays wrong. The copy appears whole or not at all.
func Mend(ctx context.Context, dir, out string, progress Progress) (mended []string, err error) {
	if _, err := os.Stat(out); err == nil {
		return nil, fmt.Errorf("dataset: %s is there already: choose another folder", out)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out))
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if err := copyTree(ctx, dir, temp); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	r, _, err := look(temp)
	if err != nil {
		return nil, err
	}
	values, line, err := r.mendValues(ctx)
	if err != nil {
		return nil, fmt.Errorf("dataset: %s: %w", dir, err)
	}
	if line != "" {
		mended = append(mended, line)
	}
	if line, err = r.mendNumber(); err != nil {
		return nil, fmt.Errorf("dataset: %s: %w", dir, err)
	}
	if line != "" {
		mended = append(mended, line)
	}
	lines := make([][]string, len(r.Cases))
	err = each(ctx, len(r.Cases), progress, func(i int) (string, error) {
		var err error
		if lines[i], err = r.mendCase(ctx, r.Cases[i], values); err != nil {
			return "", fmt.Errorf("dataset: %s: %w", r.Cases[i].ID, err)
		}
		return r.Cases[i].ID, nil
	})
	if err != nil {
		return nil, err
	}
	mended = append(mended, slices.Concat(lines...)...)
	for _, path := range r.otherLabels() {
		what, err := mendOther(ctx, path, values)
		if err != nil {
			return nil, fmt.Errorf("dataset: %s: %w", r.relative(path), err)
		}
		if what != "" {
			mended = append(mended, fmt.Sprintf("%s: %s", r.relative(path), what))
		}
	}
	return mended, os.Rename(temp, out)
}

// copyTree copies the files of a data set.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o777)
		}
		return copyFile(path, filepath.Join(to, name))
	})
}

// mendValues makes the label values of dataset.json consecutive. values says what
// becomes of each in the label maps; nil: nothing changes.
func (r *Raw) mendValues(ctx context.Context) (values map[uint8]uint8, line string, err error) {
	file := filepath.Join(r.Dir, datasetJSON)
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	values, b, line, err = consecutive(b)
	if err != nil || values == nil {
		return nil, "", err
	}
	if ok, err := r.onlyHave(ctx, values); err != nil || !ok {
		return nil, "", err
	}
	return values, line, os.WriteFile(file, b, 0o666)
}

// mendNumber makes numTraining of dataset.json the number of the training cases.
func (r *Raw) mendNumber() (line string, err error) {
	have, named := len(r.Cases), r.JSON.NumTraining
	if have == named || len(r.findStrays()) > 0 {
		return "", nil
	}
	for _, c := range r.Cases {
		for _, path := range append(slices.Clone(c.Images), c.Label) {
			if _, err := os.Stat(path); err != nil {
				return "", nil //nolint:nilerr // a case more or less: a check says what is missing
			}
		}
	}
	file := filepath.Join(r.Dir, datasetJSON)
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b, &top); err != nil {
		return "", err
	}
	top["numTraining"] = json.RawMessage(strconv.Itoa(have))
	if b, err = json.MarshalIndent(top, "", "    "); err != nil {
		return "", err
	}
	return fmt.Sprintf("dataset.json: numTraining %d becomes %d, the cases that are there", named, have), os.WriteFile(file, append(b, '\n'), 0o666)
}

// onlyHave says whether all label maps can be read and have no values but these: where
// others move, one that nobody knows would become another label.
func (r *Raw) onlyHave(ctx context.Context, values map[uint8]uint8) (bool, error) {
	paths := r.otherLabels()
	for _, c := range r.Cases {
		paths = append(paths, c.Label)
	}
	known := make([]bool, len(paths))
	err := each(ctx, len(paths), nil, func(i int) (string, error) {
		l, err := scan.ReadLabels(paths[i])
		known[i] = err == nil && !slices.ContainsFunc(l.Data, func(v uint8) bool { _, ok := values[v]; return !ok })
		return "", nil
	})
	return !slices.Contains(known, false), err
}

// otherLabels are the label maps of no training case: of test cases, and strays.
func (r *Raw) otherLabels() (paths []string) {
	for _, folder := range []string{"labelsTr", "labelsTs"} {
		entries, _ := os.ReadDir(filepath.Join(r.Dir, folder)) // often there is none
		for _, e := range entries {
			path := filepath.Join(r.Dir, folder, e.Name())
			isCase := slices.ContainsFunc(r.Cases, func(c Case) bool { return c.Label == path })
			if !isCase && !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), r.JSON.FileEnding) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// consecutive is a dataset.json whose label values have no gaps; values are nil if
// there are none, or regions, which are lists.
func consecutive(b []byte) (values map[uint8]uint8, mendedJSON []byte, line string, err error) {
	var top, labels map[string]json.RawMessage
	if err := json.Unmarshal(b, &top); err != nil {
		return nil, nil, "", err
	}
	if json.Unmarshal(top["labels"], &labels) != nil || len(labels) == 0 {
		return nil, nil, "", nil // a check says what is wrong
	}
	number := map[string]int{} // key → value
	msd := true
	for key := range labels {
		n, err := strconv.Atoi(key)
		msd = msd && err == nil
		number[key] = n
	}
	if !msd {
		for key, raw := range labels {
			var n int
			if json.Unmarshal(raw, &n) != nil {
				return nil, nil, "", nil // regions
			}
			number[key] = n
		}
	}
	var sorted []int
	for _, n := range number {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(number) || sorted[0] != 0 || sorted[len(sorted)-1] == len(sorted)-1 || sorted[len(sorted)-1] > volume.MaxLabel {
		return nil, nil, "", nil
	}
	values, mended := map[uint8]uint8{}, map[string]json.RawMessage{}
	for key, n := range number {
		at := slices.Index(sorted, n)
		values[uint8(n)] = uint8(at)
		if msd {
			mended[strconv.Itoa(at)] = labels[key]
		} else {
			mended[key] = json.RawMessage(strconv.Itoa(at))
		}
	}
	if top["labels"], err = json.Marshal(mended); err != nil {
		return nil, nil, "", err
	}
	if b, err = json.MarshalIndent(top, "", "    "); err != nil {
		return nil, nil, "", err
	}
	return values, append(b, '\n'), fmt.Sprintf("dataset.json: the label values %v become 0 to %d", sorted, len(sorted)-1), nil
}

// mendCase mends the files of a case in place.
func (r *Raw) mendCase(ctx context.Context, c Case, values map[uint8]uint8) (lines []string, err error) {
	first, err := scan.Open(ctx, scan.Options{Alone: true}, c.Images[0])
	if err != nil { // it is not mended, and a check names it
		what, err := mendOther(ctx, c.Label, values)
		if err == nil && what != "" {
			lines = append(lines, fmt.Sprintf("%s: %s", r.relative(c.Label), what))
		}
		return lines, err
	}
	defer func() { err = errors.Join(err, first.Close()) }()
	for _, path := range c.Images[1:] {
		ok, err := mendChannel(ctx, path, first)
		if err != nil {
			return nil, err
		}
		if ok {
			lines = append(lines, fmt.Sprintf("%s: header made equal to that of the first channel", r.relative(path)))
		}
	}
	what, err := mendLabel(ctx, c.Label, first, values)
	if err != nil {
		return nil, err
	}
	if what != "" {
		lines = append(lines, fmt.Sprintf("%s: %s", r.relative(c.Label), what))
	}
	ending := voxel.Ending(c.Images[0])
	if base := filepath.Base(c.Images[0]); r.JSON.Form == plan.FormNNUNet && len(r.JSON.Channels) == 1 && base == c.ID+ending && len(r.JSON.Training) == 0 {
		to := filepath.Join(filepath.Dir(c.Images[0]), c.ID+"_0000"+ending)
		lines = append(lines, fmt.Sprintf("%s: named %s", r.relative(c.Images[0]), filepath.Base(to)))
		return lines, os.Rename(c.Images[0], to)
	}
	return lines, nil
}

// mendChannel gives a channel the header of the first one if it hardly differs.
func mendChannel(ctx context.Context, path string, first *scan.Scan) (bool, error) {
	s, err := scan.Open(ctx, scan.Options{Alone: true}, path)
	if err != nil {
		return false, nil //nolint:nilerr // it is not mended, and a check names it
	}
	noise := noisy(first.Grid, s.Grid)
	if !noise || !slices.Contains(scan.ImageEndings(), voxel.Ending(path)) {
		return false, s.Close()
	}
	im, err := s.Image(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return false, err
	}
	im.Grid = first.Grid
	return true, scan.WriteImage(path, im, first.Header())
}

// mendOther gives a label map without an image the values of a mended dataset.json.
func mendOther(ctx context.Context, path string, values map[uint8]uint8) (what string, err error) {
	own, err := scan.Open(ctx, scan.Options{Alone: true}, path)
	if err != nil {
		return "", nil //nolint:nilerr // it is not mended
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	return mendLabel(ctx, path, own, values)
}

// mendLabel gives a label map the values of a mended dataset.json, and the header of
// the image if it hardly differs.
func mendLabel(ctx context.Context, path string, first *scan.Scan, values map[uint8]uint8) (what string, err error) {
	l, err := scan.ReadLabels(path)
	if err != nil {
		return "", nil //nolint:nilerr // it is not mended, and a check names it
	}
	var done []string
	changed := false
	for i, v := range l.Data {
		if to, ok := values[v]; ok && to != v {
			l.Data[i], changed = to, true
		}
	}
	if changed {
		done = append(done, "values made consecutive")
	}
	own, err := scan.Open(ctx, scan.Options{Alone: true}, path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	like := own
	if noisy(first.Grid, l.Grid) {
		done = append(done, "header made equal to that of the image")
		l.Grid, like = first.Grid, first
		if voxel.Ending(first.Files[0]) != voxel.Ending(path) {
			like = first.WithoutHeader()
		}
	}
	if len(done) == 0 {
		return "", nil
	}
	format, err := scan.FormatOf(scan.Formats(), path)
	if err != nil {
		return "", err
	}
	return strings.Join(done, ", "), format.Write(path, like, l, nil)
}

// noisy says whether two grids differ, but by less than a tenth of a voxel anywhere.
func noisy(a, b volume.Grid) bool {
	if a.Shape != b.Shape || scan.Differ(a, b) == "" {
		return false
	}
	least := min(a.Spacing[0], a.Spacing[1], a.Spacing[2])
	for corner := range 8 {
		far := 0.0
		for i := range 3 {
			d := a.Affine[i][3] - b.Affine[i][3]
			for x := range 3 { // x y z, the reverse of D H W
				if corner>>x&1 == 1 {
					d += (a.Affine[i][x] - b.Affine[i][x]) * float64(a.Shape[2-x]-1)
				}
			}
			far += d * d
		}
		if !(math.Sqrt(far) < least/10) {
			return false
		}
	}
	return true
}
