package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	backendcpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/internal/api"
)

// message is an answer with its buffers.
type message struct {
	api.Answer
	buffers [][]byte
}

// page is the other side of a worker.
type page struct {
	*Worker
	t       *testing.T
	answers chan message
	id      int
	seen    func(api.Answer) // if set before a request: before the worker goes on behind an answer
}

var errNoGPU = errors.New("webgpu: there is no GPU here")

// newPage starts a worker on h, which needs no Send; without devices it has the
// processor.
func newPage(t *testing.T, h Host) *page {
	p := &page{t: t, answers: make(chan message, 1<<14)}
	h.Send = func(a api.Answer, buffers ...[]byte) {
		if p.seen != nil {
			p.seen(a)
		}
		p.answers <- message{a, buffers}
	}
	if h.CPU == nil {
		h.CPU = func() (backend.Device, error) { return backendcpu.Open(backendcpu.Options{}), nil }
	}
	if h.WebGPU == nil {
		h.WebGPU = func(bool) (backend.Device, error) { return nil, errNoGPU }
	}
	p.Worker = New(h)
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { p.Run(ctx) })
	t.Cleanup(func() { stop(); wait.Wait() })
	return p
}

// post sends a request with files of their contents, and returns its ID.
func (p *page) post(r api.Request, blobs ...[]byte) int {
	p.id++
	r.ID = p.id
	var list []Blob
	for _, b := range blobs {
		list = append(list, Blob{int64(len(b)), bytes.NewReader(b)})
	}
	p.Post(r, list)
	return p.id
}

// end returns the last answer to a request, and those before it.
func (p *page) end(id int) (last message, before []message) {
	for {
		select {
		case m := <-p.answers:
			switch {
			case m.Ready != nil:
			case m.ID != id:
				p.t.Fatalf("an answer to %d, wanted one to %d: %+v", m.ID, id, m.Answer)
			case m.Last():
				return m, before
			default:
				before = append(before, m)
			}
		case <-p.t.Context().Done():
			p.t.Fatal("no answer")
		}
	}
}

// asked is the last answer to a request.
func (p *page) asked(r api.Request, blobs ...[]byte) message {
	m, _ := p.end(p.post(r, blobs...))
	return m
}

// failed is why a request fails.
func (p *page) failed(r api.Request, blobs ...[]byte) api.Failed {
	m := p.asked(r, blobs...)
	require.NotNil(p.t, m.Failed, "%+v", m.Answer)
	assert.NotEmpty(p.t, m.Failed.Do)
	return *m.Failed
}

const data = "../../testdata/hippocampus"

// scanFile is a scan of the repository.
func scanFile(t testing.TB) []byte {
	list, err := filepath.Glob(data + "/imagesTr/*.nii.gz")
	require.NoError(t, err)
	require.NotEmpty(t, list)
	return contents(t, list[0])
}

