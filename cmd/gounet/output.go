package main

import (
	"os"
	"path/filepath"
	"slices"
)

// scanFolders are the folders of a data set that are only read.
var scanFolders = []string{"imagesTr", "labelsTr", "imagesTs", "labelsTs"}

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
