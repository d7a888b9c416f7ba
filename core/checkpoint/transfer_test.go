package checkpoint

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

func TestWeightsMoveToWhereTheyFit(t *testing.T) {
	from := single(t)
	c, err := from.Config()
	require.NoError(t, err)
	p := *from.Plan
	p.Configurations = []plan.Configuration{*c}
	to := &p.Configurations[0]
	// One channel more, in front; one class less; another width of the last stage.
	p.Channels = append([]plan.Channel{{Name: "new", Normalization: plan.NormZScore}}, p.Channels...)
	p.Labels = []plan.Label{p.Labels[0], {Name: p.Labels[2].Name, Values: []int{1}}, {Name: "another", Values: []int{2}}}
	to.Network.Features = slices.Clone(to.Network.Features)
	last := len(to.Network.Features) - 1
	to.Network.Features[last]++
	fresh := Weights{}
	for _, want := range Parameters(&p, to) {
		x := Tensor{Shape: want.Shape, Data: make([]float32, product(want.Shape))}
		for i := range x.Data {
			x.Data[i] = 1000 + float32(i)
		}
		fresh[want.Name] = x
	}
	got, report, err := Transfer(from, &p, to, fresh)
	require.NoError(t, err)
	require.NoError(t, got.Check("weights", Parameters(&p, to)))
	old := from.Folds[0].Weights
	states := map[string]Layer{}
	for _, l := range report {
		states[l.Name] = l
	}
	first := "encoder.stages.0.0.convs.0.conv.weight"
	assert.Equal(t, Part, states[first].State)
	in, taps := got[first].Shape[1], 9
	for o := range got[first].Shape[0] {
		row := got[first].Data[o*in*taps:][:in*taps]
		assert.Equal(t, fresh[first].Data[o*in*taps:][:taps], row[:taps], "the new channel is fresh")
		assert.Equal(t, old[first].Data[o*(in-1)*taps:][:(in-1)*taps], row[taps:])
	}
	head := "decoder.seg_layers.0.bias"
	assert.Equal(t, []float32{old[head].Data[0], old[head].Data[2], 1002}, got[head].Data)
	assert.Equal(t, Taken, states["encoder.stages.0.0.convs.0.conv.bias"].State)
	wide := "encoder.stages.1.0.convs.1.conv.weight"
	assert.Equal(t, Fresh, states[wide].State)
	assert.Contains(t, states[wide].Why, "its shape is")
	assert.Equal(t, fresh[wide], got[wide])

	same, report, err := Transfer(from, from.Plan, c, old)
	require.NoError(t, err)
	assert.Equal(t, old, same)
	for _, l := range report {
		assert.Equal(t, Taken, l.State, l.Name)
	}
	flat := *c
	flat.Dim = 3
	_, _, err = Transfer(from, &plan.Plan{Configurations: []plan.Configuration{flat}}, &flat, nil)
	assert.ErrorContains(t, err, "for 2-D images")
}
