package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// What QIDO-RS asks for: keys and how they match (PS3.18 8.3.4.1, PS3.4 C.2.2.2).

// criterion is what an attribute has to be like.
type criterion struct {
	tag   string
	match func(value string) bool // one of its values
}

// fits says whether an attribute is like that.
func (q criterion) fits(e element) bool {
	return slices.ContainsFunc(e.Value, func(v any) bool { return slices.ContainsFunc(texts(v), q.match) })
}

// texts are a value as it is written: of a person's name each of its groups.
func texts(v any) []string {
	if name, ok := v.(map[string]string); ok {
		var all []string
		for _, group := range nameGroups {
			all = append(all, name[group])
		}
		return all
	}
	return []string{fmt.Sprint(v)}
}

// nameGroups are those of a person's name, in their order in a file.
var nameGroups = []string{"Alphabetic", "Ideographic", "Phonetic"}

// personName is a name as DICOM's JSON model has it.
func personName(text string) map[string]string {
	name := map[string]string{}
	for i, group := range strings.SplitN(text, "=", len(nameGroups)) {
		if group != "" {
			name[nameGroups[i]] = group
		}
	}
	return name
}

// wild are the representations in which * and ? stand for others.
var wild = map[string]bool{"AE": true, "CS": true, "LO": true, "LT": true, "PN": true, "SH": true, "ST": true, "UC": true, "UT": true}

// moments are those of which ranges can be asked for, with the earliest and the latest
// that a short one stands for.
var moments = map[string]struct{ earliest, latest string }{
	"DA": {"00000101", "99991231"},
	"TM": {"000000.000000", "235959.999999"},
	"DT": {"00000101000000.000000", "99991231235959.999999"},
}

// notKeys are parameters with a meaning of their own.
var notKeys = []string{"limit", "offset", "includefield", "fuzzymatching"}

// criteria are those of a query. Ignored are parameters that are no attributes.
func criteria(query url.Values) (all []criterion, ignored []string, err error) {
	for name, values := range query {
		if slices.Contains(notKeys, name) {
			continue
		}
		t, isAttribute := attribute(name)
		if !isAttribute {
			ignored = append(ignored, name)
			continue
		}
		vr := "UN"
		if info, err := tag.Find(t); err == nil && len(info.VRs) > 0 {
			vr = info.VRs[0]
		}
		if vr == "SQ" || strings.Contains(name, ".") {
			return nil, nil, wrong(http.StatusBadRequest, "%.60q is a sequence, of which nothing can be searched for here", name)
		}
		for _, value := range values {
			if value == "" || value == "*" && wild[vr] {
				continue // matches all, those without it too
			}
			match, err := matcher(name, vr, value)
			if err != nil {
				return nil, nil, err
			}
			all = append(all, criterion{key(t), match})
		}
	}
	return all, ignored, nil
}

// attribute is the one of a keyword, or of eight hex digits; of a path into a sequence,
// the sequence.
func attribute(name string) (t tag.Tag, ok bool) {
	name, _, _ = strings.Cut(name, ".")
	if info, err := tag.FindByKeyword(name); err == nil {
		return info.Tag, true
	}
	n, err := strconv.ParseUint(name, 16, 32)
	return tag.Tag{Group: uint16(n >> 16), Element: uint16(n)}, err == nil && len(name) == 8
}

// matcher says which values of an attribute a value of a query means.
func matcher(name, vr, value string) (func(string) bool, error) {
	switch m, isMoment := moments[vr]; {
	case isMoment:
		from, to, isRange := strings.Cut(value, "-")
		if !isRange {
			to = from
		}
		for _, s := range []string{from, to} {
			if !isMomentOf(s, m.latest) {
				return nil, wrong(http.StatusBadRequest, "%.60s is %.60q: wanted digits as in %s, or a range of them with - between", name, value, m.latest)
			}
		}
		from, to = from+m.earliest[min(len(from), len(m.earliest)):], to+m.latest[min(len(to), len(m.latest)):]
		return func(have string) bool {
			return have != "" && from <= have+m.latest[min(len(have), len(m.latest)):] && have+m.earliest[min(len(have), len(m.earliest)):] <= to
		}, nil
	case vr == "UI":
		list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '\\' })
		return func(have string) bool { return slices.Contains(list, have) }, nil
	case vr == "PN":
		pattern := strings.ToLower(strings.TrimRight(value, "^"))
		return func(have string) bool { return like(pattern, strings.ToLower(strings.TrimRight(have, "^"))) }, nil
	case wild[vr]:
		return func(have string) bool { return like(value, have) }, nil
	}
	number, err := strconv.ParseFloat(value, 64)
	return func(have string) bool {
		n, err2 := strconv.ParseFloat(have, 64)
		return have == value || err == nil && err2 == nil && n == number
	}, nil
}

// isMomentOf says whether s is digits, and a point where the form has it, or nothing.
func isMomentOf(s, form string) bool {
	if len(s) > len(form) || len(s)%2 != 0 && !strings.Contains(s, ".") {
		return false
	}
	for i := range len(s) {
		if isPoint := form[i] == '.'; isPoint != (s[i] == '.') || !isPoint && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// like says whether text is what pattern has, where * is any letters and ? is one. Each *
// is tried at one place after the other, of which only the last has to be remembered.
func like(pattern, text string) bool {
	p, s := []rune(pattern), []rune(text)
	i, j, star, from := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}

// study is what the objects that somebody may see make of a study.
type study struct {
	modalities []any
	series     map[string]bool
	instances  int
}

// gather adds to each object what is known of its study and its series as a whole.
func gather(all []*instance) {
	studies, series := map[string]*study{}, map[string]int{}
	for _, i := range all {
		uid, of := i.text(tag.StudyInstanceUID), i.text(tag.SeriesInstanceUID)
		s := studies[uid]
		if s == nil {
			s = &study{series: map[string]bool{}}
			studies[uid] = s
		}
		s.instances++
		s.series[of] = true
		series[of]++
		if m := i.text(tag.Modality); m != "" && !slices.Contains(s.modalities, any(m)) {
			s.modalities = append(s.modalities, m)
		}
	}
	count := func(n int) element { return element{"IS", []any{json.Number(strconv.Itoa(n))}} }
	for _, i := range all {
		s := studies[i.text(tag.StudyInstanceUID)]
		i.whole = map[string]element{
			key(tag.ModalitiesInStudy): {"CS", s.modalities}, key(tag.NumberOfStudyRelatedSeries): count(len(s.series)),
			key(tag.NumberOfStudyRelatedInstances):  count(s.instances),
			key(tag.NumberOfSeriesRelatedInstances): count(series[i.text(tag.SeriesInstanceUID)]),
		}
	}
}
