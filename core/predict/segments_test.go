package predict

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
)

func TestSegmentsHaveTheValuesOfLabelMaps(t *testing.T) {
	p := &plan.Plan{Labels: []plan.Label{{Name: "background", Values: []int{0}}, {Name: "whole", Values: []int{1, 2}}, {Name: "core", Values: []int{2}}}}
	assert.Equal(t, []scan.Segment{{Label: 1, Name: "whole"}, {Label: 2, Name: "core"}}, Segments(p))
	p.RegionOrder = []int{2, 1}
	assert.Equal(t, []scan.Segment{{Label: 2, Name: "whole"}, {Label: 1, Name: "core"}}, Segments(p))
}
