package scan

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/analyze"
	"github.com/gounet/gounet/core/metaimage"
	"github.com/gounet/gounet/core/mgh"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/nrrd"
	"github.com/gounet/gounet/core/raster"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// openers has how each format but DICOM is opened.
var openers = map[Kind]func(voxel.File) (*source, error){
	NIfTI: openNIfTI, NRRD: openNRRD, MetaImage: openMetaImage, MGH: openMGH, Analyze: openAnalyze,
	PNG: openRaster, TIFF: openRaster,
}

// ofData is the source of what the voxel package reads.
func ofData(f voxel.File, kind Kind, d *voxel.Data, like any, details ...Detail) *source {
	order := "little"
	if d.BigEndian {
		order = "big"
	}
	s := &source{
		kind: kind, name: f.Name, files: []string{f.Name}, grid: d.Grid, channels: d.Channels(), dtype: d.Type.String(), like: like,
		image:  func(context.Context) (*volume.Image, error) { return d.Image() },
		labels: func() (*volume.Labels, []Segment, error) { l, err := d.Labels(); return l, nil, err },
	}
	s.details = append(details, Detail{"byte order", order}, Detail{"encoding", d.Parts[0].Encoding.String()})
	if d.Slope != 0 && (d.Slope != 1 || d.Inter != 0) {
		s.details = append(s.details, Detail{"scaling", fmt.Sprintf("value = raw × %g + %g", d.Slope, d.Inter)})
	}
	if n := len(d.Parts); n > 1 || d.Parts[0].File.Name != f.Name {
		s.details = append(s.details, Detail{"files of voxels", strconv.Itoa(n)})
	}
	return s
}

func openNRRD(f voxel.File) (*source, error) {
	h, err := nrrd.Open(f)
	if err != nil {
		return nil, err
	}
	s := ofData(f, NRRD, h.Data, h, Detail{"version", fmt.Sprintf("NRRD%04d", h.Version)}, Detail{"space", h.Space})
	if len(h.Segments) > 0 {
		s.segments = fromNRRD(h.Segments)
	}
	s.labels = func() (*volume.Labels, []Segment, error) {
		l, segments, err := h.Labels()
		return l, fromNRRD(segments), err
	}
	return s, nil
}

func openMetaImage(f voxel.File) (*source, error) {
	h, err := metaimage.Open(f)
	if err != nil {
		return nil, err
	}
	return ofData(f, MetaImage, h.Data, h), nil
}

func openMGH(f voxel.File) (*source, error) {
	h, err := mgh.Open(f)
	if err != nil {
		return nil, err
	}
	return ofData(f, MGH, h.Data, h), nil
}

func openAnalyze(f voxel.File) (*source, error) {
	h, err := analyze.Open(f)
	if err != nil {
		return nil, err
	}
	return ofData(f, Analyze, h.Data, h, Detail{"orientation", "assumed: x to the left, y to the front, z up"}), nil
}

func openRaster(f voxel.File) (*source, error) {
	h, err := raster.Open(f)
	if err != nil {
		return nil, err
	}
	kind := PNG
	if h.TIFF {
		kind = TIFF
	}
	return &source{
		kind: kind, name: f.Name, files: []string{f.Name}, grid: h.Grid, channels: h.Channels, dtype: h.Type, like: h,
		image:  func(context.Context) (*volume.Image, error) { return h.Image() },
		labels: func() (*volume.Labels, []Segment, error) { l, err := h.Labels(); return l, nil, err },
	}, nil
}

// openNIfTI opens a single file by its content; pairs need their names on a disk.
func openNIfTI(f voxel.File) (*source, error) {
	lower := strings.TrimSuffix(strings.ToLower(f.Name), ".gz")
	pair := strings.HasSuffix(lower, ".hdr") || strings.HasSuffix(lower, ".img")
	var h *nifti.Header
	var err error
	if pair && f.Path == "" {
		return nil, fmt.Errorf("%s: NIfTI in two files is read from a disk only: give it as one .nii", f.Name)
	}
	if pair {
		h, err = nifti.ReadHeader(f.Path)
	} else {
		h, err = decode(f, nifti.DecodeHeader)
	}
	if err != nil {
		return nil, err
	}
	s := &source{
		kind: NIfTI, name: f.Name, files: []string{f.Name}, grid: h.Grid(), channels: h.Channels(), dtype: h.DType, like: h,
	}
	order := "little"
	if h.BigEndian {
		order = "big"
	}
	s.details = []Detail{{"version", fmt.Sprintf("NIfTI-%d", h.Version)}, {"byte order", order}}
	if h.Scaled() {
		s.details = append(s.details, Detail{"scaling", fmt.Sprintf("value = raw × %g + %g", h.Slope, h.Inter)})
	}
	if len(h.Extensions) > 0 {
		s.details = append(s.details, Detail{"extensions", strconv.Itoa(len(h.Extensions))})
	}
	read := func(bytes int) error { return proveNIfTI(f, pair, int64(bytes)) }
	s.image = func(context.Context) (im *volume.Image, err error) {
		if err := read(4 * h.Grid().Voxels() * h.Channels()); err != nil {
			return nil, err
		}
		if pair {
			im, _, err = nifti.ReadImage(f.Path)
			return im, err
		}
		return decode(f, func(r io.Reader, name string) (*volume.Image, error) {
			im, _, err := nifti.DecodeImage(r, name)
			return im, err
		})
	}
	s.labels = func() (l *volume.Labels, _ []Segment, err error) {
		if err := read(h.Grid().Voxels()); err != nil {
			return nil, nil, err
		}
		if pair {
			l, _, err = nifti.ReadLabels(f.Path)
			return l, nil, err
		}
		l, err = decode(f, func(r io.Reader, name string) (*volume.Labels, error) {
			l, _, err := nifti.DecodeLabels(r, name)
			return l, err
		})
		return l, nil, err
	}
	return s, nil
}

// proveNIfTI makes sure that the voxels of a gzipped file are there before more
// memory is taken than its size warrants, as voxel.Data does.
func proveNIfTI(f voxel.File, pair bool, bytes int64) (err error) {
	const free = 64 << 20
	if bytes <= free+4*f.Size {
		return nil
	}
	if pair {
		_, _, err = nifti.ReadStatistics(f.Path)
		return err
	}
	_, err = decode(f, func(r io.Reader, name string) (*nifti.Statistics, error) {
		s, _, err := nifti.DecodeStatistics(r, name)
		return s, err
	})
	return err
}

// sized is a reader that knows how many bytes it has.
type sized struct {
	io.Reader
	n int
}

func (s sized) Len() int { return s.n }

// decode opens f, reads of it and closes it.
func decode[T any](f voxel.File, read func(io.Reader, string) (T, error)) (T, error) {
	r, err := f.Open()
	if err != nil {
		var none T
		return none, err
	}
	defer func() { _ = r.Close() }() // only read from
	return read(sized{r, int(f.Size)}, f.Name)
}
