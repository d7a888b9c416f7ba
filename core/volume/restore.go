package volume

import "fmt"

// Export is the way from the logits of a preprocessed case back to labels on the
// scan's own grid: resample to the cropped shape, decide, put the crop back into
// background, undo the transposition (nnU-Net's
// convert_predicted_logits_to_segmentation_with_correct_shape). logits are
// [D H W k] with the shape of the preprocessed case. Memory: the labels twice.
func (p Placement) Export(logits []float32, k int, decide Decision) (*Labels, error) {
	labels, err := ResampleLogitsLabels(p.logits(logits, k), p.Cropped, p.CropSpacing, decide)
	if err != nil {
		return nil, fmt.Errorf("volume: export: %w", err)
	}
	return p.Uncrop(labels)
}

func (p Placement) logits(data []float32, k int) *Logits {
	return &Logits{Shape: p.Shape, Spacing: p.Spacing, K: k, Data: data}
}

// ExportLogits resamples the logits of a preprocessed case to the cropped shape,
// [D H W k] with its axes still transposed. With UncropProbabilities after the
// softmax or sigmoid they are what nnU-Net saves.
func (p Placement) ExportLogits(logits []float32, k int) (*Logits, error) {
	out, err := ResampleLogits(p.logits(logits, k), p.Cropped, p.CropSpacing)
	if err != nil {
		return nil, fmt.Errorf("volume: export: %w", err)
	}
	return out, nil
}

// Restore brings labels of a preprocessed case back to the scan's own grid:
// resampled as ResampleLabels does, un-cropped, un-transposed; Outside becomes
// background.
func (p Placement) Restore(l *Labels) (*Labels, error) {
	if l.Shape != p.Shape {
		return nil, fmt.Errorf("volume: restore: labels have shape %v, the preprocessed case has %v (D H W)", l.Shape, p.Shape)
	}
	r, err := ResampleLabels(&Labels{Grid: Grid{Shape: p.Shape, Spacing: p.Spacing}, Data: l.Data}, p.Cropped, p.CropSpacing)
	if err != nil {
		return nil, fmt.Errorf("volume: restore: %w", err)
	}
	for i, v := range r.Data {
		if v == Outside {
			r.Data[i] = 0
		}
	}
	return p.Uncrop(r.Data)
}

// Uncrop puts labels [D H W] of the cropped shape into a scan of background and
// undoes the transposition.
func (p Placement) Uncrop(labels []uint8) (*Labels, error) {
	if want := p.Crop.Voxels(); len(labels) != want {
		return nil, fmt.Errorf("volume: un-crop: %d labels, want %d for a crop of %v (D H W)", len(labels), want, p.Cropped)
	}
	out := NewLabels(p.Original)
	box, back := p.boxInFile()
	pasteTransposed(out.Data, labels, p.Original.Shape, 1, box, back)
	return out, nil
}

// UncropProbabilities puts probabilities [D H W K] of the cropped shape into the
// scan, [D H W K] in the file's axes. Around the crop class 0 has probability 1
// if background is true (softmax), else all are 0 (regions).
func (p Placement) UncropProbabilities(prob []float32, k int, background bool) ([]float32, error) {
	if want := p.Crop.Voxels() * k; len(prob) != want {
		return nil, fmt.Errorf("volume: un-crop: %d probabilities, want %d for a crop of %v (D H W) and %d classes", len(prob), want, p.Cropped, k)
	}
	out := make([]float32, p.Original.Voxels()*k)
	if background {
		for v := 0; v < len(out); v += k {
			out[v] = 1
		}
	}
	box, back := p.boxInFile()
	pasteTransposed(out, prob, p.Original.Shape, k, box, back)
	return out, nil
}

// boxInFile is the crop in the file's axes, and the transposition that was
// applied to it.
func (p Placement) boxInFile() (Box, Axes) {
	back := p.Axes.Inverse()
	return Box{Lo: reorder(p.Crop.Lo, back), Hi: reorder(p.Crop.Hi, back)}, p.Axes
}
