package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
)

// workspace is the folder with all that is made of a data set: its fingerprint
// and plan, the preprocessed cases, the runs. The data set itself is only read.
//
//	WORK/dataset.path                     which data set it is of
//	WORK/plan.json
//	WORK/dataset_fingerprint.json
//	WORK/preprocessed/CONFIGURATION/CASE.safetensors
//	WORK/CONFIGURATION/fold_N/            a run folder each
type workspace struct {
	dir string
	raw *dataset.Raw

	tested bool // the test scans are checked
}

// addWorkFlag declares --work.
func addWorkFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "work", "", "`folder` for plan, preprocessed cases and runs (default gounet_work/NAME of the data set)")
}

// openWorkspace opens the data set in dir. An empty work is the default folder.
func openWorkspace(dir, work string) (*workspace, error) {
	raw, err := dataset.Open(dir)
	if err != nil {
		return nil, err
	}
	if work == "" {
		work = filepath.Join("gounet_work", raw.Name())
	}
	if err := checkOutput("--work", work); err != nil {
		return nil, err
	}
	w := &workspace{dir: work, raw: raw}
	return w, w.mine()
}

// sourceFile has the path of the data set that a work folder is of.
const sourceFile = "dataset.path"

// mine returns an error if the work folder is of another data set that is still
// there; one that is not may have been moved here.
func (w *workspace) mine() error {
	b, err := os.ReadFile(filepath.Join(w.dir, sourceFile))
	if err != nil {
		return nil //nolint:nilerr // there is none yet, or writing there will say what is wrong
	}
	was, err := resolve(string(b))
	if err != nil {
		return err
	}
	if now, err := resolve(w.raw.Dir); err != nil || was == now || !isDataset(was) {
		return err
	}
	return usagef("work folder %s is of the data set %s, not of %s: choose another --work", w.dir, was, w.raw.Dir)
}

// claim says in the work folder which data set it is of.
func (w *workspace) claim() error {
	if err := os.MkdirAll(w.dir, 0o777); err != nil {
		return fmt.Errorf("work folder: %w", err)
	}
	return atomicfile.Write(filepath.Join(w.dir, sourceFile), func(out io.Writer) error {
		_, err := io.WriteString(out, w.raw.Dir)
		return err
	})
}

func (w *workspace) planFile() string        { return filepath.Join(w.dir, plan.FileName) }
func (w *workspace) fingerprintFile() string { return filepath.Join(w.dir, "dataset_fingerprint.json") }

// preprocessed is the folder of the preprocessed cases of a configuration.
func (w *workspace) preprocessed(configuration string) string {
	return filepath.Join(w.dir, "preprocessed", configuration)
}

// measure checks the data set, measures it and keeps the fingerprint.
func (w *workspace) measure(ctx context.Context, p *progress) (*plan.Fingerprint, error) {
	if err := checkFolder("work folder "+w.dir, w.dir); err != nil {
		return nil, err
	}
	t := p.start("check", "cases", len(w.raw.Cases))
	defer t.end()
	fp, err := w.raw.Measure(ctx, func(n, _ int, what string) { t.set(n, what) })
	if err != nil {
		return nil, err
	}
	t.set(len(w.raw.Cases), "")
	p.warnCases(w.raw.Warnings)
	if err := w.checkTests(ctx, p, true); err != nil {
		return nil, err
	}
	if err := w.claim(); err != nil {
		return nil, err
	}
	return fp, fp.Save(w.fingerprintFile())
}

// checkTests names the test scans that cannot be labelled, once. whole reads them, not only
// their headers.
func (w *workspace) checkTests(ctx context.Context, p *progress, whole bool) error {
	if w.tested {
		return nil
	}
	w.tested = true
	problems, err := w.raw.CheckTests(ctx, whole)
	const most = 3
	more := ""
	if n := len(problems) - most; n > 0 {
		problems, more = problems[:most], ", and so on, of "+count(n, "other test scan")
	}
	if len(problems) > 0 {
		p.warn("what cannot be labelled in the end: %s%s", strings.Join(problems, "; "), more)
	}
	return err
}

// loadPlan reads the plan of the work folder, or makes and keeps one with
// nnU-Net's defaults if there is none.
func (w *workspace) loadPlan(ctx context.Context, p *progress) (*plan.Plan, error) {
	_, err := os.Stat(w.planFile())
	if err == nil {
		made, err := plan.Load(w.planFile())
		if err == nil {
			err = w.fits(made)
		}
		return made, err
	}
	if !os.IsNotExist(err) {
		return nil, err
	}
	fp, err := w.measure(ctx, p)
	if err != nil {
		return nil, err
	}
	made, err := plan.Make(fp, w.raw.JSON, plan.Options{Dataset: w.raw.Name()})
	if err != nil {
		return nil, err
	}
	w.guardSides(ctx, p, made)
	if err := made.Save(w.planFile()); err != nil {
		return nil, err
	}
	p.print("plan      %s", w.planFile())
	return made, nil
}

// guardSides turns mirroring from left to right off where labels have a side, and
// says so.
func (w *workspace) guardSides(ctx context.Context, p *progress, made *plan.Plan) {
	pairs := made.Sides()
	if len(pairs) == 0 {
		return
	}
	axis := 2 // x of the files, which is W
	if s, err := w.raw.Cases[0].Open(ctx); err == nil {
		axis = leftRight(s.Grid)
		_ = s.Close() // only its header was read
	}
	made.WithoutMirror(axis)
	p.warn("%q and %q are the two sides of one structure: no mirroring along axis %s of the files", pairs[0][0], pairs[0][1], string("DHW"[axis]))
}

// leftRight is the axis D H W of a grid that goes most from left to right.
func leftRight(g volume.Grid) int {
	axis, most := 2, 0.0
	for x := range 3 { // columns of the affine are x y z, its first row is R
		if v := math.Abs(g.Affine[0][x]) / max(g.Spacing[2-x], 1e-9); v > most {
			axis, most = 2-x, v
		}
	}
	return axis
}

// fits returns an error if the labels or channels of the data set are not those that
// p was made for.
func (w *workspace) fits(p *plan.Plan) error {
	if have, want := p.Labels, w.raw.JSON.Labels; !reflect.DeepEqual(have, want) || p.Ignore != w.raw.JSON.Ignore {
		return fmt.Errorf("%s has labels %v (ignored: %d), dataset.json has %v (%d): plan again", w.planFile(), have, p.Ignore, want, w.raw.JSON.Ignore)
	}
	var names []string
	for _, c := range p.Channels[:p.Scans()] {
		names = append(names, c.Name)
	}
	if want := w.raw.JSON.Channels; !slices.Equal(names, want) {
		return fmt.Errorf("%s has the channels %q, dataset.json has %q, by which they are normalised: plan again", w.planFile(), names, want)
	}
	return nil
}

// configuration returns the one called name, or an error that lists what p has.
func configuration(p *plan.Plan, name string) (*plan.Configuration, error) {
	if c := p.Configuration(name); c != nil {
		return c, nil
	}
	return nil, usagef("configuration %q: the plan has %s", name, join(p.ConfigurationNames(), ", "))
}
