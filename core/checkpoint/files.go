package checkpoint

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// File is a file that is on no disk of this program, such as one that a browser
// was given. Its name has slashes.
type File struct {
	Name string
	Size int64
	io.ReaderAt
}

// ReadFiles loads a model from the files of a model folder, or from one .gounet
// file. Names may begin with the names of folders around the model. Files that
// belong to no model are left alone. Errors call the whole name.
//
// Of nnU-Net's results folders it knows the name only: they are read from a disk.
func ReadFiles(files []File, name string, o Options) (*Model, error) {
	if len(files) == 1 && strings.HasSuffix(files[0].Name, Extension) {
		return Read(files[0], files[0].Size, files[0].Name, o)
	}
	top, found := "", false
	for _, f := range files {
		dir, base := path.Split(f.Name)
		if base == plan.FileName && (!found || len(dir) < len(top)) {
			top, found = dir, true
		}
		if base == nnunetPlans {
			return nil, fmt.Errorf("%s: results of nnU-Net v2: they are read from a disk only, give it as a %s file", name, Extension)
		}
	}
	if !found {
		return nil, fmt.Errorf("%s: no %s among %d files: the files of a model folder were wanted, or one %s file", name, plan.FileName, len(files), Extension)
	}
	s := given{name: name, files: map[string]File{}}
	for _, f := range files {
		below, ok := strings.CutPrefix(f.Name, top)
		if !ok {
			continue
		}
		if _, twice := s.files[below]; twice || !fs.ValidPath(below) {
			return nil, fmt.Errorf("%s: file %.100q comes twice or is not a plain relative path", name, f.Name)
		}
		s.files[below] = f
	}
	return load(s, name, o)
}

// given is a source of files by their names below the model folder.
type given struct {
	name  string
	files map[string]File
}

func (g given) open(name string) (*file, error) {
	f, ok := g.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %s: %w", g.name, name, fs.ErrNotExist)
	}
	return &file{f, io.NopCloser(nil), f.Size, f.Name}, nil
}

func (g given) folds(under string) ([]string, error) {
	return foldsAmong(maps.Keys(g.files), under), nil
}
