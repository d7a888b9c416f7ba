package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
)

// ProblemsError lists everything that is wrong with a data set, a line a problem.
type ProblemsError struct {
	Dir      string
	Problems []string
}

// Error is the folder with its problems, a line each where there are several.
func (e *ProblemsError) Error() string {
	if len(e.Problems) == 1 {
		return fmt.Sprintf("dataset: %s: %s", e.Dir, e.Problems[0])
	}
	return fmt.Sprintf("dataset: %s: %d problems:\n  %s", e.Dir, len(e.Problems), strings.Join(e.Problems, "\n  "))
}

// Check reads a data set whole. All that is wrong with dataset.json, folders, scans and
// labels comes together in one *ProblemsError.
func Check(ctx context.Context, dir string, progress Progress) (*Raw, error) {
	r, bad, err := look(dir)
	if err != nil {
		return nil, err
	}
	r.problems = append(inJSON(bad), r.problems...)
	tests, err := r.CheckTests(ctx, true)
	if err != nil {
		return nil, err
	}
	r.problems = append(r.problems, tests...)
	_, err = r.Measure(ctx, progress)
	return r, err
}

// Measure reads every training case once: it checks the whole data set and
// measures its fingerprint. All problems come together in one *ProblemsError:
// files that are missing or broken, shapes and affines that differ, voxels that
// are not numbers, labels that dataset.json does not know, labels that no case has.
func (r *Raw) Measure(ctx context.Context, progress Progress) (*plan.Fingerprint, error) {
	problems := slices.Clone(r.problems)
	f := plan.NewFingerprinter(len(r.JSON.Channels), len(r.Cases))
	known := r.known()
	seen := make([][256]bool, len(r.Cases))
	found, read := make([][]string, len(r.Cases)), make([]bool, len(r.Cases))
	warnings := make([][]string, len(r.Cases))
	err := each(ctx, len(r.Cases), progress, func(i int) (string, error) {
		c := r.Cases[i]
		im, seg, why := r.inspect(c, known, &seen[i], &warnings[i])
		found[i] = why
		read[i] = seg != nil
		if len(why) > 0 {
			return c.ID, nil
		}
		if err := f.Add(i, im, seg); err != nil {
			found[i] = append(found[i], fmt.Sprintf("%s: %v", c.ID, err))
		}
		return c.ID, nil
	})
	if err != nil {
		return nil, err
	}
	r.Warnings = map[string][]string{}
	for i, list := range warnings {
		for _, w := range list {
			r.Warnings[w] = append(r.Warnings[w], r.Cases[i].ID)
		}
	}
	problems = append(problems, slices.Concat(found...)...)
	if !slices.Contains(read, false) { // else one of the others may have the label
		problems = append(problems, r.absent(seen)...)
	}
	if len(problems) > 0 {
		return nil, &ProblemsError{Dir: r.Dir, Problems: problems}
	}
	return f.Finish()
}

// inspect reads a case and says what is wrong with it, and what its files warn of.
func (r *Raw) inspect(c Case, known [256]bool, seen *[256]bool, warnings *[]string) (*volume.Image, *volume.Labels, []string) {
	var why []string
	for _, path := range append(slices.Clone(c.Images), c.Label) {
		st, err := os.Stat(path)
		if err != nil {
			why = append(why, fmt.Sprintf("%s: %s is missing", c.ID, r.relative(path)))
		} else if st.IsDir() && path == c.Label {
			why = append(why, fmt.Sprintf("%s: %s is a folder, wanted a label map", c.ID, r.relative(path)))
		}
	}
	if len(why) > 0 {
		return nil, nil, why
	}
	im, seg, s, err := c.Read()
	if err != nil {
		why = []string{strings.TrimPrefix(err.Error(), "dataset: ")}
		if _, bad := scan.ReadLabels(c.Label); bad != nil && !strings.Contains(err.Error(), bad.Error()) {
			why = append(why, fmt.Sprintf("%s: %v", c.ID, bad)) // beside a broken image
		}
		return nil, nil, why
	}
	add := func(format string, a ...any) { why = append(why, c.ID+": "+fmt.Sprintf(format, a...)) }
	*warnings = s.Warnings
	if d := scan.Differ(im.Grid, seg.Grid); d != "" {
		if strings.HasPrefix(d, "spacing") && s.Kind == scan.TIFF {
			d += fmt.Sprintf(": each has its spacing in a file %s.json beside it", c.ID)
		}
		add("the label does not lie on the grid of the image: %s (%s)", d, r.relative(c.Label))
	}
	if im.C != len(r.JSON.Channels) {
		add("the image has %d channels, dataset.json names %d (%s)", im.C, len(r.JSON.Channels), r.files(c))
	}
	if err := volume.CheckFinite(im); err != nil {
		file := r.files(c)
		if bad := (*volume.NotFiniteError)(nil); errors.As(err, &bad) && bad.Channel < len(c.Images) {
			file = r.relative(c.Images[bad.Channel])
		}
		add("%v (%s)", err, file)
	}
	for _, v := range seg.Data {
		seen[v] = true
	}
	if len(why) == 0 {
		*warnings = append(*warnings, r.blank(im, seen)...)
	}
	for v, has := range seen {
		if has && !known[v] {
			add("the label has value %d, which dataset.json does not name: it has %s (%s)", v, r.names(), r.relative(c.Label))
		}
	}
	return im, seg, why
}

