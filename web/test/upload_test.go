package test

import (
	"encoding/binary"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largeMR is a scan of several pieces of an upload, whose values are none of a CT.
func largeMR(t testing.TB) string {
	t.Helper()
	path := largeCT(t, 256, 256, 160)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	const header, air = 352, 1000
	for i := header; i < len(b); i += 2 {
		binary.LittleEndian.PutUint16(b[i:], binary.LittleEndian.Uint16(b[i:])+air)
	}
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

// pieces are those of uploads that have passed; stuck lets no more of them pass.
type pieces struct {
	stuck   atomic.Bool
	mu      sync.Mutex
	begun   int
	offsets []string
}

func (s *pieces) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/api/v1/tus":
			s.mu.Lock()
			s.begun++
			s.mu.Unlock()
		case r.Method == http.MethodPatch && s.stuck.Load():
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodPatch:
			s.mu.Lock()
			s.offsets = append(s.offsets, r.Header.Get("Upload-Offset"))
			s.stuck.Store(len(s.offsets) == 2)
			s.mu.Unlock()
		}
		h.ServeHTTP(w, r)
	})
}

// What has arrived of a scan is not sent again after a reload; another tab leaves it to
// the one that sends it.
func TestAnUploadGoesOnAfterAReload(t *testing.T) {
	address := segmenter(t)
	var cut atomic.Bool
	sent := &pieces{}
	api := with(t, address, &cut, nil)
	s := newSite(t, func(h http.Handler) http.Handler { return sent.wrap(api(h)) })
	p := open(t, s, 1366, 768)
	p.give("Choose files", largeMR(t))
	p.scanIsOpen()
	p.press("Choose a model")
	p.until("the server's model", `document.querySelector(".card.on .tag")?.innerText === "On server"`)
	p.press("Continue with Hippocampus")
	p.chooseServer()
	p.press("Run on the server")
	p.until("it is waited for the server", `document.getElementById("left")?.innerText === "Waiting"`)
	assert.Contains(t, p.text(".alert.warn"), "8.4 MB of 21 MB have arrived")

	other := open(t, s, 1366, 768)
	other.until("the server is known", `document.querySelector(".after").innerText.includes("It is sent to the server only if")`)
	assert.False(t, eval[bool](other, `store.all("runs").then(l => l.length > 0)`), "another tab sends it")
	assert.False(t, eval[bool](other, `document.getElementById("goon")?.checkVisibility() ?? false`))

	p.do(chromedp.Reload())
	p.until("it is offered", `document.getElementById("goon")?.checkVisibility()`)
	assert.Contains(t, p.text(".alert.warn"), "8.4 MB of 21 MB have arrived")
	p.everySize("01-open-upload")
	sent.stuck.Store(false)
	p.click("#goon")
	p.until("there is a job", `store.all("runs").then(l => l.length === 1 && l[0].key.startsWith("job/"))`)
	sent.mu.Lock()
	assert.Equal(t, 1, sent.begun, "one upload")
	assert.Equal(t, []string{"0", "4194304", "8388608", "12582912", "16777216", "20971520"}, sent.offsets, "every piece once")
	sent.mu.Unlock()
	p.click("#cancel")
	p.until("nothing is left there", `fetch("api/v1/jobs").then(r => r.json()).then(j => j.jobs.length === 0)`)
	p.until("nor the scan", `fetch("api/v1/uploads").then(r => r.json()).then(j => j.length === 0)`)
	p.until("nor here", `store.all("runs").then(l => l.length === 0)`)
}
