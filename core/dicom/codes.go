package dicom

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"math"
	"strings"
	"sync"
)

// Code is a coded term: 10200004, SCT, Liver.
type Code struct{ Value, Scheme, Meaning string }

// Term says what a segment is, in the words of DICOM (PS3.3 C.8.20.4). Codes that say
// nothing are zero.
type Term struct {
	Category       Code // an anatomical structure, a morphologically abnormal one, …
	Type           Code // which
	Modifier       Code // of the type: the side
	Region         Code // where an abnormal structure is
	RegionModifier Code
}

// Segment is a structure of a segmentation.
type Segment struct {
	Label  uint8  // of its voxels, from 1
	Number int    // in the file; writers number by themselves
	Name   string // at most 64 characters
	Term   Term   // writers look the name up where it is zero
	Colour [3]uint8
}

// sct is a term of SNOMED CT; nothing where there is no value.
func sct(value, meaning string) Code {
	if value == "" {
		return Code{}
	}
	return Code{value, "SCT", meaning}
}

// categories are the terms of PS3.16 CID 7150 that the table uses.
var categories = map[string]string{
	"123037004": "Anatomical Structure",
	"49755003":  "Morphologically Abnormal Structure",
	"85756007":  "Tissue",
	"260787004": "Physical object",
}

// unknownTerm is written for names that the table does not have. It claims the least:
// a lesion is tissue too, but no anatomical structure.
var unknownTerm = Term{Category: sct("85756007", "Tissue"), Type: sct("85756007", "Tissue")}

//go:embed codes.csv
var codesCSV string

// knownSegment is a row of the table.
type knownSegment struct {
	term   Term
	colour [3]uint8
}

// known is the table by folded name.
var known = sync.OnceValue(func() map[string]knownSegment {
	r := csv.NewReader(strings.NewReader(codesCSV))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		panic(err) // the table is part of the program
	}
	m := make(map[string]knownSegment, len(rows))
	for _, f := range rows {
		k := knownSegment{term: Term{
			Category: sct(f[1], categories[f[1]]), Type: sct(f[2], f[3]), Modifier: sct(f[4], f[5]),
			Region: sct(f[6], f[7]), RegionModifier: sct(f[8], f[9]),
		}}
		if _, err := fmt.Sscan(f[10], &k.colour[0], &k.colour[1], &k.colour[2]); err != nil {
			panic(err)
		}
		m[foldedName(f[0])] = k
	}
	return m
})

// otherNames are names of the same structures in other tables, folded.
var otherNames = map[string]string{
	"bladder": "urinarybladder", "oesophagus": "esophagus", "tumour": "tumor", "neoplasm": "tumor", "oedema": "edema",
	"postcava": "inferiorvenacava", "ivc": "inferiorvenacava", "atriumleft": "heartatriumleft", "atriumright": "heartatriumright",
	"myocardium": "heartmyocardium", "ventricleleft": "heartventricleleft", "ventricleright": "heartventricleright",
	"smallintestine": "smallbowel", "thyroid": "thyroidgland", "clavicleleft": "claviculaleft", "clavicleright": "clavicularight",
}

// foldedName is a name without case and separators, the side at its end: "Left
// Kidney" and "kidney_left" are the same.
func foldedName(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(" _-.", r) })
	if len(words) > 1 && (words[0] == "left" || words[0] == "right") {
		words = append(words[1:], words[0])
	}
	return strings.Join(words, "")
}

// TermOf is the term and the usual colour of the structure that a label is named for,
// if the table has it: the structures of TotalSegmentator and some more.
func TermOf(name string) (Term, [3]uint8, bool) {
	n := foldedName(name)
	if other, ok := otherNames[n]; ok {
		n = other
	}
	k, ok := known()[n]
	return k.term, k.colour, ok
}

// palette has colours for structures that have none, which the colour-blind tell apart
// too (Okabe and Ito, https://jfly.uni-koeln.de/color, without black).
var palette = [...][3]uint8{
	{230, 159, 0}, {86, 180, 233}, {0, 158, 115}, {240, 228, 66}, {0, 114, 178}, {213, 94, 0}, {204, 121, 167},
}

// completed is s with the term and colour that it is written with.
func (s Segment) completed() Segment {
	term, colour, ok := TermOf(s.Name)
	if !ok {
		term, colour = unknownTerm, palette[(max(int(s.Label), 1)-1)%len(palette)]
	}
	if s.Term == (Term{}) {
		s.Term = term
	}
	if s.Colour == [3]uint8{} {
		s.Colour = colour
	}
	return s
}

// cieLab is an sRGB colour as DICOM has it: L* of 0…100 and a*, b* of −128…127, each
// scaled to 16 bits (PS3.3 C.10.7.1.1). The white is D65, as highdicom, dcmqi and
// pixelmed have it, so that viewers show the colour that was meant.
func cieLab(rgb [3]uint8) [3]uint16 {
	var lin [3]float64
	for i, c := range rgb {
		v := float64(c) / 255
		if v > 0.04045 {
			lin[i] = math.Pow((v+0.055)/1.055, 2.4)
		} else {
			lin[i] = v / 12.92
		}
	}
	f := func(t float64) float64 {
		if t > 0.008856 {
			return math.Cbrt(t)
		}
		return 7.787*t + 16.0/116
	}
	x := f((0.4124*lin[0] + 0.3576*lin[1] + 0.1805*lin[2]) / 0.95047)
	y := f(0.2126*lin[0] + 0.7152*lin[1] + 0.0722*lin[2])
	z := f((0.0193*lin[0] + 0.1192*lin[1] + 0.9505*lin[2]) / 1.08883)
	l, a, b := 116*y-16, 500*(x-y), 200*(y-z)
	scaled := func(v, low, high float64) uint16 {
		return uint16(math.Round(min(max((v-low)/(high-low), 0), 1) * 65535))
	}
	return [3]uint16{scaled(l, 0, 100), scaled(a, -128, 127), scaled(b, -128, 127)}
}

// rgbOf is the inverse of cieLab, for colours that others wrote.
func rgbOf(lab [3]uint16) [3]uint8 {
	l := float64(lab[0]) / 65535 * 100
	a, b := float64(lab[1])/65535*255-128, float64(lab[2])/65535*255-128
	fy := (l + 16) / 116
	g := func(t float64) float64 {
		if t*t*t > 0.008856 {
			return t * t * t
		}
		return (t - 16.0/116) / 7.787
	}
	x, y, z := 0.95047*g(fy+a/500), g(fy), 1.08883*g(fy-b/200)
	var out [3]uint8
	for i, v := range [3]float64{
		3.2406*x - 1.5372*y - 0.4986*z,
		-0.9689*x + 1.8758*y + 0.0415*z,
		0.0557*x - 0.2040*y + 1.0570*z,
	} {
		if v > 0.0031308 {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		} else {
			v *= 12.92
		}
		out[i] = uint8(math.Round(min(max(v, 0), 1) * 255))
	}
	return out
}
