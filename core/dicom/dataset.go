package dicom

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// dataSet is what is kept of a data set or of an item of a sequence, in the order
// of the file.
type dataSet struct {
	elements []element
	order    binary.ByteOrder
}

// element is a kept element: a value as it is on disk, or the items of a sequence.
type element struct {
	tag   tag
	vr    string
	value []byte
	items []*dataSet
}

// find is the first element of tag t that has a value, or nil.
func (d *dataSet) find(t tag) *element {
	if d == nil {
		return nil
	}
	for i := range d.elements {
		if e := &d.elements[i]; e.tag == t && (len(e.value) > 0 || len(e.items) > 0) {
			return e
		}
	}
	return nil
}

// item is the first item of the sequence t, or nil.
func (d *dataSet) item(t tag) *dataSet {
	if e := d.find(t); e != nil && len(e.items) > 0 {
		return e.items[0]
	}
	return nil
}

// texts are the values of a text element, without padding.
func (d *dataSet) texts(t tag) []string {
	e := d.find(t)
	if e == nil {
		return nil
	}
	v := strings.Split(strings.TrimRight(string(e.value), "\x00 "), `\`)
	for i := range v {
		v[i] = strings.Trim(v[i], "\x00 \t\r\n")
	}
	return v
}

// text is the first value of a text element, or "".
func (d *dataSet) text(t tag) string {
	if v := d.texts(t); len(v) > 0 {
		return v[0]
	}
	return ""
}

// numbers are the values of an element of any numeric VR; ok is false where it is
// absent, empty, or holds something else than finite numbers.
func (d *dataSet) numbers(t tag) (v []float64, ok bool) {
	e := d.find(t)
	if e == nil {
		return nil, false
	}
	size, value := binaryNumber(e.vr, d.order)
	if size == 0 {
		for _, s := range d.texts(t) {
			x, err := strconv.ParseFloat(s, 64)
			if err != nil && strings.ContainsRune(s, ',') { // a decimal comma, as some writers have it
				x, err = strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
			}
			if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, false
			}
			v = append(v, x)
		}
		return v, len(v) > 0
	}
	for b := e.value; len(b) >= size; b = b[size:] {
		x := value(b)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, false
		}
		v = append(v, x)
	}
	return v, len(v) > 0
}

// binaryNumber is the size and the reader of one value of a binary VR; 0 for text.
func binaryNumber(vr string, o binary.ByteOrder) (int, func([]byte) float64) {
	switch vr {
	case "US":
		return 2, func(b []byte) float64 { return float64(o.Uint16(b)) }
	case "SS":
		return 2, func(b []byte) float64 { return float64(int16(o.Uint16(b))) }
	case "UL":
		return 4, func(b []byte) float64 { return float64(o.Uint32(b)) }
	case "SL":
		return 4, func(b []byte) float64 { return float64(int32(o.Uint32(b))) }
	case "FL":
		return 4, func(b []byte) float64 { return float64(math.Float32frombits(o.Uint32(b))) }
	case "FD":
		return 8, func(b []byte) float64 { return math.Float64frombits(o.Uint64(b)) }
	}
	return 0, nil
}

// number is the first value of a numeric element, or otherwise if there is none.
func (d *dataSet) number(t tag, otherwise float64) float64 {
	if v, ok := d.numbers(t); ok {
		return v[0]
	}
	return otherwise
}

// integer is number for counts; values beyond int32 become otherwise.
func (d *dataSet) integer(t tag, otherwise int) int {
	v := d.number(t, float64(otherwise))
	if v != math.Trunc(v) || math.Abs(v) > math.MaxInt32 {
		return otherwise
	}
	return int(v)
}
