package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// Open finds the scan at paths: a file, a folder or zip of DICOM, several of these, a
// channel each, or the files of one series of DICOM. The scan must be closed when its voxels are read.
func Open(ctx context.Context, o Options, paths ...string) (*Scan, error) {
	switch len(paths) {
	case 0:
		return nil, errors.New("scan: no path")
	case 1:
		return openOne(ctx, o, paths[0])
	}
	if len(o.Series) > 0 {
		return nil, errors.New("scan: several paths and numbers of series: give one folder with the series, or the paths alone")
	}
	if s, err := openInstances(ctx, o, paths); s != nil || err != nil {
		return s, err
	}
	var sources []*source
	var closers []func() error
	fail := func(err error) (*Scan, error) {
		for _, c := range closers {
			err = errors.Join(err, c())
		}
		return nil, err
	}
	name := ""
	for _, p := range paths {
		s, err := openAlone(ctx, o, p)
		if err != nil {
			return fail(err)
		}
		if name == "" {
			name = s.Name
		}
		sources = append(sources, s.sources...)
		closers = append(closers, s.closers...)
	}
	s, err := newScan(name, sources)
	if err != nil {
		return fail(err)
	}
	s.closers = closers
	return s, nil
}

// ReadLabels reads the label map in one file, of any format.
func ReadLabels(path string) (*volume.Labels, error) {
	s, err := Open(context.Background(), Options{Alone: true}, path)
	if err != nil {
		return nil, err
	}
	l, _, err := s.Labels()
	return l, errors.Join(err, s.Close())
}

// OpenFiles finds the scan in files, such as those that a browser was given: one
// file, a file a channel in their order (or by nnU-Net's numbers, where all have
// them), or the files of DICOM in any order. Files that a header names, such as the
// voxels of an .mhd, may be among them; they are found by voxel.File.Folder.
func OpenFiles(ctx context.Context, o Options, files []voxel.File) (*Scan, error) {
	if len(files) == 0 {
		return nil, errors.New("scan: no files")
	}
	var sources []*source
	isDICOM := false
	names := []string{}
	for _, f := range files {
		b, err := front(f)
		if err != nil {
			return nil, fmt.Errorf("scan: %s: %w", f.Name, err)
		}
		kind := Recognise(b)
		if kind == DICOM || kind == zipped {
			isDICOM = true
			break
		}
		if openers[kind] == nil {
			continue // voxels of another, or nothing
		}
		s, err := openers[kind](f)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		sources = append(sources, s)
		names = append(names, f.Name)
	}
	if isDICOM || len(sources) == 0 {
		return openDICOMFiles(ctx, o, files)
	}
	if order, ok := byChannel(names); ok {
		sorted := make([]*source, len(sources))
		for i, at := range order {
			sorted[i] = sources[at]
		}
		sources = sorted
	}
	return newScan(CaseName(sources[0].name), sources)
}

// byChannel orders names of one case by nnU-Net's channel, if all have one.
func byChannel(names []string) (order []int, ok bool) {
	order = make([]int, len(names))
	for i := range order {
		order[i] = -1
	}
	for i, n := range names {
		id, c := SplitChannel(stem(n))
		first, _ := SplitChannel(stem(names[0]))
		if c < 0 || c >= len(names) || order[c] >= 0 || id != first {
			return nil, false
		}
		order[c] = i
	}
	return order, true
}

// openOne opens a path with what belongs to it.
func openOne(ctx context.Context, o Options, path string) (*Scan, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	if !st.IsDir() && len(o.Series) == 0 && !o.Alone {
		files, err := channelsOf(path)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		if len(files) > 1 {
			return Open(ctx, o, files...)
		}
	}
	return openAlone(ctx, o, path)
}

// openAlone opens a path without looking at what lies beside it.
func openAlone(ctx context.Context, o Options, path string) (*Scan, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	if st.IsDir() {
		return openDICOM(ctx, o, path)
	}
	f, err := voxel.OnDisk(path)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	b, err := front(f)
	if err != nil {
		return nil, fmt.Errorf("scan: %w", of(path, err))
	}
	kind := Recognise(b)
	if kind == "" { // the voxels of a pair have no mark of their own
		kind = pairKind(f)
	}
	if kind == DICOM {
		s, err := ofSegmentation(f)
		if err == nil {
			return newScan(CaseName(path), []*source{s})
		}
		if !errors.Is(err, dicom.ErrNotSegmentation) {
			return nil, fmt.Errorf("scan: %w", err)
		}
	}
	if kind == DICOM || kind == zipped {
		return openDICOM(ctx, o, path)
	}
	if open := openers[kind]; open != nil {
		s, err := open(f)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		return newScan(CaseName(path), []*source{s})
	}
	s, err := openDICOM(ctx, o, path) // without a preamble, perhaps
	if errors.Is(err, dicom.ErrNotDICOM) {
		err = fmt.Errorf("scan: %s: %w", path, unknown(b))
		if ending := voxel.Ending(path); ending == ".nii" || ending == ".nii.gz" { // damaged, perhaps: its reader says where
			if _, as := openNIfTI(f); as != nil {
				err = fmt.Errorf("%w; as the NIfTI of its name: %w", err, as)
			}
		}
	}
	return s, err
}

// pairKind is what the .hdr beside an .img is.
func pairKind(f voxel.File) Kind {
	name := filepath.Base(f.Name)
	lower := strings.ToLower(name)
	i := strings.LastIndex(lower, ".img")
	if i < 0 || lower[i:] != ".img" && lower[i:] != ".img.gz" {
		return ""
	}
	for _, ext := range []string{".hdr", ".HDR"} {
		h, err := f.Beside(name[:i] + ext + name[i+4:])
		if err != nil {
			continue
		}
		if b, err := front(h); err == nil {
			return Recognise(b)
		}
	}
	return ""
}

// channelsOf are the files of the case that path belongs to, if its name has
// nnU-Net's channel.
func channelsOf(path string) ([]string, error) {
	dir, name := filepath.Split(path)
	id, channel := SplitChannel(stem(name))
	if channel < 0 {
		return []string{path}, nil
	}
	ending := name[len(stem(name)):]
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	var found []int
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ending)
		if other, c := SplitChannel(base); ok && c >= 0 && other == id {
			found = append(found, c)
		}
	}
	slices.Sort(found)
	var files []string
	for i, c := range found {
		file := filepath.Join(dir, fmt.Sprintf("%s_%04d%s", id, i, ending))
		if c != i {
			return nil, fmt.Errorf("case %s has a channel %d but no %s: wanted channels from 0 on without a gap", id, c, filepath.Base(file))
		}
		files = append(files, file)
	}
	return files, nil
}

// stem is a name without folder and ending.
func stem(name string) string {
	base := filepath.Base(name)
	return base[:len(base)-len(voxel.Ending(base))]
}

// CaseName is a name without folder, ending and nnU-Net's channel.
func CaseName(path string) string {
	id, _ := SplitChannel(stem(path))
	return id
}

// SplitChannel takes the four digits of nnU-Net's channel off a name; −1: none.
func SplitChannel(name string) (id string, channel int) {
	n := len(name)
	if n < 6 || name[n-5] != '_' {
		return name, -1
	}
	for _, r := range name[n-4:] {
		if r < '0' || r > '9' {
			return name, -1
		}
		channel = channel*10 + int(r-'0')
	}
	return name[:n-5], channel
}
