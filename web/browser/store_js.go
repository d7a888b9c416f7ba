package browser

import (
	"syscall/js"

	"github.com/gounet/gounet/web/page"
)

func store() js.Value { return js.Global().Get("store") }

// Put keeps something for later.
func (b *Browser) Put(name string, s page.Stored, done func(error)) {
	files := make([]any, len(s.Files))
	for i, f := range s.Files {
		files[i] = map[string]any{"path": f.Path, "file": f.Blob.(js.Value)}
	}
	then(store().Call("put", name, s.Key, map[string]any{"key": s.Key, "meta": string(s.Meta), "files": files}), func(_ js.Value, err error) {
		b.post(func() { done(err) })
	})
}

// Hold keeps something from the other tabs.
func (b *Browser) Hold(key string) { store().Call("hold", key) }

// All is what is kept.
func (b *Browser) All(name string, got func([]page.Stored, error)) {
	then(store().Call("all", name), func(v js.Value, err error) {
		var list []page.Stored
		if err == nil {
			for i := range v.Length() {
				s := v.Index(i)
				list = append(list, page.Stored{Key: s.Get("key").String(), Meta: []byte(s.Get("meta").String()), Files: filesOf(s.Get("files"))})
			}
		}
		b.post(func() { got(list, err) })
	})
}

// Remove forgets something.
func (b *Browser) Remove(name, key string) {
	then(store().Call("remove", name, key), func(js.Value, error) {})
}

// Read is what a blob holds.
func (b *Browser) Read(x page.Blob, got func(page.Bytes, error)) {
	then(x.(js.Value).Call("arrayBuffer"), func(v js.Value, err error) {
		b.post(func() { got(memory{v}, err) })
	})
}

// Room is how much is kept, and how much may be.
func (b *Browser) Room(got func(used, allowed int64)) {
	then(store().Call("estimate"), func(v js.Value, err error) {
		if err != nil || v.Get("usage").IsUndefined() {
			return
		}
		used, allowed := int64(v.Get("usage").Float()), int64(v.Get("quota").Float())
		b.post(func() { got(used, allowed) })
	})
}
