package predict

import (
	"context"
	"fmt"

	"github.com/gounet/gounet/core/volume"
)

// PreprocessAfter is Preprocess for the second stage of a cascade: the labels of
// the previous stage, on the grid of the scan, are resampled as labels are and
// become channels. previous is nil where the model is no second stage.
func (p *Predictor) PreprocessAfter(im *volume.Image, previous *volume.Labels) (*volume.Preprocessed, error) {
	pre, err := p.prepare(im, previous)
	if err != nil {
		return nil, fmt.Errorf("predict: %w", err)
	}
	return pre, nil
}

func (p *Predictor) prepare(im *volume.Image, previous *volume.Labels) (*volume.Preprocessed, error) {
	if previous != nil && p.config.Previous == "" {
		return nil, fmt.Errorf("labels of a previous stage for configuration %s, which has none", p.config.Name)
	}
	pre, err := volume.Preprocess(im, previous, p.preprocess)
	if err != nil || previous == nil {
		return pre, err
	}
	pre.Image = withLabels(pre.Image, pre.Labels.Data, p.plan.ForegroundValues())
	return pre, nil
}

// labelsBefore are the labels of the first stage, on the grid of the scan. Its network
// leaves the device again.
func (p *Predictor) labelsBefore(ctx context.Context, im *volume.Image, o ImageOptions) (*volume.Labels, error) {
	p.closeEngines()
	before, err := New(p.Model.Before, p.o)
	if err != nil {
		return nil, err
	}
	defer before.Close()
	r, err := before.Image(ctx, im, ImageOptions{Progress: o.Progress, EveryRun: o.EveryRun})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.config.Previous, err)
	}
	return r.Labels, nil
}

// withLabels adds a channel for each of the values, 1 where a voxel has it.
func withLabels(im *volume.Image, labels []uint8, values []int) *volume.Image {
	c := im.C + len(values)
	out := &volume.Image{Grid: im.Grid, C: c, Data: make([]float32, len(labels)*c)}
	for i, l := range labels {
		row := out.Data[i*c : (i+1)*c]
		copy(row, im.Data[i*im.C:(i+1)*im.C])
		for k, v := range values {
			if int(l) == v {
				row[im.C+k] = 1
			}
		}
	}
	return out
}

// Onto segments a preprocessed scan for the next stage of a cascade: labels of the
// shape that the scan has after the preprocessing of that stage, [D H W].
//
// Source: nnU-Net v2's resample_and_save, which takes the spacing of this stage
// for both, where it asks whether an axis is thick.
func (p *Predictor) Onto(ctx context.Context, pre *volume.Preprocessed, shape [3]int) ([]uint8, error) {
	moved := *pre
	moved.Placement = volume.Placement{
		Original: volume.Grid{Shape: shape, Spacing: pre.Spacing}, Axes: volume.SameAxes(),
		BeforeCrop: shape, Crop: volume.Whole(shape), Cropped: shape, CropSpacing: pre.Spacing,
		Shape: pre.Shape, Spacing: pre.Spacing,
	}
	r, err := p.Case(ctx, &moved, ImageOptions{})
	if err != nil {
		return nil, err
	}
	return r.Labels.Data, nil
}
