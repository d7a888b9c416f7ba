package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
)

// modelInfo is what `gounet info MODEL --json` prints.
type modelInfo struct {
	Kind          string         `json:"kind"` // model
	Path          string         `json:"path"`
	File          string         `json:"file,omitempty"` // of a file of a run folder: what it holds
	Dataset       string         `json:"dataset"`
	Configuration string         `json:"configuration"`
	Trainer       string         `json:"trainer,omitempty"` // of an imported model
	Folds         []foldInfo     `json:"folds"`
	Parameters    int            `json:"parameters"`
	Channels      []plan.Channel `json:"channels"`
	Labels        []plan.Label   `json:"labels"`
	Patch         [3]int         `json:"patch"`              // D H W of the plan
	Spacing       [3]number      `json:"spacing"`            // mm, likewise
	Mirror        [3]bool        `json:"mirror"`             // axes of test-time mirroring
	Before        *modelInfo     `json:"before,omitempty"`   // of a cascade: the stage before
	Previous      string         `json:"previous,omitempty"` // its configuration
}

type foldInfo struct {
	Name   string `json:"name"`
	Epochs int    `json:"epochs"`
}

// isModel tells by names whether path is something that holds weights.
func isModel(path string, folder bool) bool {
	if !folder {
		return slices.Contains([]string{checkpoint.Extension, ".pth", ".safetensors"}, filepath.Ext(path))
	}
	for _, pattern := range []string{checkpoint.WeightsFile, "checkpoint_*.pth", "fold_*/" + checkpoint.WeightsFile, "fold_*/checkpoint_*.pth"} {
		if found, err := filepath.Glob(filepath.Join(path, pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// readModel opens the model, checks that its parts belong together and says
// what it is.
func readModel(path string) (report, error) {
	o, file, dir := checkpoint.Options{}, "", path
	if filepath.Ext(path) == ".safetensors" {
		dir, file = filepath.Split(path)
		dir = filepath.Clean(dir)
		if file == checkpoint.BestFile {
			o.Checkpoint = checkpoint.Best
		}
	}
	m, err := checkpoint.OpenWith(dir, o)
	if err != nil {
		return nil, err
	}
	info, err := infoOf(m, dir)
	if err != nil {
		return nil, err
	}
	if file != "" {
		info.File = fileOfRun(file)
	}
	return info, nil
}

// fileOfRun says what a file with tensors in a run folder holds.
func fileOfRun(name string) string {
	holds := map[string]string{
		checkpoint.WeightsFile: "the weights after the last epoch",
		checkpoint.BestFile:    "the weights of the epoch with the best Dice",
		checkpoint.StateFile:   "what train --resume goes on from, beside the weights",
	}[name]
	if holds == "" {
		return name + ", no file of a run"
	}
	return name + ", " + holds
}

func infoOf(m *checkpoint.Model, path string) (*modelInfo, error) {
	c, err := m.Config()
	if err != nil {
		return nil, err
	}
	info := &modelInfo{
		Kind: "model", Path: path, Dataset: m.Plan.Dataset, Configuration: m.Configuration, Trainer: m.Trainer,
		Channels: m.Plan.Channels, Labels: m.Plan.Labels, Patch: c.Patch, Mirror: m.Mirror,
		Previous: c.Previous,
	}
	if m.Before != nil {
		if info.Before, err = infoOf(m.Before, path); err != nil {
			return nil, err
		}
	}
	copy(info.Spacing[:], numbers(c.Spacing[:]))
	for _, f := range m.Folds {
		info.Folds = append(info.Folds, foldInfo{f.Name, f.Epoch})
	}
	for _, p := range checkpoint.Parameters(m.Plan, c) {
		n := 1
		for _, s := range p.Shape {
			n *= s
		}
		info.Parameters += n
	}
	return info, nil
}

func (m *modelInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "model\t%s\n", m.Path)
	if m.File != "" {
		fmt.Fprintf(t, "file\t%s\n", m.File)
	}
	fmt.Fprintf(t, "data set\t%s, %s\n", m.Dataset, m.Configuration)
	if m.Trainer != "" {
		fmt.Fprintf(t, "trainer\t%s\n", m.Trainer)
	}
	var folds []string
	for _, f := range m.Folds {
		name := f.Name
		if name == "" {
			name = "the only one"
		}
		folds = append(folds, fmt.Sprintf("%s (%d epochs)", name, f.Epochs))
	}
	fmt.Fprintf(t, "folds\t%s\n", strings.Join(folds, ", "))
	fmt.Fprintf(t, "parameters\t%d\n", m.Parameters)
	var channels, labels []string
	for _, c := range m.Channels {
		channels = append(channels, fmt.Sprintf("%s (%s)", c.Name, c.Normalization))
	}
	for _, l := range m.Labels {
		labels = append(labels, fmt.Sprintf("%s %s", join(l.Values, "+"), l.Name))
	}
	fmt.Fprintf(t, "channels\t%s\n", strings.Join(channels, ", "))
	fmt.Fprintf(t, "labels\t%s\n", strings.Join(labels, ", "))
	first, axes := 0, "D × H × W"
	if m.Spacing[0] == 0 { // of a network for slices
		first, axes = 1, "H × W"
	}
	fmt.Fprintf(t, "patch\t%s voxels of %s mm (%s)\n", join(m.Patch[first:], " × "), join(m.Spacing[first:], " × "), axes)
	var mirrored []string
	for i, on := range m.Mirror {
		if on {
			mirrored = append(mirrored, string("DHW"[i]))
		}
	}
	if len(mirrored) == 0 {
		mirrored = []string{"none"}
	}
	fmt.Fprintf(t, "mirroring\t%s\n", strings.Join(mirrored, ", "))
	switch {
	case m.Before != nil:
		fmt.Fprintf(t, "first stage\t%s, %s, %d parameters, in the same model\n", m.Previous, count(len(m.Before.Folds), "fold"), m.Before.Parameters)
	case m.Previous != "":
		fmt.Fprintf(t, "first stage\t%s, a model of its own\n", m.Previous)
	}
	return t.Flush()
}
