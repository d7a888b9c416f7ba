package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/internal/atomicfile"
)

// Models are those of a folder: .gounet files, model and run folders, and results
// of nnU-Net v2. Each is made a .gounet file once, which is what devices load and
// browsers get.
type Models struct {
	dir, cache string

	mu  sync.RWMutex
	all []*Model
}

// Model is a model of the folder.
type Model struct {
	api.Model
	Plan *plan.Plan // nil if there is a Problem
	File string     // the .gounet file

	stamp string // changes with the files
}

// cached is what is kept of a model beside its .gounet file.
type cached struct {
	Form  int       `json:"form"`
	Stamp string    `json:"stamp"`
	Model api.Model `json:"model"`
}

// cachedForm changes with what is known of a model.
const cachedForm = 2

// OpenModels reads the models in dir; what it makes of them is kept in cache.
func OpenModels(ctx context.Context, dir, cache string) (*Models, error) {
	m := &Models{dir: dir, cache: cache}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	return m, m.Refresh(ctx)
}

// Refresh looks for models that are new, changed or gone. One that cannot be read
// says so in its Problem.
func (m *Models) Refresh(ctx context.Context) error {
	entries, err := os.ReadDir(m.dir)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("models: %w", err)
	}
	var all []*Model
	for _, e := range entries {
		path := filepath.Join(m.dir, e.Name())
		stat, err := os.Stat(path) // of what a link leads to
		if err != nil || strings.HasPrefix(e.Name(), ".") || !stat.IsDir() && filepath.Ext(path) != checkpoint.Extension {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		id := strings.TrimSuffix(e.Name(), checkpoint.Extension)
		stamp := stampOf(path)
		if old, ok := m.Get(id); ok && old.stamp == stamp {
			all = append(all, old)
			continue
		}
		all = append(all, m.read(id, path, stamp))
	}
	slices.SortFunc(all, func(a, b *Model) int { return cmp.Compare(a.ID, b.ID) })
	all = slices.CompactFunc(all, func(a, b *Model) bool { return a.ID == b.ID })
	m.mu.Lock()
	m.all = all
	m.mu.Unlock()
	return nil
}

// Follow refreshes until ctx ends.
func (m *Models) Follow(ctx context.Context, every time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
			_ = m.Refresh(ctx) // a folder that is away: the models stay as they are
		}
	}
}

// All are the models, by name.
func (m *Models) All() []*Model {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.all
}

// Get finds a model.
func (m *Models) Get(id string) (*Model, bool) {
	for _, one := range m.All() {
		if one.ID == id {
			return one, true
		}
	}
	return nil, false
}

// stampOf changes when a file at path, or below it, does.
func stampOf(path string) string {
	h := sha256.New()
	_ = filepath.Walk(path, func(p string, info os.FileInfo, err error) error { // what cannot be read says so when it is opened
		if err == nil && !info.IsDir() {
			fmt.Fprintf(h, "%q %d %d\n", p, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))
}

// read makes the .gounet file of a model, unless that was done before.
func (m *Models) read(id, path, stamp string) *Model {
	base := filepath.Join(m.cache, id)
	out := &Model{Model: api.Model{ID: id}, File: base + checkpoint.Extension, stamp: stamp}
	fail := func(err error) *Model {
		out.Problem = err.Error()
		return out
	}
	if filepath.Ext(path) == checkpoint.Extension {
		out.File = path
	}
	loaded, err := checkpoint.Open(path)
	if err != nil {
		return fail(err)
	}
	out.Plan = loaded.Plan
	if c, err := loaded.Config(); err == nil && c.Previous != "" && loaded.Before == nil {
		return fail(fmt.Errorf("%s is the second stage of a cascade, without the first one, %s: gounet export --to zip puts both into a file", c.Name, c.Previous))
	}
	if b, err := os.ReadFile(base + ".json"); err == nil {
		var before cached
		if json.Unmarshal(b, &before) == nil && before.Stamp == stamp && before.Form == cachedForm {
			if _, err := os.Stat(out.File); err == nil {
				out.Model = before.Model
				return out
			}
		}
	}
	if out.File != path {
		if err := checkpoint.Save(out.File, loaded); err != nil {
			return fail(err)
		}
	}
	if out.Model, err = describe(id, loaded, out.File); err != nil {
		return fail(err)
	}
	err = atomicfile.Write(base+".json", func(w io.Writer) error { return json.NewEncoder(w).Encode(cached{cachedForm, stamp, out.Model}) })
	if err != nil {
		return fail(err)
	}
	return out
}

func describe(id string, m *checkpoint.Model, file string) (api.Model, error) {
	c, err := m.Config()
	if err != nil {
		return api.Model{ID: id}, err
	}
	out := api.Model{
		ID: id, Dataset: m.Plan.Dataset, Description: m.Plan.Description, Licence: m.Plan.Licence, Configuration: c.Name, Patch: c.Patch[:], Spacing: c.Spacing[:], Labels: labelsOf(m.Plan),
		Folds: []string{}, Channels: []string{},
	}
	for _, f := range m.Folds {
		out.Folds = append(out.Folds, f.Name)
	}
	for _, channel := range m.Plan.Channels[:m.Plan.Scans()] {
		out.Channels = append(out.Channels, channel.Name)
	}
	if need, err := predict.Needs(m); err == nil { // else its plan does not say it
		out.MemoryBytes = need.Total()
	}
	f, err := os.Open(file)
	if err != nil {
		return out, err
	}
	defer func() { _ = f.Close() }() // only read from
	h := sha256.New()
	out.Bytes, err = io.Copy(h, f)
	out.SHA256 = hex.EncodeToString(h.Sum(nil))
	return out, err
}

// labelsOf are the labels of a plan's models.
func labelsOf(p *plan.Plan) []api.Label {
	out := []api.Label{}
	for _, g := range segmentsOf(p) {
		out = append(out, api.LabelOf(g.Label, g.Name, g.Color.R, g.Color.G, g.Color.B))
	}
	return out
}

// segmentsOf are the same for the files of results.
func segmentsOf(p *plan.Plan) []scan.Segment {
	out := predict.Segments(p)
	for i := range out {
		out[i].Color = preview.Hue(i)
	}
	return out
}
