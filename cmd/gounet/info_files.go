package main

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/core/voxel"
)

// arraysInfo is what `gounet info CASE.npz --json` prints.
type arraysInfo struct {
	Kind   string      `json:"kind"` // arrays
	Path   string      `json:"path"`
	Arrays []arrayInfo `json:"arrays"`
}

// arrayInfo is what the header of an array of NumPy says.
type arrayInfo struct {
	Name  string `json:"name"`
	Type  string `json:"type"`  // as NumPy writes it: <f4 is float32
	Shape string `json:"shape"` // likewise, C D H W of probabilities
}

// npyHeader is the dictionary at the beginning of an .npy file.
// Source: NumPy's numpy.lib.format.
var npyHeader = regexp.MustCompile(`'descr': '([^']*)'.*'shape': \(([^)]*)\)`)

// readArrays lists the arrays of an .npz file, such as predict --save-probabilities writes.
func readArrays(path string) (report, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s: no arrays of NumPy (.npz): %w", path, err)
	}
	info := &arraysInfo{Kind: "arrays", Path: path}
	for _, f := range z.File {
		a, err := readArray(f)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %s: %w", path, f.Name, err), z.Close())
		}
		info.Arrays = append(info.Arrays, a)
	}
	return info, z.Close()
}

func readArray(f *zip.File) (a arrayInfo, err error) {
	r, err := f.Open()
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var front [10]byte // magic, version, length of the dictionary
	if _, err := io.ReadFull(r, front[:]); err != nil || string(front[:6]) != "\x93NUMPY" {
		return a, errors.New("no array of NumPy")
	}
	text := make([]byte, binary.LittleEndian.Uint16(front[8:]))
	if _, err := io.ReadFull(r, text); err != nil {
		return a, err
	}
	m := npyHeader.FindSubmatch(text)
	if m == nil {
		return a, errors.New("an array of NumPy without type and shape")
	}
	return arrayInfo{strings.TrimSuffix(f.Name, ".npy"), string(m[1]), string(m[2])}, nil
}

func (a *arraysInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "arrays\t%s\n", a.Path)
	for _, x := range a.Arrays {
		fmt.Fprintf(t, "%s\t%s of %s\n", x.Name, x.Shape, x.Type)
	}
	return t.Flush()
}

// predictionsInfo is what `gounet info LABELS --json` prints of a folder that predict
// has written.
type predictionsInfo struct {
	Kind     string         `json:"kind"` // predictions
	Path     string         `json:"path"`
	Maps     int            `json:"label_maps"`
	Labels   []plan.Label   `json:"labels"`
	Settings map[string]any `json:"settings"`
}

func readPredictions(dir string) (report, error) {
	s, err := readSettings(filepath.Join(dir, train.SettingsFile))
	if err != nil {
		return nil, err
	}
	p, err := plan.Load(filepath.Join(dir, plan.FileName))
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	info := &predictionsInfo{Kind: "predictions", Path: dir, Labels: p.Labels, Settings: s.Settings}
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !strings.HasSuffix(e.Name(), ".preview.png") && slices.Contains(scan.LabelEndings(), voxel.Ending(e.Name())) {
			info.Maps++
		}
	}
	return info, nil
}

func (p *predictionsInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "predictions\t%s\n", p.Path)
	fmt.Fprintf(t, "label maps\t%d\n", p.Maps)
	for _, name := range []string{"model", "configuration", "folds", "checkpoint", "device-name", "precision"} {
		value := p.Settings[name]
		if list, ok := value.([]any); ok {
			value = join(list, ", ")
		}
		if value != nil && value != "" {
			fmt.Fprintf(t, "%s\t%v\n", name, value)
		}
	}
	var labels []string
	for _, l := range p.Labels {
		labels = append(labels, fmt.Sprintf("%s %s", join(l.Values, "+"), l.Name))
	}
	fmt.Fprintf(t, "labels\t%s\n", strings.Join(labels, ", "))
	fmt.Fprintf(t, "all settings\t%s\n", filepath.Join(p.Path, train.SettingsFile))
	return t.Flush()
}
