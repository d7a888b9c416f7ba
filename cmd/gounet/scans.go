package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/voxel"
)

// scans lists the cases of input as the help text of predict has it: of a scan, of a
// folder of scans, or of a study of DICOM, whose series are channels.
func scans(input string, p *plan.Plan, series []string) ([]dataset.Case, error) {
	stat, err := os.Stat(input)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	channels := p.Scans()
	whole := dataset.Case{ID: scan.CaseName(strings.TrimSuffix(filepath.Clean(input), ".zip")), Images: []string{input}, Series: series}
	if len(series) > 0 {
		return []dataset.Case{whole}, nil
	}
	if !stat.IsDir() {
		if !slices.Contains(scanEndings(p), voxel.Ending(input)) {
			return []dataset.Case{whole}, nil // a zip or a file of DICOM
		}
		c, err := dataset.ScanFile(input, channels)
		return []dataset.Case{c}, err
	}
	var cases []dataset.Case
	for _, ending := range scanEndings(p) {
		more, err := dataset.Scan(input, ending, channels)
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	if len(cases) > 0 {
		return unique(input, cases)
	}
	return studies(input, whole)
}

// scanEndings are what files of scans end in, that of the model's data set among them.
func scanEndings(p *plan.Plan) []string {
	all := scan.Endings()
	if p.FileEnding == "" || slices.Contains(all, p.FileEnding) {
		return all
	}
	return append(all, p.FileEnding)
}

// unique refuses two scans of one name, whose labels would be one file.
func unique(dir string, cases []dataset.Case) ([]dataset.Case, error) {
	slices.SortFunc(cases, func(a, b dataset.Case) int { return strings.Compare(a.ID, b.ID) })
	for i := 1; i < len(cases); i++ {
		if a, b := cases[i-1], cases[i]; a.ID == b.ID {
			return nil, fmt.Errorf("input %s: %s and %s are both case %s: move one away", dir, filepath.Base(a.Images[0]), filepath.Base(b.Images[0]), a.ID)
		}
	}
	return cases, nil
}

// studies are the cases of a folder without scans in files of their own: a case in
// each folder and zip if there is nothing else and more than one, else all of it is
// one.
func studies(dir string, whole dataset.Case) ([]dataset.Case, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	var cases []dataset.Case
	for _, e := range entries {
		zip := strings.EqualFold(filepath.Ext(e.Name()), ".zip")
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case e.IsDir() || zip:
			id := e.Name()
			if zip {
				id = id[:len(id)-len(".zip")]
			}
			cases = append(cases, dataset.Case{ID: id, Images: []string{filepath.Join(dir, e.Name())}})
		default:
			return []dataset.Case{whole}, nil
		}
	}
	if len(cases) == 1 {
		return []dataset.Case{whole}, nil
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("input %s: no scans: wanted NIfTI, NRRD, MetaImage, MGH, Analyze, PNG, TIFF or DICOM", dir)
	}
	return unique(dir, cases)
}
