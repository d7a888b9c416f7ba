package test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
)

// differences are the pixels of a picture of the views of every ink, over black, and how
// long runs of them are along rows: the first view only.
const differences = `(async () => {
	viewer.window(1e8, 2e8);
	await new Promise(requestAnimationFrame);
	const b = await createImageBitmap(await viewer.picture()), c = new OffscreenCanvas(b.width, b.height), g = c.getContext("2d");
	g.drawImage(b, 0, 0);
	const main = document.querySelector(".vp-main").getBoundingClientRect(), w = Math.floor(main.width), px = g.getImageData(0, 0, w, b.height).data;
	const inks = { a: [0xff, 0xd8, 0x90], b: [0x5f, 0xa1, 0xf3], bStripe: [0xc7, 0xde, 0xfb], other: [0xd2, 0x11, 0x9a], otherStripe: [0xef, 0xac, 0xdc] };
	const names = Object.keys(inks), of = (i) => names.find((n) => inks[n].every((v, k) => Math.abs(px[4 * i + k] - .7 * v) <= 2)) ?? "";
	const out = {};
	for (const n of names) out[n] = { pixels: 0, runs: {} };
	for (let y = 0; y < b.height; y++) {
		for (let x = 0; x < w; ) {
			const n = of(y * w + x);
			let long = 1;
			while (x + long < w && of(y * w + x + long) === n) long++;
			if (n) {
				out[n].pixels += long;
				out[n].runs[long] = (out[n].runs[long] ?? 0) + 1;
			}
			x += long;
		}
	}
	return out;
})()`

type inked struct {
	Pixels int
	Runs   map[int]int // by their length
}

// usual is the most frequent length of runs.
func (i inked) usual() (length int) {
	for n, times := range i.Runs {
		if times > i.Runs[length] {
			length = n
		}
	}
	return length
}

// otherLabels is a file of labels that differ from others in every way: of their first
// label half is background and half is the second one, and a block is only there.
func otherLabels(t testing.TB, labels []byte) string {
	t.Helper()
	im, _, err := nifti.ReadImage(hippocampus(t))
	require.NoError(t, err)
	out := volume.Labels{Grid: im.Grid, Data: bytes.Clone(labels)}
	n := out.Shape
	for i, v := range out.Data {
		x, y := i%n[2], i/n[2]%n[1]
		switch {
		case v == 1 && x < n[2]/2:
			out.Data[i] = 0
		case v == 1 && y%4 < 3:
			out.Data[i] = 2
		case v == 0 && y < n[1]/4:
			out.Data[i] = 1
		}
	}
	path := filepath.Join(t.TempDir(), "other.nii.gz")
	require.NoError(t, nifti.WriteLabels(path, &out, nil))
	return path
}

// patterned says that what differs is told by patterns, not by colours alone, and that
// those stand in the screen: they are as fine in a view that is zoomed.
func (p *tab) patterned() {
	p.t.Helper()
	assert.Equal(p.t, "Only in A\nOnly in B\nAnother label\nIn both", p.text(".legend"))
	for zoom := range 2 {
		got := eval[map[string]inked](p, differences)
		what := fmt.Sprintf("zoomed %d times", zoom)
		for _, ink := range []string{"a", "b", "bStripe", "other", "otherStripe"} {
			assert.Greater(p.t, got[ink].Pixels, 100, "%s: %s", what, ink)
		}
		assert.Equal(p.t, 3, got["b"].usual(), "%s: stripes of the ground", what)
		assert.Equal(p.t, 3, got["bStripe"].usual(), "%s: stripes", what)
		assert.Equal(p.t, 2, got["otherStripe"].usual(), "%s: crossed ones", what)
		assert.Greater(p.t, got["a"].usual(), 8, "%s: no stripes", what)
		eval[bool](p, `(viewer.zoom(1.4), true)`)
	}
	eval[bool](p, `(viewer.zoom(1 / 1.4 / 1.4), true)`)
}
