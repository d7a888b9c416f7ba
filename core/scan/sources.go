package scan

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

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
	s := &source{
		kind: PNG, name: f.Name, files: []string{f.Name}, channels: h.Channels, dtype: h.Type, like: h,
		image:  func(context.Context) (*volume.Image, error) { return h.Image() },
		labels: func() (*volume.Labels, []Segment, error) { l, err := h.Labels(); return l, nil, err },
	}
	if h.TIFF {
		s.kind = TIFF
		if s.warnings, err = space(h, f); err != nil {
			return nil, err
		}
	}
	s.grid = h.Grid
	return s, nil
}

// space gives the picture or stack of f the spacing of the file beside it. Without one a
// stack has 1 mm, of which it warns.
func space(h *raster.Header, f voxel.File) (warnings []string, err error) {
	names := spacingNames(f.Name)
	for _, name := range names {
		beside, err := partner(f, name)
		if err != nil {
			continue // it is not there, or not at hand
		}
		s, err := raster.ReadSpacing(beside)
		if err == nil {
			h.Grid.Spacing = s
			return nil, nil
		}
		if h.Pages > 1 {
			return nil, err
		}
	}
	if h.Pages < 2 { // a picture, beside which other things may lie
		return nil, nil
	}
	return []string{"no .json file of its name says its spacing: 1 mm along each axis is taken"}, nil
}

// spacingNames are the files with the spacing of the TIFF that is called name: its own,
// and the one that nnU-Net has for all channels of a case.
func spacingNames(name string) []string {
	stem := name[:len(name)-len(filepath.Ext(name))]
	names := []string{stem + ".json"}
	if id, channel := SplitChannel(stem); channel >= 0 {
		names = append(names, id+".json")
	}
	return names
}

// SpacingFile is the file with the spacing of the TIFF at path, "" where there is none
// and for all other scans.
func SpacingFile(path string) string {
	if raster.IsTIFF(path) {
		for _, name := range spacingNames(path) {
			if _, err := os.Stat(name); err == nil {
				return name
			}
		}
	}
	return ""
}

// openNIfTI opens a file by its content, or a pair by either of its names.
func openNIfTI(f voxel.File) (*source, error) {
	hdr, img, pair := nifti.PairNames(f.Name)
	n := niftiFiles{header: f, voxels: f, pair: pair}
	if pair {
		var err error
		if hdr == f.Name {
			n.voxels, err = partner(f, img)
		} else {
			n.header, err = partner(f, hdr)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is one of two files: %w", f.Name, err)
		}
	}
	h, err := decode(n.header, nifti.DecodeHeader)
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
	s.image = func(context.Context) (*volume.Image, error) {
		if err := n.prove(4 * int64(h.Grid().Voxels()) * int64(h.Channels())); err != nil {
			return nil, err
		}
		return read(n, nifti.DecodeImage, nifti.DecodeImagePair)
	}
	s.labels = func() (*volume.Labels, []Segment, error) {
		if err := n.prove(int64(h.Grid().Voxels())); err != nil {
			return nil, nil, err
		}
		l, err := read(n, nifti.DecodeLabels, nifti.DecodeLabelsPair)
		return l, nil, err
	}
	return s, nil
}

// partner is the other file of a pair; on a disk it may be a link.
func partner(f voxel.File, name string) (voxel.File, error) {
	if f.Path != "" {
		return voxel.OnDisk(name)
	}
	return f.Beside(filepath.Base(name))
}

// niftiFiles are the two files of a pair, or one file twice.
type niftiFiles struct {
	header, voxels voxel.File
	pair           bool
}

// prove makes sure that the voxels of a gzipped file are there before more memory is
// taken than its size warrants, as voxel.Data does.
func (n niftiFiles) prove(bytes int64) error {
	const free = 64 << 20
	if bytes <= free+4*n.voxels.Size {
		return nil
	}
	_, err := read(n, nifti.DecodeStatistics, nifti.DecodeStatisticsPair)
	return err
}

// read reads a single file or a pair.
func read[T any](n niftiFiles, single func(io.Reader, string) (T, *nifti.Header, error), pair func(hdr, img io.Reader, name string) (T, *nifti.Header, error)) (T, error) {
	return decode(n.voxels, func(img io.Reader, name string) (T, error) {
		if !n.pair {
			v, _, err := single(img, name)
			return v, err
		}
		return decode(n.header, func(hdr io.Reader, _ string) (T, error) {
			v, _, err := pair(hdr, img, name)
			return v, err
		})
	})
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
