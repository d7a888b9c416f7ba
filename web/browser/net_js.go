package browser

import (
	"errors"
	"fmt"
	"syscall/js"

	"github.com/gounet/gounet/web/page"
)

// network is the server that the page came from.
type network struct{ b *Browser }

// JSON asks for JSON.
func (n *network) JSON(method, path string, body []byte, got func(status int, body []byte)) {
	n.json(method, path, map[string]any{}, body, got)
}

// Once posts JSON, with a key that makes a second post the same as the first.
func (n *network) Once(path, key string, body []byte, got func(status int, body []byte)) {
	n.json("POST", path, map[string]any{"Idempotency-Key": key}, body, got)
}

func (n *network) json(method, path string, headers map[string]any, body []byte, got func(status int, body []byte)) {
	headers["Accept"] = "application/json"
	how := map[string]any{"method": method, "headers": headers}
	if body != nil {
		how["body"] = string(body)
		headers["Content-Type"] = "application/json"
	}
	then(js.Global().Call("fetch", path, how), func(r js.Value, err error) {
		if err != nil {
			n.b.post(func() { got(0, nil) })
			return
		}
		status := r.Get("status").Int()
		then(r.Call("text"), func(t js.Value, err error) {
			text := []byte{}
			if err == nil {
				text = []byte(t.String())
			}
			n.b.post(func() { got(status, text) })
		})
	})
}

// Upload sends a file by tus.
func (n *network) Upload(f page.File, id string, told func(string, int64, bool), got func(string, error)) func(bool) {
	progress := js.FuncOf(func(_ js.Value, a []js.Value) any {
		id, arrived, waiting := a[0].String(), int64(a[1].Float()), a[2].Bool()
		n.b.post(func() { told(id, arrived, waiting) })
		return nil
	})
	u := js.Global().Get("tus").Call("upload", "api/v1/tus", f.Path, f.Blob.(js.Value), id, progress)
	then(u.Get("done"), func(v js.Value, err error) {
		progress.Release()
		id := ""
		if err == nil {
			id = v.String()
		}
		n.b.post(func() { got(id, err) })
	})
	return func(keep bool) { u.Call("stop", keep) }
}

// Fetch gets a file.
func (n *network) Fetch(path string, got func(page.Blob, int64, error)) {
	fail := func(err error) { n.b.post(func() { got(nil, 0, err) }) }
	then(js.Global().Call("fetch", path), func(r js.Value, err error) {
		if err != nil {
			fail(errors.New("the server does not answer"))
			return
		}
		if !r.Get("ok").Bool() {
			fail(fmt.Errorf("the server says %d", r.Get("status").Int()))
			return
		}
		then(r.Call("blob"), func(v js.Value, err error) {
			if err != nil {
				fail(errors.New("the connection was cut"))
				return
			}
			n.b.post(func() { got(v, int64(v.Get("size").Float()), nil) })
		})
	})
}

// Watch hears server-sent events. The browser connects again by itself.
func (n *network) Watch(path string, kinds []string, event func(string, []byte), lost func(bool)) func() {
	source := js.Global().Get("EventSource").New(path)
	var made []js.Func
	hear := func(f func(e js.Value)) js.Func {
		fn := js.FuncOf(func(_ js.Value, a []js.Value) any {
			f(a[0])
			return nil
		})
		made = append(made, fn)
		return fn
	}
	for _, k := range kinds {
		source.Call("addEventListener", k, hear(func(e js.Value) {
			data := []byte(e.Get("data").String())
			n.b.post(func() { event(k, data) })
		}))
	}
	source.Set("onerror", hear(func(js.Value) {
		const closed = 2 // by an answer that is no stream
		ended := source.Get("readyState").Int() == closed
		n.b.post(func() { lost(ended) })
	}))
	return func() {
		source.Call("close")
		for _, f := range made {
			f.Release()
		}
		made = nil
	}
}
