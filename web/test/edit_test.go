package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
)

// drag drags the pointer over the axial view, in shares of it.
func (p *tab) drag(x1, y1, x2, y2 float64) {
	p.t.Helper()
	b := eval[[4]float64](p, `(b => [b.left, b.top, b.width, b.height])(document.querySelector(".vp-main").getBoundingClientRect())`)
	p.do(chromedp.DragAndDropXY(b[0]+x1*b[2], b[1]+y1*b[3], b[0]+x2*b[2], b[1]+y2*b[3], 8))
}

// Strokes change the labels that are exported; what is undone does not.
func TestLabelsAreCorrectedAndCompared(t *testing.T) {
	model := gounetFile(t)
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(hippocampus(t), model)
	p.click(`[data-device="cpu"]`)
	p.click("#run")
	p.labelled()
	before := native(t, hippocampus(t), "--no-mirror")
	save := func() []byte {
		eval[bool](p, `(document.getElementById("exported")?.remove(), true)`)
		name := eval[string](p, `document.querySelector(".case h1").innerText`) + "_labels.nii.gz"
		require.NoError(t, os.RemoveAll(filepath.Join(p.folder, name)))
		p.click("#export")
		p.click("#save")
		l, err := scan.ReadLabels(p.downloaded(name))
		require.NoError(t, err)
		p.click(".dialog [aria-label^=Close]")
		return l.Data
	}
	correct := func() {
		p.click("#correct")
		p.until("the tools", `document.querySelector(".toolgrid")`)
	}
	correct()
	p.drag(.4, .7, .6, .7)
	p.until("a change", `document.querySelectorAll(".todo li").length === 1`)
	p.shot("08-edit")
	p.press("Keep changes")
	p.labelled()
	painted := save()
	added := 0
	for i, v := range painted {
		if v != before[i] {
			assert.Equal(t, uint8(1), v, "only the label that is drawn has grown")
			added++
		}
	}
	assert.Positive(t, added)
	correct()
	p.drag(.4, .3, .6, .3)
	p.until("a change", `document.querySelectorAll(".todo li").length === 1`)
	p.click("[aria-label^=Undo]")
	p.until("no change", `document.querySelectorAll(".todo li").length === 0`)
	p.press("Keep changes")
	p.labelled()
	assert.Equal(t, painted, save(), "an undone stroke changes nothing")

	other := otherLabels(t, painted)
	p.give("Compare", other)
	p.until("the table", `document.querySelectorAll(".tbl tbody tr").length === 2`)
	p.shot("09-compare")
	l, err := scan.ReadLabels(other)
	require.NoError(t, err)
	both, all := 0, 0
	for i, v := range painted {
		w := l.Data[i]
		if v == 1 && w == 1 {
			both++
		}
		if v == 1 {
			all++
		}
		if w == 1 {
			all++
		}
	}
	assert.Equal(t, fmt.Sprintf("%.3f", 2*float64(both)/float64(all)), p.text(".tbl tbody td:nth-child(2)"))
	p.patterned()

	p.click("[aria-label=Back]")
	shape := l.Shape
	correct()
	p.drag(.5, .4, -.04, .4) // out of the view
	p.until("a change", `document.querySelectorAll(".todo li").length === 1`)
	p.press("Keep changes")
	p.labelled()
	var extent [3]map[int]bool
	for i, v := range save() {
		if v != painted[i] {
			for a, at := range [3]int{i / shape[2] / shape[1], i / shape[2] % shape[1], i % shape[2]} {
				if extent[a] == nil {
					extent[a] = map[int]bool{}
				}
				extent[a][at] = true
			}
		}
	}
	const brush = 7 // voxels across, of 6 mm
	assert.Len(t, extent[0], 1, "a stroke stays in its slice")
	assert.LessOrEqual(t, len(extent[1]), brush, "and goes straight out of the view")
	assert.Greater(t, len(extent[2]), brush)
	p.noErrors()
}
