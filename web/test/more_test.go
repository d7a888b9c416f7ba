package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
)

func TestADICOMFolderBecomesASegmentationAndAStructureSet(t *testing.T) {
	model := gounetFile(t)
	folder := data(t, "dicom", "series_ref", "udacity", "Study1", "13_HCropVolume")
	p := open(t, newSite(t, nil), 1366, 768)
	p.give("Choose folder", folder)
	p.scanIsOpen()
	assert.Contains(t, p.text(".kv"), "MR")
	p.press("Choose a model")
	p.give("Add .gounet file", model)
	p.press("Continue with Hippocampus")
	p.click(`[data-device="cpu"]`)
	p.click("#run")
	p.labelled()
	p.click("#export")
	p.click(`[data-format="rtstruct"]`)
	p.click("#save")
	name := eval[string](p, `document.querySelector(".dialog .field input").value`)
	want := native(t, folder, "--no-mirror")

	c, err := dicom.Open(t.Context(), folder)
	require.NoError(t, err)
	defer c.Close()
	series, err := c.Scan()
	require.NoError(t, err)
	v := series.Volumes[0]
	open := func(ending string) dicom.File {
		b, err := os.ReadFile(p.downloaded(name + ending))
		require.NoError(t, err)
		return dicom.FileOf(ending, bytes.NewReader(b), int64(len(b)))
	}
	seg, err := dicom.OpenSEG(open(".seg.dcm"))
	require.NoError(t, err)
	l, _, err := seg.Labels(t.Context(), v)
	require.NoError(t, err)
	assert.Equal(t, want, l.Data)
	assert.Equal(t, "Anterior", seg.Segments[0].Name)
	set, err := dicom.OpenRTSTRUCT(open(".rtstruct.dcm"))
	require.NoError(t, err)
	l, _, err = set.Labels(t.Context(), v)
	require.NoError(t, err)
	assert.Equal(t, want, l.Data)
	p.noErrors()
}

func TestASeriesWithAMissingSliceOpensWithAWarning(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.CopyFS(folder, os.DirFS(data(t, "dicom", "series_ref", "udacity", "Study1", "13_HCropVolume"))))
	require.NoError(t, os.Remove(filepath.Join(folder, "7.dcm")))
	p := open(t, newSite(t, nil), 1366, 768)
	p.give("Choose folder", folder)
	p.scanIsOpen()
	assert.Contains(t, p.text(".alert.warn"), "The scan is not complete")
	assert.Contains(t, p.text(".alert.warn"), "Slices are missing from the series, 1 of 32: 1 between ")
	assert.Contains(t, p.text(".kv"), "35 × 51 × 32")
	p.accessible("a missing slice")
	p.shot("03-missing-slice")
	p.noErrors()
}

func TestSeveralSeriesAreChosenFrom(t *testing.T) {
	folder := data(t, "dicom", "series_ref", "dcm_qa_nih", "In")
	p := open(t, newSite(t, nil), 1366, 768)
	p.give("Choose folder", folder)
	p.until("the list", `document.querySelectorAll(".ser").length > 1`)
	p.until("a picture", `document.querySelector(".ser img:not([hidden])")`)
	p.everySize("02-series")
	p.accessible("series")
	p.do(chromedp.EmulateViewport(390, 844))
	p.until("it is laid out", `innerWidth === 390`)
	assert.Less(t, eval[float64](p, `Math.max(...[...document.querySelectorAll(".ser")].map(e => e.querySelector(".th").getBoundingClientRect().left - e.getBoundingClientRect().left))`), 48., "on a phone only the mark is before the picture")
	p.do(chromedp.EmulateViewport(1366, 768))
	p.press("Open series")
	p.scanIsOpen()
	p.noErrors()
}

