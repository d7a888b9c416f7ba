// Package atomicfile replaces a file as a whole: whatever happens meanwhile (a
// full disk, kill -9, loss of power), readers find either the old content or
// the new, never a mixture.
package atomicfile

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Suffix ends the name of the temporary file beside the file that is written.
// It is fixed, so that what a killed process left is overwritten by the next
// one and does not fill the disk.
const Suffix = ".tmp"

const bufferBytes = 1 << 18

// Write replaces the file at path with what write produces: into a temporary
// file of the same folder, then fsync, rename and fsync of the folder. On an
// error the temporary file is removed and the old file is as it was. A file has
// one writer at a time.
func Write(path string, write func(w io.Writer) error) (err error) {
	temporary := path + Suffix
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temporary)))
		}
	}()
	if err := fill(f, write); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func fill(f *os.File, write func(w io.Writer) error) error {
	b := bufio.NewWriterSize(f, bufferBytes)
	if err := write(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncFolder makes a rename in the folder last. File systems that cannot do
// that for a folder say EINVAL or "not supported"; they are left to themselves.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		return nil // neither can fsync a folder
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
