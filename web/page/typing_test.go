package page

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// rename types a name for the open label.
func (p *Page) rename(name string) {
	p.BeginRename()
	p.Type("rename", name)
	p.EndRename(name)
}

// Drawing comes between two letters: of a run that goes on, a pointer that moves.
func TestAFieldShowsWhatIsTypedUntilThatIsTaken(t *testing.T) {
	field := func(key string) KeyStroke { return KeyStroke{Key: key, Field: true, View: -1} }
	p, _ := labelled(t)
	l := &p.Result.Labels[0]
	p.BeginRename()
	assert.Equal(t, "Anterior", p.Shown("rename", p.Result.Rename))
	p.Type("rename", "He")
	p.LeaveField("width")
	assert.Equal(t, "He", p.Shown("rename", p.Result.Rename))
	assert.Equal(t, "8", p.Shown("width", "8"), "another field has its own")
	p.Key(field("Escape"))
	p.LeaveField("rename")
	assert.Equal(t, "Anterior", l.Name, "it was given up")
	p.BeginRename()
	assert.Equal(t, "Anterior", p.Shown("rename", p.Result.Rename))
	assert.True(t, p.Key(field("Enter")))
	assert.False(t, p.Result.Renaming())
	assert.Equal(t, "Anterior", l.Name)
	for _, take := range []func(){func() { p.Key(field("Enter")) }, func() { p.LeaveField("rename") }} {
		p.BeginRename()
		p.Type("rename", l.Name+"!")
		take()
		p.LeaveField("rename") // as it is taken out of the page
	}
	assert.Equal(t, "Anterior!!", l.Name)
	assert.False(t, p.Key(field("Enter")), "nothing is typed")
	p.Type("width", "4")
	p.Type("width", "40")
	assert.True(t, p.Key(field("Enter")))
	assert.Equal(t, "40", p.Shown("width", Plain(p.View.Width())))
	p.Type("width", "4")
	assert.True(t, p.Key(field("Escape")))
	p.LeaveField("width")
	assert.Equal(t, "40", p.Shown("width", Plain(p.View.Width())))
	p.Type("width", "x")
	p.LeaveField("width")
	assert.Equal(t, "40", p.Shown("width", Plain(p.View.Width())))
	p.StartEdit()
	p.Type("from", "3,5")
	p.LeaveField("from")
	p.Type("to", "9")
	p.LeaveField("to")
	assert.Equal(t, [2]float64{3.5, 9}, [2]float64{p.Edit.From, p.Edit.To})
	assert.True(t, p.Edit.Bounded)
	p.Type("from", "4")
	p.DiscardEdit()
	p.LeaveField("from") // it went with its panel
	assert.Equal(t, PanelLabels, p.Panel)
}

func TestNumbersAreReadAsPeopleTypeThem(t *testing.T) {
	for text, want := range map[string]float64{"40": 40, " 1 000 ": 1000, "35,75": 35.75, "−1\u2009024": -1024, "1e3": 1000} {
		x, ok := typedNumber(text)
		assert.True(t, ok, text)
		assert.InDelta(t, want, x, 0, text)
	}
	for _, text := range []string{"", "x", "NaN", "Inf", "-inf", "1e300", "1.2.3"} {
		_, ok := typedNumber(text)
		assert.False(t, ok, text)
	}
	p, _ := opened(t)
	p.SetLevel("NaN")
	p.SetLevel("Inf")
	assert.False(t, math.IsNaN(p.View.Level()) || math.IsInf(p.View.Level(), 0))
}
