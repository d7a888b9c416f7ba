package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

func exported(f *fake) {
	f.answer(api.Answer{PageAnswer: api.PageAnswer{Exported: &api.Exported{}}})
}

// Labels that no file has are not lost without a word.
func TestLabelsInNoFileAreAskedAboutBeforeAnotherScanIsOpened(t *testing.T) {
	p, f := labelled(t)
	assert.True(t, p.Unsaved())
	labels := p.Result
	p.TakeFiles([]File{{Path: "b.nii"}})
	f.answer(listed("b.nii"))
	require.Equal(t, DialogAsk, p.Dialog)
	assert.Contains(t, p.Question.Text, "The labels of scan are in no file yet.")
	require.NotNil(t, f.last().List, "nothing is opened")
	p.Question.OnDo()
	assert.Equal(t, DialogExport, p.Dialog)
	assert.Equal(t, ScreenWork, p.Screen)
	assert.Same(t, labels, p.Result)
	p.DoExport()
	exported(f)
	assert.False(t, p.Unsaved())
	p.TakeFiles([]File{{Path: "b.nii"}})
	f.answer(listed("b.nii"))
	assert.Equal(t, NoDialog, p.Dialog)
	assert.NotNil(t, f.last().Open)
}

func TestOnlyAFileOfAllLabelsSavesThem(t *testing.T) {
	p, f := labelled(t)
	p.OpenExport()
	for i := range p.Export.Formats {
		p.Export.Formats[i].On = p.Export.Formats[i].ID == api.ExportCSV
	}
	p.DoExport()
	exported(f)
	assert.True(t, p.Unsaved(), "a table has no voxels")
	p.Export.Formats[0].On, p.Export.Visible, p.Result.Labels[0].Visible = true, true, false
	p.DoExport()
	exported(f)
	assert.True(t, p.Unsaved(), "one is left out")
	p.Export.Visible = false
	p.DoExport()
	exported(f)
	assert.False(t, p.Unsaved())
}

func TestACorrectionIsInNoFileUntilItIsExported(t *testing.T) {
	p, f := labelled(t)
	p.OpenExport()
	p.DoExport()
	exported(f)
	p.StartEdit()
	p.Stroke("begin", 0, [3]int{0, 0, 0})
	p.Stroke("end", 0, [3]int{0, 0, 0})
	assert.True(t, p.Unsaved())
	p.DiscardEdit()
	assert.False(t, p.Unsaved())
	p.StartEdit()
	p.Stroke("begin", 0, [3]int{0, 0, 0})
	p.Stroke("end", 0, [3]int{0, 0, 0})
	p.KeepEdit()
	assert.True(t, p.Unsaved())
	p.Go(PanelModels)
	p.Models.loaded = "abc"
	p.Go(PanelCheck)
	p.Begin()
	require.Equal(t, DialogAsk, p.Dialog, "a run replaces them")
	assert.Contains(t, p.Question.Text, "corrected labels")
	assert.Empty(t, p.Run.Stage)
	p.Question.OnOther()
	assert.Equal(t, RunPreparing, p.Run.Stage)
}

// What turns out to be no scan does not end a segmentation.
func TestARunGoesOnWhenWhatWasDroppedIsNoScan(t *testing.T) {
	p, f := opened(t)
	p.Start()
	run := f.to()
	run(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 2, Of: 4}}, nil)
	p.Drop([]File{{Path: "letter.docx"}}, nil)
	list := f.to()
	run(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: 3}}, []Bytes{held("abc")})
	run(api.Answer{Failed: &api.Failed{Code: api.FailedCancelled}}, nil)
	list(api.Answer{Failed: &api.Failed{Code: api.FailedScan, Reason: "letter.docx: not a scan"}}, nil)
	assert.Equal(t, ScreenWork, p.Screen)
	require.NotNil(t, f.last().Segment)
	require.NotNil(t, f.last().Segment.Resume)
	assert.Contains(t, p.Notice, "The segmentation goes on.")
	p.Drop([]File{{Path: "bad.gounet"}}, nil)
	assert.Contains(t, p.Notice, "bad.gounet is checked as soon as")
}

func TestAModelAndAScanAreDroppedTogether(t *testing.T) {
	f := newFake()
	p := New(f)
	p.Drop([]File{{Path: "scan.nii.gz"}, {Path: "m.GOUNET"}}, nil)
	require.Len(t, f.asked, 2)
	require.NotNil(t, f.asked[0].Load)
	require.NotNil(t, f.asked[1].List)
	assert.Equal(t, []api.File{{Name: "scan.nii.gz"}}, f.asked[1].List.Files)
	f.hear[0](api.Answer{Loaded: &model}, nil)
	assert.Equal(t, "Model Hippocampus is stored.", p.Notice)
}

func TestAFolderIsAModelByItsWeights(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		model bool
	}{
		"of gounet":           {[]string{"m/plan.json", "m/model.safetensors"}, true},
		"of nnU-Net":          {[]string{"m/plans.json", "m/dataset.json", "m/fold_0/checkpoint_final.pth"}, true},
		"without its weights": {[]string{"m/plan.json"}, true},
		"DICOM with a plan":   {[]string{"d/1.dcm", "d/plan.json"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			p := New(f)
			var files []File
			for _, n := range c.files {
				files = append(files, File{Path: n})
			}
			p.Drop(files, nil)
			assert.Equal(t, c.model, f.last().Load != nil)
			assert.Equal(t, !c.model, f.last().List != nil)
		})
	}
}
