package metric

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// FolderOptions are the options of Evaluate.
type FolderOptions struct {
	Options
	// Regions are scored after the labels: lists of labels that count as one.
	Regions [][]int
	// Subset allows references without a prediction, as when the predictions are
	// one fold of a dataset. Predictions without a reference are always an error.
	Subset bool
	// Postprocessing is done to the predictions before they are scored.
	Postprocessing Postprocessing
	// Workers is how many cases are in memory at once, two label maps each, and 8
	// bytes a voxel of the largest structure's box where distances are asked for.
	// 0 is the number of CPUs, at most maxWorkers.
	Workers int
	// Progress, if set, is called after each case, from one goroutine at a time.
	Progress func(done, total int, c Case)
}

// maxWorkers keeps the default memory near that of a few volumes on large machines.
const maxWorkers = 8

// Problems are all that is wrong with the files of an evaluation.
type Problems []string

func (p Problems) Error() string {
	if len(p) == 1 {
		return "metric: " + p[0]
	}
	return fmt.Sprintf("metric: %d problems:\n  %s", len(p), strings.Join(p, "\n  "))
}

// Pair is one case before it is read: two NIfTI files of label maps.
type Pair struct{ Name, Reference, Prediction string }

// Evaluate scores the label maps of predDir against those of refDir, NIfTI files
// matched by name, whichever of .nii and .nii.gz they have. All files are looked at
// before any is scored: missing and extra files, headers that cannot be read,
// shapes and affines that differ come as one error, a Problems.
func Evaluate(ctx context.Context, refDir, predDir string, labels []int, o FolderOptions) (*Summary, error) {
	pairs, problems := match(refDir, predDir, o.Subset)
	return evaluate(ctx, pairs, problems, labels, o)
}

// EvaluatePairs is Evaluate for files that the caller has matched.
func EvaluatePairs(ctx context.Context, pairs []Pair, labels []int, o FolderOptions) (*Summary, error) {
	return evaluate(ctx, pairs, nil, labels, o)
}

