package test

import (
	"encoding/base64"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// focused is an expression of the element that has the focus.
const focused = `document.activeElement`

// Nothing but the chooser of files takes a mouse.
func TestTheKeyboardAloneIsEnough(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	for i := 0; i < 20 && !eval[bool](p, focused+`.id === "example"`); i++ {
		p.key(kb.Tab)
	}
	require.True(t, eval[bool](p, focused+`.id === "example"`), "Tab leads to it")
	p.key(kb.Enter)
	p.scanIsOpen()
	p.until("the focus is in the panel", focused+`.closest(".panel") !== null`)
	eval[bool](p, `(document.getElementById("width").select(), true)`)
	p.key("900")
	p.key(kb.Enter)
	p.until("the window is as typed", `document.querySelector(".vp-main .bl").innerText.includes("W 900")`)
	eval[bool](p, `(document.querySelector(".panel .foot button").focus(), true)`)
	p.key("s")
	p.give("Add .gounet file", gounetFile(t))
	p.until("the card", `document.querySelector(".card.on .name")?.innerText === "Hippocampus"`)
	p.key("s")
	p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
	p.key("s")
	p.labelled()
	p.until("the focus is in the panel", focused+`.closest(".panel") !== null`)
	name := p.text(".lab.sel .nm")
	p.key(kb.F2)
	p.until("the name can be typed", focused+`.id === "rename"`)
	p.key("Foot")
	p.key(kb.Escape)
	p.until("it is given up", `document.getElementById("rename") === null && document.querySelector(".lab.sel .nm")?.innerText === `+quote(name))
	p.key(kb.F2)
	p.until("the name can be typed", focused+`.id === "rename"`)
	p.key("Head")
	p.key(kb.Enter)
	p.until("it is renamed", `document.querySelector(".lab.sel .nm")?.innerText === "Head"`)
	p.until("its row has the focus", focused+`.innerText === "Head"`)
	p.do(chromedp.KeyEvent("z", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	p.until("that is taken back", `document.querySelector(".lab.sel .nm")?.innerText === `+quote(name))
	p.do(chromedp.KeyEvent("z", chromedp.KeyModifiers(chromedp.ModifierCtrl, chromedp.ModifierShift)))
	p.until("and made again", `document.querySelector(".lab.sel .nm")?.innerText === "Head"`)
	p.do(chromedp.KeyEvent("e", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	p.until("the dialog has the focus", focused+`.closest(".dialog") !== null`)
	for range 25 {
		p.key(kb.Tab)
		require.True(t, eval[bool](p, focused+`.closest(".dialog") !== null`), "it keeps it")
	}
	p.key(kb.Escape)
	p.until("it is given back", focused+`.closest(".panel") !== null`)
	p.noErrors()
}

// drop lets go of a file over the page.
func (p *tab) drop(name string, content []byte) {
	p.t.Helper()
	eval[bool](p, `(() => {
		const bytes = Uint8Array.from(atob(`+quote(base64.StdEncoding.EncodeToString(content))+`), c => c.charCodeAt(0));
		const dataTransfer = new DataTransfer();
		dataTransfer.items.add(new File([bytes], `+quote(name)+`));
		for (const kind of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
		return true;
	})()`)
}

// A scan can be dropped at any time: over a dialog about another, and over the alert of
// one that is none.
func TestScansAreDroppedWhereTheyAreNotExpected(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(hippocampus(t), gounetFile(t))
	const asks = `(() => { const e = new Event("beforeunload", { cancelable: true }); dispatchEvent(e); return e.defaultPrevented; })()`
	assert.False(t, eval[bool](p, asks), "nothing would be lost")
	p.click("#run")
	p.labelled()
	assert.True(t, eval[bool](p, asks), "no file has the labels")
	p.click("#export")
	p.until("the dialog", `document.querySelector(".dialog")`)
	p.drop("letter.nii", []byte("To whom it may concern"))
	p.until("it is told of", `document.querySelector("[role=alert] h2")?.innerText.includes("letter.nii")`)
	assert.False(t, eval[bool](p, `document.querySelector(".dialog") !== null`))
	b, err := os.ReadFile(hippocampus(t))
	require.NoError(t, err)
	p.drop("another.nii.gz", b)
	p.click("#anyway") // labels that no file has are lost
	p.scanIsOpen()
	assert.Contains(t, p.text(".topbar"), "another")
	p.drop("model.gounet", []byte("PK"))
	p.until("the model is told of", `document.querySelector("[role=alert] h2")?.innerText.includes("model.gounet")`)
	p.noErrors()
}
