package dicom

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gounet/gounet/core/volume"
)

// Algorithm is who made a segmentation, as the object says it.
type Algorithm struct {
	Name    string // of the model
	Version string
}

// WriteOptions are what the writers of segmentations need beside the scan and the labels.
type WriteOptions struct {
	Segments  []Segment // one for each label that voxels have; others may be there
	Algorithm Algorithm
	Software  string // version of the program, "" if unknown

	// Compress makes RLE of the frames of a label map, a fiftieth of the bytes or less
	// (PS3.5 annex G). BINARY segmentations have no compression that all read.
	Compress bool

	SeriesNumber int       // of the new series; 0: the source's plus 1000
	Description  string    // of the new series
	Time         time.Time // of the content; zero: now

	// Seed makes the UIDs: with the same seed, scan, labels and segments they are the
	// same. Objects of one anonymised scan that belong together need one seed, which is
	// then as secret as the identity. nil: random.
	Seed []byte
	// Anonymise applies the Basic Application Level Confidentiality Profile (PS3.15
	// annex E) to what comes from the source: see copied. References to the source are
	// replaced by UIDs that only the seed can make again, dates of the content by one
	// that says nothing.
	Anonymise bool
}

// derived is an object that is about to be written.
type derived struct {
	*source
	o        *WriteOptions
	labels   *volume.Labels
	segments []Segment
	class    string // SOP class
	instance string // SOP instance UID
	digest   string // of what the object holds, so that other labels have other UIDs
	date     string
	time     string

	present [][256]bool // labels of each slice
	elems   *elements   // of the data set, but for what is streamed
}

// newDerived checks labels against v and o, and starts the object with what all have.
func newDerived(v *Volume, labels *volume.Labels, o WriteOptions, class, modality string) (*derived, error) {
	if labels.Shape != v.Shape || len(labels.Data) != v.Voxels() {
		return nil, fmt.Errorf("labels have %v voxels (D H W) and %d values, the scan %v: bring them into the grid of the scan", labels.Shape, len(labels.Data), v.Shape)
	}
	if !near(labels.Affine, v.Affine) {
		return nil, fmt.Errorf("labels lie elsewhere than the scan (affines %v and %v): bring them into the grid of the scan", labels.Affine, v.Affine)
	}
	if o.Seed == nil {
		o.Seed = make([]byte, 32)
		if _, err := rand.Read(o.Seed); err != nil {
			return nil, err
		}
	}
	src, err := newSource(v, &o, class)
	if err != nil {
		return nil, err
	}
	d := &derived{source: src, o: &o, labels: labels, class: class, elems: src.elements}
	if err := d.checkSegments(); err != nil {
		return nil, err
	}
	d.date, d.time = d.moment()
	d.digest = d.hash()
	d.instance = d.made("instance")
	e := d.elems
	e.text(tagSOPClass, "UI", class)
	e.text(tagSOPInstance, "UI", d.instance)
	e.text(tagModality, "CS", modality)
	e.text(tagManufacturer, "LO", "gounet")
	e.text(tagModelName, "LO", or(o.Algorithm.Name, "gounet"))
	e.text(tagDeviceSerial, "LO", "none") // of type 1, and a program has none
	e.text(tagSoftware, "LO", or(o.Software, "unknown"))
	e.text(tagSeries, "UI", d.made("series"))
	e.text(tagSeriesNumber, "IS", strconv.Itoa(d.seriesNumber()))
	e.text(tagInstanceNumber, "IS", "1")
	if o.Description != "" {
		e.text(tagSeriesDescription, "LO", o.Description)
	}
	return d, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// seriesNumber is where viewers list the new series: behind those of the scanner.
func (d *derived) seriesNumber() int {
	if d.o.SeriesNumber != 0 {
		return d.o.SeriesNumber
	}
	n := d.volume.planes[0].in.info.integer(tagSeriesNumber, 0)
	if d.anonymise || n < 0 || n > 1<<20 {
		n = 0
	}
	return 1000 + n
}

// moment is the date and time of the content. PS3.15 has a dummy for them.
func (d *derived) moment() (date, clock string) {
	t := d.o.Time
	if t.IsZero() {
		t = time.Now()
	}
	if d.anonymise {
		t = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.Format("20060102"), t.Format("150405")
}

// made is the UID of a part of the object.
func (d *derived) made(part string) string { return d.uids.make(part, d.class, d.series, d.digest) }

func (d *derived) hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "%v %v %q", d.labels.Shape, d.segments, []string{d.o.Algorithm.Name, d.o.Algorithm.Version, d.o.Description})
	h.Write(d.labels.Data)
	return string(h.Sum(nil))
}

