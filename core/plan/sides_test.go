package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSidesAreFoundByName(t *testing.T) {
	named := func(names ...string) *Plan {
		p := &Plan{Transpose: [3]int{1, 0, 2}, Recipe: NNUNet(3)}
		for i, n := range names {
			p.Labels = append(p.Labels, Label{Name: n, Values: []int{i}})
		}
		return p
	}
	for _, c := range []struct {
		names []string
		pairs [][2]string
	}{
		{[]string{"background", "left kidney", "right kidney", "liver"}, [][2]string{{"left kidney", "right kidney"}}},
		{[]string{"background", "kidney_right", "kidney_left"}, [][2]string{{"kidney_left", "kidney_right"}}},
		{[]string{"background", "Hippocampus L", "Hippocampus R"}, [][2]string{{"Hippocampus L", "Hippocampus R"}}},
		{[]string{"background", "left ventricle", "right atrium"}, nil},
		{[]string{"background", "cleft", "bright"}, nil},
		{[]string{"background", "liver", "tumour"}, nil},
	} {
		assert.Equal(t, c.pairs, named(c.names...).Sides(), c.names)
	}
	p := named("background", "left", "right")
	before := NNUNet(3)
	p.WithoutMirror(1) // axis H of the files is the plan's first
	assert.Equal(t, [3]bool{false, true, true}, p.Recipe.Inference.Mirror)
	for i, a := range p.Recipe.Augmentation {
		if a.Op == Mirror {
			assert.Equal(t, [3]bool{false, true, true}, a.Axes)
			continue
		}
		assert.Equal(t, before.Augmentation[i], a, "nothing else changes")
	}
}
