package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// labelled is a page with labels over its scan.
func labelled(t *testing.T) (*Page, *fake) {
	p, f := opened(t)
	p.Start()
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
	require.Equal(t, PanelLabels, p.Panel)
	p.Result.Picked = 0
	return p, f
}

var (
	undoKeys = KeyStroke{Key: "z", Ctrl: true, View: -1}
	redoKeys = KeyStroke{Key: "Z", Ctrl: true, Shift: true, View: -1}
)

func TestNamesAndColoursAreTakenBackInTheirOrder(t *testing.T) {
	p, f := labelled(t)
	l := &p.Result.Labels[0]
	assert.Empty(t, p.Result.CanUndo())
	p.SetColour(0, 3)
	p.rename("Head")
	p.SetColour(0, 4)
	require.True(t, p.Key(undoKeys))
	assert.Equal(t, look{"Head", Palette[3]}, l.look())
	assert.Equal(t, Palette[3][0], f.lut[4*l.Value], "it is drawn so")
	assert.Equal(t, "Name of Anterior", p.Result.CanUndo())
	assert.Equal(t, "Colour of Head", p.Result.CanRedo())
	p.Key(undoKeys)
	p.Key(undoKeys)
	p.Key(undoKeys)
	assert.Equal(t, look{"Anterior", Palette[0]}, l.look())
	assert.Empty(t, p.Result.CanUndo())
	for range 4 {
		p.Key(redoKeys)
	}
	assert.Equal(t, look{"Head", Palette[4]}, l.look())
	p.Key(undoKeys)
	p.rename("Caput")
	assert.Empty(t, p.Result.CanRedo(), "what comes after it is gone")
}

func TestWhatChangesNothingIsNoStep(t *testing.T) {
	p, _ := labelled(t)
	p.SetColour(0, 0)
	p.rename("Anterior")
	p.rename(" ")
	p.StartEdit()
	p.KeepEdit()
	assert.Empty(t, p.Result.CanUndo())
	assert.False(t, p.Result.Edited)
	assert.True(t, p.Key(undoKeys))
}

func TestACorrectionIsTakenBackAsAWhole(t *testing.T) {
	p, f := labelled(t)
	p.rename("Head")
	p.Scan.Look.Grid.Spacing = [3]float64{10, 10, 10} // a voxel is a millilitre
	p.StartEdit()
	p.Edit.MM = 1
	for _, at := range [][3]int{{0, 0, 0}, {1, 1, 1}} {
		p.Stroke("begin", 0, at)
		p.Stroke("end", 0, at)
	}
	assert.Equal(t, "+2.00", p.GrownML(&p.Result.Labels[0]))
	p.Undo()
	assert.Equal(t, "+1.00", p.GrownML(&p.Result.Labels[0]))
	p.Redo()
	assert.Empty(t, p.GrownML(&p.Result.Labels[1]))
	p.KeepEdit()
	assert.Equal(t, []byte{1, 1, 1, 2, 0, 0, 0, 1}, p.Result.Map)
	assert.True(t, p.Result.Edited)
	p.Key(undoKeys)
	assert.Equal(t, []byte{0, 1, 1, 2, 0, 0, 0, 0}, p.Result.Map)
	assert.Equal(t, p.Result.Map, f.labels)
	assert.Equal(t, 2, p.Result.Labels[0].Voxels)
	assert.False(t, p.Result.Edited)
	p.Key(redoKeys)
	assert.Equal(t, []byte{1, 1, 1, 2, 0, 0, 0, 1}, p.Result.Map)
	assert.True(t, p.Result.Edited)
	p.Key(undoKeys)
	p.Key(undoKeys)
	assert.Equal(t, "Anterior", p.Result.Labels[0].Name)
}

// In a field the keys are the field's own.
func TestUndoInAFieldIsTheBrowsers(t *testing.T) {
	p, _ := labelled(t)
	p.rename("Head")
	in := undoKeys
	in.Field = true
	assert.False(t, p.Key(in))
	assert.Equal(t, "Head", p.Result.Labels[0].Name)
	p.Go(PanelModels)
	assert.False(t, p.Key(undoKeys), "nothing is changed there")
}

// The keys are pressed while the pointer is down.
func TestAStrokeThatIsBeingMadeIsNotUndoneInPart(t *testing.T) {
	p, _ := labelled(t)
	p.Scan.Look.Grid.Spacing = [3]float64{10, 10, 10}
	p.StartEdit()
	p.Edit.MM = 1
	p.Stroke("begin", 0, [3]int{0, 0, 0})
	p.Stroke("end", 0, [3]int{0, 0, 0})
	p.Stroke("begin", 0, [3]int{1, 1, 1})
	p.Key(undoKeys)
	p.Stroke("end", 0, [3]int{1, 1, 1})
	assert.Equal(t, []byte{1, 1, 1, 2, 0, 0, 0, 1}, p.Result.Map)
	p.Key(undoKeys)
	p.Key(undoKeys)
	assert.Equal(t, []byte{0, 1, 1, 2, 0, 0, 0, 0}, p.Result.Map)
}
