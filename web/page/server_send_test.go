package page

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// reloaded is the page as it is after a reload, with the models that were stored and
// those of the server.
func reloaded(f *fake) *Page {
	p := New(f)
	p.Server.There = true
	for i := range p.Models.List {
		p.Models.List[i].ID = "hippo"
	}
	return p
}

// shown answers the worker until the scan is there.
func (f *fake) shown() {
	f.answer(api.Answer{Opened: &api.Opened{Name: "scan", Grid: grid(), Channels: 1}})
	f.answer(looked(), held{})
}

// three is a page that sends a scan of three files.
func three(t *testing.T) (*Page, *fake) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID = "hippo"
	p.Scan.Files, p.Scan.Series = []File{{Path: "d/1", Size: 10}, {Path: "d/2", Size: 20}, {Path: "d/3", Size: 30}}, "1.2.3"
	p.SetMirror(true)
	p.StartOnServer()
	return p, f
}

func TestAnUploadThatAReloadInterruptsGoesOnWhereItWas(t *testing.T) {
	_, f := three(t)
	f.told(10, false)
	f.next(t, "upload 1")(0, "")
	f.told(0, false)
	f.told(15, false)
	f.told(15, true)
	p := reloaded(f)
	require.NotNil(t, p.Interrupted())
	assert.Equal(t, "scan", p.Interrupted().Name)
	assert.Contains(t, p.Interrupted().Text(), "25 bytes of 60 bytes have arrived")
	p.ResumeInterrupted()
	f.shown()
	f.next(t, "upload 2 at u2")
	assert.Equal(t, ServerUpload, p.Server.Stage)
	assert.Equal(t, PanelServer, p.Panel)
	assert.Equal(t, "Hippocampus", p.Server.Model())
	assert.Equal(t, int64(25), p.Server.Sent)
	assert.Nil(t, p.Open.interrupted)
	f.told(-1, true)
	assert.Equal(t, int64(25), p.Server.Sent, "it is not asked yet")
	assert.True(t, p.Server.Waiting)
	assert.Contains(t, reloaded(f).Interrupted().Text(), "25 bytes of 60 bytes", "nor after another reload")
	f.told(20, false)
	assert.Equal(t, int64(30), p.Server.Sent)
	f.next(t, "upload 2 at u2")(0, "")
	f.next(t, "upload 3")(0, "")
	submit := f.next(t, "POST api/v1/jobs")
	var s api.Submit
	require.NoError(t, json.Unmarshal(f.sent, &s))
	assert.Equal(t, []api.Input{{Upload: "u1"}, {Upload: "u2"}, {Upload: "u3"}}, s.Inputs)
	assert.Equal(t, []string{"1.2.3"}, s.Series)
	assert.Equal(t, "hippo", s.Model)
	assert.True(t, *s.Mirror)
	submit(201, `{"id":"j1","state":"queued"}`)
	assert.Zero(t, f.kept(sendKey))
	assert.Zero(t, f.kept(arrivedKey))
	assert.Equal(t, 1, f.kept(jobKey))
}

func TestAnUploadThatHadNotBegunBeginsAfterAReload(t *testing.T) {
	_, f := three(t)
	p := reloaded(f)
	require.NotNil(t, p.Interrupted())
	assert.Contains(t, p.Interrupted().Text(), "Nothing had arrived")
	p.ResumeInterrupted()
	f.shown()
	f.next(t, "upload 1")
}

// Whether the server has made the job is not known where the answer was not heard.
func TestAJobThatIsSubmittedTwiceIsOne(t *testing.T) {
	_, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")
	p := reloaded(f)
	p.ResumeInterrupted()
	f.shown()
	f.next(t, "upload scan.nii.gz at u1")(0, "")
	f.next(t, "POST api/v1/jobs")(200, `{"id":"j1","state":"running"}`)
	require.Len(t, f.keys, 2)
	assert.Equal(t, f.keys[0], f.keys[1])
	p.CancelJob()
	p.StartOnServer()
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")
	assert.NotEqual(t, f.keys[1], f.keys[2], "it is another one")
}

