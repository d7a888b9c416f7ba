package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/volume"
)

// CheckTests says what is wrong with the test scans, a line a scan: files that are missing
// or broken, channels that dataset.json does not have, and, where whole, voxels that
// cannot be read or are not numbers. Otherwise only headers are read. Nothing is trained on
// them: a data set with such scans can be trained, but not all of them can be labelled.
func (r *Raw) CheckTests(ctx context.Context, whole bool) ([]string, error) {
	found := make([]string, len(r.Test))
	err := each(ctx, len(r.Test), nil, func(i int) (string, error) {
		if err := r.inspectTest(ctx, r.Test[i], whole); err != nil {
			found[i] = fmt.Sprintf("test scan %s: %s", r.Test[i].ID, strings.TrimPrefix(err.Error(), "dataset: "+r.Test[i].ID+": "))
		}
		return r.Test[i].ID, nil
	})
	return slices.DeleteFunc(found, func(s string) bool { return s == "" }), err
}

// inspectTest opens a test scan, and reads it if whole.
func (r *Raw) inspectTest(ctx context.Context, c Case, whole bool) (err error) {
	for _, path := range c.Images {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is missing", r.relative(path))
		}
	}
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.Channels != len(r.JSON.Channels) {
		return fmt.Errorf("it has %d channels, dataset.json names %d", s.Channels, len(r.JSON.Channels))
	}
	if !whole {
		return nil
	}
	im, err := s.Image(ctx)
	if err != nil {
		return err
	}
	return volume.CheckFinite(im)
}
