package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/core/volume"
)

// element is a tag of the written document with its attributes and own text.
type element struct {
	name string
	attr map[string]string
	text string
}

// parse reads the document as XML, which is stricter than HTML.
func parse(t *testing.T, document []byte) []element {
	t.Helper()
	require.True(t, bytes.HasPrefix(document, []byte("<!DOCTYPE html>")))
	d := xml.NewDecoder(bytes.NewReader(document))
	d.Entity = xml.HTMLEntity
	var all []element
	var open []int
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			require.Empty(t, open)
			return all
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				_, twice := e.attr[a.Name.Local]
				require.False(t, twice, "%s has %s twice", e.name, a.Name.Local)
				e.attr[a.Name.Local] = a.Value
			}
			open = append(open, len(all))
			all = append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				all[open[len(open)-1]].text += string(token)
			}
		}
	}
}

func write(t *testing.T, r *Report) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.Write(&b))
	return b.Bytes()
}

// scan is a small asymmetric case in RAS with one voxel mm and a block of label 1.
func scan() Case {
	g := volume.Grid{Shape: [3]int{6, 8, 10}, Spacing: [3]float64{1, 1, 1}, Affine: [4][4]float64{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}}
	c := Case{Rank: Best, ID: "case_1", Image: volume.NewImage(g, 1), Reference: volume.NewLabels(g), Prediction: volume.NewLabels(g)}
	for i := range c.Image.Data {
		c.Image.Data[i] = float32(i % 97)
	}
	for d := 1; d < 4; d++ {
		for h := 2; h < 5; h++ {
			for w := 5; w < 9; w++ {
				i := (d*8+h)*10 + w
				c.Reference.Data[i] = 1
				c.Prediction.Data[i+1] = 2
			}
		}
	}
	return c
}

// full is a report in which every section has something to show.
func full() *Report {
	nan := math.NaN()
	scores := func(dice, hd, ref, pred float64) metric.Scores {
		return metric.Scores{Dice: dice, IoU: dice / 2, HD95: hd, ASSD: hd / 2, SurfaceDice: dice, VolumeRef: ref, VolumePred: pred}
	}
	targets := metric.Targets([]int{1, 2})
	s := metric.Summarize(targets, []metric.Case{
		{PredictionFile: "v/case_1.nii.gz", Scores: []metric.Scores{scores(0.9, 1, 2, 2.1), scores(0.8, 2, 3, 2.9)}},
		{PredictionFile: "v/case_2.nii.gz", Scores: []metric.Scores{scores(0.5, 9, 2, 1), scores(nan, nan, 0, 0)}},
		{PredictionFile: "v/case_3.nii.gz", Scores: []metric.Scores{scores(0.7, 3, 2, 2), scores(0.76, 3, 2, 2)}},
	}, true)
	var epochs []train.Epoch
	for i := range 12 {
		x := train.Number(i)
		e := train.Epoch{Epoch: i, TrainLoss: 1 - x/10, ValLoss: 1 - x/11, Dice: []train.Number{x / 15, train.Number(nan)}, MeanDice: x / 15, EMA: x / 20, Seconds: 2, ImagesPerSecond: 3}
		e.Time = train.Timing{Step: float64(i + 1), Wait: 0.2, Validate: 0.5, Load: 1, Augment: 0.1}
		epochs = append(epochs, e)
	}
	p := &plan.Plan{
		Dataset: "Dataset001_Test", Planner: "nnunet",
		Channels: []plan.Channel{{Name: "MRI", Normalization: plan.NormZScore}},
		Labels:   []plan.Label{{Name: "background", Values: []int{0}}, {Name: "first", Values: []int{1}}, {Name: "second", Values: []int{2}}},
		Ignore:   -1,
		Configurations: []plan.Configuration{{
			Name: "3d_fullres", Dim: 3, Patch: [3]int{40, 56, 40}, Batch: 2, Spacing: [3]float64{1, 1, 1},
			Normalization: []string{plan.NormZScore}, Network: plan.Network{Features: []int{8, 16}},
		}},
		Recipe: plan.NNUNet(3),
	}
	return &Report{
		Title: "Test", Plan: p, Configuration: "3d_fullres", Epochs: epochs, Summary: s,
		Cases: []Case{scan()}, Facts: []Fact{{"Device", "cpu"}},
	}
}

