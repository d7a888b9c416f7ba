package page

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// served is a page whose model the server has too, and that sends its scan there.
func served(t *testing.T) (*Page, *fake) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID = "hippo"
	p.StartOnServer()
	require.Equal(t, "upload scan.nii.gz", f.net[len(f.net)-1])
	return p, f
}

// next is the last request to the server, to be answered later perhaps; how many jobs
// are ahead is asked beside others.
func (f *fake) next(t *testing.T, want string) func(int, string) {
	t.Helper()
	last := len(f.net) - 1
	for f.net[last] == askInfo && want != askInfo {
		last--
	}
	require.Equal(t, want, f.net[last])
	a := f.answers[last]
	return func(status int, body string) { a(status, []byte(body)) }
}

const jobDone = `{"id":"j1","state":"done","results":[{"format":"nifti","name":"labels.nii.gz"}],"labels":[]}`

func TestAnUploadThatWasCancelledIsNotGoneOnWith(t *testing.T) {
	p, f := served(t)
	first := f.next(t, "upload scan.nii.gz")
	p.CancelJob()
	p.StartOnServer()
	first(0, "")
	f.next(t, "DELETE api/v1/uploads/u1")(204, "")
	assert.Empty(t, p.Server.uploads, "it is none of the second")
	assert.Equal(t, ServerUpload, p.Server.Stage)
}

func TestAJobThatIsMadeAfterItsCancelIsDeleted(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	submit := f.next(t, "POST api/v1/jobs")
	p.CancelJob()
	submit(201, `{"id":"j1","state":"queued"}`)
	f.next(t, "POST api/v1/jobs/j1/cancel")(200, "{}")
	f.next(t, "DELETE api/v1/jobs/j1")(204, "")
	f.next(t, "DELETE api/v1/uploads/u1")(204, "")
	assert.Empty(t, p.Server.Stage)
	assert.NotContains(t, f.stored, "runs/job/j1")
}

// What is chosen or opened while a scan is sent changes nothing in what is asked for.
func TestAJobIsOfTheScanAndTheModelThatItBeganWith(t *testing.T) {
	p, f := served(t)
	p.AddModel([]File{{Path: "heart.gounet"}})
	f.answer(heart())
	p.SetMirror(true)
	p.TakeFiles([]File{{Path: "b.nii"}})
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")
	var s api.Submit
	require.NoError(t, json.Unmarshal(f.sent, &s))
	assert.Equal(t, "hippo", s.Model)
	assert.False(t, *s.Mirror)
	assert.Equal(t, "Hippocampus", p.Server.Model())
}

func TestAJobThatWasLeftIsNotHeardAnyMore(t *testing.T) {
	ways := map[string]func(p *Page, f *fake){
		"cancelled":     func(p *Page, _ *fake) { p.CancelJob() },
		"run here":      func(p *Page, _ *fake) { p.RunHereInstead() },
		"another scan":  func(p *Page, f *fake) { f.open(t, p, "b.nii") },
		"another begun": func(p *Page, _ *fake) { p.CancelJob(); p.StartOnServer() },
	}
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			p, f := served(t)
			f.next(t, "upload scan.nii.gz")(0, "")
			f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
			watch := f.next(t, "watch api/v1/jobs/j1/events")
			leave(p, f)
			panel, stage, asked := p.Panel, p.Server.Stage, len(f.net)
			watch(0, jobDone)
			assert.Equal(t, panel, p.Panel)
			assert.Equal(t, stage, p.Server.Stage)
			assert.Empty(t, p.Server.Job.ID)
			assert.Len(t, f.net, asked)
		})
		t.Run(name+" as the labels come", func(t *testing.T) {
			p, f := served(t)
			f.next(t, "upload scan.nii.gz")(0, "")
			f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
			watch := f.next(t, "watch api/v1/jobs/j1/events")
			watch(0, jobDone)
			fetch := f.next(t, "fetch api/v1/jobs/j1/results/labels.nii.gz")
			watch(0, jobDone)
			f.next(t, "fetch api/v1/jobs/j1/results/labels.nii.gz")
			assert.Equal(t, 1, f.count("fetch api/v1/jobs/j1/results/labels.nii.gz"), "they are fetched once")
			leave(p, f)
			panel, asked := p.Panel, len(f.asked)
			fetch(200, "labels")
			assert.Len(t, f.asked, asked, "labels of one scan are not read in the grid of another")
			assert.Equal(t, panel, p.Panel)
			assert.Nil(t, p.Result)
		})
	}
}

