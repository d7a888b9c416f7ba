package page

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

func checked(rows int) api.Answer {
	return api.Answer{PageAnswer: api.PageAnswer{Checked: &api.Checked{TileMS: 500, Rows: rows}}}
}

// another is a page with two models, of which the first was loaded last.
func another(t *testing.T) (*Page, *fake) {
	p, f := opened(t)
	m := model
	m.SHA256, m.Dataset = "def", "Dataset002_Heart"
	p.AddModel([]File{{Path: "heart.gounet"}})
	f.answer(api.Answer{Loaded: &m})
	p.Models.Chosen = "abc"
	p.AddModel([]File{{Path: "m.gounet"}})
	f.answer(api.Answer{Loaded: &model})
	require.Equal(t, "abc", p.Models.loaded)
	return p, f
}

func heart() api.Answer {
	m := model
	m.SHA256, m.Dataset = "def", "Dataset002_Heart"
	return api.Answer{Loaded: &m}
}

func TestACheckThatWasLeftIsNotHeardAnyMore(t *testing.T) {
	p, f := opened(t)
	p.Go(PanelCheck)
	first := f.to()
	p.SetMirror(true)
	first(checked(4), nil)
	assert.Nil(t, p.Check.Result, "it says what one look takes")
	assert.NotEmpty(t, p.Check.Busy)
	second := f.to()
	p.Back()
	second(api.Answer{Failed: &api.Failed{Code: api.FailedMemory}}, nil)
	assert.Nil(t, p.Check.Failed)
	p.Go(PanelCheck)
	f.answer(checked(32))
	assert.Equal(t, 32, p.Check.Result.Rows)
}

func TestACheckThatIsLeftBeforeItsModelIsLoadedDoesNotBegin(t *testing.T) {
	p, f := opened(t)
	p.Models.loaded = ""
	p.Go(PanelCheck)
	require.NotNil(t, f.last().Load)
	load, asked := f.to(), len(f.asked)
	p.Back()
	load(api.Answer{Loaded: &model}, nil)
	assert.Len(t, f.asked, asked, "no tile is measured for nobody")
	assert.Empty(t, p.Check.Busy)
}

// The worker has one model, the one that it was asked to load last.
func TestASegmentationIsOfItsOwnModel(t *testing.T) {
	t.Run("another is added before it begins", func(t *testing.T) {
		p, f := another(t)
		p.AddModel([]File{{Path: "heart.gounet"}})
		load := f.to()
		p.Start()
		require.NotNil(t, f.last().Load, "the worker has another model, or will have")
		own := f.to()
		load(heart(), nil)
		assert.NotEqual(t, "def", p.Models.loaded, "the one after it is loaded last")
		own(api.Answer{Loaded: &model}, nil)
		require.NotNil(t, f.last().Segment)
	})
	t.Run("another is added while its own is loaded", func(t *testing.T) {
		p, f := another(t)
		p.Models.loaded = ""
		p.Start()
		own := f.to()
		p.AddModel([]File{{Path: "heart.gounet"}})
		other := f.to()
		own(api.Answer{Loaded: &model}, nil)
		require.NotNil(t, f.last().Load, "its own is loaded again")
		again := f.to()
		other(heart(), nil)
		again(api.Answer{Loaded: &model}, nil)
		require.NotNil(t, f.last().Segment)
	})
	t.Run("another is stored from the server", func(t *testing.T) {
		p, f := another(t)
		p.Models.List[0].ID = "heart"
		p.FetchModel(&p.Models.List[0])
		f.answers[len(f.answers)-1](200, []byte("zip"))
		require.NotNil(t, f.last().Load)
		p.Start()
		assert.NotNil(t, f.last().Load)
		assert.Nil(t, f.last().Segment)
	})
	t.Run("another is chosen as it runs", func(t *testing.T) {
		p, f := another(t)
		p.Start()
		run := f.to()
		p.AddModel([]File{{Path: "heart.gounet"}})
		f.answer(heart())
		require.Equal(t, "def", p.Models.Chosen)
		assert.Equal(t, "Hippocampus", p.Run.Model())
		p.Pause()
		run(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: 3}}, []Bytes{held("abc")})
		run(api.Answer{Failed: &api.Failed{Code: api.FailedCancelled}}, nil)
		p.GoOn()
		require.NotNil(t, f.last().Load, "what is kept is of its model")
		f.answer(api.Answer{Loaded: &model})
		f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
		assert.Equal(t, "Hippocampus", p.Result.From)
	})
	t.Run("it is removed as it runs", func(t *testing.T) {
		p, f := another(t)
		p.Start()
		run := f.to()
		p.RemoveModel("abc")
		run(api.Answer{PageAnswer: api.PageAnswer{Partial: &api.Partial{Box: api.Box{Shape: [3]int{1, 1, 1}}}}}, []Bytes{held{1}})
		run(api.Answer{Failed: &api.Failed{Code: api.FailedLost}}, nil)
		p.GoOn()
		f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
		assert.Equal(t, "Hippocampus", p.Result.From)
		assert.NotContains(t, f.stored, "models/abc", "it stays removed")
	})
	t.Run("it is removed as it is loaded", func(t *testing.T) {
		p, f := another(t)
		p.Models.loaded = ""
		p.Start()
		p.RemoveModel("abc")
		f.answer(api.Answer{Loaded: &model})
		require.NotNil(t, f.last().Segment)
		assert.NotContains(t, f.stored, "models/abc", "it stays removed")
	})
}

