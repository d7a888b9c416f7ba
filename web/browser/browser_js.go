// Package browser is the browser as a page.Host: the worker, files, storage and the
// viewer. It decides nothing.
package browser

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"syscall/js"
	"time"

	"github.com/vugu/vugu"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/web/page"
)

// Browser is the host of one page.
type Browser struct {
	Version string
	Page    *page.Page // set before Run

	env    vugu.EventEnv
	events chan func() // run one after the other, then the page is drawn
	worker js.Value
	hear   map[int]page.Hear
	last   int // ID of a request
	view   *viewer
	net    *network
	before js.Value // that had the focus before a dialog
	gpu    gpuFacts
}

// New is a host that changes its page under env.
func New(version string, env vugu.EventEnv) *Browser {
	b := &Browser{Version: version, env: env, events: make(chan func(), 1<<12), hear: map[int]page.Hear{}}
	b.view = &viewer{b: b}
	b.net = &network{b: b}
	return b
}

// Run hands events to the page, until there is no page.
func (b *Browser) Run() {
	b.listen()
	b.start()
	b.askGPU()
	go func() {
		if err := b.view.load(); err == nil {
			return
		}
	}()
	for f := range b.events {
		b.env.Lock()
		f()
		for more := true; more; { // drawn once
			select {
			case f := <-b.events:
				f()
			default:
				more = false
			}
		}
		b.env.UnlockRender()
	}
}

// post runs f as an event, unless too many wait: a pointer that moves on comes again.
func (b *Browser) post(f func()) {
	select {
	case b.events <- f:
	default:
		go func() { b.events <- f }()
	}
}

// start starts the worker.
func (b *Browser) start() {
	b.worker = js.Global().Get("Worker").New("worker.js")
	b.worker.Set("onmessage", js.FuncOf(func(_ js.Value, a []js.Value) any {
		b.answer(a[0].Get("data"))
		return nil
	}))
	b.worker.Set("onerror", js.FuncOf(func(_ js.Value, a []js.Value) any {
		why := a[0].Get("message").String()
		b.post(func() { b.Page.WorkerDied(why) })
		return nil
	}))
	here := js.Global().Get("location").Get("href")
	address := func(name string) string { return js.Global().Get("URL").New(name, here).Get("href").String() }
	b.worker.Call("postMessage", map[string]any{
		"glue": address("wasm_exec.js"), "program": address("worker.wasm"), "integrity": js.Global().Get("pinned").Get("worker.wasm"),
	})
}

func (b *Browser) answer(data js.Value) {
	var a api.Answer
	if err := json.Unmarshal([]byte(data.Get("answer").String()), &a); err != nil {
		b.post(func() { b.Page.WorkerDied(err.Error()) })
		return
	}
	var list []page.Bytes
	buffers := data.Get("buffers")
	for i := range buffers.Length() {
		list = append(list, memory{buffers.Index(i)})
	}
	b.post(func() {
		if a.Ready != nil {
			b.Page.Hello(a.Ready)
			return
		}
		hear := b.hear[a.ID]
		if a.Last() {
			delete(b.hear, a.ID)
		}
		if hear != nil {
			hear(a, list)
		}
	})
}

// Ask sends a request to the worker.
func (b *Browser) Ask(r api.Request, blobs []page.Blob, hear page.Hear) int {
	b.last++
	r.ID = b.last
	text, err := json.Marshal(r)
	if err != nil {
		b.post(func() { hear(api.Answer{Failed: &api.Failed{Code: api.FailedRequest, Reason: err.Error()}}, nil) })
		return r.ID
	}
	if hear != nil {
		b.hear[r.ID] = hear
	}
	list := make([]any, len(blobs))
	for i, x := range blobs {
		list[i] = x.(js.Value)
	}
	b.worker.Call("postMessage", map[string]any{"request": string(text), "blobs": list})
	return r.ID
}

// memory is an ArrayBuffer.
type memory struct{ js.Value }

func (m memory) Len() int { return m.Get("byteLength").Int() }

func (m memory) Copy() []byte {
	out := make([]byte, m.Len())
	js.CopyBytesToGo(out, js.Global().Get("Uint8Array").New(m.Value))
	return out
}

func (m memory) Blob() page.Blob { return js.Global().Get("Blob").New([]any{m.Value}) }

// arrayOf is a copy of b for JavaScript.
func arrayOf(b []byte) js.Value {
	a := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(a, b)
	return a
}

