package voxel

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/gounet/gounet/core/volume"
)

// Data are the values of a scan, found and checked, not yet read: Lead values a
// voxel lie together, the voxels of Grid follow each other, W fastest, and Trail
// such blocks follow each other. An image has Lead*Trail channels, the lead faster.
type Data struct {
	Of          string // package and file, in front of errors: "nrrd: a.nrrd"
	Grid        volume.Grid
	Lead, Trail int
	Type        Type
	BigEndian   bool
	Slope       float64 // value = raw*Slope + Inter; 0: as they are
	Inter       float64
	Parts       []Part // each has an equal share of the values
}

// Channels is the number of values a voxel.
func (d *Data) Channels() int { return d.Lead * d.Trail }

// values is the number of values, known to fit.
func (d *Data) values() int { return d.Grid.Voxels() * d.Channels() }

// fail is an error of d.
func (d *Data) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", d.Of, err)
}

// ofPart is an error of a part, with the name of its file if that is not the one
// that d is of.
func (d *Data) ofPart(p Part, err error) error {
	if strings.HasSuffix(d.Of, p.File.Name) {
		return err
	}
	return fmt.Errorf("%s: %w", p.File.Name, err)
}

// Check holds what d declares against the limits and the sizes of its files. Its
// errors do not say what they are of: readers of headers do.
func (d *Data) Check() error {
	if d.Type.Bytes() == 0 {
		return errors.New("no type of values")
	}
	s := d.Grid.Shape
	n, err := Product(int64(s[2]), int64(s[1]), int64(s[0]), int64(d.Lead), int64(d.Trail))
	switch {
	case err != nil:
		return err
	case len(d.Parts) == 0 || n%int64(len(d.Parts)) != 0:
		return fmt.Errorf("%d values cannot be shared by %d files: name one file a slice or volume", n, len(d.Parts))
	}
	if err := d.Grid.Check(); err != nil {
		return err
	}
	share := n / int64(len(d.Parts))
	for _, p := range d.Parts {
		if err := p.check(share, d); err != nil {
			return d.ofPart(p, err)
		}
	}
	return nil
}

// free is memory that a small file may take without a proof that it needs it.
const free = 64 << 20

// prove makes sure that the bytes are really there before memory of size is taken:
// compressed files are run through where size is more than what their sizes warrant.
func (d *Data) prove(size int64) error {
	var have int64
	compressed := false
	for _, p := range d.Parts {
		have += p.File.Size
		compressed = compressed || p.Encoding.compressed()
	}
	if !compressed || size <= free+4*have {
		return nil
	}
	return d.Values(func(int, []float64) error { return nil })
}

// Image reads the values as float32 [D H W C]. Finite values that float32 cannot
// hold are an error.
func (d *Data) Image() (*volume.Image, error) {
	if err := d.Check(); err != nil {
		return nil, d.fail(err)
	}
	if err := d.prove(4 * int64(d.values())); err != nil {
		return nil, err
	}
	im := volume.NewImage(d.Grid, d.Channels())
	voxels := d.Grid.Voxels()
	err := d.Values(func(first int, v []float64) error {
		lead, at := first%d.Lead, first/d.Lead%voxels
		trail := first / d.Lead / voxels
		for i, x := range v {
			to := at*im.C + trail*d.Lead + lead
			f := float32(x)
			if f-f != 0 && finite(x) {
				return fmt.Errorf("value %g at %s is too large for float32: rescale the image", x, d.where(first+i))
			}
			im.Data[to] = f
			if lead++; lead == d.Lead {
				lead = 0
				if at++; at == voxels {
					at, trail = 0, trail+1
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return im, nil
}

// Labels reads the values of one channel as labels, whole numbers from 0 to
// volume.MaxLabel whatever their type on disk.
func (d *Data) Labels() (*volume.Labels, error) {
	if err := d.Check(); err != nil {
		return nil, d.fail(err)
	}
	if c := d.Channels(); c != 1 {
		return nil, d.fail(fmt.Errorf("%d values a voxel, a label map has one", c))
	}
	if err := d.prove(int64(d.values())); err != nil {
		return nil, err
	}
	l := volume.NewLabels(d.Grid)
	err := d.Values(func(first int, v []float64) error {
		for i, x := range v {
			if !(x >= 0 && x <= volume.MaxLabel) || x != math.Trunc(x) {
				return fmt.Errorf("value %g at %s: labels are whole numbers from 0 to %d", x, d.where(first+i), volume.MaxLabel)
			}
			l.Data[first+i] = uint8(x)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// where names the voxel of the i-th value.
func (d *Data) where(i int) string {
	v := i / d.Lead % d.Grid.Voxels()
	w, h := d.Grid.Shape[2], d.Grid.Shape[1]
	return fmt.Sprintf("voxel (x %d, y %d, z %d)", v%w, v/w%h, v/(w*h))
}
