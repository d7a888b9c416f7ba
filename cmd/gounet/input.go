package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// fromStream is the path of what is piped into the program.
const fromStream = "-"

// given is the file at path. What is piped into the program is put into a file first,
// since readers go over their input more than once; done removes that.
func (a *app) given(path string) (file string, done func() error, err error) {
	if path != fromStream {
		return path, func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "gounet")
	if err != nil {
		return "", nil, err
	}
	done = func() error { return os.RemoveAll(dir) }
	file = filepath.Join(dir, "stdin")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = io.Copy(f, a.in)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("standard input: %w", err), done())
	}
	return file, done, nil
}
