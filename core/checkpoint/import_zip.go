package checkpoint

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// wantedOf says whether an entry of a zip of models is read.
func wantedOf(name string) bool {
	return hasBase(name, nnunetPlans, nnunetDataset, nnunetFinal, nnunetBest, bundleWeights, bundleConfig)
}

// isZipOfModels says whether path is a zip with a results folder of nnU-Net or a
// bundle of MONAI, rather than a file of torch.save.
func isZipOfModels(path string) bool {
	z, err := zip.OpenReader(path)
	if err != nil {
		return false
	}
	defer func() { _ = z.Close() }() // nothing was written
	return slices.ContainsFunc(z.File, func(f *zip.File) bool { return hasBase(f.Name, nnunetPlans, bundleConfig) })
}

// importZip unpacks what belongs to the model into a folder for the time of reading.
func importZip(file string, o ImportOptions) (m *Model, err error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer func() { _ = z.Close() }() // nothing was written
	models := map[string][]*zip.File{}
	for _, f := range z.File {
		if !wantedOf(f.Name) {
			continue
		}
		if !fs.ValidPath(f.Name) || strings.Contains(f.Name, `\`) {
			return nil, fmt.Errorf("%s: entry %.100q is not a plain relative path", file, f.Name)
		}
		top := path.Dir(f.Name)
		if !hasBase(f.Name, nnunetPlans, nnunetDataset) { // fold_0/…, models/…, configs/…
			top = path.Dir(top)
		}
		models[top] = append(models[top], f)
	}
	var names []string
	for _, name := range sortedKeys(models) {
		isModel := slices.ContainsFunc(models[name], func(f *zip.File) bool { return hasBase(f.Name, nnunetPlans, bundleConfig) })
		if isModel && strings.Contains(name, o.Model) {
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("%s: %d models match %q, one was wanted; there are %q", file, len(names), o.Model, sortedKeys(models))
	}
	dir, err := os.MkdirTemp("", "gounet-import")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	take := func(name string) (*Model, error) {
		root := filepath.Join(dir, path.Base(path.Join("model", name)))
		for _, f := range models[name] {
			if err := unpack(f, filepath.Join(root, filepath.FromSlash(strings.TrimPrefix(f.Name, strings.TrimPrefix(name+"/", "./"))))); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, f.Name, err)
			}
		}
		m, err := Import(root, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return m, nil
	}
	if m, err = take(names[0]); err != nil {
		return nil, err
	}
	c, err := m.Config()
	if err != nil || c.Previous == "" {
		return m, err
	}
	sibling, ok := siblingOf(path.Base(names[0]), c)
	if sibling = path.Join(path.Dir(names[0]), sibling); !ok || models[sibling] == nil {
		return m, nil // the second stage of a cascade alone
	}
	o.Options = Options{}
	before, err := take(sibling)
	if err != nil {
		return nil, err
	}
	return m, m.SetBefore(before)
}

// Weights hardly get smaller in a zip, plans to a twentieth: an entry that becomes much
// larger is there to fill the disk.
const (
	mostUnpacked = 64      // times its size in the zip
	freeUnpacked = 1 << 20 // bytes
)

// unpack writes an entry, no more of it than it says it has.
func unpack(f *zip.File, to string) error {
	if most := mostUnpacked*f.CompressedSize64 + freeUnpacked; f.UncompressedSize64 > most {
		return fmt.Errorf("%d bytes become %d, at most %d are unpacked of so few: it is no model", f.CompressedSize64, f.UncompressedSize64, most)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // nothing was written
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, r, int64(f.UncompressedSize64))
	return errors.Join(err, out.Close())
}
