package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/gounet/gounet/core/dicom"
)

// studyInfo is what `gounet info FOLDER --json` prints of a folder or zip of DICOM.
type studyInfo struct {
	Kind    string       `json:"kind"` // study
	Path    string       `json:"path"`
	Format  string       `json:"format"` // DICOM
	Series  []seriesInfo `json:"series"`
	Skipped int          `json:"skipped"` // files that are part of no series
}

// seriesInfo is a series, or a volume of a series of several.
type seriesInfo struct {
	Number    int          `json:"number"`
	UID       string       `json:"uid"`
	Modality  string       `json:"modality"`
	Localizer bool         `json:"localizer"`
	Volume    string       `json:"volume,omitempty"` // which, of several
	Shape     []int        `json:"shape"`            // x y z
	SpacingMM []number     `json:"spacing_mm"`
	Affine    [4][4]number `json:"affine"`
	Unit      string       `json:"unit,omitempty"`
	Problem   string       `json:"problem,omitempty"` // why it cannot be read
	Warning   string       `json:"warning,omitempty"` // what was mended
}

// readStudy lists the series of a folder or zip. Names and identifiers of patients
// are not among what it says.
func readStudy(path string) (*studyInfo, error) {
	c, err := dicom.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	s := &studyInfo{Kind: "study", Path: path, Format: "DICOM", Series: []seriesInfo{}, Skipped: len(c.Skipped)}
	for _, series := range c.Series {
		for _, v := range series.Volumes {
			i := seriesInfo{
				Number: series.Number, UID: series.UID, Modality: series.Modality, Localizer: series.Localizer, Volume: v.Name, Warning: v.Warning(),
				Shape: []int{v.Shape[2], v.Shape[1], v.Shape[0]}, Unit: v.Unit,
				SpacingMM: numbers([]float64{v.Spacing[2], v.Spacing[1], v.Spacing[0]}),
			}
			for r, row := range v.Affine {
				copy(i.Affine[r][:], numbers(row[:]))
			}
			if v.Err != nil {
				i.Problem = v.Err.Error()
			}
			s.Series = append(s.Series, i)
		}
	}
	return s, c.Close()
}

func (s *studyInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "study\t%s\n", s.Path)
	fmt.Fprintf(t, "series\t%d, %s\n", len(s.uids()), count(s.Skipped, "file")+" of no series")
	last := ""
	for _, i := range s.Series {
		what := i.Modality
		if i.Localizer {
			what += ", a localizer"
		}
		if i.Volume != "" {
			what += ", " + i.Volume
		}
		if i.Unit != "" {
			what += ", in " + i.Unit
		}
		fmt.Fprintf(t, "%d\t%s, %s voxels of %s mm\n", i.Number, what, join(i.Shape, " × "), join(i.SpacingMM, " × "))
		if s.shared(i) && i.UID != last {
			fmt.Fprintf(t, "\tUID %s\n", i.UID)
		}
		last = i.UID
		if i.Problem != "" {
			fmt.Fprintf(t, "\tcannot be read: %s\n", i.Problem)
		}
		if i.Warning != "" {
			fmt.Fprintf(t, "\twarning: %s\n", i.Warning)
		}
	}
	return t.Flush()
}

// uids are the series, by what tells them apart.
func (s *studyInfo) uids() map[string]int {
	numbers := map[string]int{}
	for _, i := range s.Series {
		numbers[i.UID] = i.Number
	}
	return numbers
}

// shared says whether another series has the number of i, so that it takes the UID to
// choose it.
func (s *studyInfo) shared(i seriesInfo) bool {
	for uid, number := range s.uids() {
		if number == i.Number && uid != i.UID {
			return true
		}
	}
	return false
}
