package test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
)

// coloured is how many pixels of the picture are not grey, as an expression.
const coloured = `viewer.picture().then(createImageBitmap).then(i => {
		const g = new OffscreenCanvas(i.width, i.height).getContext("2d");
		g.drawImage(i, 0, 0);
		const d = g.getImageData(0, 0, i.width, i.height).data;
		let n = 0;
		for (let k = 0; k < d.length; k += 4) {
			if (Math.max(d[k], d[k + 1], d[k + 2]) - Math.min(d[k], d[k + 1], d[k + 2]) > 24) n++;
		}
		return n;
	})`

// Labels lie over the scan while it is segmented, and go when that is cancelled.
func TestLabelsAppearAsTilesAreDone(t *testing.T) {
	many, model := mosaic(t, 3), gounetFile(t)
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(many, model)
	p.click(`[data-device="cpu"]`)
	p.press("Mirrored")
	p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
	assert.Zero(t, eval[float64](p, coloured))
	p.watched("tiles are computed and shown", 100, func() {
		p.click("#run")
		p.until("some tiles", `document.querySelectorAll(".tiles .d").length > 8`)
	})
	eval[bool](p, `(document.documentElement.dataset.theme = "dark", viewer.go(17, 25, 18), true)`) // the first of the heads that the scan is made of
	p.shot("05-running")
	p.until("labels of them", coloured+".then(n => n > 0)")
	assert.True(t, eval[bool](p, `document.querySelector("#pause").checkVisibility()`), "it runs")
	p.click("#cancel")
	p.until("the panel before", `document.querySelector(".panel h2").innerText === "Before it runs"`)
	assert.Zero(t, eval[float64](p, coloured))
	p.noErrors()
}

// tiling is a page on which a scan of many tiles is segmented, and some are done.
func tiling(t *testing.T) *tab {
	t.Helper()
	many, model := mosaic(t, 3), gounetFile(t)
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(many, model)
	p.click(`[data-device="cpu"]`)
	p.press("Mirrored")
	p.click("#run")
	p.until("some tiles", `document.querySelectorAll(".tiles .d").length > 1`)
	return p
}

// For another scan a segmentation is paused, and offered when it is done with that.
func TestAnotherScanPausesASegmentation(t *testing.T) {
	p := tiling(t)
	p.click("[aria-label^='Open another scan']")
	p.until("the way back", `document.getElementById("back")?.checkVisibility()`)
	p.everySize("01-way-back")
	p.accessible("way back")
	p.press("Back to mosaic")
	p.until("it goes on", `document.querySelector("#pause")?.checkVisibility()`)
	p.click("[aria-label^='Open another scan']")
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	p.until("it is said", `document.querySelector(".notice")?.innerText.includes("mosaic is paused")`)
	p.everySize("02-paused-for-another")
	p.click("[aria-label^='Open another scan']")
	p.click("#goon")
	p.until("it goes on", `document.querySelectorAll(".tiles .d").length > 1 && document.querySelector("#pause").checkVisibility()`)
	assert.Equal(t, "mosaic", p.text(".case h1"))
	p.click("#cancel")
	p.until("nothing is kept", `store.all("runs").then(l => l.length === 0)`)
	p.noErrors()
}

// The middle of a scan is the middle of its views, however large they are.
func TestTheCrosshairIsWhereItsVoxelIs(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	for _, size := range [][2]int64{{1366, 768}, {1280, 800}, {1440, 900}, {1500, 777}, {1920, 1080}, {1000, 701}} {
		p.do(chromedp.EmulateViewport(size[0], size[1]))
		p.until(fmt.Sprintf("the crosshair at %v", size), fmt.Sprintf(`innerWidth === %d && [1, 2].every(v => document.querySelector("[data-view='" + v + "'] .over").style.getPropertyValue("--y") === "50.000%%")`, size[0]))
	}
	p.noErrors()
}

// Labels lie over the scan while the server segments it, too, and go when that is
// cancelled.
func TestLabelsOfTheServerAppearAsTilesAreDone(t *testing.T) {
	var cut atomic.Bool
	p := open(t, newSite(t, with(t, segmenter(t), &cut, make(chan struct{}))), 1366, 768)
	p.give("Choose files", mosaic(t, 3))
	p.scanIsOpen()
	p.press("Choose a model")
	p.press("Continue with Hippocampus")
	p.chooseServer()
	p.press("Mirrored")
	eval[bool](p, `(document.documentElement.dataset.theme = "dark", viewer.go(17, 25, 18), true)`) // the first of the heads that the scan is made of
	assert.Zero(t, eval[float64](p, coloured))
	p.press("Run on the server")
	p.until("labels of some tiles", coloured+".then(n => n > 0)")
	assert.Regexp(t, `\d of .+ tiles`, p.text(".panel"), "it runs")
	p.shot("05-server-tiles")
	p.accessible("tiles of the server")
	p.click("#cancel")
	p.until("the panel before", `document.querySelector(".panel h2").innerText === "Before it runs"`)
	assert.Zero(t, eval[float64](p, coloured))
	p.until("nothing is left there", `fetch("api/v1/jobs").then(r => r.json()).then(j => j.jobs.length === 0)`)
	p.noErrors()
}
