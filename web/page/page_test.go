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
	assert.Equal(t, 1, f.kept(runKey), "a reload would go on")
	f.answer(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 1, Of: 4, LeftMS: 1500}})
	assert.Equal(t, RunTiles, p.Run.Stage)
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
	assert.Equal(t, PanelLabels, p.Panel)
	assert.Zero(t, f.kept(runKey), "nothing is left to go on with")
	assert.Equal(t, []byte{0, 1, 1, 2, 0, 0, 0, 0}, f.labels)
	assert.Equal(t, byte(0), f.lut[3], "background is clear")
	assert.Equal(t, byte(opaque), f.lut[7])
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
	assert.Equal(t, 1, f.kept(stateKey))
	p.Key(KeyStroke{Key: " ", View: -1})
	require.NotNil(t, f.last().Segment.Resume)
	p.AskCancel()
	assert.Equal(t, NoDialog, p.Dialog, "little work is not asked about")
	assert.Zero(t, f.kept(stateKey))
	assert.Zero(t, f.kept(runKey))
}

// The worker may have been done before it heard of the cancel.
func TestACancelledRunIsNotHeardAnyMore(t *testing.T) {
	late := []struct {
		answer  api.Answer
		buffers []Bytes
	}{
		{api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 3, Of: 4}}, nil},
		{api.Answer{Saved: &api.Saved{Done: 3, Of: 4, Bytes: 3}}, []Bytes{held("abc")}},
		{api.Answer{PageAnswer: api.PageAnswer{Partial: &api.Partial{Box: api.Box{Shape: [3]int{1, 1, 1}}}}}, []Bytes{held{1}}},
		{api.Answer{Failed: &api.Failed{Code: api.FailedMemory}}, nil},
		{api.Answer{Done: &api.Done{Labels: model.Labels}}, []Bytes{held{0, 1, 1, 2, 0, 0, 0, 0}}},
	}
	for i := range 2 {
		p, f := opened(t)
		p.Start()
		hear := f.hear[len(f.hear)-1]
		hear(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 2, Of: 4}}, nil)
		p.Cancel()
		panel, stage := PanelCheck, ""
		if i == 1 { // nor is it by the next run
			p.Start()
			panel, stage = PanelRun, RunPreparing
		}
		for _, l := range late {
			hear(l.answer, l.buffers)
			assert.Equal(t, panel, p.Panel)
			assert.Equal(t, stage, p.Run.Stage)
			assert.Nil(t, p.Alert)
			assert.Nil(t, p.Result)
			assert.Empty(t, f.labels)
			assert.Zero(t, f.kept(stateKey))
		}
	}
}

func TestARunThatIsCancelledBeforeItsModelIsLoadedDoesNotBegin(t *testing.T) {
	p, f := opened(t)
	p.Models.loaded = ""
	p.Start()
	require.NotNil(t, f.last().Load)
	p.Cancel()
	asked := len(f.asked)
	for i, r := range f.asked[:asked] {
		if r.Load != nil {
			f.hear[i](api.Answer{Loaded: &model}, nil)
		}
	}
	for _, r := range f.asked[asked:] {
		assert.Nil(t, r.Segment)
	}
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
	assert.Equal(t, "Run on the server", p.CheckAlert().Do)
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
		f.next(t, want)(status, body)
	}
	step("upload scan.nii.gz", 0, "")
	step("POST api/v1/jobs", 201, `{"id":"j1","state":"queued","position":1}`)
	assert.Equal(t, "2nd in the queue", p.Server.Figure())
	assert.Contains(t, f.stored, "runs/job/j1", "a reload finds the job")
	p.CancelJob()
	step("POST api/v1/jobs/j1/cancel", 200, `{}`)
	step("DELETE api/v1/jobs/j1", 204, ``)
	f.next(t, "DELETE api/v1/uploads/u1")
	assert.NotContains(t, f.stored, "runs/job/j1")
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

