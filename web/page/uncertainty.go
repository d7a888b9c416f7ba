package page

import "fmt"

// What is told apart of an uncertainty map: below the first share a voxel is clear,
// and from the last one on it is white, as a guess between two labels is no worse.
var unsureShares = [4]float64{.05, .2, .35, .5}

// UnsureShade is a grey of the uncertainty map, and the share that has it.
type UnsureShade struct {
	RGB  [3]uint8
	Text string
}

// UnsureScale is the legend of an uncertainty map.
func UnsureScale() (list []UnsureShade) {
	for i, s := range unsureShares {
		text := fmt.Sprintf("%.0f %%", 100*s)
		if i == len(unsureShares)-1 {
			text += " or more"
		}
		g := grey(s)
		list = append(list, UnsureShade{[3]uint8{g, g, g}, text})
	}
	return list
}

// grey is how bright a share is.
func grey(share float64) uint8 {
	const darkest = 64
	first, last := unsureShares[0], unsureShares[len(unsureShares)-1]
	return uint8(darkest + (255-darkest)*min(max((share-first)/(last-first), 0), 1))
}

// ShowUncertainty shows how unsure the model is in the place of the labels, or the
// labels again.
func (p *Page) ShowUncertainty(yes bool) {
	r := p.Result
	if r == nil || r.Unsure == nil || yes == p.View.Unsure {
		return
	}
	p.View.Unsure = yes
	if yes {
		p.Host.Viewer().Labels(r.Unsure)
	} else {
		p.Host.Viewer().Labels(r.Map)
	}
	p.paint()
}

// paintUncertainty tells the viewer the greys of shares, which are 255 times as large.
func (p *Page) paintUncertainty() {
	lut := newLUT()
	for v := range 256 {
		if s := float64(v) / 255; s >= unsureShares[0] {
			g := grey(s)
			lut.set(v, Ink{RGB: [3]uint8{g, g, g}}, 1)
		}
	}
	const opaque = .85
	p.Host.Viewer().Paint(lut, opaque, opaque)
}

// UnsureAt is how unsure the model is at a voxel x y z, "" where that is not shown.
func (p *Page) UnsureAt(v [3]int) string {
	if p.Result == nil || !p.View.Unsure {
		return ""
	}
	i := p.index(v)
	if i < 0 || i >= len(p.Result.Unsure) {
		return ""
	}
	return fmt.Sprintf("%.0f %% unsure", 100*float64(p.Result.Unsure[i])/255)
}

// SetUncertainty asks a segmentation for an uncertainty map too.
func (p *Page) SetUncertainty(yes bool) {
	p.Check.Uncertainty = yes
	p.StartCheck()
}

// UncertaintyText says what the map is and takes.
func (c *Check) UncertaintyText() string {
	if c.Result == nil || c.Result.Uncertainty == 0 {
		return "How probable it is that a label is wrong, as the model sees it."
	}
	return fmt.Sprintf("How probable it is that a label is wrong, as the model sees it. Takes %s more of the browser’s memory.", Size(c.Result.Uncertainty))
}