// A job is left on the server for another scan, and is found by who comes back to it.
func TestAJobThatWasLeftIsFoundAgain(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
	p.OpenAnother()
	assert.Nil(t, p.Interrupted(), "it is watched")
	f.open(t, p, "b.nii")
	p.StartOnServer()
	f.next(t, "upload b.nii")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j2","state":"queued"}`)
	assert.Contains(t, f.stored, "runs/job/j1")
	assert.Contains(t, f.stored, "runs/job/j2")
	p.OpenAnother()
	require.NotNil(t, p.Interrupted())
	assert.Equal(t, "scan", p.Interrupted().Name)
	p.ResumeInterrupted()
	f.answer(api.Answer{Opened: &api.Opened{Name: "scan", Grid: grid(), Channels: 1}})
	f.answer(looked(), held{})
	f.next(t, "watch api/v1/jobs/j1/events")
	assert.Equal(t, PanelServer, p.Panel)
	p.OpenAnother()
	require.NotNil(t, p.Interrupted())
	assert.Equal(t, "b.nii", p.Interrupted().Name)
	p.DropInterrupted()
	f.next(t, "POST api/v1/jobs/j2/cancel")
	assert.Nil(t, p.Interrupted())
	assert.Equal(t, "j1", p.Server.Job.ID, "it is still watched")
}

// A stream that a proxy has ended is asked for again, and a job that is gone is told of.
func TestAWatchThatHasEndedIsBegunAgain(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
	f.next(t, "watch api/v1/jobs/j1/events")
	f.lost()
	assert.True(t, p.Server.Waiting)
	f.next(t, "GET api/v1/jobs/j1")(502, "")
	f.next(t, "GET api/v1/jobs/j1")(200, `{"id":"j1","state":"running"}`)
	f.next(t, "watch api/v1/jobs/j1/events")
	assert.False(t, p.Server.Waiting)
	assert.Equal(t, ServerRunning, p.Server.Stage)
	f.lost()
	f.next(t, "GET api/v1/jobs/j1")(404, `{"detail":"there is no job j1"}`)
	require.NotNil(t, p.Alert)
	assert.Equal(t, "There is no job j1.", p.Alert.Text)
	assert.Equal(t, ServerFailed, p.Server.Stage)
}

// A network that is cut while the labels come costs neither them nor the job.
func TestLabelsThatDoNotArriveAreFetchedAgain(t *testing.T) {
	const file = "fetch api/v1/jobs/j1/results/labels.nii.gz"
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
	f.next(t, "watch api/v1/jobs/j1/events")(0, jobDone)
	for range mostFetches - 1 {
		f.next(t, file)(0, "")
		assert.True(t, p.Server.Waiting)
		f.next(t, "GET api/v1/jobs/j1")(200, jobDone)
		assert.False(t, p.Server.Waiting)
	}
	f.next(t, file)(0, "")
	require.NotNil(t, p.Alert)
	assert.Equal(t, "Get them again", p.Alert.Do)
	p.Alert.OnDo()
	f.next(t, file)(200, "labels")
	f.answer(api.Answer{PageAnswer: api.PageAnswer{ReadLabels: &api.ReadLabels{}}}, held{0, 1, 1, 2, 0, 0, 0, 0})
	assert.Equal(t, PanelLabels, p.Panel)
	assert.Zero(t, f.count("DELETE api/v1/jobs/j1"), "before that it is there")
	f.next(t, "POST api/v1/jobs/j1/cancel")
}

func TestAJobThatSomebodyElseCancelsIsToldOf(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
	f.next(t, "watch api/v1/jobs/j1/events")(0, `{"id":"j1","state":"cancelled"}`)
	assert.Equal(t, ServerFailed, p.Server.Stage)
	require.NotNil(t, p.Alert)
}

// The server is another way on after the GPU was lost; then what was kept here goes.
func TestALostGPUOffersTheServer(t *testing.T) {
	p, f := opened(t)
	lose := func() {
		p.Start()
		f.answer(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: 3}}, held("abc"))
		f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedLost}})
	}
	lose()
	assert.Empty(t, p.Alert.Third, "there is none")
	p.Server.There = true
	lose()
	assert.Empty(t, p.Alert.Third, "it has not the model")
	p.Models.List[0].ID = "hippo"
	lose()
	require.Equal(t, "Run on the server", p.Alert.Third)
	p.Alert.OnThird()
	f.next(t, "upload scan.nii.gz")
	assert.Equal(t, PanelServer, p.Panel)
	assert.Empty(t, p.Run.Stage)
	assert.Zero(t, f.kept(runKey))
	assert.Zero(t, f.kept(stateKey))
}

// What was chosen to run on the server does not carry over to a model that it has not.
func TestAModelOfThisComputerRunsHere(t *testing.T) {
	p, _ := another(t)
	p.Server.There = true
	p.Models.List[0].ID = "x"
	p.Models.List[0].Files = nil
	p.Models.Chosen = p.Models.List[0].SHA256
	p.Check.OnServer = true
	p.Go(PanelCheck)
	assert.True(t, p.Check.OnServer)
	p.Models.Chosen = p.Models.List[1].SHA256
	p.Go(PanelCheck)
	assert.False(t, p.Check.OnServer)
	assert.NotEmpty(t, p.Check.Busy)
}

func TestWithoutANetworkTheModelsThatAreHereAreCounted(t *testing.T) {
	p, _ := another(t)
	p.Models.List[0].Files = nil
	p.Online(false)
	assert.Contains(t, p.Notice, "1 stored model")
}
