package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/plan"
)

// TestALossReplacesThatOfThePlan goes from each to each.
func TestALossReplacesThatOfThePlan(t *testing.T) {
	for _, regions := range []bool{false, true} {
		for first := range losses {
			for second, change := range losses {
				c := &plan.Configuration{Dim: 3}
				through, direct := plan.NNUNet(3), plan.NNUNet(3)
				if regions {
					direct.Loss.Voxel = plan.BinaryCrossEntropy
				}
				change(&direct.Loss)
				(&trainFlags{loss: first, valBatches: -1}).override(c, &through, regions)
				(&trainFlags{loss: second, valBatches: -1}).override(c, &through, regions)
				assert.Equal(t, direct.Loss, through.Loss, "%s after %s, regions %v", second, first, regions)
			}
		}
	}
}
