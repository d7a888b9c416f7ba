package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// What a dialog is about may go while it is open.
func TestADialogAboutWhatIsNoMoreIsClosed(t *testing.T) {
	t.Run("a scan is dropped over an export", func(t *testing.T) {
		p, _ := labelled(t)
		p.OpenExport()
		require.Equal(t, DialogExport, p.Dialog)
		p.Drop([]File{{Path: "b.nii"}}, nil)
		assert.Equal(t, NoDialog, p.Dialog)
	})
	t.Run("another scan comes", func(t *testing.T) {
		p, f := labelled(t)
		p.Result.unsaved = false
		p.TakeFiles([]File{{Path: "b.nii"}})
		f.answer(listed("b.nii"))
		p.BackToScan()
		p.TakeFiles([]File{{Path: "b.nii"}})
		f.answer(listed("b.nii"))
		f.answer(api.Answer{Opened: &api.Opened{Name: "b.nii", Grid: grid(), Channels: 1}})
		p.Dialog = DialogExport
		f.answer(looked(), held{})
		assert.Nil(t, p.Result)
		assert.Equal(t, NoDialog, p.Dialog)
	})
	t.Run("a run ends while its cancel is asked about", func(t *testing.T) {
		p, f := opened(t)
		p.Start()
		p.Show(DialogCancel)
		f.answer(api.Answer{Done: &api.Done{Labels: model.Labels}}, held{0, 1, 1, 2, 0, 0, 0, 0})
		assert.Equal(t, NoDialog, p.Dialog)
		assert.Equal(t, PanelLabels, p.Panel)
	})
	t.Run("a model is dropped over the stored ones", func(t *testing.T) {
		p, _ := labelled(t)
		p.Show(DialogModels)
		p.Drop([]File{{Path: "heart.gounet"}}, nil)
		assert.Equal(t, DialogModels, p.Dialog)
	})
}

// Folders may have files that their owner alone may read.
func TestWhatTheBrowserCannotReadIsToldOf(t *testing.T) {
	p, f := opened(t)
	asked := len(f.asked)
	p.Drop(nil, []string{"scan.nii"})
	require.NotNil(t, p.Alert)
	assert.Contains(t, p.Alert.Text, "The browser could not read scan.nii.")
	assert.Equal(t, ScreenOpen, p.Screen)
	for _, r := range f.asked[asked:] {
		assert.NotNil(t, r.Cancel, "nothing is read")
	}
	p.Drop([]File{{Path: "d/1.dcm"}}, []string{"2.dcm", "3.dcm"})
	assert.NotNil(t, f.last().List)
	assert.Equal(t, "The browser could not read 2.dcm and 1 other. What is shown may be incomplete.", p.Notice)
}

func TestAWindowThatIsChosenBeforeTheFirstPictureStays(t *testing.T) {
	p, f := opened(t)
	f.slow = true
	f.open(t, p, "b.nii")
	p.SetWidth("4")
	p.SetLevel("7")
	f.picture()
	assert.Equal(t, [2]float64{5, 9}, [2]float64{p.View.Low, p.View.High})
	assert.Equal(t, [2]float64{5, 9}, [2]float64{f.low, f.high})
	assert.Equal(t, "Own", p.View.Preset)
}