// checkSegments finds the labels of each slice and that each has one segment, with
// text that DICOM can hold.
func (d *derived) checkSegments() error {
	at := map[uint8]int{}
	for i, s := range d.o.Segments {
		if s.Label == 0 {
			return fmt.Errorf("segment %d has label 0, which is the background", i+1)
		}
		if k, twice := at[s.Label]; twice {
			return fmt.Errorf("segments %d and %d both have label %d", k+1, i+1, s.Label)
		}
		at[s.Label] = i
		if s.Name == "" {
			return fmt.Errorf("segment %d has no name", i+1)
		}
		if err := d.checkText(fmt.Sprintf("the name of segment %d", i+1), s.Name, 64); err != nil {
			return err
		}
		s = s.completed()
		for _, c := range []Code{s.Term.Category, s.Term.Type, s.Term.Modifier, s.Term.Region, s.Term.RegionModifier} {
			if err := d.checkCode(i, c); err != nil {
				return err
			}
		}
		if s.Term.Category == (Code{}) || s.Term.Type == (Code{}) {
			return fmt.Errorf("segment %d has a term without a category or a type, which DICOM needs", i+1)
		}
		s.Number = i + 1
		d.segments = append(d.segments, s)
	}
	if len(d.segments) == 0 {
		return fmt.Errorf("no segments are named: name a segment for each label")
	}
	for what, s := range map[string]string{"the description": d.o.Description, "the algorithm's name": d.o.Algorithm.Name, "the algorithm's version": d.o.Algorithm.Version, "the software's version": d.o.Software} {
		if err := d.checkText(what, s, 64); err != nil {
			return err
		}
	}
	return d.findLabels(at)
}

// checkText says why s cannot be written in the character set of the object.
func (d *derived) checkText(what, s string, most int) error {
	if d.encoding != utf8Set && !asciiOnly(s) {
		return fmt.Errorf("%s has other characters than ASCII and the source's character set %s cannot be converted to UTF-8: rename it", what, d.encoding)
	}
	return checkText(what, s, most)
}

func (d *derived) checkCode(segment int, c Code) error {
	what := fmt.Sprintf("a code of segment %d", segment+1)
	for _, part := range []struct {
		text string
		most int
	}{{c.Value, 16}, {c.Scheme, 16}, {c.Meaning, 64}} {
		if err := d.checkText(what, part.text, part.most); err != nil {
			return err
		}
	}
	if c != (Code{}) && (c.Value == "" || c.Scheme == "" || c.Meaning == "") {
		return fmt.Errorf("%s has no value, scheme or meaning", what)
	}
	return nil
}

// findLabels finds the labels of each slice.
func (d *derived) findLabels(known map[uint8]int) error {
	d.present = make([][256]bool, d.volume.Shape[0])
	plane := d.volume.Shape[1] * d.volume.Shape[2]
	parallel(len(d.present), func() struct{} { return struct{}{} }, func(i int, _ struct{}) {
		p := &d.present[i]
		for _, l := range d.labels.Data[i*plane : (i+1)*plane] {
			p[l] = true
		}
	})
	for i := range d.present {
		for l := 1; l < 256; l++ {
			if _, ok := known[uint8(l)]; d.present[i][l] && !ok {
				return fmt.Errorf("voxels of slice %d have label %d, which no segment has", i+1, l)
			}
		}
	}
	return nil
}

// slice is the labels of slice i.
func (d *derived) slice(i int) []uint8 {
	plane := d.volume.Shape[1] * d.volume.Shape[2]
	return d.labels.Data[i*plane : (i+1)*plane]
}

// reference writes which image slice i lies in.
func (d *derived) reference(e *elements, i int) {
	in := d.volume.Instances[i]
	e.text(tagReferencedClass, "UI", in.SOPClassUID)
	e.text(tagReferencedInstance, "UI", d.uid(in.SOPInstanceUID))
	if in.Frame > 0 {
		e.text(tagReferencedFrame, "IS", strconv.Itoa(in.Frame))
	}
}

// sourceFiles are the slices that start a new instance: one for each file.
func (d *derived) sourceFiles() []int {
	var first []int
	seen := map[string]bool{}
	for i, in := range d.volume.Instances {
		if d.volume.exists(i) && !seen[in.SOPInstanceUID] {
			seen[in.SOPInstanceUID] = true
			first = append(first, i)
		}
	}
	return slices.Clip(first)
}

// instanceOf writes a reference to the whole file of slice i.
func (d *derived) instanceOf(e *elements, i int) {
	in := d.volume.Instances[i]
	e.text(tagReferencedClass, "UI", in.SOPClassUID)
	e.text(tagReferencedInstance, "UI", d.uid(in.SOPInstanceUID))
}