// Labels of tiles are laid over the scan in the model's colours, and go when the run does.
func TestTilesThatAreDoneAreShownAsLabels(t *testing.T) {
	p, f := opened(t)
	part := func() {
		f.answer(api.Answer{PageAnswer: api.PageAnswer{Partial: &api.Partial{Box: api.Box{Lo: [3]int{1, 0, 0}, Shape: [3]int{1, 2, 2}}}}}, held{1, 2, 0, 0})
	}
	p.Start()
	part()
	assert.Equal(t, [][3]int{{0, 0, 1}}, f.boxes, "x y z")
	assert.Equal(t, Palette[0][:], f.lut[4:7])
	assert.Nil(t, p.LabelAt([3]int{0, 0, 1}), "no result says so yet")
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
	require.NotNil(t, p.LabelAt([3]int{1, 0, 0}))
	p.Start()
	assert.Nil(t, f.labels, "a new run begins with none")
	part()
	run := f.hear[len(f.hear)-1]
	p.Cancel()
	assert.Equal(t, []byte{0, 1, 1, 2, 0, 0, 0, 0}, f.labels, "the result before is there again")
	run(api.Answer{PageAnswer: api.PageAnswer{Partial: &api.Partial{}}}, []Bytes{held{}})
	assert.Len(t, f.boxes, 2, "what comes late is not shown")
}

func TestTheStatusSaysWhatComputes(t *testing.T) {
	p, _ := opened(t)
	processor := api.Device{Kind: api.DeviceCPU, Name: "cpu (2 workers)"}
	for want, r := range map[string]api.Ready{
		"Processor (2 workers); WebGPU in software only": {Devices: []api.Device{processor}, Missing: []api.Device{{Kind: api.DeviceWebGPU, Why: "webgpu: there is no GPU, only a software adapter (SwiftShader): ask for it"}}},
		"Processor (2 workers); no WebGPU":               {Devices: []api.Device{processor}, Missing: []api.Device{{Kind: api.DeviceWebGPU, Why: "webgpu: this browser has none"}}},
		"Some GPU, WebGPU":                               {Devices: []api.Device{{Kind: api.DeviceWebGPU, Name: "Some GPU"}, processor}},
	} {
		p.Hello(&r)
		assert.Equal(t, want, p.Adapter())
	}
	p.Check.Result = &api.Checked{Device: api.Device{Kind: api.DeviceWebGPU, Name: "SwiftShader", Software: true}}
	assert.Equal(t, "SwiftShader, WebGPU in software", p.Adapter())
}

// The map takes the place of the labels until another panel, or fill or outline, is chosen.
func TestUncertaintyIsShownInThePlaceOfTheLabels(t *testing.T) {
	p, f := opened(t)
	p.SetUncertainty(true)
	p.Start()
	require.True(t, f.last().Segment.Uncertainty)
	m, unsure := held{0, 1, 1, 2, 0, 0, 0, 0}, held{0, 13, 64, 128, 255, 0, 0, 0}
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels, Uncertainty: true}}, m, unsure)
	assert.Equal(t, []byte(m), f.labels)
	u := KeyStroke{Key: "u", View: -1}
	require.True(t, p.Key(u))
	assert.Equal(t, []byte(unsure), f.labels)
	assert.Equal(t, byte(0), f.lut[4*12+3], "less than 5 % is clear")
	assert.Equal(t, []byte{255, 255, 255, opaque}, f.lut[4*128:4*129], "a guess between two is white")
	assert.Equal(t, "25 % unsure", p.UnsureAt([3]int{0, 1, 0}))
	p.Key(u)
	assert.Equal(t, []byte(m), f.labels)
	assert.Equal(t, Palette[0][:], f.lut[4:7])
	p.Key(u)
	p.StartEdit()
	assert.Equal(t, []byte(m), f.labels, "strokes change labels")
	assert.Empty(t, p.UnsureAt([3]int{0, 1, 0}))

	p.OpenExport()
	for i, e := range p.Export.Formats {
		if e.ID == api.ExportUncertainty {
			require.Empty(t, e.Why)
			p.ToggleFormat(i)
		}
	}
	p.DoExport()
	require.NotNil(t, f.last().Export)
	assert.Equal(t, 1, f.last().Export.Uncertainty.Blob)
}

