package dicom

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// action says what the Basic Application Level Confidentiality Profile does to an
// attribute: PS3.15 table E.1-1, edition 2026c. Where that names several actions, the
// one here is the first that keeps the object legal.
type action byte

const (
	keep   action = 'K' // not in the table
	empty  action = 'Z' // zero length
	remove action = 'X'
	mapUID action = 'U' // a UID that is the same wherever the old one was the same
	anew   action = 'N' // written by the profile itself
)

// copiedElement is an attribute that derived objects take over from their source.
type copiedElement struct {
	tag    tag
	vr     string
	always bool // of type 2: written empty where the source has none
	image  bool // only in images
	action action
}

// copied has the attributes of the patient, the study and the frame of reference
// (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2, C.7.4.1) that derived objects share with their source.
var copied = []copiedElement{
	{tagStudyDate, "DA", true, false, empty},
	{tagStudyTime, "TM", true, false, empty},
	{tagAccession, "SH", true, false, empty},
	{tagReferringPhysician, "PN", true, false, empty},
	{tagStudyDescription, "LO", false, false, remove},
	{tagPatientName, "PN", true, false, empty},
	{tagPatientID, "LO", true, false, empty},
	{tagPatientBirthDate, "DA", true, false, empty},
	{tagPatientSex, "CS", true, false, empty},
	{tagPatientAge, "AS", false, false, remove},
	{tagPatientSize, "DS", false, false, remove},
	{tagPatientWeight, "DS", false, false, remove},
	{tagIdentityRemoved, "CS", false, false, anew},
	{tagDeidentMethod, "LO", false, false, anew},
	{tagBodyPart, "CS", false, true, keep},
	{tagLaterality, "CS", false, true, keep},
	{tagStudy, "UI", true, false, mapUID},
	{tagStudyID, "SH", true, false, empty},
	{tagFrameOfReference, "UI", true, false, mapUID},
	{tagPositionReference, "LO", true, false, keep},
}

// sourceWanted are the elements that are read of a source: those that are copied, and
// what they are written in.
var sourceWanted = func() map[tag]string {
	m := map[tag]string{
		tagTransferSyntax: "UI", tagCharacterSet: "CS", tagSeries: "UI", tagDeidentCodes: "SQ",
		tagCodeValue: "SH", tagCodingScheme: "SH", tagCodeMeaning: "LO", tagLongitudinal: "CS",
	}
	for _, c := range copied {
		m[c.tag] = c.vr
	}
	return m
}()

