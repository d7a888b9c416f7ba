package predict

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
)

// FolderOptions say what Folder writes.
type FolderOptions struct {
	// Formats are those of the labels of a scan, a file each; nil: the plan's own, if
	// labels can be written so, else NIfTI.
	Formats  func(s *scan.Scan) []scan.Format
	Segments []scan.Segment // names and colours of the labels
	// First is called once, when the files of the first case are there; may be nil.
	First func() error

	// Written is called when the files of a case are there, from another goroutine
	// than the caller's, with the scan as it was read; may be nil.
	Written func(Labelled) error

	// Postprocess changes the labels before they are written; may be nil.
	Postprocess func(*volume.Labels)
	// Previous is the file with the labels of the previous stage of a cascade for a
	// case; nil for other models.
	Previous func(dataset.Case) string

	Probabilities bool                 // CASE.npz beside the labels
	Continue      bool                 // leave out cases whose files are there already
	Progress      func(FolderProgress) // called from the goroutine of the caller; may be nil
}

// FolderProgress is how far a folder is.
type FolderProgress struct {
	Case     string // the one that the device works on, or that is over
	N, Total int    // cases that are over, well or not
	Tiles    Progress
	Err      error    // why the case that is over has no labels
	Warnings []string // of its scan, once: when the device begins with it
}

// CasesError tells of the cases that could not be labelled; all others are.
type CasesError struct {
	IDs   []string // of the cases without labels
	Total int
	err   error
}

func (e *CasesError) Error() string {
	return fmt.Sprintf("predict: %d of %d cases have no labels:\n%v", len(e.IDs), e.Total, e.err)
}

// Unwrap is what is wrong with them.
func (e *CasesError) Unwrap() error { return e.err }

// Labelled is a case whose labels are written.
type Labelled struct {
	Case   dataset.Case
	Image  *volume.Image
	Labels *volume.Labels
}

// Folder segments cases and writes the labels of each to outDir, named CASE with the
// first ending of each format, in the place that the header of the scan says. While the device works on a case the next one is read and
// preprocessed, and the one before is written. A file appears whole or not at
// all, the labels last.
//
// A case that cannot be segmented does not stop the others; the error in the end
// tells of all of them. ctx, a lost device and a full disk do stop it.
func Folder(ctx context.Context, p *Predictor, cases []dataset.Case, outDir string, o FolderOptions) error {
	if len(cases) == 0 {
		return errors.New("predict: no cases to predict")
	}
	if o.Formats == nil {
		own := LabelFormat(p.plan)
		o.Formats = func(*scan.Scan) []scan.Format { return []scan.Format{own} }
	}
	if err := os.MkdirAll(outDir, 0o777); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	f := &folder{p: p, dir: outDir, o: o, total: len(cases)}
	for _, c := range cases {
		f.jobs = append(f.jobs, &job{c: c})
	}
	return f.run(ctx)
}

// job is a case on its way. Each of its fields is set by one stage and read by
// those after it.
type job struct {
	c      dataset.Case
	scan   *scan.Scan
	image  *volume.Image // kept for Written
	pre    *volume.Preprocessed
	result *Result
	err    error
}

// folder is a pipeline of three stages: read, predict, write.
type folder struct {
	p     *Predictor
	dir   string
	o     FolderOptions
	jobs  []*job
	total int
	over  int
	wrote bool // a case
}

// LabelFormat is how the label maps of a plan's data set are written, with their
// ending: as its scans where that can be written, else as results of such scans are
// (PNG for pictures, NIfTI for all others).
func LabelFormat(p *plan.Plan) scan.Format {
	return scan.ResultFormat(p.FileEnding)
}

// paths are the files of the labels of a scan.
func (f *folder) paths(c dataset.Case, formats []scan.Format) (out []string) {
	for _, format := range formats {
		out = append(out, filepath.Join(f.dir, c.ID+format.Endings[0]))
	}
	return out
}

func (f *folder) probabilities(c dataset.Case) string { return filepath.Join(f.dir, c.ID+".npz") }