func contents(t testing.TB, path string) []byte {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// modelFile is a model with random weights for it, as a .gounet file.
func modelFile(t testing.TB) []byte {
	var b bytes.Buffer
	require.NoError(t, checkpoint.Write(&b, tinyModel()))
	return b.Bytes()
}

func loadOne(name string) api.Request {
	return api.Request{Load: &api.Load{Files: []api.File{{Name: name}}}}
}

func openOne() api.Request {
	return api.Request{Open: &api.Open{Files: []api.File{{Name: "scan.nii.gz"}}}}
}

// prepared is a page whose worker has a model and a scan.
func prepared(t *testing.T, h Host) *page {
	p := newPage(t, h)
	require.NotNil(t, p.asked(loadOne("m.gounet"), modelFile(t)).Loaded)
	require.NotNil(t, p.asked(openOne(), scanFile(t)).Opened)
	return p
}

func TestTheFirstAnswerSaysWhatThereIs(t *testing.T) {
	p := newPage(t, Host{Version: "v1"})
	m := <-p.answers
	require.NotNil(t, m.Ready)
	assert.Equal(t, "v1", m.Ready.Version)
	require.Len(t, m.Ready.Devices, 1)
	assert.Equal(t, api.DeviceCPU, m.Ready.Devices[0].Kind)
	assert.Equal(t, []api.Device{{Kind: api.DeviceWebGPU, Why: errNoGPU.Error()}}, m.Ready.Missing)
}

func TestAModelIsDescribedAndHashed(t *testing.T) {
	p := newPage(t, Host{})
	file := modelFile(t)
	sum := sha256.Sum256(file)
	m := p.asked(loadOne("m.gounet"), file)
	require.NotNil(t, m.Loaded, "%+v", m.Failed)
	assert.Equal(t, hex.EncodeToString(sum[:]), m.Loaded.SHA256)
	assert.Equal(t, int64(len(file)), m.Loaded.Bytes)
	assert.Equal(t, []string{"MR"}, m.Loaded.Channels)
	require.Len(t, m.Loaded.Labels, 2)
	assert.Equal(t, 2, m.Loaded.Labels[1].Value)
	assert.Equal(t, "posterior", m.Loaded.Labels[1].Name)
	assert.Regexp(t, "^#[0-9a-f]{6}$", m.Loaded.Labels[1].Color)

	r := loadOne("m.gounet")
	r.Load.Files[0].SHA256 = hex.EncodeToString(make([]byte, 32))
	f := p.failed(r, file)
	assert.Equal(t, api.FailedModel, f.Code)
	assert.Contains(t, f.Reason, "wanted 0000")
	assert.Equal(t, api.FailedRequest, p.failed(api.Request{Segment: &api.Segment{}}).Code, "the model before is forgotten")
	f = p.failed(loadOne("m.gounet"), file[:len(file)/2])
	assert.Equal(t, api.FailedModel, f.Code)
}

func TestAModelComesFromAnAddress(t *testing.T) {
	file := modelFile(t)
	p := newPage(t, Host{Fetch: func(_ context.Context, url string, see func([]byte, int64) error) (Blob, error) {
		if url != "models/m" {
			return Blob{}, errors.New("404")
		}
		err := errors.Join(see(file[:100], int64(len(file))), see(file[100:], int64(len(file))))
		return Blob{int64(len(file)), bytes.NewReader(file)}, err
	}})
	sum := sha256.Sum256(file)
	r := loadOne("m.gounet")
	r.Load.Files[0].URL, r.Load.Files[0].SHA256 = "models/m", hex.EncodeToString(sum[:])
	m, before := p.end(p.post(r))
	require.NotNil(t, m.Loaded, "%+v", m.Failed)
	require.NotEmpty(t, before)
	assert.Equal(t, api.Progress{Stage: api.StageFetch, Done: m.Loaded.Bytes, Of: m.Loaded.Bytes}, *before[len(before)-1].Progress)
	r.Load.Files[0].URL = "models/other"
	assert.Equal(t, api.FailedFetch, p.failed(r).Code)
}

func TestAScanIsDescribed(t *testing.T) {
	p := newPage(t, Host{})
	m := p.asked(openOne(), scanFile(t))
	require.NotNil(t, m.Opened, "%+v", m.Failed)
	assert.Equal(t, "scan", m.Opened.Name)
	assert.Equal(t, "NIfTI", m.Opened.Kind)
	assert.Equal(t, [3]float64{1, 1, 1}, m.Opened.Grid.Spacing)
	assert.Equal(t, api.FailedScan, p.failed(openOne(), []byte("no scan")).Code)
}

func TestVoxelsBesideAHeaderAreFound(t *testing.T) {
	header := []byte("ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = a.raw\n")
	p := newPage(t, Host{})
	r := api.Request{Open: &api.Open{Files: []api.File{{Name: "study/a.mhd"}, {Name: "study/a.raw", Blob: 1}}}}
	m := p.asked(r, header, make([]byte, 24))
	require.NotNil(t, m.Opened, "%+v", m.Failed)
	assert.Equal(t, [3]int{4, 3, 2}, m.Opened.Grid.Shape)
	r.Open.Files[1].Name = "elsewhere/a.raw"
	assert.Contains(t, p.failed(r, header, make([]byte, 24)).Reason, "is not among the files")
}

// slow is a blob that is cancelled while it is read.
type slow struct {
	*bytes.Reader
	read func()
}

func (s slow) ReadAt(b []byte, off int64) (int, error) {
	s.read()
	return s.Reader.ReadAt(b, off)
}

func TestReadingIsCancelled(t *testing.T) {
	p := newPage(t, Host{})
	size, reads := int64(20*restBytes), 0
	big := slow{bytes.NewReader(make([]byte, size)), func() {
		if reads++; reads == 1 {
			p.Post(api.Request{Cancel: &api.Cancel{Request: 77}}, nil)
		}
	}}
	r := loadOne("m.gounet")
	r.ID = 77
	p.Post(r, []Blob{{size, big}})
	m, _ := p.end(77)
	require.NotNil(t, m.Failed)
	assert.Equal(t, api.FailedCancelled, m.Failed.Code)
	assert.LessOrEqual(t, reads, restBytes/pieceBytes)
}

func TestRequestsThatAskForNothingAreRefused(t *testing.T) {
	p := newPage(t, Host{})
	for name, r := range map[string]api.Request{
		"nothing":       {},
		"no files":      {Load: &api.Load{}},
		"no blob":       loadOne("m.gounet"),
		"no model":      {Segment: &api.Segment{}},
		"name":          {Open: &api.Open{Files: []api.File{{Name: "../scan.nii"}}}},
		"twice":         {Open: &api.Open{Files: []api.File{{Name: "a.nii"}, {Name: "a.nii"}}}},
		"negative blob": {Open: &api.Open{Files: []api.File{{Name: "a.nii", Blob: -1}}}},
		"address":       {Open: &api.Open{Files: []api.File{{Name: "a.nii", URL: "https://example.org/a.nii"}}}},
	} {
		var blobs [][]byte
		if name == "twice" {
			blobs = [][]byte{{1}, {2}}
		}
		assert.Equal(t, api.FailedRequest, p.failed(r, blobs...).Code, name)
	}
	p = prepared(t, Host{})
	for name, s := range map[string]api.Segment{
		"device":  {Device: "abacus"},
		"storage": {Storage: "f8"},
		"step":    {Step: 1e-12},
		"leap":    {Step: 1.5},
		"seconds": {SaveSeconds: -1},
		"state":   {Resume: &api.File{Name: "s", Blob: 0}},
	} {
		assert.Equal(t, api.FailedRequest, p.failed(api.Request{Segment: &s}, []byte("no state")).Code, name)
	}
}

// Whatever a page sends, there is one last answer to it.
func FuzzEveryRequestIsAnswered(f *testing.F) {
	for _, r := range []api.Request{loadOne("m.gounet"), openOne(), {Segment: &api.Segment{NoMirror: true, Resume: &api.File{Name: "s"}}}} {
		b, err := json.Marshal(r)
		require.NoError(f, err)
		f.Add(b, modelFile(f))
	}
	model, image := modelFile(f), scanFile(f)
	f.Fuzz(func(t *testing.T, request, blob []byte) {
		var r api.Request
		if json.Unmarshal(request, &r) != nil || r.Cancel != nil || len(blob) > 1<<20 {
			return
		}
		p := newPage(t, Host{Bytes: 1 << 24})
		require.NotNil(t, p.asked(loadOne("m.gounet"), model).Loaded)
		require.NotNil(t, p.asked(openOne(), image).Opened)
		p.asked(r, blob)
	})
}