// The outline of a tile is where its voxels are, from the crosshair on.
func TestTheTileInWorkIsOutlinedInItsSlices(t *testing.T) {
	p, f := opened(t)
	p.Scan.Look.Grid = api.Grid{Shape: [3]int{20, 30, 40}, Spacing: [3]float64{3, 2, 1}}
	p.Start()
	f.answer(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 1, Of: 4, Next: &api.Box{Lo: [3]int{5, 10, 20}, Shape: [3]int{5, 10, 12}}}})
	p.View.Voxel = [3]int{24, 12, 6}
	for i := range p.View.Planes {
		p.View.Planes[i] = Plane{X: .5, Y: .25, MM: .5}
	}
	// Axial, of the head seen from below: x of 20 to 32 lies from 15 mm to the left of
	// the middle of voxel 24, y of 10 to 20 from 15 mm above that of voxel 12.
	assert.Equal(t, "left:calc(50.000% + -15.0px);top:calc(25.000% + -30.0px);width:24.0px;height:40.0px", p.TileStyle(0))
	p.SetRadiological(false)
	assert.Equal(t, "left:calc(50.000% + -9.0px);top:calc(25.000% + -30.0px);width:24.0px;height:40.0px", p.TileStyle(0))
	assert.Equal(t, "left:calc(50.000% + -30.0px);top:calc(25.000% + -21.0px);width:40.0px;height:30.0px", p.TileStyle(2))
	p.View.Voxel[2] = 10
	assert.Empty(t, p.TileStyle(0), "another slice")
	assert.NotEmpty(t, p.TileStyle(1))
	p.Pause()
	assert.Empty(t, p.TileStyle(1), "nothing is in work")
}

func TestNumbersThatAreTypedAreShort(t *testing.T) {
	for want, v := range map[string]float64{"816.4": 816.379, "-0.0001234": -0.00012341, "12346": 12345.6, "400": 400, "0": 0, "35.75": 35.754} {
		assert.Equal(t, want, Plain(v))
	}
}

// Models of one name are told apart by what else they are.
func TestACardOfANamesakeIsKnown(t *testing.T) {
	p, f := opened(t)
	assert.False(t, p.Namesake(p.Model()))
	other := model
	other.SHA256, other.Configuration = "def", "2d"
	p.AddModel([]File{{Path: "other.gounet"}})
	f.answer(api.Answer{Loaded: &other})
	assert.True(t, p.Namesake(p.Model()))
}

// A server that does not answer is asked again to forget, while the scan is segmented here.
func TestWhatIsOnASilentServerIsDeletedLater(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID = "hippo"
	p.StartOnServer()
	answer := func(want string, status int, body string) {
		t.Helper()
		f.next(t, want)(status, body)
	}
	answer("upload scan.nii.gz", 0, "")
	answer("POST api/v1/jobs", 201, `{"id":"j1","state":"running"}`)
	p.RunHereInstead()
	assert.Equal(t, PanelCheck, p.Panel)
	require.NotNil(t, f.last().Check)
	answer("POST api/v1/jobs/j1/cancel", 0, "")
	answer("DELETE api/v1/jobs/j1", 0, "")
	answer("POST api/v1/jobs/j1/cancel", 200, "{}")
	answer("DELETE api/v1/jobs/j1", 409, "")
	answer("POST api/v1/jobs/j1/cancel", 200, "{}")
	answer("DELETE api/v1/jobs/j1", 204, "")
	answer("DELETE api/v1/uploads/u1", 0, "")
	answer("DELETE api/v1/uploads/u1", 204, "")
	assert.Equal(t, "DELETE api/v1/uploads/u1", f.net[len(f.net)-1])
}
