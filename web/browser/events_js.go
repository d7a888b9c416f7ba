package browser

import (
	"syscall/js"

	"github.com/gounet/gounet/web/page"
)

// listen hears keys, files that are dragged, and the network.
func (b *Browser) listen() {
	g := js.Global()
	document := g.Get("document")
	document.Call("addEventListener", "keydown", js.FuncOf(b.key), true)
	document.Call("addEventListener", "focusout", js.FuncOf(func(_ js.Value, a []js.Value) any {
		if id := a[0].Get("target").Get("id"); id.Truthy() {
			field := id.String()
			b.post(func() { b.Page.LeaveField(field) })
		}
		return nil
	}))
	g.Get("files").Call("drops", js.FuncOf(func(_ js.Value, a []js.Value) any {
		switch a[0].String() {
		case "over":
			n := a[1].Int()
			b.post(func() { b.Page.Drag(max(n, 1)) })
		case "leave":
			b.post(func() { b.Page.Drag(0) })
		case "drop":
			files := filesOf(a[1])
			var unread []string
			for i := range a[2].Length() {
				unread = append(unread, a[2].Index(i).String())
			}
			b.post(func() { b.Page.Drop(files, unread) })
		}
		return nil
	}))
	g.Call("addEventListener", "beforeunload", js.FuncOf(func(_ js.Value, a []js.Value) any {
		b.env.Lock()
		ask := b.Page.Unsaved()
		b.env.UnlockOnly()
		if ask {
			a[0].Call("preventDefault")
		}
		return nil
	}))
	document.Call("addEventListener", "visibilitychange", js.FuncOf(func(js.Value, []js.Value) any {
		if document.Get("hidden").Bool() { // it may not come back
			b.post(b.Page.KeepAtOnce)
		}
		return nil
	}))
	for _, name := range []string{"online", "offline"} {
		g.Call("addEventListener", name, js.FuncOf(func(js.Value, []js.Value) any {
			online := g.Get("navigator").Get("onLine").Bool()
			b.post(func() { b.Page.Online(online) })
			return nil
		}))
	}
	document.Call("addEventListener", "dblclick", js.FuncOf(func(_ js.Value, a []js.Value) any {
		if v := viewAt(a[0].Get("target")); v >= 0 {
			b.post(func() { b.Page.Maximise(v) })
		}
		return nil
	}))
}

// viewAt is the view that an element is in, −1: none.
func viewAt(element js.Value) int {
	if element.Get("closest").IsUndefined() {
		return -1
	}
	v := element.Call("closest", ".vp[data-view]")
	if v.IsNull() {
		return -1
	}
	return int(v.Get("dataset").Get("view").String()[0] - '0')
}

// key hands a key to the page at once, because the browser must know whether it was
// taken.
func (b *Browser) key(_ js.Value, a []js.Value) any {
	e := a[0]
	t := e.Get("target")
	k := page.KeyStroke{
		Key: e.Get("key").String(), Ctrl: e.Get("ctrlKey").Bool() || e.Get("metaKey").Bool(), Shift: e.Get("shiftKey").Bool(), Alt: e.Get("altKey").Bool(),
		View: viewAt(t),
	}
	if tag := t.Get("tagName"); !tag.IsUndefined() {
		kind := t.Get("type")
		typed := kind.IsUndefined() || kind.String() == "text" || kind.String() == "search" || kind.String() == "password" || kind.String() == "number"
		k.Field = tag.String() == "INPUT" && typed || tag.String() == "TEXTAREA"
		if role := t.Call("getAttribute", "role"); !role.IsNull() {
			k.Role = role.String()
		}
		if tag.String() == "BUTTON" && (k.Key == " " || k.Key == "Enter") {
			return nil // the button's own
		}
		if !kind.IsUndefined() && kind.String() == "range" {
			k.Role = "slider"
		}
	}
	if k.Key == "Tab" {
		b.trap(e)
		return nil
	}
	if move := map[string]int{"ArrowDown": 1, "ArrowUp": -1, "ArrowRight": 1, "ArrowLeft": -1}[k.Key]; move != 0 && b.rove(t, move) {
		e.Call("preventDefault")
		return nil
	}
	b.env.Lock()
	taken := b.Page.Key(k)
	if k.Field && !taken {
		b.env.UnlockOnly() // what is typed is not there yet
		return nil
	}
	b.env.UnlockRender()
	if taken {
		e.Call("preventDefault")
	}
	return nil
}

