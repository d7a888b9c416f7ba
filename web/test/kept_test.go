package test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
)

// reload loads the page again, whatever that loses.
func (p *tab) reload() {
	p.t.Helper()
	p.do(chromedp.Reload())
	p.until("the page begins", `document.querySelector(".drop") !== null`)
}

// Corrected labels are there again after a reload, with nothing sent, and are gone when
// they are removed.
func TestLabelsAreThereAgainAfterAReload(t *testing.T) {
	model := gounetFile(t)
	s := newSite(t, nil)
	p := open(t, s, 1366, 768)
	dialogs := chromedp.Events(p.ctx, page.JavascriptDialogOpening)
	go func() {
		for _, err := range dialogs { // they are in no file
			if err != nil {
				return
			}
			_, _ = chromedp.Call(p.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}
	}()
	p.ready(hippocampus(t), model)
	p.click(`[data-device="cpu"]`)
	p.click("#run")
	p.labelled()
	p.until("they are kept", `document.getElementById("stays")?.checkVisibility()`)
	assert.Contains(t, p.text("#stays"), "Kept on this computer")
	p.click("#correct")
	p.until("the tools", `document.querySelector(".toolgrid")`)
	p.drag(.4, .7, .6, .7)
	p.until("a change", `document.querySelectorAll(".todo li").length === 1`)
	p.press("Keep changes")
	p.labelled()
	p.until("the correction is kept", `document.getElementById("stays")?.checkVisibility()`)
	ml := p.text(".labs")

	p.reload()
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	s.requests()
	p.until("the offer", `document.getElementById("kept")`)
	assert.Contains(t, p.text("#kept"), "Labels of this scan from ")
	assert.Contains(t, p.text("#kept"), "Hippocampus, corrected.")
	p.accessible("kept labels")
	p.shot("03-kept")
	p.click("#show-kept")
	p.labelled()
	p.until("the volumes", `document.querySelector(".labs").innerText === `+quote(ml))
	for _, r := range s.requests() {
		assert.Equal(t, "GET /service.js", r, "nothing is sent, and nothing fetched, but the browser looks for a new version")
	}
	name := eval[string](p, `document.querySelector(".case h1").innerText`) + "_labels.nii.gz"
	p.click("#export")
	p.click("#save")
	l, err := scan.ReadLabels(p.downloaded(name))
	require.NoError(t, err)
	before, added := native(t, hippocampus(t), "--no-mirror"), 0
	for i, v := range l.Data {
		if v != before[i] {
			added++
		}
	}
	assert.Positive(t, added, "the strokes are in the file")
	require.NoError(t, os.Remove(filepath.Join(p.folder, name)))
	p.key("\x1b")

	p.click("[aria-label='Stored models']")
	p.until("the list", `document.querySelectorAll(".dialog tbody tr").length === 2`)
	assert.Contains(t, p.text(".dialog tbody"), "Labels of ")
	p.accessible("stored labels")
	p.shot("10-stored-labels")
	p.click("[aria-label^='Remove labels of']")
	p.until("they are gone", `document.querySelectorAll(".dialog tbody tr").length === 1`)
	p.reload()
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	p.press("Choose a model") // what is kept is found before
	p.click("[aria-label='Stored models']")
	p.until("the model alone", `document.querySelectorAll(".dialog tbody tr").length === 1`)
	assert.Equal(t, "null", eval[string](p, `String(document.getElementById("kept"))`))
	p.noErrors()
}
