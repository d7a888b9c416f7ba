package page

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

var model = api.Loaded{
	Dataset: "Dataset004_Hippocampus", Configuration: "3d_fullres", Folds: []string{"0"}, Patch: [3]int{40, 56, 40}, Channels: []string{"MRI"},
	Labels: []api.Label{{Value: 1, Name: "Anterior"}, {Value: 2, Name: "Posterior"}}, Bytes: 1 << 20, SHA256: "abc",
}

func grid() api.Grid {
	return api.Grid{Shape: [3]int{2, 2, 2}, Spacing: [3]float64{1, 1, 1}, Affine: [4][4]float64{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}}
}

// opened is a page with a scan and a model.
func opened(t *testing.T) (*Page, *fake) {
	f := newFake()
	p := New(f)
	p.TakeFiles([]File{{Path: "scan.nii.gz", Size: 100}})
	require.NotNil(t, f.last().List)
	f.answer(api.Answer{PageAnswer: api.PageAnswer{Listed: &api.Listed{Series: []api.Series{{Name: "scan", Best: true, Grid: grid()}}}}})
	require.NotNil(t, f.last().Open, "of one series nothing is asked")
	f.answer(api.Answer{Opened: &api.Opened{Name: "scan", Kind: "NIfTI", Grid: grid(), Channels: 1}})
	require.NotNil(t, f.last().Look)
	f.answer(api.Answer{PageAnswer: api.PageAnswer{Looked: &api.Looked{Grid: grid(), Window: [2]float64{0, 10}, Max: 20, Histogram: make([]int, 4)}}}, held{})
	require.Equal(t, ScreenWork, p.Screen)
	p.AddModel([]File{{Path: "m.gounet"}})
	f.answer(api.Answer{Loaded: &model})
	require.Equal(t, PanelModels, p.Panel)
	return p, f
}

func TestTheFlowLeadsFromAScanToLabels(t *testing.T) {
	p, f := opened(t)
	assert.Equal(t, "abc", p.Models.Chosen)
	assert.Contains(t, f.stored, "models/abc", "the model is kept")
	p.Go(PanelCheck)
	require.NotNil(t, f.last().Check)
	f.answer(api.Answer{PageAnswer: api.PageAnswer{Checked: &api.Checked{TileMS: 500, Rows: 4}}})
	d, ok := p.Check.Estimate()
	assert.True(t, ok)
	assert.Equal(t, 2*time.Second, d)
	p.Start()
	require.NotNil(t, f.last().Segment)
	assert.True(t, f.last().Segment.Page)
	assert.True(t, f.last().Segment.NoMirror)
	assert.Contains(t, f.stored, "runs/run", "a reload would go on")
	f.answer(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 1, Of: 4, LeftMS: 1500}})
	assert.Equal(t, RunTiles, p.Run.Stage)
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
	assert.Equal(t, PanelLabels, p.Panel)
	assert.NotContains(t, f.stored, "runs/run", "nothing is left to go on with")
	assert.Equal(t, []byte{0, 1, 1, 2, 0, 0, 0, 0}, f.labels)
	assert.Equal(t, byte(0), f.lut[3], "background is clear")
	assert.Equal(t, byte(255), f.lut[7])
	p.Toggle(0)
	assert.Equal(t, byte(0), f.lut[7], "what is hidden is clear")
}

func TestAPauseKeepsTheTilesAndACancelForgetsThem(t *testing.T) {
	p, f := opened(t)
	p.Go(PanelCheck)
	f.answer(api.Answer{PageAnswer: api.PageAnswer{Checked: &api.Checked{TileMS: 500, Rows: 4}}})
	p.Start()
	run := f.last().ID
	hear := f.hear[len(f.hear)-1]
	hear(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 2, Of: 4}}, nil)
	p.Key(KeyStroke{Key: " ", View: -1})
	require.NotNil(t, f.last().Cancel)
	assert.Equal(t, api.Cancel{Request: run, Save: true}, *f.last().Cancel)
	hear(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: 3}}, []Bytes{held("abc")})
	hear(api.Answer{Failed: &api.Failed{Code: api.FailedCancelled}}, nil)
	assert.Equal(t, RunPaused, p.Run.Stage)
	assert.Contains(t, f.stored, "runs/state")
	p.Key(KeyStroke{Key: " ", View: -1})
	require.NotNil(t, f.last().Segment.Resume)
	p.AskCancel()
	assert.Equal(t, NoDialog, p.Dialog, "little work is not asked about")
	assert.NotContains(t, f.stored, "runs/state")
	assert.NotContains(t, f.stored, "runs/run")
}

func TestMoreThanAMinuteOfWorkIsAskedAbout(t *testing.T) {
	p, f := opened(t)
	p.Start()
	f.now = f.now.Add(61 * time.Second)
	p.AskCancel()
	assert.Equal(t, DialogCancel, p.Dialog)
}

