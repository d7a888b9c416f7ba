package engine

import (
	"crypto/rand"
	"io"
	"path/filepath"
	"strings"

	"github.com/gounet/gounet/core/measure"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/internal/atomicfile"
)

// mediaTypes are those of results, by the ends of their names.
var mediaTypes = []struct{ ending, mediaType string }{
	{".nii.gz", "application/gzip"},
	{".nii", "application/octet-stream"},
	{".nrrd", "application/octet-stream"},
	{".dcm", api.DICOMType},
	{".json", "application/json"},
	{".csv", "text/csv; charset=utf-8"},
	{".png", "image/png"},
	{".tif", "image/tiff"},
	{".glb", "model/gltf-binary"},
	{".stl", "model/stl"},
	{".obj", "model/obj"},
}

func mediaType(name string) string {
	for _, m := range mediaTypes {
		if strings.HasSuffix(name, m.ending) {
			return m.mediaType
		}
	}
	return "application/octet-stream"
}

// formats are the names of those in which labels are wanted.
func (j *job) formats() []string {
	if len(j.Submit.Formats) == 0 {
		return []string{j.scan.OwnFormat()}
	}
	return j.Submit.Formats
}

// fit says which of the formats of a job cannot be written of its scan, before anything
// is computed.
func (o *owner) fit(j *job) error {
	all := o.o.Formats(&j.Submit, j.model.Plan, nil)
	for _, name := range j.formats() {
		f, err := scan.FormatNamed(all, name)
		if err == nil {
			err = f.Check(j.scan)
		}
		if err != nil {
			return failed(api.FailedRequest, err)
		}
	}
	return nil
}

// files writes the results of a job into folder.
func (o *owner) files(j *job, folder string) (made []api.JobResult, err error) {
	seed := make([]byte, 32)
	_, _ = rand.Read(seed) // never fails
	all := o.o.Formats(&j.Submit, j.model.Plan, seed)
	names := j.formats()
	base := BaseName(j.Submit.Name, j.scan.Name)
	s := j.scan
	if j.Submit.Anonymise {
		s = s.WithoutHeader()
	}
	for _, name := range names {
		f, err := scan.FormatNamed(all, name)
		if err != nil {
			return nil, failed(api.FailedRequest, err)
		}
		file := base + f.Endings[0]
		if err := f.Write(filepath.Join(folder, file), s, j.labels, segmentsOf(j.model.Plan)); err != nil {
			return nil, failed(api.FailedScan, err)
		}
		made = append(made, api.JobResult{Name: file, Format: name, MediaType: mediaType(file)})
		if beside := scan.SpacingFile(filepath.Join(folder, file)); beside != "" {
			file := filepath.Base(beside)
			made = append(made, api.JobResult{Name: file, Format: name + ".json", MediaType: mediaType(file)})
		}
	}
	add := func(ending, format string, write func(path string) error) error {
		file := base + ending
		if err := write(filepath.Join(folder, file)); err != nil {
			return failed(api.FailedScan, err)
		}
		made = append(made, api.JobResult{Name: file, Format: format, MediaType: mediaType(file)})
		return nil
	}
	if j.Submit.Preview {
		err := add(".preview.png", "preview", func(path string) error {
			return preview.Write(path, j.image, j.labels, preview.Options{})
		})
		if err != nil {
			return nil, err
		}
	}
	if j.Submit.Statistics {
		labels := map[uint8]string{}
		for _, s := range segmentsOf(j.model.Plan) {
			labels[s.Label] = s.Name
		}
		t, err := measure.Labels(base, j.labels, j.image, labels)
		if err != nil {
			return nil, failed(api.FailedScan, err)
		}
		to := func(write func(io.Writer) error) func(string) error {
			return func(path string) error { return atomicfile.Write(path, write) }
		}
		if err := add(".statistics.json", "statistics.json", to(func(w io.Writer) error { return measure.WriteJSON(w, t) })); err != nil {
			return nil, err
		}
		if err := add(".statistics.csv", "statistics.csv", to(func(w io.Writer) error { return measure.WriteCSV(w, t) })); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// BaseName is what the files of results are called: the first of names that has
// something, of letters that no system minds.
func BaseName(names ...string) string {
	for _, name := range names {
		clean := strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
				return r
			}
			return '_'
		}, scan.CaseName(name))
		if clean = strings.Trim(clean, "._"); clean != "" {
			return clean[:min(len(clean), 100)]
		}
	}
	return "labels"
}
