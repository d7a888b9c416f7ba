package test

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Without a scan of one's own the page can be tried, and a model's card says whose
// data it was trained on.
func TestTheExampleIsTheScanOfTheDataSet(t *testing.T) {
	f, err := os.Open(hippocampus(t))
	require.NoError(t, err)
	defer func() { _ = f.Close() }() // only read from
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	want := sha256.New()
	_, err = io.Copy(want, z)
	require.NoError(t, err)

	model := gounetFile(t)
	p := open(t, newSite(t, nil), 1366, 768)
	p.click("#example")
	p.scanIsOpen()
	assert.Equal(t, fmt.Sprintf("%x", want.Sum(nil)), eval[string](p, `fetch("example.nii").then(r => r.arrayBuffer()).then(b => crypto.subtle.digest("SHA-256", b)).then(b => [...new Uint8Array(b)].map(x => x.toString(16).padStart(2, "0")).join(""))`))
	p.press("Choose a model")
	p.give("Add .gounet file", model)
	p.until("the card", `document.querySelector(".card.on .meta")?.innerText.includes("CC-BY-SA 4.0")`)
	assert.Contains(t, p.text(".card.on .what"), "hippocampus segmentation")
	assert.Contains(t, p.text(".card.on .meta"), "MRI")
	p.noErrors()
}
