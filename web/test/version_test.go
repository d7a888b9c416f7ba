package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/web"
)

// What a browser gets before the worker is small, and what it can be used after short.
func TestThePageIsThereSoon(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	p.until("the viewer is there", `globalThis.viewer`)
	bytes := eval[float64](p, `performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
		.filter(e => !/worker\.(js|wasm)$|service\.js$/.test(e.name)).reduce((n, e) => n + e.encodedBodySize, 0)`)
	drawn := eval[float64](p, `performance.getEntriesByName("drawn")[0].startTime`)
	t.Logf("%.0f bytes before the worker; the page can be used after %.0f ms", bytes, drawn)
	assert.Greater(t, bytes, 1e6, "program and viewer are among them")
	assert.Less(t, bytes, 2.5e6)
	if quiet() {
		assert.Less(t, drawn, 2000.)
	}
}

// scripts that say of which version they are, before the worker is asked.
var scripts = []string{"start.js", "browser.js", "viewer.js", "begin.js"}

// pinOf is the hash of a part as it stands in the page.
func pinOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func hashOf(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// versioned are the files of a page whose scripts say that they are of a version, which
// the service worker's list has like that of a page that was built so.
func versioned(t testing.TB, version string) fs.FS {
	t.Helper()
	files, err := web.Files()
	require.NoError(t, err)
	out := fstest.MapFS{}
	require.NoError(t, fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".gz") {
			return err
		}
		b, err := fs.ReadFile(files, name)
		out[name] = &fstest.MapFile{Data: b}
		return err
	}))
	service, index := out["service.js"].Data, out["index.html"].Data
	for _, name := range scripts {
		before := out[name].Data
		after := append([]byte("(globalThis.versions ??= new Set()).add("+quote(version)+");"), before...)
		out[name] = &fstest.MapFile{Data: after}
		require.Contains(t, string(service), hashOf(before), name)
		service = bytes.Replace(service, []byte(hashOf(before)), []byte(hashOf(after)), 1)
		require.Contains(t, string(index), pinOf(before), name)
		index = bytes.Replace(index, []byte(pinOf(before)), []byte(pinOf(after)), 1)
	}
	service = bytes.Replace(service, []byte(hashOf(out["index.html"].Data)), []byte(hashOf(index)), 1)
	out["index.html"] = &fstest.MapFile{Data: index}
	out["service.js"] = &fstest.MapFile{Data: append(service, "\n// "+version...)}
	service = bytes.Replace(out["service.js"].Data, []byte(`const version = "`), []byte(`const version = "`+version), 1)
	out["service.js"] = &fstest.MapFile{Data: service}
	return out
}

// A first visit while the server changes takes no part of the new version.
func TestAFirstVisitIsNotMixed(t *testing.T) {
	one, two := web.Handler(versioned(t, "one")), web.Handler(versioned(t, "two"))
	const changedText = "The page has changed as it was loaded"
	for _, c := range []struct{ changed, want string }{
		{"/.*", "If nothing comes, reload the page."},
		{"/(vugu|start|browser).js", changedText},
		{"/viewer.js", "viewer could not be loaded: reload the page"},
	} {
		t.Run(c.changed, func(t *testing.T) {
			changed := regexp.MustCompile("^" + c.changed + "$")
			s := serve(t, os.DirFS("."), func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case strings.HasPrefix(r.URL.Path, "/api/"):
						w.WriteHeader(http.StatusNoContent)
					case r.URL.Path != "/" && changed.MatchString(r.URL.Path):
						two.ServeHTTP(w, r)
					default:
						one.ServeHTTP(w, r)
					}
				})
			})
			p := visit(t, s, 1366, 768)
			if c.changed == "/viewer.js" {
				p.give("Choose files", hippocampus(t))
			}
			p.until("it is said", `document.body.innerText.includes(`+quote(c.want)+`)`)
			assert.NotContains(t, eval[string](p, `[...(globalThis.versions ?? [])].join()`), "two")
		})
	}
}

// A page that is open when the server gets a new version stays whole, and so is the
// next one; a version that changes while it is fetched is not kept.
func TestVersionsAreNeverMixed(t *testing.T) {
	var now atomic.Pointer[http.Handler]
	var late atomic.Bool // viewer.js comes from the version after
	set := func(version string) http.Handler {
		h := web.Handler(versioned(t, version))
		now.Store(&h)
		return h
	}
	set("one")
	next := web.Handler(versioned(t, "three"))
	s := serve(t, os.DirFS("."), func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/api/"):
				w.WriteHeader(http.StatusNoContent)
			case late.Load() && r.URL.Path == "/viewer.js":
				next.ServeHTTP(w, r)
			default:
				(*now.Load()).ServeHTTP(w, r)
			}
		})
	})
	p := open(t, s, 1366, 768)
	kept := func(version string) {
		t.Helper()
		p.until("version "+version+" is kept", `caches.keys().then(k => k.some(n => n.startsWith(`+quote(version)+`)))`)
		p.until("nothing is fetched any more", `navigator.serviceWorker.getRegistration().then(r => !r.installing)`)
	}
	whole := func(version string) {
		t.Helper()
		p.until("the viewer is there", `globalThis.viewer`)
		assert.Equal(t, version, eval[string](p, `[...versions].join()`))
	}
	whole("one")
	kept("one")
	p.until("it has taken over", `navigator.serviceWorker.controller !== null`)

	late.Store(true)
	set("two")
	eval[bool](p, `navigator.serviceWorker.getRegistration().then(r => r.update()).then(() => true, () => true)`)
	p.until("the version that was torn is not kept", `caches.keys().then(k => k.length === 1 && k[0].startsWith("one"))`)
	late.Store(false)
	p.do(chromedp.Reload())
	whole("one")
	kept("two")
	p.do(chromedp.Reload())
	whole("one")
	for range 20 { // a page may be opened before the browser has closed the one before
		_, err := chromedp.Call(p.ctx, page.Close, cdp.Empty{})
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		p = open(t, s, 1366, 768) // no page of version one is open any more
		p.until("the viewer is there", `globalThis.viewer`)
		if eval[string](p, `[...versions].join()`) != "one" {
			break
		}
	}
	whole("two")
	p.until("version one is forgotten", `caches.keys().then(k => k.length === 1 && k[0].startsWith("two"))`)
}