// legal are the values of VRs with a form (PS3.5 table 6.2-1). A source that breaks it
// would make the derived object illegal too, so such values are left out.
var legal = map[string]*regexp.Regexp{
	"DA": regexp.MustCompile(`^\d{8}$`),
	"TM": regexp.MustCompile(`^([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?$`),
	"AS": regexp.MustCompile(`^\d{3}[DWMY]$`),
	"CS": regexp.MustCompile(`^[A-Z0-9_ ]{1,16}$`),
	"DS": regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$`),
	"UI": regexp.MustCompile(`^(0|[1-9]\d*)(\.(0|[1-9]\d*))+$`),
}

// source is what a derived object needs of the scan that it was made from.
type source struct {
	volume    *Volume
	elements  *elements // the copied ones and the character set
	study     string    // UIDs as they are written
	series    string
	frame     string // of reference
	declared  string // the character set of the source
	encoding  string // that of what is written
	uids      uidMaker
	anonymise bool
}

var errNoUID = errors.New("is missing or no UID, so that nothing can refer to the scan: save the segmentation as NIfTI")

// newSource reads the attributes of v that o lets be copied.
func newSource(v *Volume, o *WriteOptions, class string) (*source, error) {
	if v.Err != nil {
		return nil, v.Err
	}
	first := v.planes[0]
	if !first.placed {
		return nil, fmt.Errorf("%s: elements %v and %v are missing, so that a segmentation has no place: save it as NIfTI", first.name(), tagPosition, tagOrientation)
	}
	for i, in := range v.Instances {
		if !v.exists(i) {
			continue
		}
		missing := tagSOPClass
		if isUID(in.SOPClassUID) {
			missing = tagSOPInstance
			if isUID(in.SOPInstanceUID) {
				continue
			}
		}
		return nil, fmt.Errorf("%s: element %v %w", v.planes[i].name(), missing, errNoUID)
	}
	file := first.in.file
	d, err := parseKeeping(file, sourceWanted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name, err)
	}
	for _, t := range []tag{tagStudy, tagSeries} {
		if !isUID(d.text(t)) {
			return nil, fmt.Errorf("%s: element %v %w", file.Name, t, errNoUID)
		}
	}
	s := &source{
		volume: v, elements: &elements{implicit: class == classRTSTRUCT}, anonymise: o.Anonymise,
		uids: uidMaker{seed: o.Seed},
	}
	s.encoding = s.characterSet(&d.dataSet)
	s.study, s.series = s.uid(d.text(tagStudy)), s.uid(d.text(tagSeries))
	s.frame = d.text(tagFrameOfReference)
	if isUID(s.frame) {
		s.frame = s.uid(s.frame)
	} else { // a new one: what is derived from the scan is in its coordinates
		s.frame = s.uids.make("frame of reference", d.text(tagSeries))
	}
	if err := s.copy(&d.dataSet, class != classRTSTRUCT); err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name, err)
	}
	return s, nil
}

// shownCode is a coded value for errors. In a broken file it may hold what comes next,
// a name for instance, so that only legal codes are shown.
func shownCode(s string) string {
	if !legal["CS"].MatchString(s) {
		return "no legal code"
	}
	return s
}

// shownUID is a UID for errors, if it is one.
func shownUID(s string) string {
	if !isUID(s) {
		return "that is no legal UID"
	}
	return s
}

func isUID(s string) bool { return len(s) <= 64 && legal["UI"].MatchString(s) }

// uid is how a UID of the source is written.
func (s *source) uid(old string) string {
	if s.anonymise {
		return s.uids.make("replaced", old)
	}
	return old
}

// longest is how many bytes of an element are copied: more than any legal one has, and
// less than what an explicit element's 16-bit length can say.
const longest = 1 << 14

// copy takes the attributes over.
func (s *source) copy(d *dataSet, image bool) error {
	for _, e := range d.elements {
		if len(e.value) > longest {
			return fmt.Errorf("element %v has %d bytes, at most %d are copied", e.tag, len(e.value), longest)
		}
	}
	out := s.elements
	out.text(tagCharacterSet, "CS", strings.Split(s.encoding, `\`)...)
	for _, c := range copied {
		if c.image && !image {
			continue
		}
		values := d.texts(c.tag)
		for _, v := range values {
			if form := legal[c.vr]; form != nil && !form.MatchString(v) {
				values = nil
				break
			}
		}
		value := s.converted(strings.Join(values, `\`))
		if s.anonymise {
			switch c.action {
			case remove, anew:
				continue
			case empty:
				value = ""
			}
		}
		switch c.tag {
		case tagStudy:
			value = s.study
		case tagFrameOfReference:
			value = s.frame
		}
		if c.always || value != "" {
			out.text(c.tag, c.vr, value)
		}
	}
	if s.anonymise {
		s.sayAnonymised()
		return nil
	}
	if v := d.text(tagLongitudinal); legal["CS"].MatchString(v) {
		out.text(tagLongitudinal, "CS", v)
	}
	if e := d.find(tagDeidentCodes); e != nil {
		out.sequence(tagDeidentCodes, len(e.items), func(i int, out *elements) {
			c := e.items[i]
			cut := func(t tag, n int) string { v := []rune(s.converted(c.text(t))); return string(v[:min(len(v), n)]) }
			Code{cut(tagCodeValue, 16), cut(tagCodingScheme, 16), cut(tagCodeMeaning, 64)}.encode(out)
		})
	}
	return nil
}

// sayAnonymised adds what was done. Names of structures are those of a model, no
// words of the source: descriptors are clean.
func (s *source) sayAnonymised() {
	s.elements.text(tagIdentityRemoved, "CS", "YES")
	s.elements.text(tagLongitudinal, "CS", "REMOVED")
	codes := []Code{ // PS3.16 CID 7050
		{"113100", "DCM", "Basic Application Confidentiality Profile"},
		{"113105", "DCM", "Clean Descriptors Option"},
	}
	s.elements.sequence(tagDeidentCodes, len(codes), func(i int, e *elements) { codes[i].encode(e) })
}

// convertible are the character sets whose text becomes UTF-8: ASCII, Latin-1, UTF-8.
var convertible = []string{"", "ISO_IR 6", "ISO 2022 IR 6", `\ISO 2022 IR 6`, "ISO_IR 100", utf8Set}

const utf8Set = "ISO_IR 192"

// characterSet is what the derived object is written in: UTF-8 where the text of the
// source can be converted to it, or none is left, and else that of the source, whose
// bytes are kept.
func (s *source) characterSet(d *dataSet) string {
	parts := d.texts(tagCharacterSet)
	s.declared = strings.Join(parts, `\`)
	if s.anonymise || slices.Contains(convertible, s.declared) {
		return utf8Set
	}
	for i, part := range parts {
		if !legal["CS"].MatchString(part) && (i > 0 || part != "") { // nobody could read it
			s.declared = ""
			return utf8Set
		}
	}
	return s.declared
}

// converted is text of the source in the character set that is written.
func (s *source) converted(text string) string {
	if s.encoding != utf8Set {
		return text
	}
	return unicodeOf(text, s.declared)
}

// unicodeOf is text of a convertible character set in UTF-8. Text that is not what its
// set says is taken for UTF-8 if it can be, else for Latin-1, whose bytes are those of
// Unicode: files exist that declare nothing and hold either.
func unicodeOf(text, set string) string {
	if set != "ISO_IR 100" && utf8.ValidString(text) {
		return text
	}
	runes := make([]rune, len(text))
	for i := range len(text) {
		runes[i] = rune(text[i])
	}
	return string(runes)
}

// uidMaker makes UIDs of random numbers that follow from a seed: PS3.5 B.2, UUIDs of
// version 8.
type uidMaker struct{ seed []byte }

// make is the UID of what parts name.
func (u uidMaker) make(parts ...string) string {
	h := hmac.New(sha256.New, u.seed)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	b := h.Sum(nil)[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return "2.25." + digits(binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]))
}

// digits is the number hi·2⁶⁴ + lo > 0.
func digits(hi, lo uint64) string {
	var d []byte
	for hi|lo != 0 {
		above, rest := hi/10, hi%10
		lo, rest = bits.Div64(rest, lo, 10)
		hi = above
		d = append(d, '0'+byte(rest))
	}
	slices.Reverse(d)
	return string(d)
}
