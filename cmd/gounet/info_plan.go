package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// planInfo is what `gounet info PLAN --json` prints.
type planInfo struct {
	Kind   string                  `json:"kind"` // plan
	Path   string                  `json:"path"`
	Form   string                  `json:"form"`   // gounet, nnunet
	Plan   json.RawMessage         `json:"plan"`   // as plan.json has it
	Memory map[string]memoryOfPlan `json:"memory"` // of each configuration

	plan *plan.Plan
}

// memoryOfPlan is what a training allocates, in bytes.
type memoryOfPlan struct {
	F32    int64 `json:"f32"`
	Bits16 int64 `json:"bf16"`
}

// readPlan reads a plan.json, or a plans.json of nnU-Net with the dataset.json that
// lies beside it or above it.
func readPlan(path string) (report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info := &planInfo{Kind: "plan", Path: path, Form: "gounet", Memory: map[string]memoryOfPlan{}}
	var form struct {
		NNUNet json.RawMessage `json:"plans_name"`
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if form.NNUNet == nil {
		info.plan, err = plan.Parse(bytes.NewReader(text))
	} else {
		info.Form = "nnunet"
		info.plan, err = readNNUNetPlan(path, text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range info.plan.Configurations {
		c := &info.plan.Configurations[i]
		var m memoryOfPlan
		if m.F32, err = trainingBytes(info.plan, c, graph.F32); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, c.Name, err)
		}
		if m.Bits16, err = trainingBytes(info.plan, c, graph.BF16); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, c.Name, err)
		}
		info.Memory[c.Name] = m
	}
	var b bytes.Buffer
	if err := info.plan.Write(&b); err != nil {
		return nil, err
	}
	info.Plan = b.Bytes()
	return info, nil
}

func readNNUNetPlan(path string, text []byte) (*plan.Plan, error) {
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if !has(dir, "dataset.json") {
			continue
		}
		d, err := plan.LoadDatasetJSON(filepath.Join(dir, "dataset.json"))
		if err != nil {
			return nil, err
		}
		return plan.ReadNNUNet(bytes.NewReader(text), d)
	}
	return nil, errors.New("a plans.json of nnU-Net says nothing of channels and labels: put its dataset.json beside it")
}

func (i *planInfo) print(w io.Writer) error {
	return i.plan.Render(w, memoryRows(i.plan)...)
}

// datasetInfo is what `gounet info DATASET --json` prints.
type datasetInfo struct {
	Kind     string       `json:"kind"` // dataset
	Path     string       `json:"path"`
	Name     string       `json:"name"`
	Form     string       `json:"form"` // msd, nnunet
	Licence  string       `json:"licence,omitempty"`
	Channels []string     `json:"channels"`
	Labels   []plan.Label `json:"labels"`
	Cases    int          `json:"cases"` // with labels
	Test     int          `json:"test"`  // without
}

// readDataset looks at the folders only; `gounet plan` reads the voxels.
func readDataset(dir string) (report, error) {
	raw, err := dataset.Open(dir)
	if err != nil {
		return nil, err
	}
	return &datasetInfo{
		Kind: "dataset", Path: dir, Name: raw.JSON.Name, Form: raw.JSON.Form, Licence: raw.JSON.Licence,
		Channels: raw.JSON.Channels, Labels: raw.JSON.Labels, Cases: len(raw.Cases), Test: len(raw.Test),
	}, nil
}

func (d *datasetInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	form := map[string]string{plan.FormMSD: "Medical Segmentation Decathlon", plan.FormNNUNet: "nnU-Net v2 raw"}[d.Form]
	fmt.Fprintf(t, "data set\t%s (%s)\n", d.Path, form)
	name := d.Name
	if d.Licence != "" {
		name += ", licence " + strings.TrimSpace(d.Licence)
	}
	fmt.Fprintf(t, "name\t%s\n", name)
	fmt.Fprintf(t, "channels\t%s\n", strings.Join(d.Channels, ", "))
	var labels []string
	for _, l := range d.Labels {
		labels = append(labels, fmt.Sprintf("%s %s", join(l.Values, "+"), l.Name))
	}
	fmt.Fprintf(t, "labels\t%s\n", strings.Join(labels, ", "))
	fmt.Fprintf(t, "cases\t%d with labels, %d without\n", d.Cases, d.Test)
	return t.Flush()
}

// fingerprintInfo is what `gounet info dataset_fingerprint.json --json` prints.
type fingerprintInfo struct {
	Kind        string            `json:"kind"` // fingerprint
	Path        string            `json:"path"`
	Cases       int               `json:"cases"`
	Fingerprint *plan.Fingerprint `json:"fingerprint"`
}

func readFingerprint(path string) (report, error) {
	f, err := plan.LoadFingerprint(path)
	if err != nil {
		return nil, err
	}
	return &fingerprintInfo{Kind: "fingerprint", Path: path, Cases: len(f.Shapes), Fingerprint: f}, nil
}

func (f *fingerprintInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "fingerprint\t%s\n", f.Path)
	fmt.Fprintf(t, "cases\t%d\n", f.Cases)
	fmt.Fprintf(t, "kept\t%.3g of the voxels after cropping to the non-zero region (median)\n", f.Fingerprint.MedianRelativeSize)
	for i, v := range f.Fingerprint.Intensities {
		fmt.Fprintf(t, "channel %d\tforeground mean %.4g, std %.4g, %.4g to %.4g\n", i, v.Mean, v.Std, v.Min, v.Max)
	}
	return t.Flush()
}