// Numbers are of the model whose name is above them.
func TestAModelThatIsChosenInTheCheckIsCheckedToo(t *testing.T) {
	p, f := another(t)
	p.Go(PanelCheck)
	f.answer(checked(4))
	p.RemoveModel("abc")
	assert.Equal(t, "def", p.Models.Chosen)
	assert.Nil(t, p.Check.Result)
	require.NotNil(t, f.last().Load)
	p.RemoveModel("def")
	assert.Equal(t, PanelModels, p.Panel, "there is none to check")
	assert.Empty(t, p.Check.Busy)
	p.Start()
	assert.Empty(t, p.Run.Stage, "nor to run")
}

func TestARunThatIsPausedBeforeItsModelIsLoadedWaits(t *testing.T) {
	p, f := opened(t)
	p.Models.loaded = ""
	p.Start()
	load := f.to()
	p.Pause()
	assert.Equal(t, RunPaused, p.Run.Stage)
	asked := len(f.asked)
	load(api.Answer{Loaded: &model}, nil)
	assert.Len(t, f.asked, asked)
	p.GoOn()
	require.NotNil(t, f.last().Segment)
}

// What an earlier run kept is nothing that this one can go on from.
func TestARunBeginsWithNothingKept(t *testing.T) {
	p, f := opened(t)
	p.Start()
	f.answer(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: 3}}, held("abc"))
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedLost}})
	require.Equal(t, 1, f.kept(stateKey))
	p.Go(PanelCheck)
	p.Start()
	assert.Zero(t, f.kept(stateKey))
	assert.Equal(t, 1, f.kept(runKey))
}

func looked() api.Answer {
	return api.Answer{PageAnswer: api.PageAnswer{Looked: &api.Looked{Grid: grid(), Max: 20, Histogram: make([]int, 4)}}}
}

func listed(name string) api.Answer {
	return api.Answer{PageAnswer: api.PageAnswer{Listed: &api.Listed{Series: []api.Series{{Name: name, Best: true, Grid: grid()}}}}}
}

// open opens a scan as far as it is looked at.
func (f *fake) open(t *testing.T, p *Page, name string) {
	t.Helper()
	p.TakeFiles([]File{{Path: name, Size: 7}})
	f.answer(listed(name))
	if p.Dialog == DialogAsk { // labels are lost
		p.Question.OnOther()
	}
	f.answer(api.Answer{Opened: &api.Opened{Name: name, Grid: grid(), Channels: 1}})
	f.answer(looked(), held{})
	require.Equal(t, name, p.Scan.Name)
}

