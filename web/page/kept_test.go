package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// show opens a scan of a hash in p.
func show(t *testing.T, p *Page, f *fake, hash string) {
	t.Helper()
	p.TakeFiles([]File{{Path: "scan.nii.gz", Size: 100}})
	f.answer(listed("scan"))
	require.NotNil(t, f.last().Open)
	f.answer(api.Answer{Opened: &api.Opened{Name: "scan", Kind: "NIfTI", Grid: grid(), Channels: 1}})
	f.answer(api.Answer{PageAnswer: api.PageAnswer{Looked: &api.Looked{Grid: grid(), Window: [2]float64{0, 10}, Max: 20, Histogram: make([]int, 4), Hash: hash}}}, held{})
	require.Equal(t, ScreenWork, p.Screen)
}

// again is a new page of the same browser with a scan of a hash.
func again(t *testing.T, f *fake, hash string) *Page {
	t.Helper()
	p := New(f)
	show(t, p, f, hash)
	return p
}

var labelMap = held{0, 1, 1, 2, 0, 0, 0, 0}

// ran is a page whose segmentation of a scan of a hash has ended.
func ran(t *testing.T, f *fake, hash string, uncertainty ...Bytes) *Page {
	t.Helper()
	p := again(t, f, hash)
	p.AddModel([]File{{Path: "m.gounet"}})
	f.answer(api.Answer{Loaded: &model})
	p.Start()
	f.answer(api.Answer{Done: &api.Done{Labels: model.Labels, Uncertainty: len(uncertainty) > 0}}, append([]Bytes{labelMap}, uncertainty...)...)
	require.Equal(t, PanelLabels, p.Panel)
	return p
}

func TestLabelsAreOfferedWhenTheirScanIsOpenedAgain(t *testing.T) {
	f := newFake()
	p := ran(t, f, "one", held{9, 8, 7, 6, 5, 4, 3, 2})
	assert.True(t, p.Result.IsKept())
	p.Result.Picked = 0
	p.BeginRename()
	p.EndRename("Head")
	p.SetColour(1, 3)
	p.Toggle(0)
	p.SetColour(0, 2)
	net := len(f.net)

	other := again(t, f, "two")
	assert.Nil(t, other.Kept(), "they are of another scan")

	f.now = f.now.Add(42 * time.Minute)
	p = again(t, f, "one")
	require.NotNil(t, p.Kept())
	assert.Nil(t, p.Result, "they are offered, not shown")
	assert.Equal(t, "Labels of this scan from 12:00 are kept", p.Kept().Title(f.now))
	assert.Equal(t, "Hippocampus. 16 bytes on this computer, in this browser only.", p.Kept().Text())
	p.ShowKept()
	assert.Equal(t, PanelLabels, p.Panel)
	assert.Nil(t, p.Kept())
	assert.Equal(t, []byte(labelMap), p.Result.Map)
	assert.Equal(t, []byte(labelMap), f.labels)
	assert.Equal(t, []byte{9, 8, 7, 6, 5, 4, 3, 2}, p.Result.Unsure)
	assert.Equal(t, "Head", p.Result.Labels[0].Name)
	assert.Equal(t, Palette[3], p.Result.Labels[1].RGB)
	assert.False(t, p.Result.Labels[0].Visible)
	assert.True(t, p.Unsaved(), "no file has them still")
	assert.True(t, p.Result.IsKept())
	assert.Len(t, f.net, net+2, "nothing is sent: a page that begins asks what server there is")
}

func TestCorrectionsAreKeptStrokeByStroke(t *testing.T) {
	f := newFake()
	p := ran(t, f, "one")
	p.StartEdit()
	p.Stroke("begin", 0, [3]int{0, 0, 0})
	p.Stroke("end", 0, [3]int{0, 0, 0})
	corrected := append([]byte{}, p.Result.Map...)
	require.NotEqual(t, []byte(labelMap), corrected)

	p2 := again(t, f, "one") // before the changes are taken
	require.NotNil(t, p2.Kept())
	assert.Contains(t, p2.Kept().Text(), "Hippocampus, corrected.")
	p2.ShowKept()
	assert.Equal(t, corrected, p2.Result.Map)

	p.DiscardEdit()
	p2 = again(t, f, "one")
	p2.ShowKept()
	assert.Equal(t, []byte(labelMap), p2.Result.Map)

	p.StartEdit()
	p.Stroke("begin", 0, [3]int{0, 0, 0})
	p.Stroke("end", 0, [3]int{0, 0, 0})
	p.KeepEdit()
	p.UndoResult()
	p2 = again(t, f, "one")
	assert.NotContains(t, p2.Kept().Text(), "corrected")
	p2.ShowKept()
	assert.Equal(t, []byte(labelMap), p2.Result.Map)
	p.RedoResult()
	p.OpenExport()
	p.DoExport()
	exported(f)
	p2 = again(t, f, "one")
	p2.ShowKept()
	assert.Equal(t, corrected, p2.Result.Map)
	assert.False(t, p2.Unsaved(), "a file has them")
}

