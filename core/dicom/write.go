package dicom

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Transfer syntaxes that are written.
const (
	implicitLittle = "1.2.840.10008.1.2"
	explicitLittle = "1.2.840.10008.1.2.1"
	rleLossless    = "1.2.840.10008.1.2.5"
)

// What stands in the meta header of files: whose they are.
const (
	implementationUID  = "2.25.334387850547737006242450792376912930953" // a UUID of the project, PS3.5 B.2
	implementationName = "GOUNET"
)

// elements is a data set, or an item of a sequence, to be written in little endian.
// Elements may be put in any order, since bytes sorts them by tag.
type elements struct {
	implicit bool
	list     []rawElement
}

// rawElement is an element as it stands in a file, its front included.
type rawElement struct {
	tag  tag
	data []byte
}

// put adds an element. Values of odd length are padded: text with a blank, UIDs and
// bytes with a zero (PS3.5 6.2).
func (e *elements) put(t tag, vr string, value []byte) {
	n := len(value) + len(value)&1
	b := appendHead(make([]byte, 0, 12+n), e.implicit, t, vr, uint32(n))
	b = append(b, value...)
	if len(value)&1 == 1 {
		pad := byte(' ')
		if vr == "UI" || vr == "OB" {
			pad = 0
		}
		b = append(b, pad)
	}
	e.list = append(e.list, rawElement{t, b})
}

// appendHead appends tag, VR and length. The lengths of values of short VRs must be
// below 2^16 in explicit files, which the callers of long ones see to.
func appendHead(b []byte, implicit bool, t tag, vr string, n uint32) []byte {
	o := binary.LittleEndian
	b = o.AppendUint16(o.AppendUint16(b, uint16(t>>16)), uint16(t))
	if implicit || t>>16 == 0xfffe {
		return o.AppendUint32(b, n)
	}
	b = append(b, vr...)
	if shortVR(vr) {
		return o.AppendUint16(b, uint16(n))
	}
	return o.AppendUint32(append(b, 0, 0), n)
}

// text adds an element of text values.
func (e *elements) text(t tag, vr string, v ...string) {
	e.put(t, vr, []byte(strings.Join(v, `\`)))
}

// decimals adds numbers as text.
func (e *elements) decimals(t tag, v ...float64) {
	e.text(t, "DS", decimalTexts(v)...)
}

func decimalTexts(v []float64) []string {
	s := make([]string, len(v))
	for i, x := range v {
		s[i] = decimal(x)
	}
	return s
}

// decimal is x in the 16 characters that a decimal string has: all its digits where
// they fit, so that what was read from a file is written as the same number.
func decimal(x float64) string {
	const most = 16 // PS3.5 table 6.2-1
	s := strconv.FormatFloat(x+0, 'g', -1, 64)
	for digits := 15; len(s) > most; digits-- {
		s = strconv.FormatFloat(x, 'g', digits, 64)
	}
	return s
}

// shorts adds unsigned 16-bit numbers.
func (e *elements) shorts(t tag, v ...uint16) {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, x)
	}
	e.put(t, "US", b)
}

// longs adds unsigned 32-bit numbers.
func (e *elements) longs(t tag, v ...uint32) {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	e.put(t, "UL", b)
}

// tags adds tags as a value.
func (e *elements) tags(t tag, v tag) {
	b := binary.LittleEndian.AppendUint16(nil, uint16(v>>16))
	e.put(t, "AT", binary.LittleEndian.AppendUint16(b, uint16(v)))
}

// sequence adds a sequence of n items of defined lengths, which item fills.
func (e *elements) sequence(t tag, n int, item func(i int, e *elements)) {
	var value []byte
	for i := range n {
		sub := &elements{implicit: e.implicit}
		item(i, sub)
		value = sub.appendItem(value)
	}
	e.put(t, "SQ", value)
}

// one adds a sequence of one item.
func (e *elements) one(t tag, item func(e *elements)) {
	e.sequence(t, 1, func(_ int, e *elements) { item(e) })
}

// code adds a sequence of one coded term; nothing for the zero Code.
func (e *elements) code(t tag, c Code) {
	if c != (Code{}) {
		e.one(t, c.encode)
	}
}

// encode is the macro of PS3.3 table 8.8-1.
func (c Code) encode(e *elements) {
	e.text(tagCodeValue, "SH", c.Value)
	e.text(tagCodingScheme, "SH", c.Scheme)
	e.text(tagCodeMeaning, "LO", c.Meaning)
}

// appendItem appends e as an item of a sequence.
func (e *elements) appendItem(b []byte) []byte {
	at := len(b)
	b = appendHead(b, e.implicit, tagItem, "", 0)
	b = e.appendTo(b)
	binary.LittleEndian.PutUint32(b[at+4:], uint32(len(b)-at-8))
	return b
}

// appendTo appends the elements in the order of their tags.
func (e *elements) appendTo(b []byte) []byte {
	slices.SortStableFunc(e.list, func(a, b rawElement) int { return cmp.Compare(a.tag, b.tag) })
	for _, x := range e.list {
		b = append(b, x.data...)
	}
	return b
}

// fileFront is what comes before the data set: the preamble and the meta header.
func fileFront(class, instance, syntax string) []byte {
	meta := &elements{}
	meta.put(tagMetaVersion, "OB", []byte{0, 1})
	meta.text(tagMediaClass, "UI", class)
	meta.text(tagMediaInstance, "UI", instance)
	meta.text(tagTransferSyntax, "UI", syntax)
	meta.text(tagImplementationUID, "UI", implementationUID)
	meta.text(tagImplementationName, "SH", implementationName)
	body := meta.appendTo(nil)
	length := &elements{}
	length.longs(tagMetaLength, uint32(len(body)))
	b := make([]byte, 128, 512)
	b = append(b, "DICM"...)
	return append(length.appendTo(b), body...)
}

// checkText says why s cannot be written as a value of at most most characters.
func checkText(what, s string, most int) error {
	if n := len([]rune(s)); n > most {
		return fmt.Errorf("%s has %d characters, at most %d are written: shorten it", what, n, most)
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f || c == '\\' || c == '\ufffd' {
			return fmt.Errorf("%s has the character %q, which DICOM text cannot hold: rename it", what, c)
		}
	}
	return nil
}

// countingWriter counts what passes through to w and keeps the first error.
type countingWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *countingWriter) write(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
}

// asciiOnly says whether s has no other characters, so that it means the same in all
// character sets that extend ASCII.
func asciiOnly(s string) bool {
	return !bytes.ContainsFunc([]byte(s), func(r rune) bool { return r > '~' })
}

// fixed is x with as many decimals as it takes to be within a thousandth of unit,
// without trailing zeros.
func fixed(x, unit float64) string {
	digits := min(max(int(math.Ceil(-math.Log10(unit/1000))), 1), 9)
	s := strconv.FormatFloat(x, 'f', digits, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" || s == "" {
		return "0"
	}
	if len(s) > 16 {
		return decimal(x)
	}
	return s
}
