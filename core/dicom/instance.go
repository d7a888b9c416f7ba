package dicom

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

type vec [3]float64

func (a vec) dot(b vec) float64   { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
func (a vec) add(b vec) vec       { return vec{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }
func (a vec) sub(b vec) vec       { return vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func (a vec) scale(s float64) vec { return vec{a[0] * s, a[1] * s, a[2] * s} }
func (a vec) length() float64     { return math.Sqrt(a.dot(a)) }
func (a vec) cross(b vec) vec {
	return vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// instance is a file that holds a scan, or a part of one.
type instance struct {
	file     File
	info     *parsed
	format   pixelFormat
	number   int
	modality string
}

// plane is a slice of an instance: a frame, or a tile of a mosaic. Positions and
// directions are LPS, as in the file, in mm.
type plane struct {
	in      *instance
	frame   int
	tile    int // of tiles × tiles in the frame
	tiles   int // 1 where the frame is the slice
	rows    int
	columns int

	placed   bool // position and orientation are known
	position vec  // of the centre of the first pixel
	x, y     vec  // along a row, down a column
	spacing  [2]float64
	sized    bool // spacing is known

	slope, intercept float64
	keys             [len(keyNames)]string
}

// keyNames say what tells volumes apart that lie in the same place, in the order in
// which they are tried.
var keyNames = [...]string{"stack", "time", "echo", "echo time", "b-value", "acquisition", "trigger time", "image type", "acquisition time"}

// Indices of keyNames.
const (
	keyStack       = 0
	keyAcquisition = 5
)

// name is how errors call p: the file, the number that a viewer shows, the frame.
func (p *plane) name() string {
	s := fmt.Sprintf("%s (instance %d", p.in.file.Name, p.in.number)
	if p.in.format.frames > 1 {
		s += fmt.Sprintf(", frame %d", p.frame+1)
	}
	return s + ")"
}

// newInstance reads the front of f and says whether it holds grey values. What is
// known of a file that is refused comes with the error.
func newInstance(f File) (*instance, error) {
	info, err := parse(f)
	if err != nil {
		return nil, err
	}
	in := &instance{file: f, info: info, modality: info.text(tagModality), number: info.integer(tagInstanceNumber, 0)}
	return in, in.check()
}

// check finds why the instance is no scan that can be read.
func (in *instance) check() (err error) {
	info := in.info
	if info.pixels == nil {
		return fmt.Errorf("%w: modality %s without pixels", ErrNotScan, shownCode(in.modality))
	}
	if in.modality == "SEG" || info.integer(tagBitsAllocated, 0) == 1 {
		return fmt.Errorf("%w: a segmentation", ErrNotScan)
	}
	if in.format, err = newPixelFormat(info); err != nil {
		return err
	}
	switch p := in.format.photometric; {
	case p == "PALETTE COLOR":
		return fmt.Errorf("%w: colours of a palette", ErrNotScan)
	case in.format.samples != 1 || strings.HasPrefix(p, "RGB") || strings.HasPrefix(p, "YBR"):
		return fmt.Errorf("%w: a colour picture (%s, %d samples a pixel)", ErrNotScan, shownCode(p), in.format.samples)
	}
	if info.find(tagModalityLUT) != nil && info.find(tagSlope) == nil {
		return fmt.Errorf("element %v: units by a look-up table, only slope and intercept are read", tagModalityLUT)
	}
	return enough(in.file, info, &in.format)
}

// planes are the slices of the instance, with their places.
func (in *instance) planes() ([]plane, error) {
	d := &in.info.dataSet
	shared := d.item(tagSharedGroups)
	var frames []*dataSet
	if e := d.find(tagFrameGroups); e != nil {
		frames = e.items
	}
	if len(frames) > 0 && len(frames) != in.format.frames {
		return nil, fmt.Errorf("element %v has %d items for %d frames", tagFrameGroups, len(frames), in.format.frames)
	}
	out := make([]plane, in.format.frames)
	for i := range out {
		var own *dataSet
		if len(frames) > 0 {
			own = frames[i]
		}
		// group is a functional group: the frame's, the one that all share, or, in
		// files of one slice, the data set itself.
		group := func(t tag) *dataSet {
			if g := own.item(t); g != nil {
				return g
			}
			if g := shared.item(t); g != nil {
				return g
			}
			return d
		}
		p := plane{in: in, frame: i, tiles: 1, rows: in.format.rows, columns: in.format.columns}
		if err := p.place(group(tagPlanePosition), group(tagPlaneOrientation), group(tagPixelMeasures), d); err != nil {
			return nil, err
		}
		v := group(tagValueTransform)
		p.slope, p.intercept = v.number(tagSlope, 1), v.number(tagIntercept, 0)
		if s := d.number(tagDoseScaling, 0); s != 0 {
			p.slope, p.intercept = s, 0
		}
		if p.slope == 0 {
			return nil, fmt.Errorf("element %v: slope 0 makes all values the same", tagSlope)
		}
		p.setKeys(d, group)
		out[i] = p
	}
	if strings.Contains(strings.Join(d.texts(tagImageType), " "), "MOSAIC") {
		return in.mosaic(out)
	}
	if len(frames) == 0 && len(out) > 1 {
		return out, in.spread(out)
	}
	return out, nil
}

// place reads position, orientation and spacing of pixels.
func (p *plane) place(position, orientation, measures, d *dataSet) error {
	s, ok := measures.numbers(tagPixelSpacing)
	if !ok {
		s, ok = d.numbers(tagImagerPixelSpacing) // at the detector; projections have no other
	}
	if ok {
		if len(s) == 1 {
			s = append(s, s[0])
		}
		if !(s[0] > 0 && s[1] > 0) {
			return fmt.Errorf("element %v: spacing %g × %g mm", tagPixelSpacing, s[0], s[1])
		}
		p.spacing, p.sized = [2]float64{s[0], s[1]}, true
	}
	at, ok1 := position.numbers(tagPosition)
	o, ok2 := orientation.numbers(tagOrientation)
	if !ok1 || !ok2 {
		return nil
	}
	if len(at) != 3 || len(o) != 6 {
		return fmt.Errorf("element %v has %d values, %v %d: want 3 and 6", tagPosition, len(at), tagOrientation, len(o))
	}
	p.position, p.x, p.y = vec(at), vec(o[:3]), vec(o[3:])
	// Directions have about six digits; what is further off is no rotation.
	const tolerance = 1e-3
	if math.Abs(p.x.length()-1) > tolerance || math.Abs(p.y.length()-1) > tolerance || math.Abs(p.x.dot(p.y)) > tolerance {
		return fmt.Errorf("element %v: %v are not two directions at right angles", tagOrientation, o)
	}
	p.x, p.y = p.x.scale(1/p.x.length()), p.y.scale(1/p.y.length())
	p.placed = true
	return nil
}

// setKeys reads what may tell volumes apart; group finds functional groups.
func (p *plane) setKeys(d *dataSet, group func(tag) *dataSet) {
	number := func(g *dataSet, t tag, otherwise string) string {
		if v, ok := g.numbers(t); ok {
			return fmt.Sprint(v[0])
		}
		return otherwise
	}
	content := group(tagFrameContent)
	p.keys = [...]string{
		content.text(tagStackID),
		number(content, tagTemporalIndex, content.text(tagTemporalPosition)),
		d.text(tagEchoNumber),
		number(group(tagEchoGroup), tagEffectiveEchoTime, d.text(tagEchoTime)),
		number(group(tagDiffusionGroup), tagBValue, ""),
		d.text(tagAcquisitionNumber), d.text(tagTriggerTime), strings.Join(d.texts(tagImageType), `\`), d.text(tagAcquisitionTime),
	}
}

// spread places the frames of files that have one position for all: dose grids and
// reconstructed slices of nuclear medicine.
func (in *instance) spread(planes []plane) error {
	d := &in.info.dataSet
	offsets, ok := d.numbers(tagFrameOffsets)
	if ok && len(offsets) != len(planes) {
		return fmt.Errorf("element %v has %d values for %d frames", tagFrameOffsets, len(offsets), len(planes))
	}
	if !ok {
		s := d.number(tagSpacingBetween, 0)
		if s == 0 || !strings.Contains(strings.Join(d.texts(tagImageType), " "), "TOMO") {
			return fmt.Errorf("%w: %d frames without a position each, as films have them", ErrNotScan, len(planes))
		}
		for i := range planes {
			offsets = append(offsets, s*float64(i))
		}
	}
	for i := range planes {
		p := &planes[i]
		if !p.placed {
			return fmt.Errorf("elements %v and %v are missing", tagPosition, tagOrientation)
		}
		p.position = p.position.add(p.x.cross(p.y).scale(offsets[i] - offsets[0]))
	}
	return nil
}

// mosaic cuts Siemens' mosaics: frames of tiles × tiles slices, row by row. Their
// position is that of a slice as large as the mosaic with the same centre.
func (in *instance) mosaic(frames []plane) ([]plane, error) {
	d := &in.info.dataSet
	var private []byte
	if e := d.find(tagSiemensImage); e != nil {
		private = e.value
	}
	n := d.integer(tagMosaicImages, 0)
	if v := siemensNumbers(private, "NumberOfImagesInMosaic"); len(v) > 0 {
		n = int(v[0])
	}
	if n < 1 || n > 1<<12 {
		return nil, fmt.Errorf("a mosaic of %d slices: element %v or Siemens' private header is missing", n, tagMosaicImages)
	}
	tiles := int(math.Ceil(math.Sqrt(float64(n))))
	step := d.number(tagSpacingBetween, d.number(tagSliceThickness, 0))
	var out []plane
	for _, f := range frames {
		if f.rows%tiles != 0 || f.columns%tiles != 0 || !f.placed || !f.sized || step <= 0 {
			return nil, fmt.Errorf("a mosaic of %d slices in %d×%d pixels without its geometry", n, f.columns, f.rows)
		}
		rows, columns := f.rows/tiles, f.columns/tiles
		normal := f.x.cross(f.y)
		if v := siemensNumbers(private, "SliceNormalVector"); len(v) == 3 && normal.dot(vec(v)) < 0 {
			normal = normal.scale(-1)
		}
		first := f.position.
			add(f.x.scale(f.spacing[1] * float64(f.columns-columns) / 2)).
			add(f.y.scale(f.spacing[0] * float64(f.rows-rows) / 2))
		for k := range n {
			p := f
			p.tile, p.tiles, p.rows, p.columns = k, tiles, rows, columns
			p.position = first.add(normal.scale(step * float64(k)))
			out = append(out, p)
		}
	}
	return out, nil
}

// errNoPlace is what several slices without a place are refused with.
var errNoPlace = errors.New("position and orientation are missing, so that slices cannot be ordered")
