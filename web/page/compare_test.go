package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// compared is a page with a result beside another one.
func compared(t *testing.T) (*Page, *fake) {
	p, f := opened(t)
	p.Start()
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
	p.CompareWith([]File{{Path: "other.nii"}})
	f.answer(api.Answer{PageAnswer: api.PageAnswer{ReadLabels: &api.ReadLabels{Labels: model.Labels}}}, held{0, 1, 0, 2, 0, 0, 0, 0})
	require.Equal(t, PanelCompare, p.Panel)
	return p, f
}

// What is shown is a map of differences, whose values are no labels.
func TestDifferencesKeepTheirColours(t *testing.T) {
	p, f := compared(t)
	lut := f.lut
	for _, k := range []string{"v", "o", "]", "g"} {
		p.Key(KeyStroke{Key: k, View: -1})
		assert.Equal(t, lut, f.lut, k)
	}
	for i, r := range f.asked { // asked before, and answered now
		if r.Surface != nil {
			f.hear[i](api.Answer{PageAnswer: api.PageAnswer{Surfaced: &api.Surfaced{}}}, nil)
		}
	}
	assert.Equal(t, lut, f.lut)
	p.EndCompare()
	assert.Equal(t, Palette[0][:], f.lut[4:7])
}

func TestBothLabelsOfAVoxelAreNamed(t *testing.T) {
	p, _ := compared(t)
	names := func(i int) string {
		s := p.Scan.Look.Grid.Shape
		return p.LabelText([3]int{i % s[2], i / s[2] % s[1], i / s[2] / s[1]})
	}
	p.Other.Labels[0].Name = "Label 1" // as files without names have it
	assert.Equal(t, p.Result.Labels[0].Name, names(1), "they agree")
	assert.Equal(t, "A: "+p.Result.Labels[0].Name+", B: none", names(2))
	assert.Empty(t, names(0))
	p.EndCompare()
	assert.Equal(t, p.Result.Labels[0].Name, names(2))
}

func TestTheResultIsTheSameAfterAComparison(t *testing.T) {
	p, f := compared(t)
	result := p.Result
	p.SwapCompared()
	require.NotSame(t, result, p.Result)
	p.EndCompare()
	assert.Same(t, result, p.Result, "what is exported is not what it was compared with")
	assert.Equal(t, result.Map, f.labels)
	p.StartCompare()
	p.SwapCompared()
	p.SwapCompared()
	p.EndCompare()
	assert.Same(t, result, p.Result)
}

func TestLabelsThatComeAfterTheirScanAreNotCompared(t *testing.T) {
	p, f := compared(t)
	p.CompareWith([]File{{Path: "late.nii"}})
	late := f.to()
	f.open(t, p, "b.nii")
	late(api.Answer{PageAnswer: api.PageAnswer{ReadLabels: &api.ReadLabels{}}}, []Bytes{held{}})
	assert.Equal(t, PanelScan, p.Panel)
	assert.Nil(t, p.Other)
}
