// Command app is the page: the components of package ui in a browser.
package main

import (
	"syscall/js"

	"github.com/vugu/vugu"
	"github.com/vugu/vugu/domrender"

	"github.com/gounet/gounet/web/browser"
	"github.com/gounet/gounet/web/page"
	"github.com/gounet/gounet/web/ui"
)

// version is set by the linker.
var version = "unknown"

func main() {
	renderer, err := domrender.New("#app")
	if err != nil {
		panic(err) // the page lacks its own parts
	}
	env, err := vugu.NewBuildEnv(renderer.EventEnv())
	if err != nil {
		panic(err)
	}
	b := browser.New(version, renderer.EventEnv())
	b.Page = page.New(b)
	b.Page.Dark = b.Dark()
	root := &ui.Root{P: b.Page}
	begun := false
	for ok := true; ok; ok = renderer.EventWait() {
		if begun {
			breathe()
		}
		if err := renderer.Render(env.RunBuild(root)); err != nil {
			panic(err)
		}
		if !begun {
			begun = true
			js.Global().Get("performance").Call("mark", "drawn")
			go b.Run()
		}
	}
}

// breathe lets the browser do what waits, so that what an event did and drawing the
// page are two tasks; events that come meanwhile are drawn with it.
func breathe() {
	done := make(chan struct{})
	f := js.FuncOf(func(js.Value, []js.Value) any {
		close(done)
		return nil
	})
	js.Global().Call("setTimeout", f)
	<-done
	f.Release()
}