func TestDocumentIsWellFormedWhateverIsMissing(t *testing.T) {
	for name, change := range map[string]func(*Report){
		"nothing":       func(*Report) {},
		"plan":          func(r *Report) { r.Plan, r.Configuration = nil, "" },
		"configuration": func(r *Report) { r.Configuration = "other" },
		"epochs":        func(r *Report) { r.Epochs = nil },
		"all but one":   func(r *Report) { r.Epochs = r.Epochs[:1] },
		"summary":       func(r *Report) { r.Summary = nil },
		"scored cases":  func(r *Report) { r.Summary.Cases = nil },
		"cases":         func(r *Report) { r.Cases = nil },
		"surface":       func(r *Report) { r.Summary.Surface = false },
		"reference":     func(r *Report) { r.Cases[0].Reference = nil },
		"prediction":    func(r *Report) { r.Cases[0].Prediction = nil },
		"affine":        func(r *Report) { r.Cases[0].Image.Affine = [4][4]float64{} },
		"validation": func(r *Report) {
			nan := train.Number(math.NaN())
			for i := range r.Epochs {
				r.Epochs[i].ValLoss, r.Epochs[i].MeanDice, r.Epochs[i].Dice = nan, nan, nil
			}
		},
		"everything": func(r *Report) { *r = Report{Title: "x"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := full()
			change(r)
			document := write(t, r)
			parse(t, document)
			for _, word := range []string{"NaN", "Inf", "ZgotmplZ", "<no value>", "%!"} {
				assert.NotContains(t, string(document), word)
			}
		})
	}
}

func TestDocumentStandsAlone(t *testing.T) {
	document := write(t, full())
	for _, e := range parse(t, document) {
		assert.NotEqual(t, "script", e.name)
		for name, value := range e.attr {
			assert.False(t, strings.HasPrefix(name, "on"), "%s has %s", e.name, name)
			if name == "src" || name == "href" {
				assert.True(t, strings.HasPrefix(value, "data:") || strings.HasPrefix(value, "#"), "%s=%.40s", name, value)
			}
		}
	}
	assert.NotContains(t, string(document), "http:")
	assert.NotContains(t, string(document), "https:")
	assert.NotContains(t, string(document), "url(")
	assert.NotContains(t, string(document), "@import")
}

func TestHostileNamesStayText(t *testing.T) {
	const hostile = `</style><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{.}}&amp;`
	r := full()
	r.Title = hostile
	r.Plan.Dataset, r.Plan.Planner = hostile, hostile
	r.Plan.Labels[1].Name = hostile
	r.Plan.Channels[0].Name = hostile
	r.Cases[0].ID, r.Cases[0].Rank = hostile, hostile
	r.Facts = []Fact{{hostile, hostile}}
	r.Summary.Cases[0].PredictionFile = hostile
	document := write(t, r)
	titles, headings := 0, 0
	for _, e := range parse(t, document) {
		assert.NotEqual(t, "script", e.name)
		if e.name == "img" {
			assert.NotContains(t, e.attr, "onerror")
			assert.NotEqual(t, "x", e.attr["src"])
		}
		switch {
		case e.name == "title" && strings.Contains(e.text, hostile):
			titles++
		case e.name == "h1":
			assert.Equal(t, hostile, e.text)
			headings++
		}
	}
	assert.Positive(t, titles)
	assert.Equal(t, 1, headings)
	assert.NotContains(t, string(document), hostile)
}

