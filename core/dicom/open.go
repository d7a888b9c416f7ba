package dicom

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

// Open finds the series in folders (with all below them), zip files and single files,
// in any mixture; content says what a file is, not its name. The collection must be
// closed when its images are read. Files that hold no scan are listed in Skipped; it
// is an error if there is no series at all.
func Open(ctx context.Context, paths ...string) (*Collection, error) {
	var files []File
	zips := &Collection{}
	for _, p := range paths {
		found, closer, err := filesOf(p)
		if closer != nil {
			zips.closers = append(zips.closers, closer)
		}
		if err == nil && len(files)+len(found) > maxFiles {
			err = fmt.Errorf("more than %d files", maxFiles)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("dicom: %s: %w", p, err), zips.Close())
		}
		files = append(files, found...)
	}
	c, err := OpenFiles(ctx, files)
	if err != nil {
		return nil, errors.Join(err, zips.Close())
	}
	c.closers = zips.closers
	return c, nil
}

// Close closes the zip files of the collection.
func (c *Collection) Close() error {
	var err error
	for _, z := range c.closers {
		err = errors.Join(err, z.Close())
	}
	c.closers = nil
	return err
}

// filesOf are the files at name: below a folder, in a zip, or the file.
func filesOf(name string) ([]File, io.Closer, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if st.IsDir() {
		files, err := folder(name)
		return files, nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err == nil && string(magic[:]) == "PK\x03\x04" {
		files, err := ZipFiles(f, st.Size())
		return files, f, err
	}
	f.Close()
	return []File{{Name: name, Size: st.Size(), Open: func() (io.ReadCloser, error) { return os.Open(name) }}}, nil, nil
}

// folder lists the regular files below root, by name. Links to files are followed,
// links to folders are not.
func folder(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return nil
		}
		st, err := os.Stat(at)
		if err != nil || !st.Mode().IsRegular() {
			return nil // a dangling link, a pipe
		}
		if len(files) >= maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		name, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		files = append(files, File{Name: filepath.ToSlash(name), Size: st.Size(), Open: func() (io.ReadCloser, error) { return os.Open(at) }})
		return nil
	})
	return files, err
}

