package worker

import (
	"encoding/json"
	"os"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// These tests talk to the built program in a Worker of its own, as a page does:
//
//	GOOS=js GOARCH=wasm go build -tags predict -trimpath -ldflags '-s -w' -o bin/worker.wasm ./wasm
//	GOOS=js GOARCH=wasm go test -exec "$PWD/bin/browserexec" ./wasm/worker
//
// GOUNET_WORKER names another program below the module.

// tab is a page with a worker.
type tab struct {
	t      testing.TB
	worker js.Value
	heard  chan message
	id     int
}

// newTab starts the program and returns it with what it says first.
func newTab(t testing.TB) (*tab, api.Ready) {
	if js.Global().Get("Worker").IsUndefined() || js.Global().Get("location").IsUndefined() {
		t.Skip("this host has no web workers: run by bin/browserexec")
	}
	path := os.Getenv("GOUNET_WORKER")
	if path == "" {
		path = "../../bin/worker.wasm"
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the worker's program is not built (see above): %v", err)
	}
	glue, err := os.ReadFile("../worker.js")
	require.NoError(t, err)
	p := &tab{t: t, heard: make(chan message, 1<<14)}
	p.worker = js.Global().Get("Worker").New(address(glue, "text/javascript"))
	hear := js.FuncOf(func(_ js.Value, a []js.Value) any {
		p.heard <- parsed(a[0].Get("data"))
		return nil
	})
	broke := js.FuncOf(func(_ js.Value, a []js.Value) any {
		p.heard <- message{Answer: api.Answer{Failed: &api.Failed{Reason: a[0].Get("message").String()}}}
		return nil
	})
	p.worker.Set("onmessage", hear)
	p.worker.Set("onerror", broke)
	t.Cleanup(func() {
		p.worker.Call("terminate")
		hear.Release()
		broke.Release()
	})
	p.worker.Call("postMessage", map[string]any{
		"glue":    js.Global().Get("URL").New("wasm_exec.js", js.Global().Get("location").Get("href")).Get("href"),
		"program": address(program, "application/wasm"),
	})
	m := <-p.heard
	require.NotNil(t, m.Ready, "%+v", m.Failed)
	return p, *m.Ready
}

// blobOf is a Blob of bytes.
func blobOf(b []byte, kind string) js.Value {
	bytes := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(bytes, b)
	return js.Global().Get("Blob").New([]any{bytes}, map[string]any{"type": kind})
}

// address is where bytes can be fetched, for as long as the program lives.
func address(b []byte, kind string) js.Value {
	return js.Global().Get("URL").Call("createObjectURL", blobOf(b, kind))
}

// parsed is an answer that was posted.
func parsed(data js.Value) (m message) {
	if err := json.Unmarshal([]byte(data.Get("answer").String()), &m.Answer); err != nil {
		return message{Answer: api.Answer{Failed: &api.Failed{Reason: err.Error()}}}
	}
	list := data.Get("buffers")
	for i := range list.Length() {
		view := js.Global().Get("Uint8Array").New(list.Index(i))
		b := make([]byte, view.Length())
		js.CopyBytesToGo(b, view)
		m.buffers = append(m.buffers, b)
	}
	return m
}

func (p *tab) post(r api.Request, blobs ...[]byte) int {
	p.id++
	r.ID = p.id
	text, err := json.Marshal(r)
	require.NoError(p.t, err)
	list := []any{}
	for _, b := range blobs {
		list = append(list, blobOf(b, ""))
	}
	p.worker.Call("postMessage", map[string]any{"request": string(text), "blobs": list})
	return p.id
}

// end returns the last answer to a request, and those before it.
func (p *tab) end(id int) (last message, before []message) {
	for m := range p.heard {
		require.Equal(p.t, id, m.ID, "%+v", m.Failed)
		if m.Last() {
			return m, before
		}
		before = append(before, m)
	}
	panic("the channel is never closed")
}

func (p *tab) asked(r api.Request, blobs ...[]byte) message {
	m, _ := p.end(p.post(r, blobs...))
	return m
}

func TestAWorkerInABrowserGivesTheSameLabels(t *testing.T) {
	p, ready := newTab(t)
	t.Logf("ready after %.0f ms: %+v", ready.StartMS, ready)
	segmentAll(t, p)
}

func TestAWorkerInABrowserTellsCancelsAndGoesOn(t *testing.T) {
	p, _ := newTab(t)
	model := smallModel(t)
	r := loadOne("small.gounet")
	r.Load.Files[0].URL = js.Global().Get("URL").New("nothing-here", js.Global().Get("location").Get("href")).Get("href").String()
	m := p.asked(r)
	require.NotNil(t, m.Failed)
	assert.Equal(t, api.FailedFetch, m.Failed.Code)
	assert.Contains(t, m.Failed.Reason, "404")
	r.Load.Files[0].URL = address(model, "").String()
	m, before := p.end(p.post(r))
	require.NotNil(t, m.Loaded, "%+v", m.Failed)
	require.NotEmpty(t, before)
	assert.Equal(t, int64(len(model)), before[len(before)-1].Progress.Done)

	scan, err := os.ReadFile(inputPath(t, "mosaic121_s"))
	require.NoError(t, err)
	require.NotNil(t, p.asked(openOne(), scan).Opened)
	const step = 0.1 // of many tiles, some are left when a busy browser hears of the first
	whole := p.asked(api.Request{Segment: &api.Segment{Step: step}})
	require.NotNil(t, whole.Done, "%+v", whole.Failed)
	t.Logf("%s, because %s", whole.Done.Device.Name, whole.Done.Device.Why)
	if strings.Contains(whole.Done.Device.Why, "software adapter") {
		assert.Equal(t, api.DeviceCPU, whole.Done.Device.Kind)
	}

	for _, save := range []bool{false, true} {
		id := p.post(api.Request{Segment: &api.Segment{Step: step}})
		for m := range p.heard { // it is under way when it is cancelled
			if m.Progress != nil && m.Progress.Stage == api.StageSegment {
				break
			}
		}
		begun := time.Now()
		p.worker.Call("postMessage", map[string]any{"request": cancelOf(t, id, save)})
		m, before = p.end(id)
		t.Logf("cancelled after %v", time.Since(begun))
		require.NotNil(t, m.Failed, "%+v", m.Done)
		assert.Equal(t, api.FailedCancelled, m.Failed.Code)
	}
	last := before[len(before)-1]
	require.NotNil(t, last.Saved)
	m, _ = p.end(p.post(api.Request{Segment: &api.Segment{Step: step, Resume: &api.File{Name: "state"}}}, last.buffers[0]))
	require.NotNil(t, m.Done, "%+v", m.Failed)
	assert.Equal(t, whole.buffers, m.buffers, "the bits of one that was not interrupted")
}

func TestAWorkerInABrowserRunsBothNetworksOfACascade(t *testing.T) {
	p, _ := newTab(t)
	m := p.asked(loadOne("cascade.gounet"), cascadeFile(t))
	require.NotNil(t, m.Loaded, "%+v", m.Failed)
	require.NotNil(t, p.asked(openOne(), cascadeScan(t)).Opened)
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{Device: api.DeviceCPU}}))
	require.NotNil(t, m.Done, "%+v", m.Failed)
	n := differ(t, m.buffers[0])
	t.Logf("%d of %d voxels differ from the native labels", n, len(m.buffers[0]))
	assert.Less(t, n, nearby)
	seen := map[int]bool{}
	for _, b := range before {
		if b.Progress != nil {
			seen[b.Progress.Network] = true
		}
	}
	assert.True(t, seen[1] && seen[2])
}