func TestASubmitThatNobodyAnswersIsMadeAgain(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(0, "")
	assert.True(t, p.Server.Waiting)
	assert.Nil(t, p.Alert)
	f.next(t, "POST api/v1/jobs")(503, "")
	late := f.next(t, "POST api/v1/jobs")
	late(201, `{"id":"j1","state":"queued"}`)
	f.next(t, "watch api/v1/jobs/j1/events")
	assert.False(t, p.Server.Waiting)
	assert.Equal(t, []string{f.keys[0], f.keys[0], f.keys[0]}, f.keys)
}

func TestNothingIsKeptOfAnUploadThatIsGivenUp(t *testing.T) {
	ways := map[string]func(p *Page, f *fake){
		"cancelled": func(p *Page, _ *fake) { p.CancelJob() },
		"run here":  func(p *Page, _ *fake) { p.RunHereInstead() },
		"discarded": func(_ *Page, f *fake) {
			p := reloaded(f)
			p.DropInterrupted()
			assert.Nil(t, p.Interrupted())
		},
	}
	for name, leave := range ways {
		t.Run(name, func(t *testing.T) {
			p, f := served(t)
			f.told(40, false)
			assert.Equal(t, 1, f.kept(sendKey))
			leave(p, f)
			f.next(t, "DELETE api/v1/uploads/u1")
			assert.Zero(t, f.kept(sendKey))
			assert.Zero(t, f.kept(arrivedKey))
		})
	}
}

// Another scan can be looked at without what was sent being lost.
func TestAnUploadThatIsLeftForAnotherScanIsFoundAgain(t *testing.T) {
	p, f := served(t)
	f.told(40, false)
	late := f.next(t, "upload scan.nii.gz")
	f.open(t, p, "b.nii")
	assert.Equal(t, []bool{true}, f.rests)
	assert.Contains(t, p.Notice, "scan was on its way to the server")
	f.next(t, "upload scan.nii.gz")
	assert.Empty(t, p.Server.Stage)
	p.OpenAnother()
	require.NotNil(t, p.Interrupted())
	p.ResumeInterrupted()
	f.shown()
	f.next(t, "upload scan.nii.gz at u1")(0, "")
	f.next(t, "POST api/v1/jobs")
	asked := len(f.net)
	late(0, "")
	assert.Len(t, f.net, asked, "the upload is not removed: it has gone on")
}

// A job that could not be kept is found by what was kept of its way there.
func TestAJobThatCannotBeKeptIsFoundByItsUpload(t *testing.T) {
	_, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.full = assert.AnError
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
	assert.Equal(t, 1, f.kept(sendKey))
}

// After a reload the model of a job is the chosen one, for what comes after it.
func TestAJobThatIsFoundAgainHasItsModelChosen(t *testing.T) {
	_, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
	p := reloaded(f)
	heart := model
	heart.SHA256, heart.Dataset = "def", "Dataset002_Heart"
	p.Models.put(Model{Loaded: heart, ID: "heart"})
	p.Models.Chosen = "def"
	p.ResumeInterrupted()
	f.shown()
	f.next(t, "watch api/v1/jobs/j1/events")
	assert.Equal(t, "Hippocampus", Title(p.Model().Dataset))
}

// What is kept of a run stays in its place as it goes on after a reload, and another tab
// does not offer it.
func TestARunThatGoesOnAfterAReloadIsKeptWhereItWas(t *testing.T) {
	p, f := opened(t)
	p.Start()
	f.answer(api.Answer{Saved: &api.Saved{Done: 2, Of: 4, Bytes: 3}}, held("abc"))
	p = reloaded(f)
	require.NotNil(t, p.Interrupted())
	assert.Equal(t, "2 of 4 tiles are kept on this computer.", p.Interrupted().Text())
	p.ResumeInterrupted()
	require.Len(t, f.holds, 1)
	assert.Contains(t, f.stored, runStore+"/"+f.holds[0])
	f.shown()
	f.answer(api.Answer{Loaded: &model})
	require.NotNil(t, f.last().Segment)
	f.answer(api.Answer{Saved: &api.Saved{Done: 3, Of: 4, Bytes: 3}}, held("abcd"))
	assert.Equal(t, 1, f.kept(runKey))
	assert.Equal(t, 1, f.kept(stateKey))
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
	assert.Zero(t, f.kept(""), "nothing is left to go on with")
}
