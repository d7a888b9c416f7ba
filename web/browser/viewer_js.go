package browser

import (
	"encoding/json"
	"errors"
	"syscall/js"
	"unsafe"

	"github.com/gounet/gounet/web/page"
)

// viewer is script/viewer.mjs.
type viewer struct {
	b     *Browser
	ready bool
	wait  []func()
	err   error
}

// load gets the script and puts its canvases into the page.
func (v *viewer) load() error {
	document := js.Global().Get("document")
	script := document.Call("createElement", "script")
	script.Set("integrity", js.Global().Get("pinned").Get("viewer.js"))
	script.Set("src", "viewer.js")
	done := make(chan error, 1)
	script.Set("onload", js.FuncOf(func(js.Value, []js.Value) any { done <- nil; return nil }))
	script.Set("onerror", js.FuncOf(func(js.Value, []js.Value) any {
		done <- errors.New("the viewer could not be loaded: reload the page")
		return nil
	}))
	document.Get("head").Call("appendChild", script)
	err := <-done
	if err == nil {
		find := func(s string) js.Value { return document.Call("querySelector", s) }
		settled := make(chan error, 1)
		then(v.api().Call("mount", find(".stage"), find(".gl"), find(".gl3"), js.FuncOf(v.told)), func(_ js.Value, err error) { settled <- err })
		err = <-settled
	}
	v.b.post(func() {
		v.ready, v.err = err == nil, err
		for _, f := range v.wait {
			f()
		}
		v.wait = nil
	})
	return err
}

func (v *viewer) api() js.Value { return js.Global().Get("viewer") }

// call does something as soon as the viewer is there.
func (v *viewer) call(name string, args ...any) {
	v.then(func() {
		if v.err == nil {
			v.api().Call(name, args...)
		}
	})
}

func (v *viewer) then(f func()) {
	if v.ready || v.err != nil {
		f()
		return
	}
	v.wait = append(v.wait, f)
}

// told takes what the script tells.
func (v *viewer) told(_ js.Value, a []js.Value) any {
	p := v.b.Page
	number := func(i int) float64 { return a[i].Float() }
	whole := func(i int) int { return int(a[i].Float()) }
	switch a[0].String() {
	case "geometry":
		text := a[1].String()
		v.b.post(func() { v.geometry(text) })
	case "hover":
		h := &page.Hover{View: whole(1), Voxel: [3]int{whole(2), whole(3), whole(4)}, Value: number(5), PX: number(6), PY: number(7)}
		v.b.post(func() { p.View.Hover = h })
	case "leave":
		if p.View.Hover != nil {
			v.b.post(func() { p.View.Hover = nil })
		}
	case "window":
		dx, dy := number(1), number(2)
		v.b.post(func() { p.DragWindow(dx, dy) })
	case "measure":
		from, to := [3]float64{number(2), number(3), number(4)}, [3]float64{number(5), number(6), number(7)}
		r := page.Ruler{X1: number(8), Y1: number(9), X2: number(10), Y2: number(11)}
		v.b.post(func() { p.Measured(r, from, to) })
	case "stroke":
		phase, view, at := a[1].String(), whole(2), [3]int{whole(3), whole(4), whole(5)}
		v.b.post(func() { p.Stroke(phase, view, at) })
	}
	return nil
}

func (v *viewer) geometry(text string) {
	var g struct {
		Voxel [3]int
		Value float64
		Views []struct {
			View, Slice, Of int
			X, Y, MM, Width float64
		}
	}
	if json.Unmarshal([]byte(text), &g) != nil {
		return
	}
	view := &v.b.Page.View
	view.Voxel, view.Value = g.Voxel, g.Value
	for _, s := range g.Views {
		if s.View >= 0 && s.View < len(view.Planes) {
			view.Planes[s.View] = page.Plane{Slice: s.Slice, Of: s.Of, X: s.X, Y: s.Y, MM: s.MM, Width: s.Width}
		}
	}
}

func (v *viewer) Show(nifti page.Bytes, low, high float64, done func(error)) {
	v.then(func() {
		if v.err != nil {
			err := v.err
			v.b.post(func() { done(err) })
			return
		}
		then(v.api().Call("show", nifti.(memory).Value, low, high), func(_ js.Value, err error) { v.b.post(func() { done(err) }) })
	})
}

func (v *viewer) Hide()                    { v.call("hide") }
func (v *viewer) Window(low, high float64) { v.call("window", low, high) }

func (v *viewer) Labels(m []byte) {
	if m == nil {
		v.call("labels", js.Null())
		return
	}
	v.call("labels", arrayOf(m))
}

func (v *viewer) Part(offset int, b []byte) { v.call("part", offset, arrayOf(b)) }

func (v *viewer) Box(lo, shape [3]int, b page.Bytes) {
	v.call("box", lo[0], lo[1], lo[2], shape[0], shape[1], shape[2], b.(memory).Value)
}

func (v *viewer) Paint(lut []byte, fill, outline float64) {
	v.call("paint", arrayOf(lut), fill, outline)
}

func colour(c [3]uint8) []any { return []any{c[0], c[1], c[2]} }

func (v *viewer) Surfaces(list []page.Surface) {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = map[string]any{"value": s.Value, "color": colour(s.Color), "buffer": s.Bytes.(memory).Value}
	}
	v.call("surfaces", out)
}

func (v *viewer) Surface(value int, c [3]uint8, visible bool) {
	v.call("surface", value, colour(c), visible)
}

// Redraw is for views that have moved: they have after the next drawing.
func (v *viewer) Redraw() {
	js.Global().Call("setTimeout", js.FuncOf(func(js.Value, []js.Value) any { v.call("redraw"); return nil }), 30)
}

func (v *viewer) Go(x, y, z int)        { v.call("go", x, y, z) }
func (v *viewer) Step(view, n int)      { v.call("step", view, n) }
func (v *viewer) Zoom(factor float64)   { v.call("zoom", factor) }
func (v *viewer) Reset()                { v.call("reset") }
func (v *viewer) Radiological(yes bool) { v.call("radiological", yes) }
func (v *viewer) Tool(name string)      { v.call("tool", name) }

// Voxels copies the values of the scan.
func (v *viewer) Voxels() []float32 {
	if !v.ready {
		return nil
	}
	a := v.api().Call("voxels")
	raw := make([]byte, a.Get("byteLength").Int())
	js.CopyBytesToGo(raw, js.Global().Get("Uint8Array").New(a.Get("buffer"), a.Get("byteOffset"), a.Get("byteLength")))
	out := make([]float32, a.Length())
	if len(out) == 0 {
		return out
	}
	if a.Get("BYTES_PER_ELEMENT").Int() == 2 {
		for i, x := range unsafe.Slice((*int16)(unsafe.Pointer(&raw[0])), len(out)) { // little-endian, as WebAssembly is
			out[i] = float32(x)
		}
		return out
	}
	copy(out, unsafe.Slice((*float32)(unsafe.Pointer(&raw[0])), len(out)))
	return out
}

// Picture is of what is seen now, though it is there later.
func (v *viewer) Picture(notes page.Picture, got func(page.Blob)) {
	text, err := json.Marshal(notes)
	if err != nil { // of strings and numbers there is none
		panic(err)
	}
	v.then(func() {
		if v.err != nil {
			return
		}
		then(v.api().Call("picture", string(text)), func(x js.Value, err error) {
			if err == nil {
				v.b.post(func() { got(x) })
			}
		})
	})
}