// blank says what of a case nothing can be learnt from.
func (r *Raw) blank(im *volume.Image, seen *[256]bool) (warnings []string) {
	for c := range im.C {
		if im.Constant(c) {
			warnings = append(warnings, fmt.Sprintf("channel %d has the same value in all voxels", c))
		}
	}
	only := *seen
	only[0] = false
	if ignore := r.JSON.Ignore; ignore > 0 && ignore < len(only) {
		only[ignore] = false
	}
	if !slices.Contains(only[:], true) {
		warnings = append(warnings, "the label map has no label but the background")
	}
	return warnings
}

// flaw says why the header of an image tells no size of its voxels; "" if it does.
func flaw(s *scan.Scan) string {
	if h, ok := s.Header().(*nifti.Header); ok && len(h.NoSpacing) > 0 {
		return fmt.Sprintf("spacing 0 (or none) along axis %c", "xyz"[h.NoSpacing[0]])
	}
	return ""
}

// files are those of the channels of a case.
func (r *Raw) files(c Case) string {
	var names []string
	for _, path := range c.Images {
		names = append(names, r.relative(path))
	}
	return strings.Join(names, ", ")
}

// names are the labels of dataset.json, a dozen at most: 0 background, 1 liver.
func (r *Raw) names() string {
	var names []string
	for i, l := range r.JSON.Labels {
		if i == 12 {
			names = append(names, "…")
			break
		}
		names = append(names, strings.Trim(fmt.Sprint(l.Values), "[]")+" "+l.Name)
	}
	return strings.Join(names, ", ")
}

func (r *Raw) relative(path string) string {
	if s, err := filepath.Rel(r.Dir, path); err == nil {
		return s
	}
	return path
}

// known marks the label values that dataset.json has.
func (r *Raw) known() (k [256]bool) {
	values := []int{0, r.JSON.Ignore}
	for _, l := range r.JSON.Labels {
		values = append(values, l.Values...)
	}
	for _, v := range values {
		if v >= 0 && v < len(k) {
			k[v] = true
		}
	}
	return k
}

// absent reports labels that no case has: nothing could learn them.
func (r *Raw) absent(seen [][256]bool) (problems []string) {
	for _, l := range r.JSON.Labels[min(1, len(r.JSON.Labels)):] {
		has := slices.ContainsFunc(seen, func(s [256]bool) bool {
			return slices.ContainsFunc(l.Values, func(v int) bool { return v >= 0 && v < len(s) && s[v] })
		})
		if !has {
			problems = append(problems, fmt.Sprintf("label %s (%v) is in no case: remove it from dataset.json", l.Name, l.Values))
		}
	}
	return problems
}

// findStrays reports files of the folders that belong to no case: images without
// a label that dataset.json does not list, and the other way round.
func (r *Raw) findStrays() (problems []string) {
	used := map[string]bool{}
	for _, c := range r.Cases {
		used[c.Label] = true
		for _, f := range c.Images {
			used[f] = true
		}
	}
	for _, sub := range []string{"imagesTr", "labelsTr"} {
		entries, err := os.ReadDir(filepath.Join(r.Dir, sub))
		if err != nil {
			continue
		}
		for _, e := range entries {
			path := filepath.Join(r.Dir, sub, e.Name())
			if strings.HasPrefix(e.Name(), "._") || e.IsDir() || !strings.HasSuffix(e.Name(), r.JSON.FileEnding) || used[path] {
				continue
			}
			if strings.HasPrefix(e.Name(), ".") {
				problems = append(problems, fmt.Sprintf("%s is hidden and belongs to no case: names of cases begin with another letter than a dot, rename or remove it", r.relative(path)))
				continue
			}
			problems = append(problems, fmt.Sprintf("%s belongs to no case: list it in dataset.json with its image and label, or remove it", r.relative(path)))
		}
	}
	return problems
}

// each calls f for 0 … n−1 in as many goroutines as there are processors. The
// first error, or the end of ctx, stops it.
func each(ctx context.Context, n int, progress Progress, f func(i int) (what string, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var first error
	next, done := 0, 0
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n || ctx.Err() != nil {
					return
				}
				what, err := f(i)
				mu.Lock()
				if err != nil && first == nil {
					first = err
					cancel()
				}
				done++
				if err == nil && progress != nil {
					progress(done, n, what)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first == nil {
		first = ctx.Err()
	}
	return first
}
