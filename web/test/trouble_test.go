package test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/scan"
)

// losing has the worker's GPU destroyed at a message of the page, and states saved as
// often as that can be.
const losing = `
const ask = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...options) {
  const device = await ask.apply(this, options), hear = new BroadcastChannel("lose");
  hear.onmessage = () => { hear.close(); device.destroy(); };
  return device;
};
self.addEventListener("message", (e) => {
  if (e.data.request) e.data.request = e.data.request.replace('"save_seconds":15', '"save_seconds":0.01');
});`

// A GPU that goes away in mid-run is told of, and what was kept is gone on with, on the
// GPU as on the processor, to the labels of one that stayed.
func TestALostGPUIsToldOfAndGoneOnFrom(t *testing.T) {
	many := mosaic(t, 2)
	for _, on := range []string{"Go on at tile", "On the processor"} {
		t.Run(on, func(t *testing.T) {
			p := open(t, newSite(t, patched(losing, "worker.js")), 1366, 768)
			p.ready(many, gounetFile(t))
			p.click(`[data-device="webgpu"]`)
			p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
			p.click("#run")
			p.until("a state is kept", `store.all("runs").then(l => l.some(s => s.key.startsWith("state/")))`)
			eval[bool](p, `(new BroadcastChannel("lose").postMessage(true), true)`)
			p.until("it is said", `document.querySelector(".panel [role=alert] h2")?.innerText === "The GPU stopped answering"`)
			said := p.text(".panel [role=alert]")
			t.Log(said)
			assert.Regexp(t, `It happened in tile \d+ of \d+\. The (1 tile|\d+ tiles) before it are kept\.`, said)
			p.everySize("05-lost")
			p.accessible("lost GPU")
			p.press(on)
			p.labelled()
			p.click("#export")
			p.click("#save")
			got, err := scan.ReadLabels(p.downloaded("mosaic_labels.nii.gz"))
			require.NoError(t, err)
			assert.Equal(t, native(t, many, "--no-mirror"), got.Data)
		})
	}
}

// A scan that a browser cannot hold is refused with numbers before it is read.
func TestAScanThatDoesNotFitIsToldOf(t *testing.T) {
	path := largeCT(t, 1024, 1024, 1)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	const slices = 1100
	_, err = f.WriteAt([]byte{slices & 255, slices >> 8}, 46) // of the header
	require.NoError(t, err)
	require.NoError(t, f.Truncate(352+2*1024*1024*slices)) // nothing is written to the disk
	require.NoError(t, f.Close())
	p := open(t, newSite(t, nil), 1366, 768)
	p.give("Choose files", path)
	p.until("it is said", `document.querySelector("[role=alert] h2")?.innerText === "trunk.nii cannot be read as a scan"`)
	said := p.text("[role=alert]")
	t.Log(said)
	assert.Contains(t, said, "1024 1024 1100")
	assert.Contains(t, said, "more than the 268\u2009435\u2009456 values that are read", "1 GiB as floats")
	p.everySize("01-too-large")
	p.give("Choose again", hippocampus(t))
	p.scanIsOpen()
	p.noErrors()
}

// largePatch is a model whose tiles are so large that their activations fill any memory
// of a browser.
func largePatch(t testing.TB) string {
	t.Helper()
	m, err := checkpoint.Open(gounetFile(t))
	require.NoError(t, err)
	m.Plan.Dataset = "Everything"
	c, err := m.Config()
	require.NoError(t, err)
	c.Patch = [3]int{448, 448, 448}
	path := filepath.Join(t.TempDir(), "everything.gounet")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, checkpoint.Write(f, m))
	require.NoError(t, f.Close())
	return path
}

// A model that needs more memory for a scan than there is says how much, and the page
// goes on with another one.
func TestAModelThatDoesNotFitIsToldOf(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	p.give("Choose files", hippocampus(t))
	p.scanIsOpen()
	p.press("Choose a model")
	p.give("Add .gounet file", largePatch(t))
	p.until("the card of the model", `document.querySelector(".card.on .name")?.innerText === "Everything"`)
	p.press("Continue with Everything")
	p.until("it is said", `document.querySelector(".panel [role=alert] h2")?.innerText === "Not enough memory"`)
	said := p.text(".panel [role=alert]")
	t.Log(said)
	assert.Regexp(t, regexp.MustCompile(`This model needs [\d.]+ GB for this scan; [\d.]+ GB are available\.`), said)
	assert.NotContains(t, said, "Try the processor", "it is the processor whose memory does not suffice")
	assert.True(t, eval[bool](p, `document.getElementById("run").disabled`))
	at := eval[string](p, `document.querySelector(".panel [role=alert] [role=meter]")?.getAttribute("aria-valuenow") ?? "no bar"`)
	assert.Regexp(t, `^[1-9]\d?$`, at, "how much of it there is, in percent")
	p.everySize("04-memory")
	p.accessible("too little memory")
	p.press("Choose another model")
	p.give("Add .gounet file", gounetFile(t))
	p.press("Continue with Hippocampus")
	p.until("an estimate", `document.getElementById("estimate")?.innerText.startsWith("about")`)
	p.noErrors()
}