func TestALostGPUSaysWhatIsKept(t *testing.T) {
	p, f := opened(t)
	p.Start()
	f.answer(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 31, Of: 48}})
	f.answer(api.Answer{Saved: &api.Saved{Done: 31, Of: 48}}, held{1})
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedLost, Reason: "webgpu: device lost"}})
	require.NotNil(t, p.Alert)
	assert.Equal(t, "It happened in tile 32 of 48. The 31 tiles before it are kept.", p.Alert.Text)
	assert.Equal(t, "Go on at tile 32", p.Alert.Do)
	p.Alert.OnDo()
	assert.NotNil(t, f.last().Segment.Resume)
}

func TestMissingMemoryIsToldWithNumbers(t *testing.T) {
	p, f := opened(t)
	p.Go(PanelCheck)
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedMemory, Need: 9_400_000_000, Have: 4_000_000_000}})
	a := p.CheckAlert()
	require.NotNil(t, a)
	assert.Equal(t, "This model needs 9.4 GB for this scan; 4.0 GB are available.", a.Text)
	assert.Equal(t, "Try the processor", a.Other)
	p.Ready = &api.Ready{Missing: []api.Device{{Kind: api.DeviceWebGPU, Why: "no adapter"}}}
	assert.Empty(t, p.CheckAlert().Other, "it was the processor")
	p.Server.There, p.Model().ID = true, "1"
	assert.Equal(t, "Run on the server", p.CheckAlert().Other)
}

func TestModelsThatDoNotFitSayWhy(t *testing.T) {
	p, _ := opened(t)
	m := p.Model()
	assert.Empty(t, p.FitOf(m).Why)
	p.Scan.Look.Modality = "CT"
	assert.Equal(t, "Trained on MR; this scan is CT.", p.FitOf(m).Why)
	assert.False(t, p.FitOf(m).Unable)
	p.Scan.Channels = 4
	assert.True(t, p.FitOf(m).Unable)
	assert.Contains(t, p.FitOf(m).Why, "Needs 1 channel")
}

func TestTheServersJobEndsWithNothingLeftThere(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID = "hippo"
	p.StartOnServer()
	step := func(want string, status int, body string) {
		t.Helper()
		require.Equal(t, want, f.net[len(f.net)-1])
		f.answers[len(f.answers)-1](status, []byte(body))
	}
	step("upload scan.nii.gz", 0, "")
	step("POST api/v1/jobs", 201, `{"id":"j1","state":"queued","position":1}`)
	assert.Equal(t, "2nd in the queue", p.Server.Figure())
	assert.Contains(t, f.stored, "runs/job", "a reload finds the job")
	p.CancelJob()
	step("POST api/v1/jobs/j1/cancel", 200, `{}`)
	step("DELETE api/v1/jobs/j1", 204, ``)
	assert.Equal(t, "DELETE api/v1/uploads/u1", f.net[len(f.net)-1])
	assert.NotContains(t, f.stored, "runs/job")
}

func TestARefusalOfTheServerIsItsOwnSentence(t *testing.T) {
	p, f := opened(t)
	p.Models.List[0].ID = "hippo"
	p.StartOnServer()
	f.answers[len(f.answers)-1](0, nil)
	f.answers[len(f.answers)-1](422, []byte(`{"detail":"series 3 is not in the upload: name another"}`))
	require.NotNil(t, p.Alert)
	assert.Equal(t, "Series 3 is not in the upload: name another.", p.Alert.Text)
}

func TestNumbersAreWrittenAsPeopleReadThem(t *testing.T) {
	assert.Equal(t, "524\u2009288", Count(524288))
	assert.Equal(t, "−1\u2009000", Count(-1000))
	assert.Equal(t, "41 MB", Size(41_000_000))
	assert.Equal(t, "9.4 GB", Size(9_400_000_000))
	assert.Equal(t, "1 min 05 s", Span(65*time.Second))
	assert.Equal(t, "about 1 min 40 s", About(100*time.Second))
	assert.Equal(t, "−1000", Value(-1000))
	assert.Equal(t, "1\u2009417", ML(1417.2))
	assert.Equal(t, "Hippocampus", Title("Dataset004_Hippocampus"))
	assert.Equal(t, "Voxel data ends early.", sentence("scan: nifti: voxel data ends early"))
}

func TestDiagnosticsNameNobody(t *testing.T) {
	p, _ := opened(t)
	p.Scan.Name, p.Scan.Files = "Doe^Jane", []File{{Path: "Doe/1.dcm"}}
	assert.NotContains(t, p.DiagnosticsText(), "Doe")
	assert.Contains(t, p.DiagnosticsText(), "Longest main-thread task")
}

func TestATableForASpreadsheetHasNoFormulas(t *testing.T) {
	p, _ := opened(t)
	p.Diff.Rows = []CompareRow{{Label: Label{Label: api.Label{Value: 1, Name: "=1+1"}}}}
	assert.True(t, strings.Contains(p.CompareCSV(), `"'=1+1"`))
}