func TestKeptLabelsAreListedAndRemoved(t *testing.T) {
	f := newFake()
	ran(t, f, "one")
	f.now = f.now.Add(time.Minute)
	p := ran(t, f, "two")
	p.Show(DialogModels)
	require.Len(t, p.Stored.Labels, 2)
	assert.Equal(t, labelsKey+"two", p.Stored.Labels[0].key, "the newest first")
	assert.EqualValues(t, 8, p.Stored.Labels[0].Bytes)
	p.RemoveKept(p.Stored.Labels[1])
	require.Len(t, p.Stored.Labels, 1)
	assert.Nil(t, again(t, f, "one").Kept())
	p.RemoveKept(p.Stored.Labels[0])
	assert.Empty(t, p.Stored.Labels)
	assert.False(t, p.Result.IsKept(), "that of the scan that is seen is gone, too")
	assert.Zero(t, f.kept(labelsKey))
	p.KeepAtOnce()
	assert.Zero(t, f.kept(labelsKey), "and stays so until they are changed")
	p.SetColour(0, 4)
	assert.Equal(t, 1, f.kept(labelsKey))

	p = again(t, f, "two")
	p.DropKept()
	assert.Nil(t, p.Kept())
	assert.Zero(t, f.kept(labelsKey))

	ran(t, f, "one")
	p = ran(t, f, "two")
	p.Show(DialogModels)
	p.RemoveAllStored()
	assert.Zero(t, f.kept(labelsKey))
	assert.NotContains(t, f.stored, "models/abc")
}

func TestTheOldestLabelsGo(t *testing.T) {
	f := newFake()
	put := func(i int, bytes int64) {
		meta, err := json.Marshal(keptLabels{Scan: "old", At: f.now.Add(time.Duration(i) * time.Second)})
		require.NoError(t, err)
		f.stored[fmt.Sprintf("%s/%sold%d", runStore, labelsKey, i)] = Stored{Key: fmt.Sprintf("%sold%d", labelsKey, i), Meta: meta, Files: []File{{Path: "labels", Size: bytes}}}
	}
	for i := range mostMaps {
		put(i, 1)
	}
	f.now = f.now.Add(time.Hour)
	ran(t, f, "new")
	assert.Equal(t, mostMaps, f.kept(labelsKey))
	assert.NotContains(t, f.stored, runStore+"/"+labelsKey+"old0")
	put(0, mostKept)
	put(mostMaps, mostKept-8)
	f.now = f.now.Add(time.Hour)
	ran(t, f, "new")
	assert.Equal(t, 2, f.kept(labelsKey), "as many bytes as there is room for")
	assert.Contains(t, f.stored, fmt.Sprintf("%s/%sold%d", runStore, labelsKey, mostMaps))
}

func TestLabelsThatCannotBeKeptAreAskedAboutAsLost(t *testing.T) {
	f := newFake()
	p := ran(t, f, "one")
	p.TakeFiles([]File{{Path: "b.nii"}})
	f.answer(listed("b.nii"))
	require.Equal(t, DialogAsk, p.Dialog)
	assert.Contains(t, p.Question.Text, "offered when this scan is opened again")
	assert.NotContains(t, p.Question.Text, "lost")

	f = newFake()
	f.full = errors.New("the disk is full")
	p = ran(t, f, "one")
	assert.False(t, p.Result.IsKept())
	p.TakeFiles([]File{{Path: "b.nii"}})
	f.answer(listed("b.nii"))
	require.Equal(t, DialogAsk, p.Dialog)
	assert.Contains(t, p.Question.Text, "They will be lost.")
}

func TestDamagedLabelsAreRemovedAndSaid(t *testing.T) {
	for name, damage := range map[string]func(*fake, *Stored){
		"unreadable":    func(f *fake, _ *Stored) { f.unread = errors.New("gone") },
		"short":         func(_ *fake, s *Stored) { s.Files[0].Blob = []byte{1, 2} },
		"empty":         func(_ *fake, s *Stored) { s.Files[0].Blob = []byte{} },
		"unknown label": func(_ *fake, s *Stored) { s.Meta = []byte(`{"Labels":[{"value":256}]}`) },
		"no JSON":       func(_ *fake, s *Stored) { s.Meta = []byte(`{`) },
		"no files":      func(_ *fake, s *Stored) { s.Files = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			ran(t, f, "one")
			key := runStore + "/" + labelsKey + "one"
			s := f.stored[key]
			damage(f, &s)
			f.stored[key] = s
			p := again(t, f, "one")
			if p.Kept() == nil {
				return // not even offered
			}
			p.ShowKept()
			assert.Nil(t, p.Result)
			assert.Contains(t, p.Notice, "cannot be read any more")
			assert.Nil(t, p.Kept())
			assert.Zero(t, f.kept(labelsKey))
		})
	}
}

func TestASegmentationDoesNotReplaceKeptLabelsUnasked(t *testing.T) {
	f := newFake()
	ran(t, f, "one")
	p := again(t, f, "one")
	p.Models.Chosen, p.Models.loaded = "abc", "abc"
	p.Go(PanelCheck)
	p.Begin()
	require.Equal(t, DialogAsk, p.Dialog)
	assert.Contains(t, p.Question.Text, "A segmentation takes their place.")
	assert.Empty(t, p.Run.Stage)
	p.Question.OnDo()
	assert.Equal(t, []byte(labelMap), p.Result.Map)

	p = again(t, f, "one")
	p.Models.Chosen, p.Models.loaded = "abc", "abc"
	p.Go(PanelCheck)
	p.Begin()
	p.Question.OnOther()
	assert.Equal(t, RunPreparing, p.Run.Stage)
	assert.Equal(t, 1, f.kept(labelsKey), "until there are others")
}

func TestWhatIsOnItsWayToBeKeptIsKeptBeforeAnotherScan(t *testing.T) {
	f := newFake()
	p := ran(t, f, "one")
	f.waits = true // the pause is not over
	p.SetColour(0, 5)
	assert.False(t, p.Result.IsKept())
	p.Result.unsaved = false
	show(t, p, f, "two")
	p = again(t, f, "one")
	p.ShowKept()
	assert.Equal(t, Palette[5], p.Result.Labels[0].RGB)
	p.SetColour(0, 6)
	p.KeepAtOnce() // the page is left
	p = again(t, f, "one")
	p.ShowKept()
	assert.Equal(t, Palette[6], p.Result.Labels[0].RGB)
}
