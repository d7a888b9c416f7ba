package plan

import (
	"fmt"
	"slices"
)

// Moved is p for another data set, whose dataset.json is ds: patches, networks,
// spacings, statistics of intensities and the recipe are those of p, so that weights
// which were trained with p fit and see scans that are normalised as theirs were;
// labels, names and files are those of ds. Source: nnUNetv2_move_plans_between_datasets.
//
// A data set with another number of channels is an error.
func (p *Plan) Moved(ds *DatasetJSON, dataset string) (*Plan, error) {
	if have, want := len(ds.Channels), p.Scans(); have != want {
		return nil, fmt.Errorf("plan: of %s has %d channels, %s has %d: it can be moved to data sets of as many", p.Dataset, want, dataset, have)
	}
	moved := *p
	moved.Dataset, moved.Description, moved.Licence = dataset, ds.Description, ds.Licence
	moved.Labels, moved.RegionOrder, moved.Ignore, moved.FileEnding = ds.Labels, ds.RegionOrder, ds.Ignore, ds.FileEnding
	moved.Reader = first(ds.Reader, p.Reader)
	moved.Channels = slices.Clone(p.Channels)
	for i, name := range ds.Channels {
		moved.Channels[i].Name = name
	}
	if was, is := p.HasRegions(), moved.HasRegions(); was != is {
		swap := map[string]string{CrossEntropy: BinaryCrossEntropy}
		if was {
			swap = map[string]string{BinaryCrossEntropy: CrossEntropy}
		}
		if loss := &moved.Recipe.Loss; swap[loss.Voxel] != "" {
			loss.Voxel = swap[loss.Voxel]
		}
	}
	if err := moved.Validate(); err != nil {
		return nil, fmt.Errorf("plan: of %s for %s: %w", p.Dataset, dataset, err)
	}
	return &moved, nil
}
