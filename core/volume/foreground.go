package volume

import "fmt"

// Mask is a channel of 1 where all channels of an image are above 0, and of 0 elsewhere.
// NVIDIA's nnU-Net has it for BraTS (its --ohe).
type Mask string

// When the channels are looked at.
const (
	MaskOfScan       Mask = "scan"       // before they are normalised: where something was scanned
	MaskOfNormalized Mask = "normalized" // after that, as NVIDIA does: they are then normalised once more, by ZScoreNonZero
)

// normalizeLast normalises a case that has been resampled, and adds the mask.
func (o PreprocessOptions) normalizeLast(p *Preprocessed) error {
	var mask []float32
	if o.Foreground == MaskOfScan {
		mask = aboveZero(p.Image)
	}
	if err := Normalize(p.Image, nil, o.Normalize); err != nil {
		return err
	}
	switch o.Foreground {
	case "":
		return nil
	case MaskOfScan:
	case MaskOfNormalized:
		mask = aboveZero(p.Image)
		for c := range p.Image.C {
			zscore(p.Image, zeros(p.Image, c), c)
		}
	default:
		return fmt.Errorf("volume: preprocess: the mask %q is not known, want %s or %s", o.Foreground, MaskOfScan, MaskOfNormalized)
	}
	p.Image = p.Image.with(mask)
	return nil
}

// aboveZero is 1 where all channels are above 0, [D H W].
func aboveZero(im *Image) []float32 {
	out := make([]float32, len(im.Data)/im.C)
	for v := range out {
		out[v] = 1
		for _, x := range im.Data[v*im.C : (v+1)*im.C] {
			if !(x > 0) {
				out[v] = 0
			}
		}
	}
	return out
}

// with is im and a channel more, [D H W].
func (im *Image) with(channel []float32) *Image {
	c := im.C + 1
	out := &Image{Grid: im.Grid, C: c, Data: make([]float32, len(channel)*c)}
	for v, x := range channel {
		copy(out.Data[v*c:], im.Data[v*im.C:(v+1)*im.C])
		out.Data[v*c+im.C] = x
	}
	return out
}