func TestOfTwoScansTheLastIsOpened(t *testing.T) {
	p, f := opened(t)
	p.TakeFiles([]File{{Path: "a.nii"}})
	a := f.last().ID
	list := f.to()
	p.TakeFiles([]File{{Path: "b.nii"}})
	assert.Equal(t, &api.Cancel{Request: a}, f.asked[a].Cancel)
	asked := len(f.asked)
	list(listed("a"), nil)
	list(api.Answer{Failed: &api.Failed{Code: api.FailedScan}}, nil)
	assert.Len(t, f.asked, asked)
	assert.Nil(t, p.Alert)
	f.answer(listed("b"))
	open := f.to()
	p.OpenExample()
	open(api.Answer{Opened: &api.Opened{Name: "b", Grid: grid(), Channels: 1}}, nil)
	assert.NotNil(t, f.last().Cancel, "nobody looks at it")
	example := f.answers[len(f.answers)-1]
	f.open(t, p, "c.nii")
	asked = len(f.asked)
	example(200, nil)
	assert.Len(t, f.asked, asked, "what comes late is not opened")
}

// Whoever only looks at the first screen finds the scan again, its labels and its run.
func TestTheScanBeforeStaysUntilAnotherIsOpened(t *testing.T) {
	p, f := opened(t)
	assert.True(t, p.CanGoBack())
	p.Start()
	run := f.to()
	p.OpenAnother()
	run(api.Answer{Done: &api.Done{Labels: model.Labels}}, []Bytes{held{0, 1, 1, 2, 0, 0, 0, 0}})
	assert.Equal(t, ScreenOpen, p.Screen)
	p.Key(KeyStroke{Key: "Escape", View: -1})
	assert.Equal(t, ScreenWork, p.Screen)
	assert.Equal(t, PanelLabels, p.Panel)
	p.TakeFiles([]File{{Path: "b.nii"}})
	assert.True(t, p.CanGoBack(), "the files are only listed")
	f.answer(listed("b"))
	require.Equal(t, DialogAsk, p.Dialog)
	p.Question.OnOther()
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedScan}})
	assert.False(t, p.CanGoBack(), "the worker has forgotten it")
	assert.False(t, p.Key(KeyStroke{Key: "Escape", View: -1}))
}

func TestARunIsPausedForAnotherScanAndFoundAgain(t *testing.T) {
	p, f := opened(t)
	p.Start()
	run, id := f.to(), f.last().ID
	run(api.Answer{Progress: &api.Progress{Stage: api.StageSegment, Done: 2, Of: 4}}, nil)
	p.Check.Result = &api.Checked{}
	p.TakeFiles([]File{{Path: "b.nii"}})
	assert.Equal(t, &api.Cancel{Request: id, Save: true}, f.asked[id].Cancel)
	run(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: 3}}, []Bytes{held("abc")})
	run(api.Answer{Failed: &api.Failed{Code: api.FailedCancelled}}, nil)
	f.open(t, p, "b.nii")
	assert.Empty(t, p.Run.Stage)
	assert.Nil(t, p.Check.Result, "it was of the other scan")
	assert.Contains(t, p.Notice, "scan is paused")
	run(api.Answer{Done: &api.Done{Labels: model.Labels}}, []Bytes{held{0, 1, 1, 2, 0, 0, 0, 0}})
	assert.Nil(t, p.Result)
	p.OpenAnother()
	require.NotNil(t, p.Interrupted())
	assert.Equal(t, "2 of 4 tiles are kept on this computer.", p.Interrupted().Text())
	p.ResumeInterrupted()
	f.answer(api.Answer{Opened: &api.Opened{Name: "scan", Grid: grid(), Channels: 1}})
	f.answer(looked(), held{})
	require.NotNil(t, f.last().Segment)
	assert.NotNil(t, f.last().Segment.Resume)
	assert.Equal(t, "Hippocampus", p.Run.Model())
}

