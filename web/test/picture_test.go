package test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// written keeps what is written on canvases from now on, and where: [text, left, top,
// right, bottom, height of a letter].
const written = `(() => {
	const on = CanvasRenderingContext2D.prototype, own = on.fillText;
	globalThis.texts = [];
	on.fillText = function (text, x, y) {
		const m = this.measureText(text);
		texts.push({ text, box: [x - m.actualBoundingBoxLeft, y - m.actualBoundingBoxAscent, x + m.actualBoundingBoxRight, y + m.actualBoundingBoxDescent], size: parseFloat(this.font.match(/([\d.]+)px/)[1]) });
		own.call(this, text, x, y);
	};
	return true;
})()`

type text struct {
	Text string
	Box  [4]float64 // left, top, right, bottom
	Size float64
}

// picture saves a picture of the views, and what is written on it.
func (p *tab) picture(name string) (image.Image, []byte, []text) {
	p.t.Helper()
	eval[bool](p, `(texts.length = 0, true)`)
	path := filepath.Join(p.folder, name)
	require.NoError(p.t, os.RemoveAll(path))
	p.click("#save")
	b, err := os.ReadFile(p.downloaded(name))
	require.NoError(p.t, err)
	im, _, err := image.Decode(bytes.NewReader(b))
	require.NoError(p.t, err)
	if dir := os.Getenv("GOUNET_SCREENS"); dir != "" {
		require.NoError(p.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("picture-%d.png", im.Bounds().Dx())), b, 0o600))
	}
	return im, b, eval[[]text](p, `texts`)
}

// legible says what is wrong with texts of a picture of w by h: what lies outside or over
// another, or is small.
func legible(texts []text, w, h int) (wrong []string) {
	for i, a := range texts {
		if a.Box[0] < 0 || a.Box[1] < 0 || a.Box[2] > float64(w) || a.Box[3] > float64(h) {
			wrong = append(wrong, a.Text+" is cut off")
		}
		if 105*a.Size < float64(max(w, h)) { // a hundredth of the views, below which there is more
			wrong = append(wrong, fmt.Sprintf("%s is small: %v", a.Text, a.Size))
		}
		for _, b := range texts[:i] {
			if a.Box[0] < b.Box[2] && b.Box[0] < a.Box[2] && a.Box[1] < b.Box[3] && b.Box[1] < a.Box[3] {
				wrong = append(wrong, a.Text+" lies over "+b.Text)
			}
		}
	}
	return wrong
}

func TestLegibleIsJudged(t *testing.T) {
	at := func(x, y, size float64) text { return text{"a", [4]float64{x, y, x + size, y + size}, size} }
	assert.Empty(t, legible([]text{at(0, 0, 20), at(30, 0, 20)}, 1000, 500))
	for _, wrong := range []text{at(10, 10, 20), at(990, 100, 20), at(100, 100, 5)} {
		assert.Len(t, legible([]text{at(0, 0, 20), wrong}, 1000, 500), 1)
	}
}

// A picture of the views says where it is, how large things are and what colours mean, in
// letters that can be read at every size, and names nobody.
func TestAPictureOfTheViewsCanBeReadAlone(t *testing.T) {
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(hippocampus(t), gounetFile(t))
	p.click(`[data-device="cpu"]`)
	p.click("#run")
	p.labelled()
	scan := strings.TrimSuffix(filepath.Base(hippocampus(t)), ".nii.gz")
	eval[bool](p, written)
	p.click("#export")
	for _, f := range []string{"nifti", "csv", "picture"} {
		p.click(`[data-format="` + f + `"]`)
	}
	name := scan + "_labels.png"
	for _, size := range []struct {
		w, h, views int64
	}{{1366, 768, 3}, {390, 844, 1}, {3840, 2160, 3}, {844, 390, 3}} {
		what := fmt.Sprintf("%d × %d", size.w, size.h)
		p.do(chromedp.EmulateViewport(size.w, size.h))
		p.until("it is laid out", fmt.Sprintf("innerWidth === %d", size.w))
		p.until("and drawn", `document.querySelector(".gl canvas").width === Math.round(document.querySelector(".stage").getBoundingClientRect().width * devicePixelRatio)`)
		im, dark, texts := p.picture(name)
		b := im.Bounds()
		assert.Empty(t, legible(texts, b.Dx(), b.Dy()), what)
		var all []string
		for _, x := range texts {
			all = append(all, x.Text)
		}
		has := func(part string) bool {
			return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, part) })
		}
		for _, want := range []string{"Axial ", " / ", "Hippocampus", "Anterior ", "Posterior ", " mL", "W ", "z "} {
			if size.h > 400 || want != "W " && want != "z " {
				assert.True(t, has(want), "%s: %q in %q", what, want, all)
			}
		}
		for letter, views := range map[string]int64{"R": 2, "L": 2, "A": 2, "P": 2, "S": 2, "I": 2} {
			n := 0
			for _, s := range all {
				if s == letter {
					n++
				}
			}
			switch {
			case size.views == 3:
				assert.Equal(t, int(views), n, "%s: %s", what, letter)
			case strings.Contains("RLAP", letter):
				assert.Equal(t, 1, n, "%s: %s", what, letter)
			}
		}
		if size.h > 400 {
			assert.True(t, slices.ContainsFunc(all, func(s string) bool { return strings.HasSuffix(s, " cm") || s == "5 mm" }), "%s: a scale in %q", what, all)
		}
		assert.False(t, has(scan), "%s: the name of the scan in %q", what, all)
		for _, x := range texts { // what was written is seen
			brightest, darkest := uint8(0), uint8(255)
			for v := int(x.Box[1]); v < int(x.Box[3])+1; v++ {
				for u := int(x.Box[0]); u < int(x.Box[2])+1; u++ {
					g := color.GrayModel.Convert(im.At(u, v)).(color.Gray).Y
					brightest, darkest = max(brightest, g), min(darkest, g)
				}
			}
			assert.Greater(t, brightest, uint8(190), "%s: %s", what, x.Text)
			assert.Less(t, darkest, uint8(70), "%s: %s in its casing", what, x.Text)
		}
		assert.True(t, contains(im, color.RGBA{0xff, 0xd8, 0x90, 255}) && contains(im, color.RGBA{0x5f, 0xa1, 0xf3, 255}), "%s: the colours of the legend", what)
		if size.w == 1366 {
			p.key("\x1b")
			p.click("[aria-label='Dark or light']")
			p.click("#export")
			_, light, _ := p.picture(name)
			assert.Equal(t, dark, light, "a picture has no theme")
		}
	}
	p.noErrors()
}

func contains(im image.Image, c color.RGBA) bool {
	b := im.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if color.RGBAModel.Convert(im.At(x, y)) == c {
				return true
			}
		}
	}
	return false
}
