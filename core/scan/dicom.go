package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// openDICOM opens a file, folder or zip.
func openDICOM(ctx context.Context, o Options, path string) (*Scan, error) {
	c, err := dicom.Open(ctx, path)
	if err != nil {
		if errors.Is(err, dicom.ErrNotDICOM) {
			err = fmt.Errorf("%w: give a folder or zip of one DICOM study, or a file", err)
		}
		return nil, fmt.Errorf("scan: %w", of(path, err))
	}
	s, err := ofCollection(o, c, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("scan: %w", of(path, err)), c.Close())
	}
	s.closers = append(s.closers, c.Close)
	return s, nil
}

// of is err with path in front, unless it says that already.
func of(path string, err error) error {
	if strings.Contains(err.Error(), path) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// openInstances opens paths that are the files of one series; nil if they are something
// else.
func openInstances(ctx context.Context, o Options, paths []string) (*Scan, error) {
	for _, path := range paths {
		f, err := voxel.OnDisk(path)
		if err != nil {
			return nil, nil //nolint:nilerr,nilnil // what is wrong with it is said where it is opened
		}
		if b, err := front(f); err != nil || Recognise(b) != DICOM {
			return nil, nil //nolint:nilerr,nilnil // likewise
		}
	}
	c, err := dicom.Open(ctx, paths...)
	if err != nil || len(c.Series) == len(paths) { // a channel each
		return nil, nil //nolint:nilerr,nilnil // likewise
	}
	s, err := ofCollection(o, c, paths[0])
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	s.Files = paths
	return s, nil
}

// openDICOMFiles opens files, zips among them.
func openDICOMFiles(ctx context.Context, o Options, files []voxel.File) (*Scan, error) {
	var list []dicom.File
	for _, f := range files {
		list = append(list, dicom.File{Name: f.Name, Size: f.Size, Open: f.Open})
		b, err := front(f)
		if err != nil || Recognise(b) != zipped {
			continue
		}
		at, err := readerAt(f)
		if err != nil {
			return nil, fmt.Errorf("scan: %s: %w", f.Name, err)
		}
		inside, err := dicom.ZipFiles(at, f.Size)
		if err != nil {
			return nil, fmt.Errorf("scan: %s: %w", f.Name, err)
		}
		list = append(list[:len(list)-1], inside...)
	}
	c, err := dicom.OpenFiles(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	s, err := ofCollection(o, c, files[0].Name)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	return s, nil
}

// readerAt reads f at any place. What cannot be, is taken into memory, which is its
// own size.
func readerAt(f voxel.File) (io.ReaderAt, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	if at, ok := r.(io.ReaderAt); ok {
		return at, nil // stays open with the scan
	}
	defer func() { _ = r.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(r, f.Size))
	if err != nil {
		return nil, err
	}
	return strings.NewReader(string(b)), nil
}

// ofCollection makes a scan of the series that o names, or of the only one.
func ofCollection(o Options, c *dicom.Collection, path string) (*Scan, error) {
	var list []*dicom.Series
	for _, name := range o.Series {
		var found []*dicom.Series
		for _, s := range c.Series {
			if s.UID == name || strconv.Itoa(s.Number) == name && !s.Localizer {
				found = append(found, s)
			}
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("%d series are called %q, wanted 1: where two have one number, give the UID, which gounet info lists", len(found), voxel.Printable(name, 80))
		}
		list = append(list, found[0])
	}
	if len(list) == 0 {
		s, err := c.Scan()
		if err != nil {
			return nil, fmt.Errorf("%w: the order of their numbers is that of the channels", err)
		}
		list = append(list, s)
	}
	var sources []*source
	for _, s := range list {
		src, err := ofSeries(s)
		if err != nil {
			return nil, err
		}
		sources = append(sources, src)
	}
	s, err := newScan(CaseName(strings.TrimSuffix(filepath.Clean(path), ".zip")), sources)
	if err != nil {
		return nil, err
	}
	s.Files = []string{path}
	return s, nil
}

func ofSeries(s *dicom.Series) (*source, error) {
	v := s.Volumes[0]
	if v.Err != nil {
		return nil, v.Err
	}
	src := &source{
		kind: DICOM, name: fmt.Sprintf("series %d", s.Number), grid: v.Grid, channels: len(s.Volumes), dtype: "stored values, scaled", series: s,
		image: func(ctx context.Context) (*volume.Image, error) { return s.Image(ctx) },
		details: []Detail{
			{"modality", s.Modality}, {"series", fmt.Sprint(s.Number)}, {"slices", fmt.Sprint(len(v.Instances) - len(v.Missing))},
		},
	}
	src.warnings = s.Warnings()
	if v.Unit != "" {
		src.details = append(src.details, Detail{"unit", v.Unit})
	}
	if v.Tilt != 0 {
		src.details = append(src.details, Detail{"gantry tilt", fmt.Sprintf("%.3g°", v.Tilt)})
	}
	return src, nil
}
