package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// stageFolder is where in a model folder, or a .gounet file, the model of the stage
// before it lies: a whole one, with its own plan.
const stageFolder = "previous"

// mostStages bounds a chain of stages; nnU-Net's cascades have two.
const mostStages = 8

// below is a source inside of another one.
type below struct {
	source
	folder string
}

func (b below) open(name string) (*file, error) { return b.source.open(b.folder + "/" + name) }

func (b below) folds(under string) ([]string, error) {
	return b.source.folds(strings.TrimSuffix(b.folder+"/"+under, "/"))
}

// loadBefore reads the stage before m, if the source has it.
func (m *Model) loadBefore(s source, path string, o Options) error {
	c, err := m.Config()
	if err != nil || c.Previous == "" {
		return err
	}
	under := below{s, stageFolder}
	f, err := under.open(plan.FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // one stage alone
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if o.stage++; o.stage >= mostStages {
		return fmt.Errorf("%s: a cascade of more than %d stages", path, mostStages)
	}
	o.Checkpoint, o.Folds = "", nil // those are of the last stage
	before, err := load(under, path+": "+stageFolder, o)
	if err != nil {
		return err
	}
	if err := m.SetBefore(before); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// SetBefore makes before the first stage of m, a second one, so that both are saved
// together and predict needs no other model. It has to be of the configuration that m
// wants, and of the same scans and labels.
func (m *Model) SetBefore(before *Model) error {
	if err := m.fitsBehind(before); err != nil {
		return err
	}
	m.Before = before
	return nil
}

func (m *Model) fitsBehind(before *Model) error {
	c, err := m.Config()
	if err != nil {
		return err
	}
	values := func(p *plan.Plan) (out [][]int) {
		for _, l := range p.Labels {
			out = append(out, l.Values)
		}
		return out
	}
	switch p, q := m.Plan, before.Plan; {
	case c.Previous == "":
		return fmt.Errorf("a first stage of %s for %s, which is no second stage of a cascade", before.Configuration, c.Name)
	case before.Configuration != c.Previous:
		return fmt.Errorf("the first stage of %s is a model of %s, wanted one of %s", c.Name, before.Configuration, c.Previous)
	case p.Scans() != q.Scans():
		return fmt.Errorf("the first stage of %s is of scans of %d channels, %s itself of %d", c.Name, q.Scans(), c.Name, p.Scans())
	case !slices.EqualFunc(values(p), values(q), slices.Equal):
		return fmt.Errorf("the first stage of %s has the labels %v, %s itself %v", c.Name, values(q), c.Name, values(p))
	}
	return nil
}

// StageBeside is the folder of the first stage of m beside that of m itself, at path: the
// folder WORK/3d_lowres beside WORK/3d_cascade_fullres or a run in it, or the results
// folder of nnU-Net whose name differs in the configuration alone; "" if there is none.
func (m *Model) StageBeside(path string) (string, error) {
	c, err := m.Config()
	if err != nil || c.Previous == "" {
		return "", err
	}
	at, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for ; at != filepath.Dir(at); at = filepath.Dir(at) {
		if name, ok := siblingOf(filepath.Base(at), c); ok {
			if before := filepath.Join(filepath.Dir(at), name); folder(before).has(".") {
				return before, nil
			}
		}
	}
	return "", nil
}

// siblingOf is the name of the folder of the first stage, where that of the second is base.
func siblingOf(base string, c *plan.Configuration) (string, bool) {
	stem, ok := strings.CutSuffix(base, c.Name)
	return stem + c.Previous, ok && (stem == "" || strings.HasSuffix(stem, "__"))
}
