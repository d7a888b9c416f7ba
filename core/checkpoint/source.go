package checkpoint

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/half"
	"github.com/gounet/gounet/internal/safetensors"
)

// source is where the files of a model are: a folder or a .gounet file. Names
// have slashes.
type source interface {
	open(name string) (*file, error)      // fs.ErrNotExist if there is none
	folds(under string) ([]string, error) // names of sub-folders of a folder, "" is the model's own, that begin with "fold_"
}

// file is an open file. Errors call it name.
type file struct {
	io.ReaderAt
	io.Closer
	size int64
	name string
}

// maxPlanBytes bounds a plan file; plan has its own bound.
const maxPlanBytes = 64 << 20

// readAll reads a small file.
func readAll(s source, name string) ([]byte, error) {
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.size > maxPlanBytes {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are read", f.name, f.size, maxPlanBytes)
	}
	b := make([]byte, f.size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, f.size), b); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return b, nil
}

// folder is a source on disk.
type folder string

func (d folder) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

func (d folder) open(name string) (*file, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err == nil && stat.IsDir() {
		err = errors.New("is a folder, a file was wanted")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return &file{f, f, stat.Size(), f.Name()}, nil
}

func (d folder) folds(under string) ([]string, error) {
	entries, err := os.ReadDir(d.path(under))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), foldPrefix) {
			names = append(names, e.Name())
		}
	}
	return sortFolds(names), nil
}

// sortFolds puts 2 in front of 10.
func sortFolds(names []string) []string {
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return names
}

// has says whether a folder has a file or folder of the name.
func (d folder) has(name string) bool {
	_, err := os.Stat(d.path(name))
	return err == nil
}

// archive is a source in one file: a zip whose entries are stored as they are.
type archive struct {
	name    string
	r       io.ReaderAt
	size    int64
	entries map[string]*zip.File
}

// index checks the entries. They are found by name and never unpacked, so that
// no name can lead out of a folder; odd ones are refused all the same.
func (a *archive) index() error {
	a.entries = map[string]*zip.File{}
	z, err := zip.NewReader(a.r, a.size)
	if err != nil {
		return fmt.Errorf("not a whole zip file, which a %s file is: %w", Extension, err)
	}
	left := uint64(a.size)
	for _, e := range z.File {
		if e.CompressedSize64 > left {
			return fmt.Errorf("entries are larger than the file's %d bytes, or overlap: it is damaged", a.size)
		}
		left -= e.CompressedSize64
		if strings.HasSuffix(e.Name, "/") {
			continue
		}
		if !fs.ValidPath(e.Name) || strings.Contains(e.Name, `\`) {
			return fmt.Errorf("entry %.100q is not a plain relative path", e.Name)
		}
		if a.entries[e.Name] != nil {
			return fmt.Errorf("entry %.100q comes twice", e.Name)
		}
		a.entries[e.Name] = e
	}
	return nil
}

func (a *archive) open(name string) (*file, error) {
	e := a.entries[name]
	label := a.name + ": " + name
	if e == nil {
		return nil, fmt.Errorf("%s: %w", label, fs.ErrNotExist)
	}
	if e.Method != zip.Store || e.Flags&1 != 0 || e.CompressedSize64 != e.UncompressedSize64 {
		return nil, fmt.Errorf("%s is compressed or encrypted: a %s file stores its entries as they are (zip -0)", label, Extension)
	}
	at, err := e.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	if at > a.size || e.UncompressedSize64 > uint64(a.size-at) {
		return nil, fmt.Errorf("%s has %d bytes at %d, the file has %d: it is cut off or damaged", label, e.UncompressedSize64, at, a.size)
	}
	size := int64(e.UncompressedSize64)
	return &file{io.NewSectionReader(a.r, at, size), io.NopCloser(nil), size, label}, nil
}

func (a *archive) folds(under string) ([]string, error) {
	return foldsAmong(maps.Keys(a.entries), under), nil
}

// foldsAmong are the folders of folds in a folder that names of files begin with.
func foldsAmong(files iter.Seq[string], under string) []string {
	var names []string
	for name := range files {
		if under != "" {
			var inside bool
			if name, inside = strings.CutPrefix(name, under+"/"); !inside {
				continue
			}
		}
		first, _, inFolder := strings.Cut(name, "/")
		if inFolder && strings.HasPrefix(first, foldPrefix) && !slices.Contains(names, first) {
			names = append(names, first)
		}
	}
	return sortFolds(names)
}

// saveArchive writes m as one file.
func saveArchive(path string, m *Model) error {
	err := atomicfile.Write(path, func(w io.Writer) error { return writeArchive(w, m, safetensors.F32) })
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Write writes m as a .gounet file. The same model gives the same bytes.
func Write(w io.Writer, m *Model) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return writeArchive(w, m, safetensors.F32)
}

// SaveHalf writes m to a .gounet file of half the size: its weights are rounded to
// float16. Weights that float16 does not reach are an error.
func SaveHalf(path string, m *Model) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	rounded, err := m.rounded()
	if err != nil {
		return fmt.Errorf("%s: %w: write float32", path, err)
	}
	err = atomicfile.Write(path, func(w io.Writer) error { return writeArchive(w, rounded, safetensors.F16) })
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// rounded is m with weights that float16 holds.
func (m *Model) rounded() (*Model, error) {
	rounded := *m
	rounded.Folds = nil
	if m.Before != nil {
		before, err := m.Before.rounded()
		if err != nil {
			return nil, err
		}
		rounded.Before = before
	}
	for _, f := range m.Folds {
		w := Weights{}
		for name, t := range f.Weights {
			data := make([]float32, len(t.Data))
			for i, x := range t.Data {
				if data[i] = half.FromF16(half.ToF16(x)); math.IsInf(float64(data[i]), 0) {
					return nil, fmt.Errorf("%s has the value %g, float16 ends at 65504", name, x)
				}
			}
			w[name] = Tensor{Shape: t.Shape, Data: data}
		}
		f.Weights = w
		rounded.Folds = append(rounded.Folds, f)
	}
	return &rounded, nil
}

func writeArchive(w io.Writer, m *Model, kind safetensors.DType) error {
	z := zip.NewWriter(w)
	if err := writeStages(z, "", m, kind); err != nil {
		return err
	}
	return z.Close()
}

// writeStages writes m into the folder that names begin with, and the stages before it.
func writeStages(z *zip.Writer, folder string, m *Model, kind safetensors.DType) error {
	var planBytes bytes.Buffer
	if err := m.Plan.Write(&planBytes); err != nil {
		return err
	}
	planHash := hashOf(planBytes.Bytes())
	entry, err := z.CreateHeader(&zip.FileHeader{Name: folder + plan.FileName, Method: zip.Store})
	if err != nil {
		return err
	}
	if _, err := entry.Write(planBytes.Bytes()); err != nil {
		return err
	}
	for _, f := range m.Folds {
		entry, err := z.CreateHeader(&zip.FileHeader{Name: folder + m.weightsName(f), Method: zip.Store})
		if err != nil {
			return err
		}
		if err := m.writeFold(entry, f, planHash, kind); err != nil {
			return err
		}
	}
	if m.Before == nil {
		return nil
	}
	return writeStages(z, folder+stageFolder+"/", m.Before, kind)
}
