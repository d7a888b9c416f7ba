// Package test opens the page in a headless Chromium and uses it as people do. It
// needs `make web` first; screenshots of every state are put into GOUNET_SCREENS.
package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/browsertest"
	"github.com/gounet/gounet/web"
)

// site serves the page, and knows what was asked for.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newSite(t testing.TB, wrap func(http.Handler) http.Handler) *site {
	t.Helper()
	files, err := web.Files()
	if errors.Is(err, web.ErrNotBuilt) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return serve(t, files, wrap)
}

func serve(t testing.TB, files fs.FS, wrap func(http.Handler) http.Handler) *site {
	s := &site{}
	h := web.Handler(files)
	if wrap != nil {
		h = wrap(h)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		if wrap == nil && strings.HasPrefix(r.URL.Path, "/api/") { // there is no server that segments
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// requests that came since the last call.
func (s *site) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.asked
	s.asked = nil
	return list
}

// tab is a page in a browser.
type tab struct {
	t       testing.TB
	ctx     context.Context
	site    *site
	folder  string // of downloads
	mu      sync.Mutex
	console []string
}

// one is the browser of all tests: each has an origin of its own, and so a storage.
var one = sync.OnceValue(func() context.Context {
	path, err := browsertest.Find()
	if err != nil {
		return nil
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Headless, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("enable-unsafe-webgpu", true), chromedp.Flag("enable-unsafe-swiftshader", true), chromedp.Flag("disable-gpu-watchdog", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-renderer-backgrounding", true), chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("force-color-profile", "srgb"),
	)
	ctx, end := chromedp.NewContext(ctx)
	closing = func() { end(); cancel() }
	return ctx
})

// closing ends the browser.
var closing = func() {}

// chromium is the browser, or the end of a test where there is none.
func chromium(t testing.TB) context.Context {
	t.Helper()
	if _, err := browsertest.Find(); err != nil {
		t.Skip(err)
	}
	ctx := one()
	require.NoError(t, chromedp.Do(ctx)) // starts it
	return ctx
}

// downloads is a folder that is removed when the browser writes to it no more: files
// that a test does not wait for may come after its end.
func downloads(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "gounet_page_")
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.RemoveAll(folder) == nil }, patience, 50*time.Millisecond)
	})
	return folder
}

// open opens the page in a window of a size.
func open(t testing.TB, s *site, w, h int64) *tab {
	t.Helper()
	p := visit(t, s, w, h)
	p.until("the page begins", `document.querySelector(".drop") !== null`)
	return p
}

// visit is open that does not wait for the page to begin.
func visit(t testing.TB, s *site, w, h int64) *tab {
	t.Helper()
	folder := downloads(t)
	ctx, cancel := chromedp.NewContext(chromium(t))
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(stop)
	p := &tab{t: t, ctx: ctx, site: s, folder: folder}
	p.do(chromedp.EmulateViewport(w, h))
	go func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.console = append(p.console, fmt.Sprintf("%v: %s", m.Type, m.Text))
			p.mu.Unlock()
		}
	}()
	_, err := chromedp.Call(ctx, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: true})
	require.NoError(t, err)
	_, err = chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: p.folder,
	})
	require.NoError(t, err)
	p.do(chromedp.Navigate(s.URL))
	return p
}

func (p *tab) do(a ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, a...); err != nil {
		p.fail(err.Error())
	}
}

func (p *tab) fail(why string) {
	p.t.Helper()
	p.mu.Lock()
	said := strings.Join(p.console, "\n")
	p.mu.Unlock()
	shot := filepath.Join(os.TempDir(), "gounet_page_failed.png")
	ctx, stop := context.WithTimeout(context.WithoutCancel(p.ctx), 20*time.Second)
	defer stop()
	if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		_ = os.WriteFile(shot, png, 0o600) // for whoever looks into it
	}
	p.t.Fatalf("%s\nconsole:\n%s\nscreenshot: %s", why, said, shot)
}

// eval is the value of an expression.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.fail(expression + ": " + err.Error())
	}
	return v
}

const patience = 150 * time.Second

// until waits until an expression, or what it promises, is true.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		v, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](
			"Promise.race([(async () => Boolean(await ("+expression+")))(), new Promise(r => setTimeout(r, 1000, false))])", chromedp.EvalAwaitPromise))
		if err == nil && v {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.fail("waited in vain: " + what)
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// click clicks what a selector finds, as soon as it can be.
func (p *tab) click(selector string) {
	p.t.Helper()
	p.until("a click on "+selector, `(() => { const e = document.querySelector(`+quote(selector)+`); return e && e.checkVisibility() && !e.disabled && (e.click(), true); })()`)
}

// press clicks the button that says text.
func (p *tab) press(text string) {
	p.t.Helper()
	p.until("a button "+text, `(() => { const e = [...document.querySelectorAll("button")].find(b => b.checkVisibility() && !b.disabled && b.textContent.trim().startsWith(`+quote(text)+`)); return e && (e.click(), true); })()`)
}

// text is what an element says.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, `document.querySelector(`+quote(selector)+`)?.innerText ?? ""`)
}

// give hands files to the chooser that a button opens.
func (p *tab) give(button string, files ...string) {
	p.t.Helper()
	eval[bool](p, `document.getElementById("chooser")?.remove() ?? true`)
	p.press(button)
	p.until("a chooser of files", `document.getElementById("chooser") !== null`)
	p.do(chromedp.SetUploadFiles(chromedp.CSS("#chooser"), files))
}

// key presses keys.
func (p *tab) key(k string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(k))
}

// shot keeps a screenshot for people to look at.
func (p *tab) shot(name string) {
	p.t.Helper()
	dir := os.Getenv("GOUNET_SCREENS")
	if dir == "" {
		return
	}
	time.Sleep(300 * time.Millisecond) // pictures are drawn in the next frames
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	require.NoError(p.t, err)
	require.NoError(p.t, os.MkdirAll(dir, 0o777))
	require.NoError(p.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
}

// sizes of windows: a laptop's, a phone's, a 4K screen's.
var sizes = []struct {
	name string
	w, h int64
}{{"phone", 390, 844}, {"4k", 3840, 2160}, {"laptop", 1366, 768}}

// everySize keeps screenshots of a state in every size and theme.
func (p *tab) everySize(state string) {
	p.t.Helper()
	if os.Getenv("GOUNET_SCREENS") == "" {
		return
	}
	for _, s := range sizes {
		p.do(chromedp.EmulateViewport(s.w, s.h))
		p.until("it is laid out", fmt.Sprintf("innerWidth === %d", s.w))
		for _, theme := range []string{"light", "dark"} {
			eval[bool](p, `(document.documentElement.dataset.theme = "`+theme+`", true)`)
			p.shot(state + "-" + s.name + "-" + theme)
		}
	}
}

// downloaded waits for a file that was saved.
func (p *tab) downloaded(name string) string {
	p.t.Helper()
	path := filepath.Join(p.folder, name)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if st, err := os.Stat(path); err == nil && st.Size() > 0 {
			return path
		}
	}
	p.fail("no file " + name + " was saved")
	return ""
}

// noErrors says that nothing was complained about.
func (p *tab) noErrors() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.console {
		if strings.HasPrefix(line, "error") {
			p.t.Errorf("console: %s", line)
		}
	}
}
