package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// jobs is what a server with n jobs says of itself.
func jobs(n string) string {
	return `{"version":"1","devices":[{"name":"cpu"}],"running":1,"queued":` + n + `}`
}

const askInfo = "GET api/v1/info"

// What is ahead is what the server says now, not what it said when the page began.
func TestTheJobsAheadAreAskedForAsLongAsTheServerCanBeChosen(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID = "hippo"
	p.Go(PanelCheck)
	f.next(t, askInfo)(200, jobs("2"))
	assert.Equal(t, "cpu · 3 jobs ahead of yours", p.Server.About())
	f.next(t, askInfo)(0, "")
	assert.Contains(t, p.Server.About(), "does not answer")
	f.next(t, askInfo)(200, jobs("0"))
	assert.Equal(t, "cpu · 1 job ahead of yours", p.Server.About())
	f.next(t, askInfo)(200, `{"devices":[{"name":"cpu (avx2, 2 workers)"},{"name":"NVIDIA L4"}]}`)
	assert.Equal(t, "Processor (avx2, 2 workers) · NVIDIA L4 · no job ahead of yours", p.Server.About())
	late, asked := f.next(t, askInfo), f.count(askInfo)
	p.OpenAnother()
	late(200, jobs("7"))
	assert.Equal(t, asked, f.count(askInfo), "nobody sees it")
	p.BackToScan()
	f.next(t, askInfo)(200, jobs("4"))
	assert.Equal(t, "cpu · 5 jobs ahead of yours", p.Server.About())
	late = f.next(t, askInfo)
	p.Start()
	asked = len(f.net)
	late(200, jobs("0"))
	assert.Len(t, f.net, asked, "nothing is asked while it runs here")
}

func TestTheLastToAskForTheJobsAheadIsTheOnlyOne(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID = "hippo"
	p.Go(PanelCheck)
	first := f.next(t, askInfo)
	p.SetMirror(true)
	second, asked := f.next(t, askInfo), f.count(askInfo)
	first(200, jobs("1"))
	assert.Equal(t, asked, f.count(askInfo))
	second(200, jobs("1"))
	assert.Equal(t, asked+1, f.count(askInfo))
}

func TestTheQueueMovesUpAsTheServerSays(t *testing.T) {
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued","position":3}`)
	watch := f.next(t, "watch api/v1/jobs/j1/events")
	require.Equal(t, "4th in the queue", p.Server.Figure())
	watch(0, `{"id":"j1","state":"queued","position":1}`)
	assert.Equal(t, "2nd in the queue", p.Server.Figure())
	watch(0, `{"id":"j1","state":"queued"}`)
	assert.Equal(t, "Next in the queue", p.Server.Figure())
	watch(0, `{"id":"j1","state":"running"}`)
	assert.Equal(t, "Running", p.Server.Figure())
}

// What only the server has is got first, and then measured.
func TestAModelOfTheServerCanBeRunHere(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID, p.Models.List[0].Files = "hippo", nil
	p.Go(PanelCheck)
	assert.False(t, p.Check.OnServer, "only a click sends a scan")
	assert.Contains(t, p.HereText(), "Getting Hippocampus")
	asked := len(f.asked)
	p.Begin()
	p.Start()
	assert.Len(t, f.asked, asked, "there is nothing to run")
	assert.False(t, p.CanBegin())
	f.next(t, "fetch api/v1/models/hippo/file")(200, "zip")
	require.NotNil(t, f.last().Load)
	f.answer(api.Answer{Loaded: &model})
	assert.False(t, p.Check.OnServer)
	require.NotNil(t, f.last().Check)
	assert.False(t, f.last().Check.Plan)
	assert.True(t, p.CanBegin())
}

func TestAModelThatDoesNotArriveIsNotRun(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID, p.Models.List[0].Files = "hippo", nil
	p.Go(PanelCheck)
	f.next(t, "fetch api/v1/models/hippo/file")(200, "zip")
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedModel, Reason: "its SHA-256 is another"}})
	require.NotNil(t, p.Alert)
	assert.False(t, p.CanBegin())
	assert.Contains(t, p.HereText(), "The model is got from the server first, 1.0 MB.")
	p.Check.OnServer = true
	assert.True(t, p.CanBegin())
}

// The key that goes on, pressed as often as the flow has steps, sends nothing.
func TestTheServerIsOnlyChosenByAClick(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID, p.Models.List[0].Files = "hippo", nil
	for range 3 {
		p.Key(KeyStroke{Key: "s", View: -1})
	}
	assert.Equal(t, PanelCheck, p.Panel)
	assert.Empty(t, p.Server.Stage)
	assert.Zero(t, f.count("upload scan.nii.gz"))
	p.Check.OnServer = true
	p.StartCheck()
	assert.True(t, p.Check.OnServer, "what was chosen stays")
	f.open(t, p, "b.nii")
	p.Go(PanelCheck)
	assert.False(t, p.Check.OnServer, "for the scan for which it was")
}

func TestAModelThatIsChosenWhileAnotherIsGotIsGotNext(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID, p.Models.List[0].Files = "hippo", nil
	heart := model
	heart.SHA256, heart.Dataset = "def", "Dataset002_Heart"
	p.Models.put(Model{Loaded: heart, ID: "heart"})
	p.Go(PanelCheck)
	first := f.next(t, "fetch api/v1/models/hippo/file")
	p.Models.Chosen = "def"
	p.Go(PanelCheck)
	first(200, "zip")
	f.answer(api.Answer{Loaded: &model})
	f.next(t, "fetch api/v1/models/heart/file")(200, "zip")
}

func TestAStopIsShownWhereItWas(t *testing.T) {
	p, f := served(t)
	assert.Equal(t, "This scan was sent to the server", p.StayText(), "that it stays would not be true")
	assert.Equal(t, "This run stays on this computer.", p.HereStayText())
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"running"}`)
	watch := f.next(t, "watch api/v1/jobs/j1/events")
	watch(0, `{"id":"j1","state":"running"}`)
	watch(0, `{"id":"j1","state":"failed"}`)
	assert.Equal(t, ServerFailed, p.Server.Stage)
	assert.Equal(t, 2, p.Server.Step(), "among the tiles")
	p.CancelJob()
	f.open(t, p, "b.nii")
	assert.Equal(t, "Your scan stays on this computer", p.StayText())
}

func TestDevicesAreNamedAsPeopleNameThem(t *testing.T) {
	assert.Equal(t, "google swiftshader, WebGPU in software", DeviceName(api.Device{Kind: api.DeviceWebGPU, Name: "webgpu (google swiftshader)", Software: true}))
	assert.Equal(t, "Intel Iris Xe, WebGPU", DeviceName(api.Device{Kind: api.DeviceWebGPU, Name: "webgpu (Intel Iris Xe)"}))
	assert.Equal(t, "Processor (wasm-fma, 2 workers)", DeviceName(api.Device{Kind: api.DeviceCPU, Name: "cpu (wasm-fma, 2 workers)"}))
}
