package browser

import (
	"errors"
	"syscall/js"

	"github.com/gounet/gounet/web/page"
)

// network is the server that the page came from.
type network struct{ b *Browser }

func server() js.Value { return js.Global().Get("server") }

// Key is what the server is shown from now on, kept for this tab.
func (n *network) Key(key string) { server().Call("key", key) }

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
	then(server().Call("fetch", path, how), func(r js.Value, err error) {
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
func (n *network) Upload(f page.File, id string, told func(string, int64, bool, string), got func(string, error)) func(bool) {
	progress := js.FuncOf(func(_ js.Value, a []js.Value) any {
		id, arrived, waiting, why := a[0].String(), int64(a[1].Float()), a[2].Bool(), a[3].String()
		n.b.post(func() { told(id, arrived, waiting, why) })
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
	then(server().Call("fetch", path), func(r js.Value, err error) {
		if err != nil {
			fail(errors.New("the server does not answer"))
			return
		}
		if !r.Get("ok").Bool() {
			status := r.Get("status").Int()
			then(r.Call("text"), func(t js.Value, err error) {
				body := []byte{}
				if err == nil {
					body = []byte(t.String())
				}
				fail(errors.New(page.Problem(status, body)))
			})
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

// Watch hears server-sent events.
func (n *network) Watch(path string, kinds []string, event func(string, []byte), ended func()) func() {
	list := make([]any, len(kinds))
	for i, k := range kinds {
		list[i] = k
	}
	hear := js.FuncOf(func(_ js.Value, a []js.Value) any {
		kind, data := a[0].String(), []byte(a[1].String())
		n.b.post(func() { event(kind, data) })
		return nil
	})
	over := js.FuncOf(func(js.Value, []js.Value) any {
		n.b.post(ended)
		return nil
	})
	stop := server().Call("watch", path, list, hear, over)
	return func() {
		stop.Invoke()
		hear.Release()
		over.Release()
	}
}