// rove moves the focus within a group of radios or a toolbar, and chooses radios.
func (b *Browser) rove(from js.Value, step int) bool {
	if from.Get("closest").IsUndefined() {
		return false
	}
	group := from.Call("closest", "[role=radiogroup],[role=toolbar],[role=tablist],[role=menu]")
	if group.IsNull() {
		return false
	}
	list := group.Call("querySelectorAll", "[role=radio]:not([aria-disabled=true]),[role=tab],[role=menuitem],.rail button,.toolgrid button")
	n := list.Length()
	for i := range n {
		if !list.Index(i).Equal(from) {
			continue
		}
		to := list.Index((i + step + n) % n)
		to.Call("focus")
		if role := to.Call("getAttribute", "role"); !role.IsNull() && role.String() != "menuitem" {
			to.Call("click")
		}
		return true
	}
	return false
}

// trap keeps the focus in a dialog.
func (b *Browser) trap(e js.Value) {
	document := js.Global().Get("document")
	dialog := document.Call("querySelector", ".dialog")
	if dialog.IsNull() {
		return
	}
	list := dialog.Call("querySelectorAll", "button:not(:disabled),a[href],input:not(:disabled),[tabindex='0']")
	if list.Length() == 0 {
		return
	}
	first, last, now := list.Index(0), list.Index(list.Length()-1), document.Get("activeElement")
	back := e.Get("shiftKey").Bool()
	switch {
	case back && now.Equal(first):
		last.Call("focus")
	case !back && now.Equal(last), !dialog.Call("contains", now).Bool():
		first.Call("focus")
	default:
		return
	}
	e.Call("preventDefault")
}

const drawn = 40 // ms: the page is drawn by then

// Focus gives the focus to the first element that a selector finds.
func (b *Browser) Focus(selector string) {
	document := js.Global().Get("document")
	if now := document.Get("activeElement"); now.Truthy() && now.Call("closest", ".scrim,.menu").IsNull() {
		b.before = now
	}
	later(func() {
		e := document.Call("querySelector", selector)
		if e.IsNull() {
			return
		}
		e.Call("focus", map[string]any{"preventScroll": false})
		if e.Get("tagName").String() == "INPUT" && e.Get("type").String() == "text" {
			e.Call("select") // what is typed replaces what is there
		}
	})
}

// FocusBack gives it back after a dialog.
func (b *Browser) FocusBack() {
	e := b.before
	later(func() {
		if e.Truthy() && e.Get("isConnected").Bool() {
			e.Call("focus")
		}
	})
}

func later(f func()) {
	var once js.Func
	once = js.FuncOf(func(js.Value, []js.Value) any {
		once.Release()
		f()
		return nil
	})
	js.Global().Call("setTimeout", once, drawn)
}

// Reload loads the page again.
func (b *Browser) Reload() { js.Global().Get("location").Call("reload") }

// Theme shows the page dark or light, next time as well.
func (b *Browser) Theme(dark bool) {
	name := "light"
	if dark {
		name = "dark"
	}
	js.Global().Get("document").Get("documentElement").Get("dataset").Set("theme", name)
	js.Global().Get("localStorage").Call("setItem", "theme", name)
}

// Dark tells which theme the page has begun with.
func (b *Browser) Dark() bool {
	return js.Global().Get("document").Get("documentElement").Get("dataset").Get("theme").String() != "light"
}

// Announce has a screen reader say something.
func (b *Browser) Announce(text string) {
	if e := js.Global().Get("document").Call("getElementById", "spoken"); !e.IsNull() {
		e.Set("textContent", text)
	}
}

// CopyText puts text on the clipboard.
func (b *Browser) CopyText(text string) {
	if c := js.Global().Get("navigator").Get("clipboard"); c.Truthy() {
		then(c.Call("writeText", text), func(js.Value, error) {})
	}
	js.Global().Set("copied", text)
}
