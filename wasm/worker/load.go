package worker

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/api"
)

const (
	// mostFiles of a request: slices of a large study.
	mostFiles = 1 << 16
	// pieceBytes are hashed at a time, and read ahead of a scan.
	pieceBytes = 1 << 20
	// tellEvery bounds how often progress in bytes is told of.
	tellEvery = 100 * time.Millisecond
)

// given is a file of a request.
type given struct {
	name string
	Blob
	sha string // "" where nobody asked
}

// files gets the files of a request, and their hashes where they are wanted.
func (w *Worker) files(j *job, list []api.File, hashed bool) ([]given, error) {
	if len(list) == 0 || len(list) > mostFiles {
		return nil, fail(api.FailedRequest, fmt.Errorf("%d files, wanted 1 to %d", len(list), mostFiles))
	}
	var files []given
	seen := map[string]bool{}
	for _, f := range list {
		if !fs.ValidPath(f.Name) || seen[f.Name] {
			return nil, fail(api.FailedRequest, fmt.Errorf("file name %.100q is not a plain relative path, or comes twice", f.Name))
		}
		seen[f.Name] = true
		g, err := w.file(j, f, hashed || f.SHA256 != "")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		g.ReaderAt = restful{g.ReaderAt, w}
		files = append(files, g)
	}
	return files, nil
}

func (w *Worker) file(j *job, f api.File, hashed bool) (given, error) {
	g := given{name: f.Name}
	h := sha256.New()
	var err error
	switch {
	case f.URL != "" && w.host.Fetch == nil:
		return g, fail(api.FailedRequest, errors.New("it has an address, and this worker fetches nothing"))
	case f.URL != "":
		count := counter{w: w, j: j}
		g.Blob, err = w.host.Fetch(j.ctx, f.URL, func(piece []byte, of int64) error {
			_, _ = h.Write(piece) // never fails
			count.add(len(piece), of)
			return nil
		})
		if err != nil {
			return g, fail(api.FailedFetch, err)
		}
	case f.Blob < 0 || f.Blob >= len(j.blobs):
		return g, fail(api.FailedRequest, fmt.Errorf("blob %d of %d that came with the message", f.Blob, len(j.blobs)))
	default:
		g.Blob = j.blobs[f.Blob]
		if hashed {
			b := restful{g.ReaderAt, w}
			if _, err := io.CopyBuffer(h, io.NewSectionReader(b, 0, g.Size), make([]byte, pieceBytes)); err != nil {
				return g, fail(api.FailedRequest, err)
			}
		}
	}
	if hashed {
		g.sha = hex.EncodeToString(h.Sum(nil))
	}
	if f.SHA256 != "" && !strings.EqualFold(f.SHA256, g.sha) {
		return g, fail(api.FailedModel, fmt.Errorf("its SHA-256 is %s, wanted %.64s: it is damaged or another file", g.sha, f.SHA256))
	}
	return g, nil
}

// counter tells how much of a file has come.
type counter struct {
	w    *Worker
	j    *job
	done int64
	told time.Time
}

func (c *counter) add(n int, of int64) {
	c.done += int64(n)
	if now := time.Now(); now.Sub(c.told) >= tellEvery || c.done == of {
		c.told = now
		c.w.tell(c.j, api.Answer{Progress: &api.Progress{Stage: api.StageFetch, Done: c.done, Of: of}})
	}
}

// load replaces the model.
func (w *Worker) load(j *job) (*api.Loaded, error) {
	w.forget()
	w.model = nil
	files, err := w.files(j, j.Load.Files, true)
	if err != nil {
		return nil, err
	}
	var list []checkpoint.File
	loaded := &api.Loaded{SHA256: files[0].sha}
	all := sha256.New()
	for _, f := range files {
		list = append(list, checkpoint.File{Name: f.name, Size: f.Size, ReaderAt: f})
		fmt.Fprintf(all, "%q %s\n", f.name, f.sha)
		loaded.Bytes += f.Size
	}
	if len(files) > 1 {
		loaded.SHA256 = hex.EncodeToString(all.Sum(nil))
	}
	m, err := checkpoint.ReadFiles(list, "model", checkpoint.Options{})
	if err != nil {
		return nil, fail(api.FailedModel, err)
	}
	c, err := m.Config()
	if err != nil {
		return nil, fail(api.FailedModel, err)
	}
	w.model = &model{m, loaded.SHA256}
	if m.Before != nil {
		loaded.Networks = 2
	}
	loaded.Dataset, loaded.Configuration, loaded.Patch = m.Plan.Dataset, c.Name, c.Patch
	loaded.Description, loaded.Licence = m.Plan.Description, m.Plan.Licence
	for _, f := range m.Folds {
		loaded.Folds = append(loaded.Folds, f.Name)
	}
	for _, c := range m.Plan.Channels[:m.Plan.Scans()] {
		loaded.Channels = append(loaded.Channels, c.Name)
	}
	loaded.Labels = labelsOf(m.Plan)
	return loaded, nil
}

// open replaces the scan.
func (w *Worker) open(j *job) (*api.Opened, error) {
	w.shut()
	files, err := w.files(j, j.Open.Files, false)
	if err != nil {
		return nil, err
	}
	byName := map[string]given{}
	for _, f := range files {
		byName[f.name] = f
	}
	var list []voxel.File
	for _, f := range files {
		list = append(list, voxelFile(f, byName))
	}
	s, err := scan.OpenFiles(j.ctx, scan.Options{Series: j.Open.Series}, list)
	if err != nil {
		return nil, fail(api.FailedScan, err)
	}
	w.scan = s
	return &api.Opened{
		Name: s.Name, Kind: string(s.Kind), Grid: gridOf(s.Grid), Channels: s.Channels, Type: s.Type, Files: s.Files, Warnings: s.Warnings,
	}, nil
}

// voxelFile is f among all files that were given, by which a header finds its
// voxels.
func voxelFile(f given, all map[string]given) voxel.File {
	return voxel.File{
		Name: f.name, Size: f.Size,
		Open: func() (io.ReadCloser, error) {
			return seekable{bufio.NewReaderSize(io.NewSectionReader(f, 0, f.Size), int(min(f.Size, pieceBytes))), f}, nil
		},
		Folder: func(name string) (voxel.File, error) {
			other, ok := all[path.Join(path.Dir(f.name), name)]
			if !ok {
				return voxel.File{}, fmt.Errorf("%.100s is not among the files: %w", name, fs.ErrNotExist)
			}
			v := voxelFile(other, nil)
			v.Folder = nil
			return v, nil
		},
	}
}

// seekable is a file from its beginning on, and from any place.
type seekable struct {
	*bufio.Reader
	io.ReaderAt
}

func (seekable) Close() error { return nil }

func gridOf(g volume.Grid) api.Grid {
	return api.Grid{Shape: g.Shape, Spacing: g.Spacing, Affine: g.Affine}
}
