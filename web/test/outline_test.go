package test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// An outline is two pixels of its colour between black ones, wherever a row crosses it
// away from its corners.
func TestOutlinesAreTwoPixelsInABlackCasing(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(hippocampus(t), gounetFile(t))
	p.click("#run")
	p.labelled()
	p.key("o")
	p.shot("06-labels-outline")
	// Runs of coloured pixels in the rows of the picture: how long they are, and how many
	// of them begin or end beside black.
	runs := eval[map[string]int](p, `(async () => {
		const blob = await viewer.picture();
		const b = await createImageBitmap(blob), c = new OffscreenCanvas(b.width, b.height), g = c.getContext("2d");
		g.drawImage(b, 0, 0);
		const px = g.getImageData(0, 0, b.width, b.height).data, is = (i, rgb) => rgb.every((v, k) => px[4 * i + k] === v);
		const out = { two: 0, cased: 0, rest: 0 }, want = [0xff, 0xd8, 0x90], black = [0, 0, 0];
		for (let i = 1; i < b.width * b.height; i++) {
			if (!is(i, want) || is(i - 1, want)) continue;
			let n = 1;
			while (is(i + n, want)) n++;
			if (n === 2) out.two++; else out.rest++;
			if (n === 2 && is(i - 1, black) && is(i + n, black)) out.cased++;
		}
		return out;
	})()`)
	t.Log(runs)
	assert.Positive(t, runs["two"])
	assert.Greater(t, runs["two"], runs["rest"], "the others run along a row")
	assert.Greater(t, 2*runs["cased"], runs["two"], "the others touch a corner or another label")
}