// mosaic is a scan of many tiles: n times the hippocampus along each axis.
func mosaic(t testing.TB, n int) string {
	t.Helper()
	im, _, err := nifti.ReadImage(hippocampus(t))
	require.NoError(t, err)
	from := im.Shape
	out := volume.Image{Grid: im.Grid, C: 1}
	for a := range out.Shape {
		out.Shape[a] *= n
	}
	for d := range out.Shape[0] {
		for h := range out.Shape[1] {
			at := (d%from[0]*from[1] + h%from[1]) * from[2]
			for range n {
				out.Data = append(out.Data, im.Data[at:at+from[2]]...)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "mosaic.nii.gz")
	require.NoError(t, nifti.WriteImage(path, &out, nil))
	return path
}

// What was paused goes on after a reload, to the labels of one that was not.
func TestAPausedSegmentationGoesOnAfterAReload(t *testing.T) {
	many, model := mosaic(t, 2), gounetFile(t)
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(many, model)
	p.click(`[data-device="cpu"]`)
	p.press("Mirrored")
	p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
	p.shot("04-check")
	p.click("#run")
	p.until("some tiles", `document.querySelector(".tiles .d")`)
	p.click("#pause")
	p.until("the pause", `document.getElementById("left").innerText === "Paused"`)
	p.everySize("05-paused")
	done := p.text("#left + .sub")
	p.until("the state is kept", `store.all("runs").then(l => l.some(s => s.key.startsWith("state/")))`)
	p.do(chromedp.Reload())
	p.until("the offer to go on", `document.getElementById("goon")`)
	p.everySize("01-interrupted")
	p.click("#goon")
	p.until("it goes on", `document.querySelector(".tiles .d")`)
	p.shot("05-running")
	p.labelled()
	t.Log("paused at", done)
	p.click("#export")
	p.click("#save")
	name := eval[string](p, `document.querySelector(".dialog .field input").value`)
	got, err := scan.ReadLabels(p.downloaded(name + ".nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, native(t, many), got.Data)
	p.until("the labels alone are kept", `store.all("runs").then(l => l.length === 1 && l[0].key.startsWith("labels/"))`)
	p.noErrors()
}

func TestWhatIsCancelledIsForgotten(t *testing.T) {
	p := tiling(t)
	p.click("#cancel")
	p.until("the panel before", `document.querySelector(".panel h2").innerText === "Before it runs"`)
	p.until("nothing is kept", `store.all("runs").then(l => l.length === 0)`)
	p.until("the worker is free", `document.getElementById("estimate")?.innerText.startsWith("about")`)
	p.noErrors()
}

func TestABrokenFileIsToldOf(t *testing.T) {
	whole, err := os.ReadFile(hippocampus(t))
	require.NoError(t, err)
	dir := t.TempDir()
	cut, text := filepath.Join(dir, "cut.nii.gz"), filepath.Join(dir, "notes.txt")
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)/2], 0o600))
	require.NoError(t, os.WriteFile(text, []byte("no scan at all, but a letter"), 0o600))
	p := open(t, newSite(t, nil), 1366, 768)
	for _, path := range []string{text, cut} {
		p.give("Choose files", path)
		p.until("an alert of "+path, `document.querySelector("[role=alert] h2")?.innerText.startsWith(`+quote(filepath.Base(path))+`)`)
		t.Log(p.text("[role=alert]"))
	}
	p.everySize("01-broken")
	p.accessible("broken file")
	p.give("Choose again", hippocampus(t))
	p.scanIsOpen()
	p.noErrors()
}

// patched puts code at the begin of scripts of the page.
func patched(code string, names ...string) func(http.Handler) http.Handler {
	const begin = `"use strict";`
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			changed := slices.Contains(names, strings.TrimPrefix(r.URL.Path, "/"))
			if !changed && r.URL.Path != "/" {
				h.ServeHTTP(w, r)
				return
			}
			r.Header.Del("Accept-Encoding")
			b := &buffered{ResponseWriter: w}
			h.ServeHTTP(b, r)
			w.Header().Del("Content-Length")
			w.WriteHeader(http.StatusOK)
			text := b.String()
			if changed {
				text = strings.Replace(text, begin, begin+code, 1)
			} else { // which knows the hashes of its scripts
				text = regexp.MustCompile(` integrity="[^"]*"`).ReplaceAllString(text, "")
			}
			_, _ = w.Write([]byte(text))
		})
	}
}

