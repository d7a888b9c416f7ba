package page

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/internal/api"
)

func TestNamesAreCutBetweenLetters(t *testing.T) {
	p, _ := compared(t)
	p.EndCompare()
	p.Pick(0)
	p.rename("Ä" + "ööööööööööööööööööööööööööööööööööööö")
	assert.Equal(t, "Äööööööööööööööööööööööööööööö", p.Result.Labels[0].Name, "60 bytes")
	assert.Equal(t, "Übung", Title("Dataset001_übung"))
	assert.Equal(t, "Ödem fehlt.", sentence("ödem fehlt"))
}

// What the formats say of a file begins with its name, which keeps its letters.
func TestTheNameOfAFileIsWrittenAsItIs(t *testing.T) {
	assert.Equal(t, "noise.nii.gz: the file is damaged.", sentence("scan: noise.nii.gz: the file is damaged"))
	assert.Equal(t, "Value 3.5 is too large.", sentence("value 3.5 is too large"))
	assert.Equal(t, "The file ends after 3 of 9 bytes: the file is truncated, fetch it again.", sentence("nifti: the file ends after 3 of 9 bytes: the file is truncated, fetch it again: unexpected EOF"))
	assert.Equal(t, "Data ends after 115 398 of 1 247 520 bytes (of 65 536), 9999.", sentence("data ends after 115398 of 1247520 bytes (of 65536), 9999"))
	for _, name := range []string{"20481.nii: it is not read.", "Series 1.2.840.10008.5 has none.", "10008: it is no DICOM.", "IM_10008 has none.", "Series 01234567 has none."} {
		assert.Equal(t, name, sentence(name), "numbers of names stay")
	}
	assert.Equal(t, "The file is cut off, or no zip: fetch it again.", sentence("zip: not a valid zip file"))
}

func TestAFileThatIsNoScanSaysWhatItIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		file   File
		reason string
		want   string
	}{
		"empty":   {File{Path: "empty.nii.gz"}, "scan: empty.nii.gz: not a DICOM file", "The file is empty: fetch it again."},
		"noise":   {File{Path: "noise.nii.gz", Size: 9}, "scan: noise.nii.gz: not a DICOM file", "The file is of no kind that is read, or damaged."},
		"zip":     {File{Path: "d/a.ZIP", Size: 9}, "scan: x.nii: not a DICOM file", "There is no DICOM in this zip. Files of other kinds are opened without a zip around them."},
		"its own": {File{Path: "cut.nii.gz", Size: 9}, "scan: cut.nii.gz: file ends after 3 of 9 bytes: the file is truncated, fetch it again: unexpected EOF", "File ends after 3 of 9 bytes: the file is truncated, fetch it again."},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			p := New(f)
			p.TakeFiles([]File{c.file})
			f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedScan, Reason: c.reason}})
			assert.Equal(t, c.want, p.Alert.Text)
		})
	}
}

func TestSeveralFilesThatAreOneScanAreSaidToBe(t *testing.T) {
	f := newFake()
	p := New(f)
	p.TakeFiles([]File{{Path: "a.nii"}, {Path: "b.nii"}})
	f.answer(listed("a"))
	f.answer(api.Answer{Opened: &api.Opened{Name: "a", Kind: "NIfTI", Grid: grid(), Channels: 2}})
	f.answer(looked(), held{})
	assert.Equal(t, "2 files of one grid are opened as one scan with 2 channels.", p.Notice)
}

// NIfTI does not say what it is; the values of air do.
func TestAModelForMRWarnsOfWhatLooksLikeCT(t *testing.T) {
	p, _ := opened(t)
	assert.Empty(t, p.FitOf(p.Model()).Why)
	assert.Empty(t, p.Scan.Unit())
	p.Scan.Look.Min = -1024
	assert.Equal(t, Fit{Why: "Trained on MR; this scan looks like CT."}, p.FitOf(p.Model()))
	assert.Equal(t, "HU", p.Scan.Unit())
	p.Scan.Look.Modality = "MR"
	assert.Empty(t, p.FitOf(p.Model()).Why, "the file knows")
	assert.Empty(t, p.Scan.Unit())
}

func TestARunOfACascadeSaysWhichStageItIs(t *testing.T) {
	p, f := opened(t)
	p.Start()
	run := f.to()
	tell := func(done int64, network, of int) {
		run(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: done, Of: 8, Network: network, Networks: of}}, nil)
	}
	tell(1, 1, 2)
	assert.Equal(t, "stage 1 of 2", p.Run.NetworkText())
	tell(5, 2, 2)
	assert.Equal(t, "stage 2 of 2", p.Run.NetworkText())
	run(api.Answer{Done: &api.Done{}}, []Bytes{held("")})
	p.Start()
	assert.Empty(t, p.Run.NetworkText())
}
