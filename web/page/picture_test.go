package page

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// save saves a picture of the views, and nothing else; what was written on it.
func (f *fake) save(t *testing.T, p *Page) Picture {
	t.Helper()
	p.OpenExport()
	for i := range p.Export.Formats {
		p.Export.Formats[i].On = p.Export.Formats[i].ID == picture
	}
	p.DoExport()
	return f.notes
}

func TestAPictureSaysWhatIsSeen(t *testing.T) {
	p, f := labelled(t)
	p.View.Planes = [3]Plane{{Slice: 0, Of: 2, MM: .5, Width: 300}, {Slice: 1, Of: 2, MM: .02, Width: 300}, {}}
	p.View.Voxel = [3]int{1, 1, 0}
	p.SetWindow(-160, 240, "Soft tissue")
	r := p.Result
	r.measured(&api.Measured{Labels: []api.Structure{{Value: 1, Voxels: 2, ML: 12.34}, {Value: 2, Voxels: 1, ML: .5}}})
	r.Labels[1].Visible = false
	n := f.save(t, p)
	v := n.Views[0]
	assert.Equal(t, "Axial 1 / 2", v.Name)
	assert.Equal(t, [4]string{"R", "L", "A", "P"}, v.Edges)
	assert.Equal(t, "z "+Millimetres(p.Place(p.View.Voxel)[2]), v.Place)
	assert.Equal(t, "W 400  L 40", v.Window)
	assert.Equal(t, "Soft tissue", v.Preset)
	assert.Equal(t, "2 cm", v.Scale)
	assert.InDelta(t, 40, v.ScalePix, 1e-9)
	assert.Equal(t, "1 mm", n.Views[1].Scale)
	assert.Empty(t, n.Views[2].Scale, "a view that was never seen")
	require.Len(t, n.Legend, 1, "what is hidden is not explained")
	assert.Equal(t, PictureLegend{Text: r.Labels[0].Name + " 12.3 mL", Ground: Hex(Palette[0]), Stripe: Hex(Ink{RGB: Palette[0]}.Stripe())}, n.Legend[0])
	assert.Equal(t, r.From, n.Title)
	p.Measured(Ruler{X1: 1, Y1: 2, X2: 3, Y2: 4}, [3]float64{}, [3]float64{2, 0, 0})
	require.NotNil(t, f.save(t, p).Ruler)
	assert.Equal(t, p.View.Ruler.Text(), f.notes.Ruler.Text)
	p.SetRadiological(false)
	assert.Equal(t, "L", f.save(t, p).Views[0].Edges[0])
}

// Scans and files bear names of patients.
func TestAPictureNamesNoPatient(t *testing.T) {
	p, f := labelled(t)
	p.Scan.Name, p.Scan.Files = "Meier^Anna", []File{{Path: "Meier/1.dcm"}}
	text := func() string {
		b, err := json.Marshal(f.save(t, p))
		require.NoError(t, err)
		return string(b)
	}
	assert.NotContains(t, text(), "Meier")
	p.CompareWith([]File{{Path: "Meier.nii"}})
	f.answer(api.Answer{PageAnswer: api.PageAnswer{ReadLabels: &api.ReadLabels{Labels: model.Labels}}}, held{0, 1, 0, 2, 0, 0, 0, 0})
	require.Equal(t, PanelCompare, p.Panel)
	both := text()
	assert.NotContains(t, both, "Meier")
	assert.Contains(t, both, "Only in B")
	assert.Contains(t, both, "A: "+p.Result.From)
	p.SwapCompared()
	p.View.Ruler = nil
	b, err := json.Marshal(p.Picture())
	require.NoError(t, err)
	assert.NotContains(t, string(b), "Meier")
	assert.Contains(t, string(b), "B: "+p.Other.From)
}

func TestWhatIsExportedIsNotWhatItIsComparedWith(t *testing.T) {
	p, f := compared(t)
	result := p.Result
	p.SwapCompared()
	f.save(t, p)
	assert.Same(t, result, p.Result)
	assert.Equal(t, PanelCompare, p.Panel)
}
