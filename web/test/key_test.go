package test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// All that a run on the server asks for carries the key: what it has, uploads, jobs,
// their events and labels.
func TestAServerWithKeysSegmentsForWhomHasOne(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.txt")
	require.NoError(t, os.WriteFile(keys, fmt.Appendf(nil, "anna user %x\n", sha256.Sum256([]byte("akey"))), 0o600))
	var cut atomic.Bool
	results := make(chan struct{})
	close(results)
	s := newSite(t, with(t, segmenter(t, "--keys", keys), &cut, results))
	p := open(t, s, 1366, 768)
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	p.press("Choose a model")
	p.until("a key is asked for", `document.querySelector(".keyform")?.innerText.includes("wants a key")`)
	p.everySize("03-models-key")
	p.useKey("wrong")
	p.until("it is not the right one", `document.querySelector(".keyform")?.innerText.includes("does not take this key")`)
	p.useKey("akey")
	p.until("the server's model", `document.querySelector(".card.on .tag")?.innerText === "On server"`)
	assert.Empty(t, p.text(".keyform"))
	p.press("Continue with Hippocampus")
	p.chooseServer()
	p.press("Run on the server")
	p.labelled()
	assert.Contains(t, p.text(".panel .head p"), "on the server")
}

// useKey types a key of the server and uses it.
func (p *tab) useKey(key string) {
	p.t.Helper()
	eval[bool](p, `(() => { const e = document.getElementById("serverkey"); e.value = `+quote(key)+`; return e.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	p.click("#usekey")
}