type buffered struct {
	http.ResponseWriter
	bytes.Buffer
}

func (b *buffered) Write(p []byte) (int, error) { return b.Buffer.Write(p) }
func (b *buffered) WriteHeader(int)             {}

func TestWithoutWebGPUTheProcessorIsOffered(t *testing.T) {
	model := gounetFile(t)
	const none = `Object.defineProperty(Object.getPrototypeOf(navigator), "gpu", { value: undefined });`
	p := open(t, newSite(t, patched(none, "worker.js", "begin.js")), 1366, 768)
	p.until("it is said", `document.querySelector(".after").innerText.includes("no WebGPU")`)
	p.everySize("01-no-webgpu")
	p.ready(hippocampus(t), model)
	p.click(`[data-device="webgpu"]`)
	p.until("it is said that there is none", `document.querySelector(".panel [role=alert] h2")?.innerText === "The GPU cannot be used"`)
	p.everySize("04-no-webgpu")
	p.press("Use the processor")
	p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
	p.click("#run")
	p.labelled()
	p.noErrors()
}

// accessible asks axe-core for problems of those who do not see, hear or point.
func (p *tab) accessible(state string) {
	p.t.Helper()
	axe, err := os.ReadFile("../../.tools/npm/node_modules/axe-core/axe.min.js")
	if err != nil {
		p.t.Logf("%s: axe-core is not installed: make web", state)
		return
	}
	eval[bool](p, string(axe)+"; true")
	text := eval[string](p, `axe.run(document, { resultTypes: ["violations"] }).then(r => JSON.stringify(r.violations.map(v => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 200)).slice(0, 3) }))))`)
	var found []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	require.NoError(p.t, json.Unmarshal([]byte(text), &found))
	for _, f := range found {
		if f.Impact == "serious" || f.Impact == "critical" {
			p.t.Errorf("%s: %s (%s): %s\n%s", state, f.ID, f.Impact, f.Help, strings.Join(f.Nodes, "\n"))
		} else {
			p.t.Logf("%s: %s (%s): %s", state, f.ID, f.Impact, f.Help)
		}
	}
}

// covered lists the buttons that always have to be there, but are outside of the window or
// below something else.
const covered = `[...document.querySelectorAll(".topbar button, .panel .head button, .panel .foot button")].filter(b => {
  if (!b.checkVisibility()) return false;
  const r = b.getBoundingClientRect(), at = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
  return r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight || !b.contains(at);
}).map(b => b.getAttribute("aria-label") ?? b.innerText)`

// crowded lists texts of a view that lie over one another.
const crowded = `[...document.querySelectorAll(".vp")].flatMap(v => {
  const list = [...v.querySelectorAll(".txt, .ruler")].filter(e => e.checkVisibility() && e.innerText.trim()).map(e => {
    const parts = [e, ...e.querySelectorAll("*")].map(x => x.getBoundingClientRect());
    return { text: e.innerText, l: Math.min(...parts.map(r => r.left)), t: Math.min(...parts.map(r => r.top)), r: Math.max(...parts.map(r => r.right)), b: Math.max(...parts.map(r => r.bottom)) };
  });
  return list.flatMap((a, i) => list.slice(0, i).filter(b => a.l < b.r && b.l < a.r && a.t < b.b && b.t < a.b).map(b => a.text + " over " + b.text));
})`

// uneven is by how many pixels the name of a label lies beside the middle of its numbers.
const uneven = `Math.max(...[...document.querySelectorAll(".tbl tbody tr")].map(r => {
  const middle = (e) => { const b = document.createRange(); b.selectNodeContents(e); const c = b.getBoundingClientRect(); return c.top + c.height / 2; };
  return Math.abs(middle(r.querySelector(".cellname span")) - middle(r.querySelector("td.num:last-child")));
}))`

