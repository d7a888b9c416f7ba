package voxel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File is an input that can be read more than once, and the folder beside it.
type File struct {
	Name string // shown in errors; its base decides what the file names mean
	Path string // on disk; "" elsewhere
	Size int64  // bytes
	Open func() (io.ReadCloser, error)

	// Folder opens another file of the folder or below it. It is nil where there is
	// none, as for a file in memory.
	Folder func(name string) (File, error)
}

// OnDisk is the file at path. Links are followed; the files beside it are those
// that the system reaches without leaving the folder.
func OnDisk(file string) (File, error) {
	size, err := regular(os.Stat(file))
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", file, err)
	}
	return File{
		Name: file, Path: file, Size: size,
		Open:   func() (io.ReadCloser, error) { return os.Open(file) },
		Folder: func(name string) (File, error) { return besideOnDisk(filepath.Dir(file), name) },
	}, nil
}

// besideOnDisk is the file name of a folder, held there by os.Root: neither ".."
// nor a link leads out of it.
func besideOnDisk(dir, name string) (File, error) {
	if err := inside(name); err != nil {
		return File{}, err
	}
	open := func() (*os.File, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer func() { _ = root.Close() }() // files that it opened stay open
		return root.Open(filepath.FromSlash(name))
	}
	f, err := open()
	if err != nil {
		return File{}, err
	}
	size, err := regular(f.Stat())
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	file := filepath.Join(dir, name)
	return File{Name: file, Path: file, Size: size, Open: func() (io.ReadCloser, error) { return open() }}, nil
}

// InFS is a file of a file system, such as the files that a browser was given.
func InFS(fsys fs.FS, name string) (File, error) {
	size, err := regular(fs.Stat(fsys, name))
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	return File{
		Name: name, Size: size,
		Open: func() (io.ReadCloser, error) { return fsys.Open(name) },
		Folder: func(other string) (File, error) {
			if err := inside(other); err != nil {
				return File{}, err
			}
			f, err := InFS(fsys, path.Join(path.Dir(name), other))
			f.Folder = nil
			return f, err
		},
	}, nil
}

// InMemory is a file of bytes. It has no folder.
func InMemory(name string, b []byte) File {
	return File{Name: name, Size: int64(len(b)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// inside refuses names that could lead out of a folder.
func inside(name string) error {
	switch slash := strings.ReplaceAll(name, `\`, "/"); {
	case name == "":
		return errors.New("a file without a name")
	case !fs.ValidPath(slash) || slash == ".", strings.Contains(name, ":"):
		return fmt.Errorf("file %q is not in the folder of the header: move it there and name it without a folder", Printable(name, 128))
	case slash != name:
		return fmt.Errorf("file %q has a backslash: name it as it is called", Printable(name, 128))
	}
	return nil
}

// Beside opens a file that a header names: one of the folder of f or below it.
func (f File) Beside(name string) (File, error) {
	if err := inside(name); err != nil {
		return File{}, err
	}
	if f.Folder == nil {
		return File{}, fmt.Errorf("file %q beside it is not at hand: give both files", Printable(name, 128))
	}
	return f.Folder(name)
}

// Ending is what name ends in, in lower case: .nii.gz and .seg.nrrd whole.
func Ending(name string) string {
	lower := strings.ToLower(filepath.Base(name))
	ext := path.Ext(lower)
	if second := path.Ext(strings.TrimSuffix(lower, ext)); second != "" && (ext == ".gz" || second == ".seg") {
		return second + ext
	}
	return ext
}

func regular(info fs.FileInfo, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() { // a pipe may keep a reader waiting without end
		return 0, errors.New("not a regular file")
	}
	return info.Size(), nil
}

// Printable is s without control characters, cut to n bytes, for errors.
func Printable(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}
