package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAMovedPlanHasItsNetworksAndTheOthersLabels(t *testing.T) {
	from := spleen(t, Options{Dataset: "Dataset009_Spleen"})
	two := []Label{{Name: "background", Values: []int{0}}, {Name: "a", Values: []int{1}}, {Name: "b", Values: []int{2}}}
	ds := &DatasetJSON{Channels: []string{"MRI"}, Labels: two, Ignore: -1, FileEnding: ".nrrd", Licence: "mine"}
	moved, err := from.Moved(ds, "Dataset900_Other")
	require.NoError(t, err)
	assert.Equal(t, from.Configurations, moved.Configurations)
	assert.Equal(t, from.Intensities, moved.Intensities)
	assert.Equal(t, from.Recipe, moved.Recipe)
	assert.Equal(t, []Channel{{Name: "MRI", Normalization: from.Channels[0].Normalization}}, moved.Channels, "normalised as what the weights have seen")
	assert.Equal(t, two, moved.Labels)
	assert.Equal(t, []string{"Dataset900_Other", "mine", ".nrrd"}, []string{moved.Dataset, moved.Licence, moved.FileEnding})
	assert.NotEqual(t, "MRI", from.Channels[0].Name, "the plan itself stays")

	ds.Labels = []Label{two[0], {Name: "both", Values: []int{1, 2}}, {Name: "b", Values: []int{2}}}
	ds.RegionOrder = []int{1, 2}
	regions, err := from.Moved(ds, "Dataset901_Regions")
	require.NoError(t, err)
	assert.Equal(t, BinaryCrossEntropy, regions.Recipe.Loss.Voxel)
	ds.Labels, ds.RegionOrder = two, nil
	back, err := regions.Moved(ds, "x")
	require.NoError(t, err)
	assert.Equal(t, from.Recipe, back.Recipe)

	ds.Channels = []string{"T1", "T2"}
	_, err = from.Moved(ds, "Dataset902_Two")
	assert.ErrorContains(t, err, "has 1 channels, Dataset902_Two has 2")
}