func TestEveryPictureAndTableHasWords(t *testing.T) {
	ids := map[string]bool{}
	described := 0
	all := parse(t, write(t, full()))
	for _, e := range all {
		switch e.name {
		case "img":
			alt, ok := e.attr["alt"]
			assert.True(t, ok)
			if alt != "" {
				described++
				assert.Contains(t, alt, "case_1")
				assert.Contains(t, alt, "first 0.900")
			}
		case "th":
			assert.Contains(t, []string{"col", "row", "colgroup"}, e.attr["scope"])
		case "svg":
			assert.True(t, e.attr["aria-hidden"] == "true" || e.attr["role"] == "img" && e.attr["aria-label"] != "")
		}
		if id := e.attr["id"]; id != "" {
			assert.False(t, ids[id], "id %s twice", id)
			ids[id] = true
		}
	}
	assert.Equal(t, 3, described, "a description a plane; layers above it have none")
	for _, e := range all {
		for _, name := range []string{"aria-labelledby", "for"} {
			if id := e.attr[name]; id != "" {
				assert.True(t, ids[id], "%s=%s points nowhere", name, id)
			}
		}
	}
}

func TestTableHasEveryCaseAndTheMeans(t *testing.T) {
	var rows []string
	for _, e := range parse(t, write(t, full())) {
		if e.name == "th" && e.attr["scope"] == "row" {
			rows = append(rows, strings.TrimSpace(e.text))
		}
	}
	for _, want := range []string{"first", "second", "case_1", "case_2", "case_3", "Mean"} {
		assert.Contains(t, rows, want)
	}
	v := full().scores(newLegend(full()))
	assert.Equal(t, "0.740", v.Mean.Dice) // ((0.9+0.5+0.7)/3 + (0.8+0.76)/2) / 2
	assert.Equal(t, cell{Dice: none, HD95: none, VolumeRef: "0.00", VolumePred: "0.00"}, v.Rows[1].Cells[1])
	assert.Equal(t, []string{Best, Worst, Median}, []string{v.Rows[0].Rank, v.Rows[1].Rank, v.Rows[2].Rank})
}

func TestSameReportHasSameBytes(t *testing.T) {
	assert.True(t, bytes.Equal(write(t, full()), write(t, full())))
}

func TestLabelsOfAnotherShapeAreRefusedByName(t *testing.T) {
	r := full()
	r.Cases[0].Prediction = volume.NewLabels(volume.Grid{Shape: [3]int{1, 2, 3}})
	require.EqualError(t, r.Write(io.Discard), "report: case case_1: the prediction has shape [1 2 3], the image [6 8 10] (D H W): all must be on the scan's grid")
	r.Cases[0].Image = nil
	require.ErrorContains(t, r.Write(io.Discard), "case_1: no image")
}

func TestFullDiskIsAnError(t *testing.T) {
	full := full()
	require.ErrorIs(t, full.Write(broken{}), io.ErrShortWrite)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestRealCaseMakesASmallFile(t *testing.T) {
	const data = "../../testdata/hippocampus/"
	im, _, err := nifti.ReadImage(data + "imagesTr/hippocampus_003.nii.gz")
	require.NoError(t, err)
	ref, _, err := nifti.ReadLabels(data + "labelsTr/hippocampus_003.nii.gz")
	require.NoError(t, err)
	pred := volume.NewLabels(ref.Grid) // the reference, moved by a voxel
	copy(pred.Data[1:], ref.Data)
	scores, err := metric.Score(ref, pred, metric.Targets([]int{1, 2}), metric.Options{Surface: true})
	require.NoError(t, err)
	r := full()
	r.Summary = metric.Summarize(metric.Targets([]int{1, 2}), []metric.Case{{PredictionFile: "hippocampus_003.nii.gz", Scores: scores}}, true)
	r.Cases = []Case{{Rank: Best, ID: "hippocampus_003", Image: im, Reference: ref, Prediction: pred}}
	document := write(t, r)
	assert.Contains(t, string(document), "Sagittal, slice ")
	assert.Less(t, len(document), 500<<10)
	parse(t, document)
}
