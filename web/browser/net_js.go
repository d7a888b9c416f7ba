package browser

import "syscall/js"

// network is the server that the page came from.
type network struct{ b *Browser }

// JSON asks for JSON.
func (n *network) JSON(method, path string, body []byte, got func(status int, body []byte)) {
	how := map[string]any{"method": method, "headers": map[string]any{"Accept": "application/json"}}
	if body != nil {
		how["body"] = string(body)
		how["headers"] = map[string]any{"Accept": "application/json", "Content-Type": "application/json"}
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
