package page

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

const (
	askPartial = "fetch api/v1/jobs/j1/partial"
	jobTiles   = `{"id":"j1","state":"running","progress":{"stage":"segment","done":2,"of":8}}`
)

var labelsRead = api.Answer{PageAnswer: api.PageAnswer{ReadLabels: &api.ReadLabels{}}}

// computing is a page whose job the server has begun with, and how the job is told of.
func computing(t *testing.T) (*Page, *fake, func(int, string)) {
	t.Helper()
	p, f := served(t)
	f.next(t, "upload scan.nii.gz")(0, "")
	f.next(t, "POST api/v1/jobs")(201, `{"id":"j1","state":"queued"}`)
	require.Contains(t, string(f.sent), `"partial":true`)
	tell := f.next(t, "watch api/v1/jobs/j1/events")
	tell(0, jobTiles)
	require.Equal(t, ServerRunning, p.Server.Stage)
	return p, f, tell
}

func TestLabelsOfTheServersTilesAppearAsTheyAreDone(t *testing.T) {
	p, f, tell := computing(t)
	f.next(t, askPartial)(204, "")
	tell(0, jobTiles)
	assert.Equal(t, 1, f.count(askPartial), "not more often than there can be others")
	f.now = f.now.Add(partEvery)
	tell(0, jobTiles)
	f.next(t, askPartial)(200, "a file")
	require.NotNil(t, f.last().Read)
	f.now = f.now.Add(partEvery)
	tell(0, jobTiles)
	assert.Equal(t, 2, f.count(askPartial), "one after the other")
	f.answer(labelsRead, held{0, 1, 0, 0, 0, 0, 0, 0})
	assert.Equal(t, []byte{0, 1, 0, 0, 0, 0, 0, 0}, f.labels)
	assert.Equal(t, Palette[0][0], f.lut[4])
	assert.Nil(t, p.Result, "they are no result")
	assert.Nil(t, p.LabelAt([3]int{1, 0, 0}))
	tell(0, jobTiles)
	f.next(t, askPartial)(404, "it is over")
	assert.Equal(t, []byte{0, 1, 0, 0, 0, 0, 0, 0}, f.labels)

	tell(0, jobDone)
	f.next(t, "fetch api/v1/jobs/j1/results/labels.nii.gz")(200, "labels")
	f.answer(labelsRead, labelMap)
	assert.Equal(t, []byte(labelMap), f.labels)
	assert.Equal(t, []byte(labelMap), p.Result.Map)
	assert.NotNil(t, p.LabelAt([3]int{1, 0, 0}))
}

func TestLabelsOfTilesGoWithTheJobThatTheyAreOf(t *testing.T) {
	for name, leave := range map[string]func(*Page){
		"cancelled":     func(p *Page) { p.CancelJob() },
		"another panel": func(p *Page) { p.Go(PanelModels) },
		"failed":        func(p *Page) { p.serverFailed("It failed", "the device is gone") },
		"run here":      func(p *Page) { p.RunHereInstead() },
	} {
		t.Run(name, func(t *testing.T) {
			p, f, tell := computing(t)
			f.next(t, askPartial)(200, "a file")
			f.answer(labelsRead, held{0, 1, 0, 0, 0, 0, 0, 0})
			f.now = f.now.Add(partEvery)
			tell(0, jobTiles)
			f.next(t, askPartial)(200, "a file")
			late := f.to()
			leave(p)
			assert.Nil(t, f.labels)
			assert.Nil(t, p.Run.partial)
			late(labelsRead, []Bytes{held{0, 1, 0, 0, 0, 0, 0, 0}})
			assert.Nil(t, f.labels, "what comes late is not shown")
		})
	}
}

func TestLabelsOfTilesAreNotAskedForWhereTheyAreNotSeen(t *testing.T) {
	for name, leave := range map[string]func(*Page, *fake){
		"another screen": func(p *Page, _ *fake) { p.OpenAnother() },
		"another panel":  func(p *Page, _ *fake) { p.Go(PanelScan) },
		"all done":       func(p *Page, _ *fake) { p.Server.Job.Progress.Done = 8 },
	} {
		t.Run(name, func(t *testing.T) {
			p, f, tell := computing(t)
			f.next(t, askPartial)(204, "")
			leave(p, f)
			f.now = f.now.Add(time.Minute)
			told := jobTiles
			if name == "all done" {
				told = `{"id":"j1","state":"running","progress":{"stage":"write","done":0,"of":0}}`
			}
			tell(0, told)
			assert.Equal(t, 1, f.count(askPartial))
		})
	}
}

func TestLargeScansAreAskedForMoreSeldom(t *testing.T) {
	p, f, tell := computing(t)
	f.next(t, askPartial)(204, "")
	p.Scan.Look.Grid.Shape = [3]int{512, 512, 300}
	f.now = f.now.Add(partEvery)
	tell(0, jobTiles)
	assert.Equal(t, 1, f.count(askPartial))
	f.now = f.now.Add(4 * partEvery)
	tell(0, jobTiles)
	assert.Equal(t, 2, f.count(askPartial))
}
