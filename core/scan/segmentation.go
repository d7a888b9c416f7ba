package scan

import (
	"context"
	"errors"
	"fmt"
	"image/color"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// ofSegmentation is the source of a DICOM segmentation in the grid of its own frames.
func ofSegmentation(f voxel.File) (*source, error) {
	seg, err := dicom.OpenSEG(dicomFile(f))
	if err != nil {
		return nil, err
	}
	segments := fromDICOM(seg.Segments)
	labels := func() (*volume.Labels, []Segment, error) {
		l, overlap, err := seg.Labels(context.Background(), nil)
		return l, segments, errors.Join(err, overlapping(f.Name, overlap))
	}
	return &source{
		kind: SEG, name: f.Name, files: []string{f.Name}, grid: seg.Grid, channels: 1, dtype: seg.Kind, segments: segments, labels: labels,
		image: func(context.Context) (*volume.Image, error) {
			l, _, err := labels()
			if err != nil {
				return nil, err
			}
			im := volume.NewImage(seg.Grid, 1)
			for i, v := range l.Data {
				im.Data[i] = float32(v)
			}
			return im, nil
		},
	}, nil
}

// ReadLabelsOn reads the label map at path in the grid of s: one of the same voxels, in
// whatever order of the axes and of any format, or, of a DICOM scan, a segmentation or structure set that was drawn on
// it.
func (s *Scan) ReadLabelsOn(ctx context.Context, path string) (*volume.Labels, []Segment, error) {
	l, segments, err := s.labelsOn(ctx, path)
	if err != nil {
		return nil, nil, fmt.Errorf("scan: %w", err)
	}
	return l, segments, nil
}

func (s *Scan) labelsOn(ctx context.Context, path string) (*volume.Labels, []Segment, error) {
	f, err := voxel.OnDisk(path)
	if err != nil {
		return nil, nil, err
	}
	if s.Series() != nil {
		v := s.Series().Volumes[0]
		if seg, err := dicom.OpenSEG(dicomFile(f)); err == nil {
			l, overlap, err := seg.Labels(ctx, v)
			return l, fromDICOM(seg.Segments), errors.Join(err, overlapping(path, overlap))
		} else if errors.Is(err, dicom.ErrNotSegmentation) {
			set, err := dicom.OpenRTSTRUCT(dicomFile(f))
			if err != nil {
				return nil, nil, err
			}
			l, overlap, err := set.Labels(ctx, v)
			return l, fromDICOM(set.Segments), errors.Join(err, overlapping(path, overlap))
		}
	}
	other, err := Open(ctx, Options{Alone: true}, path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = other.Close() }() // only read from
	t, ok := turnTo(s.Grid, other.Grid)
	if !ok {
		return nil, nil, fmt.Errorf("%s does not lie on the grid of %s: %s", path, s.Name, Differ(s.Grid, other.Grid))
	}
	l, segments, err := other.Labels()
	if err != nil {
		return nil, nil, err
	}
	return l.Transpose(t.axes).Flip(t.flip), segments, nil
}

// turn puts voxels in another order of the axes, and another direction of these.
type turn struct {
	axes volume.Axes
	flip [3]bool
}

// turnTo finds how g becomes the grid want, if both are the same voxels: other programs
// write the rows of an image, or its slices, in another order than its scanner did.
func turnTo(want, g volume.Grid) (turn, bool) {
	for _, axes := range []volume.Axes{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for bits := range 8 {
			t := turn{axes, [3]bool{bits&1 != 0, bits&2 != 0, bits&4 != 0}}
			if Differ(want, g.Transposed(t.axes).Flipped(t.flip)) == "" {
				return t, true
			}
		}
	}
	return turn{}, false
}

// OverlapError says that structures of a file overlap, which a label map cannot hold.
type OverlapError struct {
	Path   string
	Voxels int64
}

func (e *OverlapError) Error() string {
	return fmt.Sprintf("%s: %d voxels belong to more than one structure, which a label map cannot hold", e.Path, e.Voxels)
}

func overlapping(path string, voxels int64) error {
	if voxels == 0 {
		return nil
	}
	return &OverlapError{path, voxels}
}

func dicomFile(f voxel.File) dicom.File {
	return dicom.File{Name: f.Name, Size: f.Size, Open: f.Open}
}

func fromDICOM(list []dicom.Segment) (out []Segment) {
	for _, s := range list {
		out = append(out, Segment{Label: s.Label, Name: s.Name, Color: color.NRGBA{s.Colour[0], s.Colour[1], s.Colour[2], 255}})
	}
	return out
}
