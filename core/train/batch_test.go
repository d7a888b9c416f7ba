package train

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/plan"
)

// TestForegroundIsForcedByPlaceOrByChance counts in batches of two, where nnU-Net forces
// the second one; by chance each has the share.
func TestForegroundIsForcedByPlaceOrByChance(t *testing.T) {
	const steps, share = 4000, 0.33
	count := func(by string) (forced [2]float64) {
		b := &batcher{trainer: &trainer{recipe: plan.Recipe{Oversample: share, OversampleBy: by}, config: &plan.Configuration{Batch: 2}}}
		for step := range steps {
			for i := range forced {
				if b.forced(augment.Random(1, step, i), i) {
					forced[i]++
				}
			}
		}
		return forced
	}
	assert.Equal(t, [2]float64{0, steps}, count(""))
	for _, by := range []string{plan.ByChance, plan.ByComponent} {
		for _, n := range count(by) {
			assert.InDelta(t, share*steps, n, 4*math.Sqrt(steps*share*(1-share)), "four standard deviations")
		}
	}
}
