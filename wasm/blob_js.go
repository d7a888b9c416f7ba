package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall/js"

	"github.com/gounet/gounet/wasm/worker"
)

// blob is bytes that the browser keeps: a file on disk is read piece by piece.
type blob struct {
	value  js.Value
	reader js.Value // FileReaderSync
}

func newReader() js.Value { return js.Global().Get("FileReaderSync").New() }

// ofBlob is v, read by reader, which may be that of others.
func ofBlob(v, reader js.Value) worker.Blob {
	return worker.Blob{Size: int64(v.Get("size").Float()), ReaderAt: blob{v, reader}}
}

// ReadAt reads while the worker waits.
func (b blob) ReadAt(p []byte, off int64) (n int, err error) {
	defer caught(&err)
	size := int64(b.value.Get("size").Float())
	if off < 0 || off >= size {
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), size)
	part := b.reader.Call("readAsArrayBuffer", b.value.Call("slice", float64(off), float64(end)))
	n = js.CopyBytesToGo(p, js.Global().Get("Uint8Array").New(part))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// gatherBytes are put into a blob at a time, which the browser may keep on disk.
const gatherBytes = 16 << 20

// fetch gets what is at an address, piece by piece.
func fetch(ctx context.Context, url string, see func([]byte, int64) error) (b worker.Blob, err error) {
	defer caught(&err)
	abort := js.Global().Get("AbortController").New()
	stop := context.AfterFunc(ctx, func() { abort.Call("abort") })
	defer stop()
	response, err := await(js.Global().Call("fetch", url, map[string]any{"signal": abort.Get("signal")}))
	if err != nil {
		return b, err
	}
	if !response.Get("ok").Bool() {
		return b, fmt.Errorf("%.200s: the server says %d %s", url, response.Get("status").Int(), response.Get("statusText").String())
	}
	of := int64(0)
	if n := response.Get("headers").Call("get", "content-length"); n.Truthy() && !response.Get("headers").Call("get", "content-encoding").Truthy() {
		of = int64(js.Global().Get("Number").Invoke(n).Float())
	}
	reader := response.Get("body").Call("getReader")
	g := gatherer{parts: newArray(), chunks: newArray()}
	var piece []byte
	for {
		r, err := await(reader.Call("read"))
		if err != nil {
			return b, err
		}
		if r.Get("done").Bool() {
			return ofBlob(g.blob(), newReader()), nil
		}
		chunk := r.Get("value")
		n := chunk.Get("byteLength").Int()
		if n > len(piece) {
			piece = make([]byte, n)
		}
		js.CopyBytesToGo(piece, chunk)
		if err := see(piece[:n], of); err != nil {
			abort.Call("abort")
			return b, err
		}
		g.add(chunk, n)
	}
}

// gatherer makes a blob of chunks.
type gatherer struct {
	parts, chunks js.Value // arrays
	bytes         int      // of chunks
}

func newArray() js.Value { return js.Global().Get("Array").New() }

func (g *gatherer) add(chunk js.Value, n int) {
	g.chunks.Call("push", chunk)
	if g.bytes += n; g.bytes >= gatherBytes {
		g.flush()
	}
}

func (g *gatherer) flush() {
	g.parts.Call("push", js.Global().Get("Blob").New(g.chunks))
	g.chunks, g.bytes = newArray(), 0
}

func (g *gatherer) blob() js.Value {
	g.flush()
	return js.Global().Get("Blob").New(g.parts)
}

// await waits for a promise. It must not be called by a function that JavaScript
// has called: nobody would settle the promise.
func await(promise js.Value) (js.Value, error) {
	type settled struct {
		value js.Value
		err   error
	}
	done := make(chan settled, 1)
	resolve := js.FuncOf(func(_ js.Value, a []js.Value) any {
		done <- settled{value: a[0]}
		return nil
	})
	defer resolve.Release()
	reject := js.FuncOf(func(_ js.Value, a []js.Value) any {
		done <- settled{err: errors.New(a[0].Call("toString").String())}
		return nil
	})
	defer reject.Release()
	promise.Call("then", resolve, reject)
	s := <-done
	return s.value, s.err
}

// caught turns what JavaScript throws into an error, and what syscall/js panics
// with where a message or a browser lacks something.
func caught(err *error) {
	switch e := recover().(type) {
	case nil:
	case js.Error:
		*err = e
	case *js.ValueError:
		*err = e
	case string:
		if !strings.HasPrefix(e, "syscall/js: ") {
			panic(e)
		}
		*err = errors.New(e)
	default:
		panic(e)
	}
}
