package checkpoint

import (
	"fmt"
	"os"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/pickle"
)

// ReadNVIDIAConfig puts patch and spacing of the config.pkl that NVIDIA's
// preprocessing leaves into f, where they are not known.
func ReadNVIDIAConfig(path string, f *plan.Foreign) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	st, err := file.Stat()
	if err != nil {
		return err
	}
	v, err := pickle.Plain(file, st.Size(), path)
	if err != nil {
		return err
	}
	top, ok := v.(*pickle.Dict)
	if !ok {
		return fmt.Errorf("%s: it holds a %T, a dict with patch_size and spacings was wanted", path, v)
	}
	patch, err := listOf(top, "patch_size")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	spacing, err := listOf(top, "spacings")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if f.Patch == [3]int{} {
		f.Patch[0] = 1
		for i, x := range patch {
			f.Patch[3-len(patch)+i] = int(x)
		}
	}
	if f.Spacing == [3]float64{} {
		copy(f.Spacing[3-len(spacing):], spacing)
	}
	return nil
}

// listOf is a list of two or three numbers.
func listOf(d *pickle.Dict, key string) ([]float64, error) {
	list, err := pickle.Lookup[[]any](d, key)
	if err != nil {
		return nil, err
	}
	var out []float64
	for _, v := range list {
		switch v := v.(type) {
		case int64:
			out = append(out, float64(v))
		case float64:
			out = append(out, v)
		default:
			return nil, fmt.Errorf("key %q holds a %T among its numbers", key, v)
		}
	}
	if len(out) != 2 && len(out) != 3 {
		return nil, fmt.Errorf("key %q holds %d numbers, 2 or 3 were wanted", key, len(out))
	}
	return out, nil
}
