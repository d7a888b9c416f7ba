package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/machine"
)

// PreprocessOptions are what configuration c of p asks of a case, in the memory
// that this machine has now.
func PreprocessOptions(p *plan.Plan, c *plan.Configuration) volume.PreprocessOptions {
	o := volume.PreprocessOptions{
		Axes: volume.Axes(p.Transpose), Spacing: c.Spacing, OrderImage: volume.Order(c.Resampling.ImageOrder),
		MaxBytes: machine.MainMemory().Available,
		Positive: c.Crop == plan.CropPositive, Truncate: c.Truncate, NormalizeLast: c.NormalizeLast, Planes: c.Planes,
	}
	if c.Planes && c.Dim == 2 {
		o.Spacing = [3]float64{} // pixels stay as they are
	}
	if n := p.Scans(); n < len(c.Normalization) {
		o.Foreground = masks[c.Normalization[n]]
	}
	for i, scheme := range c.Normalization[:p.Scans()] {
		n := volume.Normalization{Scheme: schemes[scheme], MaskOnly: c.MaskNorm[i]}
		if i < len(p.Intensities) {
			v := p.Intensities[i]
			n.Range = volume.Intensity{Mean: v.Mean, Std: v.Std, Lower: v.Percentile_00_5, Upper: v.Percentile_99_5}
		}
		o.Normalize = append(o.Normalize, n)
	}
	return o
}

var schemes = map[string]volume.Scheme{
	plan.NormCT: volume.CT, plan.NormZScore: volume.ZScore, plan.NormNone: volume.NoNorm,
	plan.NormRescale: volume.RescaleTo, plan.NormRGB: volume.RGBTo, plan.NormNonZero: volume.ZScoreNonZero,
}

var masks = map[string]volume.Mask{plan.NormForeground: volume.MaskOfScan, plan.NormForegroundLate: volume.MaskOfNormalized}

// Preprocess writes every training case as configuration c wants it into the
// folder dir, a file a case. Files that are there already and were made by the
// same plan of the same scans are kept, so that an interrupted run continues. It returns the store.
func (r *Raw) Preprocess(ctx context.Context, p *plan.Plan, c *plan.Configuration, dir string, progress Progress) (*Store, error) {
	if err := c.Resampled(); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	o := PreprocessOptions(p, c)
	known := r.known()
	err := each(ctx, len(r.Cases), progress, func(i int) (string, error) {
		k := r.Cases[i]
		path := filepath.Join(dir, k.ID+Ending)
		key, err := preprocessKey(k, p, o)
		if err != nil {
			return "", err
		}
		if s, err := openSample(path); err == nil {
			same := s.key == key
			if err := s.Close(); err != nil {
				return "", err
			}
			if same {
				return k.ID, nil
			}
		}
		im, seg, why := r.inspect(k, known, new([256]bool), new([]string)) // it may have changed since it was planned
		if len(why) > 0 {
			return "", &ProblemsError{Dir: r.Dir, Problems: why}
		}
		pre, err := volume.Preprocess(im, seg, o)
		if err != nil {
			return "", fmt.Errorf("dataset: %s: %w", k.ID, err)
		}
		return k.ID, writeSample(path, pre, p, key, i)
	})
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(r.Cases))
	for i, k := range r.Cases {
		ids[i] = k.ID
	}
	return OpenStore(dir, ids)
}
