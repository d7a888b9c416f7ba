package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

func takes(n int64) api.Answer {
	return api.Answer{PageAnswer: api.PageAnswer{Checked: &api.Checked{Memory: api.Memory{DeviceBytes: n}}}}
}

// stored is a page with a scan and two models, of which one is chosen and neither was
// checked.
func stored(t *testing.T) (*Page, *fake) {
	p, f := opened(t)
	f.answer(takes(1_200_000_000))
	p.AddModel([]File{{Path: "heart.gounet"}})
	f.answer(heart())
	return p, f
}

// The cards say what their models take before anything is measured.
func TestWhatStoredModelsTakeIsFoundOutWhileTheyAreChosenFrom(t *testing.T) {
	p, f := stored(t)
	assert.Equal(t, "needs 1.2 GB", p.NeedText(p.model("abc")))
	require.NotNil(t, f.last().Check)
	assert.True(t, f.last().Check.Plan, "no tile is run")
	assert.Empty(t, p.NeedText(p.model("def")))
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedMemory, Need: 9_400_000_000, Have: 4_000_000_000}})
	assert.Equal(t, "Needs 9.4 GB for this scan; 4.0 GB are available here.", p.FitOf(p.model("def")).Why)
	asked := len(f.asked)
	p.Go(PanelModels)
	assert.Len(t, f.asked, asked, "nothing is asked twice")
	f.open(t, p, "b.nii")
	assert.Empty(t, p.NeedText(p.model("abc")), "of another scan")
	p.Go(PanelModels)
	require.NotNil(t, f.last().Check, "the one that is loaded, which is the chosen one")
	f.answer(takes(5))
	require.NotNil(t, f.last().Load)
	f.answer(api.Answer{Loaded: &model})
	require.NotNil(t, f.last().Check)
	f.answer(takes(7_000_000))
	assert.Equal(t, "needs 7.0 MB", p.NeedText(p.model("abc")))
	assert.Zero(t, p.Models.asking)
}

// Of a model that only the server has it is known what it takes for a usual scan, until it
// is known for this one.
func TestWhatModelsOfTheServerTakeIsStated(t *testing.T) {
	p, f := opened(t)
	f.answer(takes(1))
	p.serverModels()
	f.answers[len(f.answers)-1](200, []byte(`[{"id":"liver","dataset":"Dataset003_Liver","configuration":"3d_fullres","folds":["0"],"patch":[4,4,4],"channels":["CT"],"labels":[],"bytes":7,"sha256":"1f","memory_bytes":2100000000},
		{"id":"old","dataset":"Dataset004_Old","sha256":"2f","patch":[4,4,4],"channels":["CT"]}]`))
	assert.Equal(t, "needs about 2.1 GB", p.NeedText(p.model("1f")))
	assert.Empty(t, p.NeedText(p.model("2f")), "a server that does not say it")
	p.Models.need("1f", need{bytes: 1_200_000_000})
	assert.Equal(t, "needs 1.2 GB", p.NeedText(p.model("1f")))
}

// Who chooses does not wait for what other models take.
func TestTheNeedsOfModelsAreLeftForTheCheck(t *testing.T) {
	for name, leave := range map[string]func(p *Page){
		"check": func(p *Page) { p.Go(PanelCheck) },
		"run":   func(p *Page) { p.Start() },
		"scan":  func(p *Page) { p.TakeFiles([]File{{Path: "b.nii"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			p, f := stored(t)
			id, answer := f.last().ID, f.to()
			leave(p)
			assert.Contains(t, f.cancels(), id)
			asked := len(f.asked)
			answer(api.Answer{Failed: &api.Failed{Code: api.FailedCancelled}}, nil)
			assert.Len(t, f.asked, asked)
			assert.Empty(t, p.NeedText(p.model("def")))
		})
	}
}

// cancels are the requests that were given up.
func (f *fake) cancels() (ids []int) {
	for _, r := range f.asked {
		if r.Cancel != nil {
			ids = append(ids, r.Cancel.Request)
		}
	}
	return ids
}

func TestTheNeedsOfModelsAreFoundOutWhoeverIsLoadedMeanwhile(t *testing.T) {
	p, f := stored(t)
	f.answer(api.Answer{Failed: &api.Failed{Code: api.FailedDevice}})
	p.Scan.Look.Modality, p.Models.needs = "", nil
	p.Models.Chosen = "abc"
	p.Go(PanelModels)
	require.NotNil(t, f.last().Load)
	load := f.to()
	p.AddModel([]File{{Path: "heart.gounet"}})
	load(api.Answer{Loaded: &model}, nil)
	assert.NotNil(t, f.last().Load, "nothing is planned while a model is added")
	f.answer(heart())
	require.NotNil(t, f.last().Check)
	f.answer(takes(2_000_000))
	assert.Equal(t, "needs 2.0 MB", p.NeedText(p.model("def")), "the one that is loaded and chosen now")
	assert.Empty(t, p.NeedText(p.model("abc")))
	require.NotNil(t, f.last().Load)
}
