package scan

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/metaimage"
	"github.com/gounet/gounet/core/mgh"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/nrrd"
	"github.com/gounet/gounet/core/raster"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// Segment names a label of a result.
type Segment struct {
	Label uint8
	Name  string
	Color color.NRGBA // zero: none was chosen
}

// Format is a way to write labels. Write gets a path that ends in one of Endings,
// the scan whose grid the labels have, and the names of the labels.
type Format struct {
	Name    string   // as a user chooses it
	Endings []string // the first is the one of new files
	Write   func(path string, s *Scan, l *volume.Labels, segments []Segment) error
	// Fits says why labels of a scan cannot be written so, as soon as it is open; nil:
	// those of every scan can.
	Fits func(s *Scan) error
}

// Check says why labels of s cannot be written so, which is known before there are any.
func (f Format) Check(s *Scan) error {
	if f.Fits == nil {
		return nil
	}
	if err := f.Fits(s); err != nil {
		return fmt.Errorf("scan: format %s %w", f.Name, err)
	}
	return nil
}

// Formats are the formats that are written here. Callers add their own, such as
// those that need all instances of a DICOM series (see Scan.Series).
func Formats() []Format {
	return []Format{
		{"nifti", []string{".nii.gz", ".nii"}, writeNIfTI, nil},
		{"seg.nrrd", []string{".seg.nrrd"}, writeNRRD, nil}, // before .nrrd, which its ending has
		{"nrrd", []string{".nrrd"}, writeNRRD, nil},
		{"mha", []string{".mha", ".mhd"}, writeMetaImage, nil},
		{"mgz", []string{".mgz", ".mgh"}, writeMGH, nil},
		{"png", []string{".png"}, writeRaster, onePlane},
		{"tiff", []string{".tif", ".tiff"}, writeRaster, nil},
	}
}

// FormatOf finds the format of a path by its ending.
func FormatOf(formats []Format, path string) (Format, error) {
	lower := strings.ToLower(filepath.Base(path))
	for _, f := range formats {
		for _, e := range f.Endings {
			if strings.HasSuffix(lower, e) {
				return f, nil
			}
		}
	}
	return Format{}, fmt.Errorf("scan: %s: no format of labels ends so: wanted %s", path, strings.Join(endings(formats), ", "))
}

// FormatNamed finds a format by its name.
func FormatNamed(formats []Format, name string) (Format, error) {
	i := slices.IndexFunc(formats, func(f Format) bool { return f.Name == name })
	if i >= 0 {
		return formats[i], nil
	}
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("scan: format %q: wanted %s", name, strings.Join(names, ", "))
}

func endings(formats []Format) (out []string) {
	for _, f := range formats {
		out = append(out, f.Endings...)
	}
	return out
}

// LabelEndings are what the files of label maps end in.
func LabelEndings() []string { return endings(Formats()) }

// own is the name of the format of results for each kind of scan: its own where it
// is written, else NIfTI.
var own = map[Kind]string{NIfTI: "nifti", NRRD: "nrrd", MetaImage: "mha", MGH: "mgz", Analyze: "nifti", DICOM: "nifti", SEG: "nifti", PNG: "png", TIFF: "tiff"}

// ResultFormat is the format of results for scans whose files end in ending. Where
// labels can be written with that ending they are.
func ResultFormat(ending string) Format {
	if f, err := FormatOf(Formats(), "labels"+ending); err == nil {
		f.Endings = []string{ending}
		return f
	}
	i := slices.IndexFunc(Formats(), func(f Format) bool { return f.Name == own[NIfTI] })
	return Formats()[i]
}

// OwnFormat is the name of the format in which results of s are written unless
// another is chosen.
func (s *Scan) OwnFormat() string {
	if len(s.Segments()) > 0 {
		return "seg.nrrd"
	}
	return own[s.Kind]
}

// WriteLabels writes labels that lie on the grid of s to path, whose ending chooses
// among Formats. The file says the same of its place as the scan does, word for word
// where both have one format. It appears whole or not at all.
func (s *Scan) WriteLabels(path string, l *volume.Labels, segments []Segment) error {
	f, err := FormatOf(Formats(), path)
	if err != nil {
		return err
	}
	if l.Shape != s.Grid.Shape {
		return fmt.Errorf("scan: %s: labels of shape %v, the scan has %v (D H W): resample them first", path, l.Shape, s.Grid.Shape)
	}
	placed := *l
	placed.Grid = s.Grid
	if err := f.Write(path, s, &placed, segments); err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	return nil
}