// BlobOf is a copy of b that the browser keeps.
func (b *Browser) BlobOf(bytes []byte) page.Blob {
	return js.Global().Get("Blob").New([]any{arrayOf(bytes)})
}

// Save lets the user save a blob as a file.
func (b *Browser) Save(name string, x page.Blob) {
	js.Global().Get("files").Call("save", name, x.(js.Value))
}

// Choose asks for files.
func (b *Browser) Choose(accept string, folder, many bool, got func([]page.File)) {
	then(js.Global().Get("files").Call("choose", accept, folder, many), func(v js.Value, err error) {
		if err == nil {
			files := filesOf(v)
			b.post(func() { got(files) })
		}
	})
}

func filesOf(v js.Value) (out []page.File) {
	for i := range v.Length() {
		f := v.Index(i)
		out = append(out, page.File{Path: f.Get("path").String(), Size: int64(f.Get("file").Get("size").Float()), Blob: f.Get("file")})
	}
	return out
}

// After runs f later.
func (b *Browser) After(d time.Duration, f func()) { time.AfterFunc(d, func() { b.post(f) }) }

// Now is the time.
func (b *Browser) Now() time.Time { return time.Now() }

// Viewer shows scans.
func (b *Browser) Viewer() page.Viewer { return b.view }

// Net is the server that the page came from.
func (b *Browser) Net() page.Net { return b.net }

// Facts are what the browser says.
func (b *Browser) Facts() page.Facts {
	g := js.Global()
	tasks := g.Get("tasks")
	return page.Facts{
		Agent: g.Get("navigator").Get("userAgent").String(), Adapter: b.gpu.Info, Limits: b.gpu.Limits,
		LongestTask: tasks.Call("longest").Float(), Sent: int64(tasks.Call("sent").Float()),
		Online: g.Get("navigator").Get("onLine").Bool(), Version: b.Version, HeapBytes: int64(tasks.Call("heap").Float()),
	}
}

// gpuFacts are what the main thread sees of the GPU.
type gpuFacts struct{ Info, Limits [][2]string }

func (b *Browser) askGPU() {
	then(js.Global().Get("tasks").Call("gpu"), func(v js.Value, err error) {
		if err == nil {
			b.post(func() { _ = json.Unmarshal([]byte(v.String()), &b.gpu) }) // what is not there is not shown
		}
	})
}

// then calls f when a promise is settled.
func then(promise js.Value, f func(js.Value, error)) {
	var yes, no js.Func
	release := func() { yes.Release(); no.Release() }
	yes = js.FuncOf(func(_ js.Value, a []js.Value) any {
		release()
		f(a[0], nil)
		return nil
	})
	no = js.FuncOf(func(_ js.Value, a []js.Value) any {
		release()
		f(js.Undefined(), reasonOf(a[0]))
		return nil
	})
	promise.Call("then", yes, no)
}

// reasonOf is what was thrown, without JavaScript's name of it.
func reasonOf(thrown js.Value) error {
	if thrown.Type() == js.TypeObject {
		if m := thrown.Get("message"); m.Type() == js.TypeString {
			return errors.New(m.String())
		}
	}
	return js.Error{Value: thrown}
}

// Grey is the address of a picture of grey pixels: a bitmap, which is made at once.
// Its address is short, as all that vugu draws must be.
func (b *Browser) Grey(w, h int, x page.Bytes) string {
	grey := x.Copy()
	if w*h == 0 || len(grey) < w*h {
		return ""
	}
	const header, palette = 54, 4 * 256
	stride := (w + 3) / 4 * 4
	out := make([]byte, header+palette+stride*h)
	le := binary.LittleEndian
	copy(out, "BM")
	le.PutUint32(out[2:], uint32(len(out)))
	le.PutUint32(out[10:], header+palette)
	le.PutUint32(out[14:], 40) // of the rest of the header
	le.PutUint32(out[18:], uint32(w))
	le.PutUint32(out[22:], uint32(h))
	le.PutUint16(out[26:], 1) // plane
	le.PutUint16(out[28:], 8) // bits
	for i := range 256 {
		copy(out[header+4*i:], []byte{byte(i), byte(i), byte(i)})
	}
	for y := range h { // from the bottom
		copy(out[header+palette+(h-1-y)*stride:], grey[y*w:(y+1)*w])
	}
	blob := js.Global().Get("Blob").New([]any{arrayOf(out)}, map[string]any{"type": "image/bmp"})
	return js.Global().Get("URL").Call("createObjectURL", blob).String()
}