// Every state, in both themes and on a phone, has no serious problem of access.
func TestEveryStateIsAccessible(t *testing.T) {
	model := gounetFile(t)
	p := open(t, newSite(t, nil), 1366, 768)
	both := func(state string) {
		for _, theme := range []string{"light", "dark"} {
			eval[bool](p, `(document.documentElement.dataset.theme = "`+theme+`", true)`)
			p.accessible(state + ", " + theme)
		}
		assert.Zero(t, eval[int](p, `[...document.querySelectorAll(".panel .stack")].filter(e => !e.children.length && e.checkVisibility()).length`), "%s: what is empty takes no room", state)
		p.everySize(state)
	}
	both("open")
	assert.Equal(t, "rgb(0, 0, 0)", eval[string](p, `getComputedStyle(document.querySelector(".gl")).backgroundColor`), "views are black before there is a picture")
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	both("scan")
	p.press("Choose a model")
	p.give("Add .gounet file", model)
	p.until("the card", `document.querySelector(".card.on")`)
	both("models")
	p.press("Continue with Hippocampus")
	p.click(`[data-device="cpu"]`)
	p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
	both("check")
	p.click("#run")
	p.labelled()
	both("labels")
	for _, k := range [][2]string{{"d", "diagnostics"}, {"?", "keys"}} {
		eval[bool](p, `(document.querySelector(".vp").focus(), true)`)
		state := k[1]
		p.key(k[0])
		p.until(state, `document.querySelector(".dialog")`)
		both(state)
		p.key("\x1b")
		p.until("no dialog", `!document.querySelector(".dialog")`)
	}
	p.click("[aria-label='Stored models']")
	p.until("the stored models", `document.querySelector(".dialog table")`)
	both("stored")
	p.key("\x1b")
	p.click("#export")
	both("export")
	p.key("\x1b")
	p.click("#correct")
	p.until("the tools", `document.querySelector(".toolgrid")`)
	both("edit")
	p.click("#keep")
	p.give("Compare", strings.Replace(hippocampus(t), "imagesTr", "labelsTr", 1))
	p.until("the table", `document.querySelectorAll(".tbl tbody tr").length === 2`)
	both("compare")
	assert.Less(t, eval[float64](p, uneven), .75, "names and numbers of a label stand in a line")
	assert.Regexp(t, `x \S+  y \S+  z \S+ mm`, p.text(".status"), "numbers stand apart")
	p.click("[aria-label=Back]")
	p.click(".pal button:last-child")
	p.until("the colour can be taken back", `document.getElementById("undo")?.checkVisibility()`)
	for _, size := range []struct {
		name string
		w, h int64
	}{{"phone", 390, 844}, {"4k", 3840, 2160}, {"narrow", 1100, 700}, {"small", 320, 640}, {"lying", 844, 390}} {
		p.do(chromedp.EmulateViewport(size.w, size.h))
		p.until("it is laid out", fmt.Sprintf("innerWidth === %d", size.w))
		p.accessible(size.name)
		assert.Empty(t, eval[[]string](p, covered), "%s: buttons that a click does not reach", size.name)
		assert.Empty(t, eval[[]string](p, crowded), "%s: texts over one another", size.name)
		assert.Empty(t, eval[[]string](p, `[...document.querySelectorAll(".lab .nm")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText)`), "%s: short names that are cut", size.name)
		p.shot(size.name + "-labels")
	}
	p.noErrors()
}

// With all in the browser's cache the page works without its server.
func TestThePageWorksWithoutANetwork(t *testing.T) {
	s := newSite(t, nil)
	p := open(t, s, 1366, 768)
	p.until("the service worker has all", `navigator.serviceWorker.ready.then(r => r.active !== null)`)
	p.until("it has taken over", `navigator.serviceWorker.controller !== null`)
	s.Close()
	p.do(chromedp.Reload())
	p.until("the page begins", `document.querySelector(".drop") !== null`)
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
}