func evaluate(ctx context.Context, pairs []Pair, problems Problems, labels []int, o FolderOptions) (*Summary, error) {
	targets := Targets(labels)
	for _, r := range o.Regions {
		targets = append(targets, Target(r))
	}
	if err := checkTargets(targets, o.Options); err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		problems = append(problems, checkGeometry(p)...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	cases, err := scorePairs(ctx, pairs, targets, o)
	if err != nil {
		return nil, err
	}
	return Summarize(targets, cases, o.Surface), nil
}

// scorePairs works on a few cases at a time; the result does not depend on how many.
func scorePairs(ctx context.Context, pairs []Pair, targets []Target, o FolderOptions) ([]Case, error) {
	workers := o.Workers
	if workers <= 0 {
		workers = min(runtime.GOMAXPROCS(0), maxWorkers)
	}
	cases := make([]Case, len(pairs))
	failed := make([]error, len(pairs))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range min(workers, len(pairs)) {
		wg.Go(func() {
			for i := range next {
				cases[i], failed[i] = scorePair(pairs[i], targets, o)
				mu.Lock()
				done++
				if o.Progress != nil && failed[i] == nil {
					o.Progress(done, len(pairs), cases[i])
				}
				mu.Unlock()
			}
		})
	}
	for i := range pairs {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var problems Problems
	for _, err := range failed {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return cases, nil
}

func scorePair(p Pair, targets []Target, o FolderOptions) (Case, error) {
	ref, err := scan.ReadLabels(p.Reference)
	if err != nil {
		return Case{}, err
	}
	pred, err := scan.ReadLabels(p.Prediction)
	if err != nil {
		return Case{}, err
	}
	o.Postprocessing.Apply(pred)
	scores, err := Score(ref, pred, targets, o.Options)
	if err != nil {
		return Case{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	return Case{ReferenceFile: p.Reference, PredictionFile: p.Prediction, Scores: scores}, nil
}

// Match pairs the files of the two folders as Evaluate does. A prediction without its
// reference is an error, and unless subset a reference without its prediction.
func Match(refDir, predDir string, subset bool) ([]Pair, error) {
	pairs, problems := match(refDir, predDir, subset)
	if len(problems) > 0 {
		return nil, problems
	}
	return pairs, nil
}

// Files lists the label maps of a folder, sorted by name.
func Files(dir string) (paths []string, err error) {
	files, err := labelFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}
	for _, f := range files {
		paths = append(paths, f.path)
	}
	return paths, nil
}

// match pairs the files of the two folders, by name.
func match(refDir, predDir string, subset bool) (pairs []Pair, problems Problems) {
	refs, err := labelFiles(refDir)
	if err != nil {
		return nil, Problems{err.Error()}
	}
	preds, err := labelFiles(predDir)
	if err != nil {
		return nil, Problems{err.Error()}
	}
	for _, p := range preds {
		i, ok := slices.BinarySearchFunc(refs, p.name, func(r file, name string) int { return strings.Compare(r.name, name) })
		if !ok {
			problems = append(problems, fmt.Sprintf("prediction %s has no reference in %s", p.path, refDir))
			continue
		}
		pairs = append(pairs, Pair{Name: p.name, Reference: refs[i].path, Prediction: p.path})
	}
	if !subset {
		for _, r := range refs {
			if !slices.ContainsFunc(preds, func(p file) bool { return p.name == r.name }) {
				problems = append(problems, fmt.Sprintf("reference %s has no prediction in %s", r.path, predDir))
			}
		}
	}
	return pairs, problems
}

type file struct{ name, path string }

var pictures = []string{".png", ".tif", ".tiff"}

// labelFiles lists the label maps of a folder, sorted by name.
func labelFiles(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		ending := voxel.Ending(e.Name())
		name := e.Name()[:len(e.Name())-len(ending)]
		if e.IsDir() || strings.HasPrefix(name, ".") || !slices.Contains(scan.LabelEndings(), ending) {
			continue
		}
		files = append(files, file{name: name, path: filepath.Join(dir, e.Name())})
	}
	isPicture := func(f file) bool { return slices.Contains(pictures, voxel.Ending(f.path)) }
	if slices.ContainsFunc(files, func(f file) bool { return !isPicture(f) }) {
		files = slices.DeleteFunc(files, isPicture) // of the maps
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no %s files", dir, strings.Join(scan.LabelEndings(), ", "))
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.path, b.path)) })
	for i := 1; i < len(files); i++ {
		if files[i].name == files[i-1].name {
			return nil, fmt.Errorf("%s and %s are one case twice: remove one", files[i-1].path, files[i].path)
		}
	}
	return files, nil
}

// checkGeometry compares the headers of a pair.
func checkGeometry(p Pair) Problems {
	a, err := gridOf(p.Reference)
	b, err2 := gridOf(p.Prediction)
	if err := errors.Join(err, err2); err != nil {
		return Problems{strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	if a.Shape != b.Shape {
		return Problems{fmt.Sprintf("%s: reference has shape %v, prediction %v: both must be on the scan's grid", p.Name, fileOrder(a.Shape), fileOrder(b.Shape))}
	}
	// A hundredth of a voxel is far above what header formats round and far below
	// what shifts a surface.
	limit := slices.Min(a.Spacing[:]) / 100
	if d := farthestCorner(a.Affine, b.Affine, a.Shape); !(d <= limit) {
		return Problems{fmt.Sprintf("%s: affines of reference and prediction place a corner of the volume %.3g mm apart: both must be on the scan's grid", p.Name, d)}
	}
	return nil
}

// fileOrder is a shape D H W as files have it: x y z.
func fileOrder(shape [3]int) [3]int { return [3]int{shape[2], shape[1], shape[0]} }

// gridOf reads the header of a label map.
func gridOf(path string) (volume.Grid, error) {
	s, err := scan.Open(context.Background(), scan.Options{Alone: true}, path)
	if err != nil {
		return volume.Grid{}, err
	}
	return s.Grid, s.Close()
}

// farthestCorner is the largest distance between the two places of a corner voxel.
func farthestCorner(a, b [4][4]float64, shape [3]int) float64 {
	worst := 0.0
	for corner := range 8 {
		d := 0.0
		for i := range 3 {
			v := a[i][3] - b[i][3]
			for j := range 3 { // x y z, the reverse of D H W
				if corner>>j&1 == 1 {
					v += (a[i][j] - b[i][j]) * float64(shape[2-j]-1)
				}
			}
			d += v * v
		}
		worst = math.Max(worst, math.Sqrt(d))
	}
	return worst
}
