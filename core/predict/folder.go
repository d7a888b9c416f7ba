package predict

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
)

// FolderOptions say what Folder writes.
type FolderOptions struct {
	Probabilities bool                 // CASE.npz beside the labels
	Continue      bool                 // leave out cases whose files are there already
	Progress      func(FolderProgress) // called from the goroutine of the caller; may be nil
}

// FolderProgress is how far a folder is.
type FolderProgress struct {
	Case     string // the one that the device works on, or that is over
	N, Total int    // cases that are over, well or not
	Tiles    Progress
	Err      error // why the case that is over has no labels
}

// Folder segments cases and writes the labels of each to outDir, named
// CASE+ending (.nii.gz or .nii; "" for the plan's), with the header of the case's
// own first file. While the device works on a case the next one is read and
// preprocessed, and the one before is written. A file appears whole or not at
// all, the labels last.
//
// A case that cannot be segmented does not stop the others; the error in the end
// tells of all of them. ctx and a lost device do stop it.
func Folder(ctx context.Context, p *Predictor, cases []dataset.Case, outDir, ending string, o FolderOptions) error {
	if ending == "" {
		ending = p.plan.FileEnding
	}
	switch {
	case ending != ".nii.gz" && ending != ".nii":
		return fmt.Errorf("predict: labels that end in %q cannot be written, wanted .nii.gz or .nii", ending)
	case len(cases) == 0:
		return errors.New("predict: no cases to predict")
	}
	if err := os.MkdirAll(outDir, 0o777); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	f := &folder{p: p, dir: outDir, ending: ending, o: o, total: len(cases)}
	for _, c := range cases {
		f.jobs = append(f.jobs, &job{c: c})
	}
	return f.run(ctx)
}

// job is a case on its way. Each of its fields is set by one stage and read by
// those after it.
type job struct {
	c      dataset.Case
	header *nifti.Header
	pre    *volume.Preprocessed
	result *Result
	err    error
}

// folder is a pipeline of three stages: read, predict, write.
type folder struct {
	p      *Predictor
	dir    string
	ending string
	o      FolderOptions
	jobs   []*job
	total  int
	over   int
}

func (f *folder) path(c dataset.Case) string { return filepath.Join(f.dir, c.ID+f.ending) }

func (f *folder) probabilities(c dataset.Case) string { return filepath.Join(f.dir, c.ID+".npz") }

func (f *folder) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready, finished := make(chan *job), make(chan *job)
	var wg sync.WaitGroup
	wg.Go(func() { f.read(ctx, ready) })
	wg.Go(func() {
		for j := range finished {
			j.err = f.write(j)
			j.result = nil
		}
	})
	err := f.predict(ctx, ready, finished)
	stop()
	close(finished)
	wg.Wait()
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	return f.problems()
}

// read prepares the jobs one after the other; each waits until it is taken.
func (f *folder) read(ctx context.Context, ready chan<- *job) {
	defer close(ready)
	for _, j := range f.jobs {
		if !f.exists(j.c) {
			f.prepare(j)
		}
		select {
		case ready <- j:
		case <-ctx.Done():
			return
		}
	}
}

// exists says whether there is nothing left to do for c.
func (f *folder) exists(c dataset.Case) bool {
	if !f.o.Continue {
		return false
	}
	wanted := []string{f.path(c)}
	if f.o.Probabilities {
		wanted = append(wanted, f.probabilities(c))
	}
	for _, path := range wanted {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

func (f *folder) prepare(j *job) {
	im, header, err := j.c.ReadImage()
	if err != nil {
		j.err = err
		return
	}
	j.header = header
	if j.pre, err = volume.Preprocess(im, nil, f.p.preprocess); err != nil {
		j.err = fmt.Errorf("%s: %w", j.c.ID, err)
	}
}

// predict takes the jobs to the device. It returns an error if no other job can
// do better.
func (f *folder) predict(ctx context.Context, ready <-chan *job, finished chan<- *job) error {
	for j := range ready {
		if j.pre != nil && j.err == nil {
			f.tell(j, Progress{})
			j.result, j.err = f.p.segment(ctx, j.pre, ImageOptions{
				Probabilities: f.o.Probabilities,
				Progress:      func(p Progress) { f.tell(j, p) },
			})
			j.pre = nil
			if j.err != nil {
				j.err = fmt.Errorf("%s: %w", j.c.ID, j.err)
			}
		}
		if ctx.Err() != nil || errors.Is(j.err, backend.ErrLost) {
			return errors.Join(j.err, ctx.Err())
		}
		f.over++
		f.tell(j, Progress{})
		if j.result != nil {
			finished <- j
		}
	}
	return ctx.Err()
}

func (f *folder) tell(j *job, tiles Progress) {
	if f.o.Progress != nil {
		f.o.Progress(FolderProgress{Case: j.c.ID, N: f.over, Total: f.total, Tiles: tiles, Err: j.err})
	}
}

func (f *folder) write(j *job) error {
	if r := j.result.Probabilities; r != nil {
		if err := WriteProbabilities(f.probabilities(j.c), r); err != nil {
			return err
		}
	}
	return nifti.WriteLabels(f.path(j.c), j.result.Labels, j.header)
}

// problems is the error of all cases that went wrong.
func (f *folder) problems() error {
	var errs []error
	for _, j := range f.jobs {
		if j.err != nil {
			errs = append(errs, j.err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("predict: %d of %d cases have no labels:\n%w", len(errs), f.total, errors.Join(errs...))
}
