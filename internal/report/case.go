package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"math"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/volume"
)

// caseView is a case as report.html shows it.
type caseView struct {
	Rank, ID string
	Note     string
	Scores   []caseScore
	Pictures []picture
}

// caseScore is the agreement of one structure.
type caseScore struct {
	entry
	Dice, HD95 string // HD95 in mm, empty if not known
}

// picture is a plane: layers above each other in a frame that all planes of the
// case share, at one scale.
type picture struct {
	Name, Where, Alt    string
	Aspect              float64 // of the frame, width by height
	Width               float64 // of the layers, percent of the frame
	Grey, Fill, Outline template.URL
	Edges               []string // patient's side at left, right, top, bottom
	Bar                 float64  // scale bar, percent of the frame
	BarText             string
}

// view draws a case.
func (r *Report) view(c *Case, l *legend) (caseView, error) {
	if err := c.check(); err != nil {
		return caseView{}, err
	}
	v := caseView{Rank: c.Rank, ID: c.ID, Note: r.describe(c.Image)}
	if s := r.scoresOf(c.ID); s != nil {
		for i, t := range r.Summary.Targets {
			if isBackground(t) {
				continue
			}
			score := caseScore{entry: l.target(t), Dice: dice(s.Scores[i].Dice)}
			if r.Summary.Surface {
				score.HD95 = number(s.Scores[i].HD95)
			}
			v.Scores = append(v.Scores, score)
		}
	}
	lo, hi := r.window(c.Image)
	planes := c.planes()
	frame := frameOf(planes)
	for _, p := range planes {
		pic, err := c.draw(p, l, lo, hi)
		if err != nil {
			return caseView{}, err
		}
		frame.fit(&pic, p)
		pic.Alt = r.alt(c, p, v.Scores)
		v.Pictures = append(v.Pictures, pic)
	}
	return v, nil
}

func (c *Case) check() error {
	if c.Image == nil || c.Image.C < 1 || c.Image.Voxels() < 1 {
		return errors.New("no image: give the scan that the labels are of")
	}
	for i, n := range c.Image.Spacing {
		if !(n > 0) || math.IsInf(n, 0) {
			return fmt.Errorf("spacing %g mm of axis %d, wanted above 0", n, i)
		}
	}
	if err := sameShape("reference", c.Reference, c.Image); err != nil {
		return err
	}
	return sameShape("prediction", c.Prediction, c.Image)
}

func sameShape(name string, l *volume.Labels, im *volume.Image) error {
	if l != nil && l.Shape != im.Shape {
		return fmt.Errorf("the %s has shape %v, the image %v (D H W): all must be on the scan's grid", name, l.Shape, im.Shape)
	}
	return nil
}

// describe is the size of a scan in words.
func (r *Report) describe(im *volume.Image) string {
	s := fmt.Sprintf("%s voxels of %s (D×H×W)", join(im.Shape[:], "×"), spacing(im.Spacing[:]))
	if im.C > 1 && r.Plan != nil && len(r.Plan.Channels) > 0 {
		s += ", channel " + r.Plan.Channels[0].Name
	}
	return s
}

// scoresOf finds a case in the summary.
func (r *Report) scoresOf(id string) *metric.Case {
	if r.Summary == nil {
		return nil
	}
	i := slices.IndexFunc(r.Summary.Cases, func(c metric.Case) bool { return CaseID(c) == id })
	if i < 0 {
		return nil
	}
	return &r.Summary.Cases[i]
}

// planes are the three planes through the centre of the largest slice, without
// those that are a line: of a 2-D image there is one. All have one scale.
func (c *Case) planes() (out []plane) {
	for _, p := range preview.Planes(c.Image.Grid, c.centre(), side) {
		out = append(out, plane{p})
	}
	return out
}

// centre is a voxel of the reference, else of the prediction: of the slice along
// D that has the most foreground, the one nearest to the centre of that
// foreground. Without labels it is the centre of the scan.
func (c *Case) centre() [3]int {
	for _, l := range []*volume.Labels{c.Reference, c.Prediction} {
		if l == nil {
			continue
		}
		if at, ok := preview.Centre(l); ok {
			return at
		}
	}
	s := c.Image.Shape
	return [3]int{s[0] / 2, s[1] / 2, s[2] / 2}
}

// draw makes the layers of a plane.
func (c *Case) draw(p plane, l *legend, lo, hi float64) (pic picture, err error) {
	pic = picture{Name: p.Name, Where: p.where()}
	if p.Edges[0] != "" {
		pic.Edges = p.Edges[:]
	}
	if pic.Grey, err = dataURL(p.Grey(c.Image, lo, hi)); err != nil {
		return pic, err
	}
	if c.Prediction != nil {
		if pic.Fill, err = dataURL(p.fill(p.Labels(c.Prediction), l)); err != nil {
			return pic, err
		}
	}
	if c.Reference != nil {
		pic.Outline, err = dataURL(p.outline(p.Labels(c.Reference), l))
	}
	return pic, err
}

// dataURL is a PNG as the source of an img.
func dataURL(im image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, im); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}

// frame is the size that holds every plane of a case, in pixels.
type frame struct{ w, h float64 }

func frameOf(planes []plane) (f frame) {
	for _, p := range planes {
		f.w, f.h = max(f.w, float64(p.W)), max(f.h, float64(p.H))
	}
	return f
}

// fit places a picture in the frame, with a scale bar of about a quarter of it.
func (f frame) fit(pic *picture, p plane) {
	pic.Aspect = f.w / f.h
	pic.Width = 100 * float64(p.W) / f.w
	mm := f.w * p.Grid.Spacing[p.Col] * float64(p.Grid.Shape[p.Col]) / float64(p.W)
	bar := math.Pow(10, math.Floor(math.Log10(mm/3)))
	for _, m := range []float64{5, 2} {
		if bar*m <= mm/3 {
			bar *= m
			break
		}
	}
	pic.Bar = 100 * bar / mm
	pic.BarText = fmt.Sprintf("%g mm", bar)
	if bar >= 10 {
		pic.BarText = fmt.Sprintf("%g cm", bar/10)
	}
}

// alt says in words what a picture shows.
func (r *Report) alt(c *Case, p plane, scores []caseScore) string {
	s := fmt.Sprintf("%s, %s, of %s", p.Name, p.where(), c.ID)
	switch {
	case c.Reference != nil && c.Prediction != nil:
		s += " with the reference as outline and the prediction as fill"
	case c.Reference != nil:
		s += " with the reference as outline"
	case c.Prediction != nil:
		s += " with the prediction as fill"
	}
	var list []string
	for _, e := range scores {
		list = append(list, e.Name+" "+e.Dice)
	}
	if len(list) > 0 {
		s += "; Dice: " + strings.Join(list, ", ")
	}
	return s
}

// window is the range of values shown from black to white: that of the tissue
// which the labels are in for CT, where the plan knows it, else between the 0.5
// and the 99.5 percentile of the scan.
func (r *Report) window(im *volume.Image) (lo, hi float64) {
	if p := r.Plan; p != nil && len(p.Channels) > 0 && p.Channels[0].Normalization == plan.NormCT && len(p.Intensities) > 0 {
		i := p.Intensities[0]
		if margin := (i.Percentile_99_5 - i.Percentile_00_5) / 4; margin > 0 { // what lies around the labels is seen as well
			return i.Percentile_00_5 - margin, i.Percentile_99_5 + margin
		}
	}
	return preview.Window(im)
}