// images are the formats that scans are written in, by ending. A nil header leaves
// nothing but the voxels and their place.
var images = []struct {
	ending string
	write  func(path string, im *volume.Image, header any) error
}{
	{".nii.gz", imageNIfTI},
	{".nii", imageNIfTI},
	{".nrrd", func(path string, im *volume.Image, header any) error {
		like, _ := header.(*nrrd.Header)
		return nrrd.WriteImage(path, im, like)
	}},
	{".tif", writeTIFF},
	{".tiff", writeTIFF},
	{".mha", func(path string, im *volume.Image, header any) error {
		like, _ := header.(*metaimage.Header)
		return metaimage.WriteImage(path, im, like)
	}},
}

func imageNIfTI(path string, im *volume.Image, header any) error {
	like, _ := header.(*nifti.Header)
	return nifti.WriteImage(path, im, like)
}

// ImageEndings are what the files of scans end in that are written here.
func ImageEndings() (out []string) {
	for _, f := range images {
		out = append(out, f.ending)
	}
	return out
}

// WriteImage writes a scan, whose header may be nil, as float32 in the format that
// the ending of path names. The file appears whole or not at all.
func WriteImage(path string, im *volume.Image, header any) error {
	for _, f := range images {
		if f.ending == voxel.Ending(path) {
			if err := f.write(path, im, header); err != nil {
				return fmt.Errorf("scan: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("scan: %s: scans are written to files that end in %s", path, strings.Join(ImageEndings(), ", "))
}

func writeNIfTI(path string, s *Scan, l *volume.Labels, _ []Segment) error {
	like, _ := s.Header().(*nifti.Header)
	return nifti.WriteLabels(path, l, like)
}

func writeNRRD(path string, s *Scan, l *volume.Labels, segments []Segment) error {
	like, _ := s.Header().(*nrrd.Header)
	list := toNRRD(segments)
	if like != nil {
		keepTags(list, like.Segments)
	}
	return nrrd.WriteLabels(path, l, list, like)
}

func writeMetaImage(path string, s *Scan, l *volume.Labels, _ []Segment) error {
	like, _ := s.Header().(*metaimage.Header)
	return metaimage.WriteLabels(path, l, like)
}

func writeMGH(path string, s *Scan, l *volume.Labels, _ []Segment) error {
	like, _ := s.Header().(*mgh.Header)
	return mgh.WriteLabels(path, l, like)
}

// onePlane is what fits a PNG.
func onePlane(s *Scan) error {
	if s.Grid.Shape[0] != 1 {
		return fmt.Errorf("holds one slice, and the scan has %v voxels (D H W): choose another format", s.Grid.Shape)
	}
	return nil
}

// writeTIFF writes the spacing where nnU-Net looks for that of an image.
func writeTIFF(path string, im *volume.Image, _ any) error {
	names := spacingNames(path)
	return raster.WriteImage(path, names[len(names)-1], im)
}

func writeRaster(path string, _ *Scan, l *volume.Labels, _ []Segment) error {
	return raster.WriteLabels(path, l)
}

func fromNRRD(list []nrrd.Segment) (out []Segment) {
	for _, s := range list {
		if s.Label < 0 || s.Label > volume.MaxLabel {
			continue // no voxel that is read can have it
		}
		channel := func(v float64) uint8 { return uint8(v*255 + 0.5) }
		out = append(out, Segment{
			Label: uint8(s.Label), Name: s.Name,
			Color: color.NRGBA{channel(s.Color[0]), channel(s.Color[1]), channel(s.Color[2]), 255},
		})
	}
	return out
}

// keepTags gives segments the identifiers, tags and exact colours of those in the file
// of the scan that have their names and, but for rounding, their colours.
func keepTags(list, from []nrrd.Segment) {
	for i := range list {
		for _, f := range from {
			if f.Name != list[i].Name || f.Name == "" {
				continue
			}
			f.Label, f.Layer = list[i].Label, 0
			for c := range f.Color {
				if math.Abs(f.Color[c]-list[i].Color[c]) > 1.0/255 {
					f.Color, f.ColorAuto = list[i].Color, list[i].ColorAuto
					break
				}
			}
			list[i] = f
			break
		}
	}
}

func toNRRD(list []Segment) (out []nrrd.Segment) {
	for _, s := range list {
		n := nrrd.Segment{Label: int(s.Label), Name: s.Name, NameAuto: s.Name == "", ColorAuto: s.Color == color.NRGBA{}}
		if !n.ColorAuto {
			n.Color = [3]float64{float64(s.Color.R) / 255, float64(s.Color.G) / 255, float64(s.Color.B) / 255}
		}
		out = append(out, n)
	}
	return out
}