// Between two submits: long before the kernels of a software adapter are compiled.
func TestAWorkerInABrowserCancelsOnWebGPU(t *testing.T) {
	p, _ := newTab(t)
	require.NotNil(t, p.asked(loadOne("small.gounet"), smallModel(t)).Loaded)
	scan, err := os.ReadFile(inputPath(t, "mosaic121_s"))
	require.NoError(t, err)
	require.NotNil(t, p.asked(openOne(), scan).Opened)
	id := p.post(api.Request{Segment: &api.Segment{Device: api.DeviceWebGPU}})
	for m := range p.heard {
		if m.Failed != nil && m.Failed.Code == api.FailedDevice {
			t.Skip(m.Failed.Reason)
		}
		if m.Progress != nil && m.Progress.Stage == api.StagePreprocess {
			break
		}
	}
	begun := time.Now()
	p.worker.Call("postMessage", map[string]any{"request": cancelOf(t, id, false)})
	m, _ := p.end(id)
	t.Logf("cancelled after %v", time.Since(begun))
	require.NotNil(t, m.Failed, "%+v", m.Done)
	assert.Equal(t, api.FailedCancelled, m.Failed.Code)
}

// BenchmarkStart is from the page's first message to Ready: fetch, compile,
// instantiate, look for devices.
func BenchmarkStart(b *testing.B) {
	total := 0.0
	for range b.N {
		p, ready := newTab(b)
		p.worker.Call("terminate")
		total += ready.StartMS
	}
	b.ReportMetric(total/float64(b.N), "ms/start")
}

func cancelOf(t *testing.T, id int, save bool) string {
	b, err := json.Marshal(api.Request{ID: 1 << 20, Cancel: &api.Cancel{Request: id, Save: save}})
	require.NoError(t, err)
	return string(b)
}

func TestAMessageThatIsNoRequestIsRefused(t *testing.T) {
	p, _ := newTab(t)
	for _, v := range []any{"hello", map[string]any{}, map[string]any{"request": "{"}, map[string]any{"request": `{"id":1}`, "blobs": 3}} {
		p.worker.Call("postMessage", v)
		m := <-p.heard
		require.NotNil(t, m.Failed, "%v", v)
		assert.Equal(t, api.FailedRequest, m.Failed.Code)
	}
	p.worker.Call("postMessage", map[string]any{"request": `{"id":7,"open":{"files":[{"name":"a.nii"}]}}`, "blobs": []any{"no blob"}})
	m := <-p.heard
	require.NotNil(t, m.Failed)
	assert.NotNil(t, p.asked(loadOne("small.gounet"), smallModel(t)).Loaded, "the worker lives")
}