// ZipFiles lists the files in a zip of size bytes, which must stay readable while
// they are used. Nothing is unpacked to disk. Zips that inflate to more than a
// hundred times their size and 256 MiB are refused, as are names that leave the
// folder; zips in zips stay closed.
func ZipFiles(r io.ReaderAt, size int64) ([]File, error) {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, err // which says that it is of a zip
	}
	var idle sync.Pool
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return newInflater(r, &idle) })
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("zip: %d files, at most %d are read", len(z.File), maxFiles)
	}
	const ratio, free = 100, 256 << 20 // CT slices deflate to a half, blank ones to a thousandth
	left := uint64(size)*ratio + free
	var files []File
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			continue
		}
		if !fs.ValidPath(strings.ReplaceAll(f.Name, `\`, "/")) {
			return nil, fmt.Errorf("zip: file %q has a name that leaves the folder", printable(f.Name, 128))
		}
		if f.UncompressedSize64 > left {
			return nil, fmt.Errorf("zip: %d bytes inflate to more than %d times as many", size, ratio)
		}
		left -= f.UncompressedSize64
		files = append(files, File{Name: f.Name, Size: int64(f.UncompressedSize64), Open: f.Open})
	}
	return files, nil
}

// inflater is a reader of deflate that is used again when it is closed.
type inflater struct {
	io.ReadCloser
	idle *sync.Pool
}

func newInflater(r io.Reader, idle *sync.Pool) io.ReadCloser {
	z, ok := idle.Get().(io.ReadCloser)
	if !ok {
		return &inflater{flate.NewReader(r), idle}
	}
	_ = z.(flate.Resetter).Reset(r, nil) // it has no error to return
	return &inflater{z, idle}
}

func (i *inflater) Close() error {
	if i.ReadCloser == nil {
		return nil
	}
	err := i.ReadCloser.Close()
	i.idle.Put(i.ReadCloser)
	i.ReadCloser = nil
	return err
}

// FileOf is an input in r, such as a file that a browser hands out.
func FileOf(name string, r io.ReaderAt, size int64) File {
	return File{Name: name, Size: size, Open: func() (io.ReadCloser, error) {
		return readSeekNopCloser{io.NewSectionReader(r, 0, size)}, nil
	}}
}

type readSeekNopCloser struct{ io.ReadSeeker }

func (readSeekNopCloser) Close() error { return nil }

// ReadFile takes an input from a stream into memory, up to limit bytes.
func ReadFile(name string, r io.Reader, limit int64) (File, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return File{}, fmt.Errorf("dicom: %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return File{}, fmt.Errorf("dicom: %s: more than %d bytes", name, limit)
	}
	return FileOf(name, bytes.NewReader(b), int64(len(b))), nil
}

// OpenFiles finds the series in a list of files, whose order does not matter.
func OpenFiles(ctx context.Context, files []File) (*Collection, error) {
	type result struct {
		in     *instance
		planes []plane
		err    error
	}
	results := make([]result, len(files))
	parallel(len(files), func() struct{} { return struct{}{} }, func(i int, _ struct{}) {
		if ctx.Err() != nil {
			return
		}
		files[i].Name = printable(files[i].Name, 512)
		in, err := newInstance(files[i])
		if err == nil {
			results[i].planes, err = in.planes()
		}
		results[i].in, results[i].err = in, err
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &Collection{}
	var found [][]plane
	for i, r := range results {
		if r.err != nil {
			c.Skipped = append(c.Skipped, Skipped{Name: files[i].Name, Err: r.err})
			continue
		}
		found = append(found, r.planes)
	}
	if len(found) == 0 {
		return nil, c.nothing()
	}
	c.Series = newSeries(found)
	for i, r := range results {
		if r.err != nil && !errors.Is(r.err, ErrNotDICOM) && !errors.Is(r.err, ErrNotScan) {
			c.blame(files[i].Name, r.in, r.err)
		}
	}
	return c, nil
}

// blame refuses the series that a broken file belongs to, or may belong to: those in
// its folder. A volume must not lose its last slice in silence.
func (c *Collection) blame(name string, in *instance, err error) {
	for _, s := range c.Series {
		if in != nil && in.info.text(tagSeries) != s.UID {
			continue
		}
		for _, v := range s.Volumes {
			beside := func(i Instance) bool { return i.File != "" && path.Dir(i.File) == path.Dir(name) }
			if v.Err == nil && (in != nil || slices.ContainsFunc(v.Instances, beside)) {
				v.Err = fmt.Errorf("%s, in the same series or folder: %w: repair or remove the file", name, err)
			}
		}
	}
}

// ErrNoFiles is the error of a folder without files.
var ErrNoFiles = errors.New("dicom: no files")

// nothing is the error of a collection without a series.
func (c *Collection) nothing() error {
	if len(c.Skipped) == 0 {
		return ErrNoFiles
	}
	worst := c.Skipped[0]
	for _, s := range c.Skipped { // a broken scan tells more than a README
		if !errors.Is(s.Err, ErrNotDICOM) {
			worst = s
			break
		}
	}
	if len(c.Skipped) == 1 {
		return fmt.Errorf("dicom: %s: %w", worst.Name, worst.Err)
	}
	return fmt.Errorf("dicom: none of %d files holds a scan; %s: %w", len(c.Skipped), worst.Name, worst.Err)
}

// Scan is the series that a model is meant for: the one that is no localizer and
// has a volume, if it is the only one; else an error lists what there is to choose
// from, by number and modality.
func (c *Collection) Scan() (*Series, error) {
	var list []*Series
	for _, s := range c.Series {
		if !s.Localizer {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		list = c.Series
	}
	if len(list) == 1 {
		return list[0], nil
	}
	var b strings.Builder
	for _, s := range list {
		v := s.Volumes[0]
		fmt.Fprintf(&b, "; %d (%s, %d×%d×%d, %d volumes)", s.Number, shownCode(s.Modality), v.Shape[2], v.Shape[1], v.Shape[0], len(s.Volumes))
	}
	return nil, fmt.Errorf("dicom: %d series, choose one%s", len(list), b.String())
}
