package test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
)

// segmenter is a `gounet serve` with one model and more flags; its address.
func segmenter(t testing.TB, more ...string) string {
	t.Helper()
	gounet := os.Getenv("GOUNET_TEST_SERVE") // another program than that of this tree
	if gounet == "" {
		var err error
		gounet, err = program()
		require.NoError(t, err)
	}
	if err := exec.Command(gounet, "serve", "--help").Run(); err != nil {
		t.Skip("this gounet does not serve: GOUNET_TEST_SERVE names one that does")
	}
	dir := t.TempDir()
	models := filepath.Join(dir, "models")
	require.NoError(t, os.MkdirAll(models, 0o777))
	b, err := os.ReadFile(gounetFile(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(models, "hippocampus.gounet"), b, 0o666))
	c := exec.Command(gounet, append([]string{"serve", "--data", filepath.Join(dir, "data"), "--models", models, "--listen", "127.0.0.1:0"}, more...)...)
	out, err := c.StderrPipe()
	require.NoError(t, err)
	c.Stdout = c.Stderr
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt) // it may have ended
		_ = c.Wait()
	})
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(lines.Text()); m != "" {
				select {
				case found <- m:
				default:
				}
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case at := <-found:
		return "http://" + at
	case <-time.After(time.Minute):
		t.Fatal("gounet serve does not say where it listens")
		return ""
	}
}

// with puts a server behind the page; while cut is set nothing passes, and no result does
// before results is closed.
func with(t testing.TB, address string, cut *atomic.Bool, results <-chan struct{}) func(http.Handler) http.Handler {
	u, err := url.Parse(address)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.FlushInterval = -1
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !strings.HasPrefix(r.URL.Path, "/api/"):
				h.ServeHTTP(w, r)
			case cut.Load():
				panic(http.ErrAbortHandler)
			default:
				if strings.Contains(r.URL.Path, "/results/") {
					select {
					case <-results:
					case <-r.Context().Done():
						panic(http.ErrAbortHandler)
					}
				}
				proxy.ServeHTTP(w, r)
			}
		})
	}
}

// chooseServer chooses where to run.
func (p *tab) chooseServer() {
	p.click("#onserver")
	p.until("the server's card", `[...document.querySelectorAll(".card.on .name")].some(e => e.innerText === "Server")`)
}

// The same labels come from the server, through an upload that is cut and a page that
// is loaded anew; nothing is left there.
func TestAScanIsSegmentedOnTheServer(t *testing.T) {
	address := segmenter(t)
	var cut atomic.Bool
	results := make(chan struct{})
	s := newSite(t, with(t, address, &cut, results))
	p := open(t, s, 1366, 768)
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	p.press("Choose a model")
	p.until("the server's model", `document.querySelector(".card.on .tag")?.innerText === "On server"`)
	assert.Contains(t, p.text(".card.on .meta"), "needs about ", "the server says it")
	p.everySize("03-models-server")
	p.press("Continue with Hippocampus")
	p.until("this computer is chosen", `document.querySelector(".panel .card.on .name")?.innerText === "This computer"`)
	p.chooseServer()
	p.everySize("04-check-server")
	cut.Store(true)
	p.press("Run on the server")
	p.until("it is waited for the server", `document.getElementById("left")?.innerText === "Waiting"`)
	p.everySize("05-server-waiting")
	cut.Store(false)
	p.until("the job is kept", `store.all("runs").then(l => l.length === 1 && l[0].key.startsWith("job/"))`)
	p.shot("05-server")
	p.do(chromedp.Reload())
	p.click("#goon")
	p.until("the labels are fetched", `document.getElementById("left")?.innerText === "Getting the labels"`)
	close(results)
	p.labelled()
	assert.Contains(t, p.text(".panel .head p"), "on the server")
	p.click("#export")
	p.click("#save")
	name := eval[string](p, `document.querySelector(".dialog .field input").value`)
	got, err := scan.ReadLabels(p.downloaded(name + ".nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, native(t, hippocampus(t), "--no-mirror"), got.Data)
	p.until("nothing is left there", `fetch("api/v1/jobs").then(r => r.json()).then(j => j.jobs.length === 0)`)
	p.until("nor the scan", `fetch("api/v1/uploads").then(r => r.json()).then(j => j.length === 0)`)
}
