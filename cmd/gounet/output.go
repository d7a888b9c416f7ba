package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// scanFolders are the folders of a data set that are only read.
var scanFolders = []string{"imagesTr", "labelsTr", "imagesTs", "labelsTs"}

// modelFiles are those of a model or a run without which it is none.
var modelFiles = []string{checkpoint.WeightsFile, checkpoint.StateFile, plan.FileName, train.SettingsFile}

func holdsModel(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, checkpoint.WeightsFile))
	return err == nil
}

// checkOutput refuses a place for results, folder or file, at which they would lie
// among the scans or labels of a data set, or be its own folder or dataset.json.
// Links are followed. flag is what named the place.
func checkOutput(flag, path string) error {
	at, err := resolve(path)
	if err != nil {
		return err
	}
	if isDataset(at) || filepath.Base(at) == "dataset.json" && isDataset(filepath.Dir(at)) {
		return usagef("%s %s is of a data set, which is only read: choose another place", flag, path)
	}
	for ; at != filepath.Dir(at); at = filepath.Dir(at) {
		if slices.Contains(scanFolders, filepath.Base(at)) && isDataset(filepath.Dir(at)) {
			return usagef("%s %s lies among the scans of a data set, which are only read: choose another place", flag, path)
		}
	}
	return nil
}

// checkFile refuses, before hours are spent on it, a file that could not be written in
// the end: a folder in its place, or a place in which nothing can be made. The folder
// for it is made when it is written.
func checkFile(flag, path string) error {
	if err := checkOutput(flag, path); err != nil {
		return err
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return usagef("%s %s is a folder, wanted the name of a file", flag, path)
	}
	if at, err := resolve(path); err == nil && slices.Contains(modelFiles, filepath.Base(at)) && holdsModel(filepath.Dir(at)) {
		return usagef("%s %s is a file of a model: choose another place", flag, path)
	}
	return checkFolder(flag+" "+path, filepath.Dir(path))
}

// checkFolder returns an error if nothing can be written in the folder dir, or if it is
// not there and cannot be made. It leaves nothing behind.
func checkFolder(what, dir string) error {
	at, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for at != filepath.Dir(at) {
		if _, err := os.Lstat(at); err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			break
		}
		at = filepath.Dir(at)
	}
	if st, err := os.Stat(at); err != nil || !st.IsDir() {
		return usagef("%s: %s is no folder: choose another place", what, at)
	}
	f, err := os.CreateTemp(at, ".gounet-*")
	if err != nil {
		return fmt.Errorf("%s: nothing can be written in %s: %w: choose another place", what, at, reason(err))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// reason is an error of the file system without the name of the file.
func reason(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}

// folderOf makes the folder that a file is written to.
func folderOf(file string) error { return os.MkdirAll(filepath.Dir(file), 0o777) }

func isDataset(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "dataset.json"))
	_, err2 := os.Stat(filepath.Join(dir, scanFolders[0]))
	return err == nil && err2 == nil
}

// resolve makes path absolute and follows the links of the part that exists.
func resolve(path string) (string, error) {
	at, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for ; at != filepath.Dir(at); at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest), nil
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
	return filepath.Join(at, rest), nil
}