func (f *folder) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	defer stop()
	ready, finished := make(chan *job), make(chan *job)
	var wg sync.WaitGroup
	wg.Go(func() { f.read(ctx, ready) })
	wg.Go(func() {
		for j := range finished {
			j.err = f.write(j)
			j.result = nil
			if errors.Is(j.err, syscall.ENOSPC) { // nor can those of the others be written
				cancel(fmt.Errorf("%w: the scans after it are not labelled: make room and go on", j.err))
			}
		}
	})
	err := f.predict(ctx, ready, finished)
	stop()
	close(finished)
	wg.Wait()
	if full := context.Cause(ctx); errors.Is(full, syscall.ENOSPC) {
		err = full
	}
	for _, j := range f.jobs {
		if j.scan != nil {
			err = errors.Join(err, j.scan.Close()) // of those that were not written
		}
	}
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	return f.problems()
}

// read prepares the jobs one after the other; each waits until it is taken.
func (f *folder) read(ctx context.Context, ready chan<- *job) {
	defer close(ready)
	for _, j := range f.jobs {
		f.prepare(ctx, j)
		select {
		case ready <- j:
		case <-ctx.Done():
			return
		}
	}
}

// exists says whether there is nothing left to do for a scan.
func (f *folder) exists(j *job) bool {
	if !f.o.Continue {
		return false
	}
	wanted := f.paths(j.c, f.o.Formats(j.scan))
	if f.o.Probabilities {
		wanted = append(wanted, f.probabilities(j.c))
	}
	for _, path := range wanted {
		if _, err := os.Stat(path); err != nil {
			return false
		}
	}
	return true
}

// prepare reads and preprocesses a scan, unless it is labelled already.
func (f *folder) prepare(ctx context.Context, j *job) {
	if j.scan, j.err = j.c.Open(ctx); j.err != nil {
		return
	}
	if f.exists(j) {
		return
	}
	var previous *volume.Labels
	im, err := j.scan.Image(ctx)
	if err == nil && f.p.Previous() != "" && f.o.Previous != nil {
		previous, err = scan.ReadLabels(f.o.Previous(j.c))
	}
	if err == nil {
		j.pre, err = f.p.prepare(im, previous)
	}
	if err != nil {
		j.err = fmt.Errorf("%s: %w", j.c.ID, inFile(j.c, err))
		return
	}
	if f.o.Written != nil {
		j.image = im
	}
}

// inFile adds to an error about voxels the file that they are in.
func inFile(c dataset.Case, err error) error {
	bad := (*volume.NotFiniteError)(nil)
	if !errors.As(err, &bad) || len(c.Images) == 0 {
		return err // it names its file
	}
	return fmt.Errorf("%w (%s)", err, c.Images[min(bad.Channel, len(c.Images)-1)])
}

// predict takes the jobs to the device. It returns an error if no other job can
// do better.
func (f *folder) predict(ctx context.Context, ready <-chan *job, finished chan<- *job) error {
	for j := range ready {
		if j.pre != nil && j.err == nil {
			f.begin(j)
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

// begin tells of a job that the device begins with, and of what was mended in its scan.
func (f *folder) begin(j *job) {
	if f.o.Progress != nil {
		f.o.Progress(FolderProgress{Case: j.c.ID, N: f.over, Total: f.total, Warnings: j.scan.Warnings})
	}
}

func (f *folder) write(j *job) (err error) {
	defer func() { err = errors.Join(err, j.scan.Close()) }()
	if r := j.result.Probabilities; r != nil {
		if err := WriteProbabilities(f.probabilities(j.c), r); err != nil {
			return err
		}
	}
	if f.o.Postprocess != nil {
		f.o.Postprocess(j.result.Labels)
	}
	formats := f.o.Formats(j.scan)
	for i, path := range f.paths(j.c, formats) {
		if err := formats[i].Write(path, j.scan, j.result.Labels, f.o.Segments); err != nil {
			return fmt.Errorf("%s: %w", j.c.ID, err)
		}
	}
	if f.o.First != nil && !f.wrote {
		if err := f.o.First(); err != nil {
			return err
		}
		f.wrote = true
	}
	if f.o.Written == nil {
		return nil
	}
	defer func() { j.image = nil }()
	return f.o.Written(Labelled{j.c, j.image, j.result.Labels})
}

// problems is the error of all cases that went wrong.
func (f *folder) problems() error {
	var ids []string
	var errs []error
	for _, j := range f.jobs {
		if j.err != nil {
			ids = append(ids, j.c.ID)
			errs = append(errs, j.err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &CasesError{IDs: ids, Total: f.total, err: errors.Join(errs...)}
}
