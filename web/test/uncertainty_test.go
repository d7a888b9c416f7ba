package test

import (
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/predict"
)

// The map is what the probabilities of the command line leave over.
func TestUncertaintyIsShownAndSaved(t *testing.T) {
	model := gounetFile(t)
	p := open(t, newSite(t, nil), 1366, 768)
	p.ready(hippocampus(t), model)
	p.click("#wantunsure")
	p.until("what it takes", `document.querySelector(".panel").innerText.includes("more of the browser’s memory")`)
	p.click(`[data-device="cpu"]`)
	p.click("#run")
	p.labelled()
	p.key("u")
	p.until("the scale", `document.getElementById("scale").checkVisibility()`)
	assert.Equal(t, "true", eval[string](p, `document.getElementById("unsure").getAttribute("aria-checked")`))
	p.everySize("07-uncertainty")
	p.accessible("uncertainty")
	assert.Contains(t, p.text(".status"), "% unsure")
	p.click("#export")
	p.click(`[data-format="uncertainty"]`)
	p.click("#save")
	base := strings.TrimSuffix(filepath.Base(hippocampus(t)), ".nii.gz")
	im, _, err := nifti.ReadImage(p.downloaded(base + "_labels_uncertainty.nii.gz"))
	require.NoError(t, err)

	gounet, err := program()
	require.NoError(t, err)
	out := t.TempDir()
	text, err := exec.Command(gounet, "predict", "--model", model, "--input", hippocampus(t), "--output", out, "--no-mirror", "--save-probabilities").CombinedOutput()
	require.NoError(t, err, "%s", text)
	list, err := filepath.Glob(filepath.Join(out, "*.npz"))
	require.NoError(t, err)
	require.Len(t, list, 1)
	want, err := predict.ReadProbabilities(list[0], im.Shape)
	require.NoError(t, err)
	// Half a level is the rounding to one; the other half is for sums in another order.
	const tolerance = 1. / 255
	for v, have := range im.Data {
		most := float32(0)
		for _, x := range want.Data[v*want.K : (v+1)*want.K] {
			most = max(most, x)
		}
		require.LessOrEqual(t, math.Abs(1-float64(most)-float64(have)), tolerance, "voxel %d", v)
	}
	p.noErrors()
}