// The first picture of a scan may come when another one is opened already, with which a run
// goes on.
func TestARunGoesOnWithItsOwnScan(t *testing.T) {
	p, f := opened(t)
	p.Start()
	run := f.to()
	p.Pause()
	run(api.Answer{Failed: &api.Failed{Code: api.FailedCancelled}}, nil)
	f.slow = true
	f.open(t, p, "b.nii")
	late := f.picture
	p.OpenAnother()
	late()
	require.NotNil(t, p.Interrupted(), "it is still offered")
	p.OpenAnother()
	p.ResumeInterrupted()
	late()
	assert.Empty(t, p.Run.Stage, "the scan that is shown is not its own")
	f.answer(api.Answer{Opened: &api.Opened{Name: "scan", Grid: grid(), Channels: 1}})
	f.answer(looked(), held{})
	f.picture()
	require.NotNil(t, f.last().Segment)
	assert.Equal(t, "Hippocampus", p.Run.Model())
}

func TestARunWhoseModelIsGoneSaysSo(t *testing.T) {
	p, f := opened(t)
	p.Start()
	run := f.to()
	p.Pause()
	run(api.Answer{Failed: &api.Failed{Code: api.FailedCancelled}}, nil)
	f.open(t, p, "b.nii")
	p.RemoveModel("abc")
	p.OpenAnother()
	p.ResumeInterrupted()
	f.answer(api.Answer{Opened: &api.Opened{Name: "scan", Grid: grid(), Channels: 1}})
	f.answer(looked(), held{})
	assert.Contains(t, p.Notice, "not stored")
	assert.Equal(t, PanelScan, p.Panel)
}

// What came of a check is said on the card, for the scan that it was.
func TestACardSaysWhatItsModelTakes(t *testing.T) {
	p, f := opened(t)
	m := p.Model()
	assert.Empty(t, p.NeedText(m))
	p.Go(PanelCheck)
	f.answer(api.Answer{PageAnswer: api.PageAnswer{Checked: &api.Checked{Memory: api.Memory{DeviceBytes: 1_200_000_000}}}})
	assert.Equal(t, "needs 1.2 GB", p.NeedText(m))
	assert.Empty(t, p.FitOf(m).Why)
	p.StartCheck()
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedMemory, Need: 9_400_000_000, Have: 4_000_000_000}})
	assert.Equal(t, Fit{"Needs 9.4 GB for this scan; 4.0 GB are available here.", false}, p.FitOf(m))
	p.Server.There, m.ID = true, "hippo"
	assert.Equal(t, "Needs 9.4 GB for this scan; 4.0 GB are available here. Runs on the server.", p.FitOf(m).Why)
	p.Start()
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedMemory, Need: 5_000_000_000, Have: 4_000_000_000}})
	assert.Equal(t, "needs 5.0 GB", p.NeedText(m))
	f.open(t, p, "b.nii")
	assert.Empty(t, p.NeedText(m), "another scan takes more or less")
	assert.Empty(t, p.FitOf(m).Why)
}

func TestLeavingTheCheckEndsIt(t *testing.T) {
	p, f := opened(t)
	p.Go(PanelCheck)
	check := f.last().ID
	p.Go(PanelModels)
	assert.Equal(t, &api.Cancel{Request: check}, f.last().Cancel)
}

// A file of one patient does not get the name of another.
func TestFilesAreNamedForTheScanThatIsOpen(t *testing.T) {
	p, f := opened(t)
	name := func() string {
		p.Start()
		f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
		p.OpenExport()
		p.Close()
		return p.Export.Name
	}
	assert.Equal(t, "scan_labels", name())
	f.open(t, p, "b.nii")
	assert.Equal(t, "b.nii_labels", name())
}

// Nobody is told that a reload goes on where there was no room to keep what it needs.
func TestWhatAReloadGoesOnFromIsStored(t *testing.T) {
	save := func(p *Page, f *fake, bytes int64) int64 {
		f.answer(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: bytes}}, held("abc"))
		return p.Run.Kept
	}
	p, f := opened(t)
	p.Start()
	assert.Zero(t, p.Run.Kept)
	assert.Zero(t, save(p, f, mostSaved+1), "it is too large")
	assert.Equal(t, int64(2), save(p, f, 3))
	p.Start()
	assert.Zero(t, p.Run.Kept)
	f.full = errors.New("no room")
	assert.Zero(t, save(p, f, 3))
	p.Start()
	f.full = nil
	assert.Zero(t, save(p, f, 3), "the scan is not kept")
}
