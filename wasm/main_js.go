// Command wasm is the program of the browser's worker: it segments scans on the
// GPU or the processor of the machine that the page is on. What it does is package
// worker; here are JavaScript's messages, blobs and addresses.
//
//	GOOS=js GOARCH=wasm go build -tags predict -trimpath -ldflags '-s -w' -o bin/worker.wasm ./wasm
//
// worker.js starts it. A page needs the addresses of that file, of Go's
// wasm_exec.js and of worker.wasm, and to be cross-origin isolated for more than
// one thread on the CPU.
package main

import (
	"context"
	"encoding/json"
	"runtime/debug"
	"syscall/js"
	"time"

	cpu "github.com/gounet/gounet/backend_cpu"
	webgpu "github.com/gounet/gounet/backend_webgpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/wasm/worker"
)

// version is set by the linker.
var version = "unknown"

// hostBytes are what the garbage collector keeps to where it can: WebAssembly
// addresses 4 GiB, and what is left is for garbage and for the model.
const hostBytes = 3 << 30

func main() {
	debug.SetMemoryLimit(hostBytes)
	self := js.Global()
	w := worker.New(worker.Host{
		Version: version,
		WebGPU:  func(software bool) (backend.Device, error) { return webgpu.Open(webgpu.Options{Software: software}) },
		CPU:     openCPU,
		Fetch:   fetch,
		Send:    send,
		Rest:    func() { time.Sleep(time.Millisecond) }, // the events of JavaScript come when all goroutines sleep
		Bytes:   hostBytes,
		StartMS: func() float64 { return self.Get("performance").Call("now").Float() - self.Get("begun").Float() },
	})
	receive := js.FuncOf(func(_ js.Value, a []js.Value) any {
		if r, blobs, err := parse(a[0].Get("data")); err != nil {
			send(api.Answer{ID: r.ID, Failed: &api.Failed{Code: api.FailedRequest, Reason: err.Error(), Do: "send what package api describes"}})
		} else {
			w.Post(r, blobs)
		}
		return nil
	})
	self.Set("onmessage", receive)
	early := self.Get("early") // messages that came before
	for i := range early.Length() {
		self.Call("onmessage", early.Index(i))
	}
	w.Run(context.Background())
}

// openCPU opens the processor; a browser without WebAssembly memory for it throws.
func openCPU() (d backend.Device, err error) {
	defer caught(&err)
	return cpu.Open(cpu.Options{}), nil
}

// parse takes a message apart.
func parse(data js.Value) (r api.Request, blobs []worker.Blob, err error) {
	defer caught(&err)
	if err := json.Unmarshal([]byte(data.Get("request").String()), &r); err != nil {
		return r, nil, err
	}
	list := data.Get("blobs")
	if list.IsUndefined() {
		return r, nil, nil
	}
	reader := newReader()
	for i := range list.Length() {
		blobs = append(blobs, ofBlob(list.Index(i), reader))
	}
	return r, blobs, nil
}

// send posts an answer. The buffers are copied into memory of JavaScript, which is
// handed over.
func send(a api.Answer, buffers ...[]byte) {
	text, err := json.Marshal(a)
	if err != nil { // a number that is not finite, in a header of a scan
		text, _ = json.Marshal(api.Answer{ID: a.ID, Failed: &api.Failed{Code: api.FailedScan, Reason: err.Error(), Do: "choose another scan"}})
		buffers = nil
	}
	list := make([]any, len(buffers))
	for i, b := range buffers {
		bytes := js.Global().Get("Uint8Array").New(len(b))
		js.CopyBytesToJS(bytes, b)
		list[i] = bytes.Get("buffer")
	}
	js.Global().Call("postMessage", map[string]any{"answer": string(text), "buffers": list}, list)
}
