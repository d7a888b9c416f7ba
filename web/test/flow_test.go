package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
)

func hippocampus(t testing.TB) string {
	list, err := filepath.Glob("../../testdata/hippocampus/imagesTr/*.nii.gz")
	require.NoError(t, err)
	require.NotEmpty(t, list)
	path, err := filepath.Abs(list[0])
	require.NoError(t, err)
	return path
}

// scanIsOpen waits until a scan is looked at.
func (p *tab) scanIsOpen() {
	p.t.Helper()
	p.until("the scan is shown", `document.querySelector(".work:not(.away) .panel h2")?.innerText === "Scan" && !document.querySelector(".vp-main .xh").hidden`)
}

// ready opens a scan and a model, as far as the panel before a run.
func (p *tab) ready(scan, model string) {
	p.t.Helper()
	p.give("Choose files", scan)
	p.scanIsOpen()
	p.shot("02-scan")
	p.press("Choose a model")
	p.until("the panel of models", `document.querySelector(".panel h2")?.innerText === "Choose a model"`)
	p.give("Add .gounet file", model)
	p.until("the card of the model", `document.querySelector(".card.on .name")?.innerText === "Hippocampus"`)
	p.shot("03-models")
	p.press("Continue with Hippocampus")
	p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
}

func (p *tab) labelled() {
	p.t.Helper()
	p.until("labels with their volumes", `document.querySelectorAll(".lab").length === 2 && document.querySelector(".lab .hu").innerText.includes("±")`)
}

// The whole flow on a real scan: the labels are those of the command line, and
// nothing is asked of the server from the moment that the scan is opened.
func TestAScanIsSegmentedHereAsByTheCommandLine(t *testing.T) {
	model := gounetFile(t)
	for _, device := range []string{"webgpu", "cpu"} {
		t.Run(device, func(t *testing.T) {
			s := newSite(t, nil)
			p := open(t, s, 1366, 768)
			p.until("the worker is there", `document.querySelector(".status").innerText.includes("WebGPU")`)
			p.shot("01-open")
			p.until("the service worker has all", `navigator.serviceWorker.ready.then(r => r.active !== null)`)
			s.requests()
			p.ready(hippocampus(t), model)
			p.click(`[data-device="` + device + `"]`)
			p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
			p.shot("04-check")
			p.watched("it is computed", 100, func() {
				p.click("#run")
				p.until("the labels", `document.querySelector(".lab")`)
			})
			p.drawn("the labels are shown", 100, p.labelled)
			p.shot("06-labels")
			p.click("#export")
			p.until("the dialog", `document.querySelector("[data-format=csv]")`)
			p.shot("10-export")
			p.click(`[data-format="seg.nrrd"]`)
			p.click(`[data-format="stl"]`)
			p.click(`[data-format="picture"]`)
			p.click("#save")
			base := strings.TrimSuffix(filepath.Base(hippocampus(t)), ".nii.gz") + "_labels"
			want := native(t, hippocampus(t), "--no-mirror")
			for _, ending := range []string{".nii.gz", ".seg.nrrd"} {
				got, err := scan.ReadLabels(p.downloaded(base + ending))
				require.NoError(t, err)
				assert.Equal(t, want, got.Data, "%s has the labels of the command line", ending)
			}
			csv, err := os.ReadFile(p.downloaded(base + ".csv"))
			require.NoError(t, err)
			assert.Contains(t, string(csv), "Anterior")
			p.downloaded(base + "_Anterior.stl")
			p.downloaded(base + ".png")
			for _, r := range s.requests() {
				assert.Equal(t, "GET /service.js", r, "nothing was sent, and nothing fetched, but the browser looks for a new version")
			}
			assert.Contains(t, p.text(".status"), "Sent 0 bytes")
			p.noErrors()
		})
	}
}
