package metric

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/internal/atomicfile"
)

// Encode writes s in the form of nnU-Net's summary.json, to the byte what Python's
// json.dump(sort_keys=True, indent=4) makes of the same numbers: NaN as NaN, which
// strict JSON does not know, and means always with a decimal point.
func (s *Summary) Encode(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("{\n    \"foreground_mean\": ")
	s.object(&b, 4, &s.ForegroundMean, false)
	b.WriteString(",\n    \"mean\": ")
	s.targets(&b, 4, s.Mean, false)
	b.WriteString(",\n    \"metric_per_case\": [")
	for i, c := range s.Cases {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n        {\n            \"metrics\": ")
		s.targets(&b, 12, c.Scores, true)
		fmt.Fprintf(&b, ",\n            \"prediction_file\": %s,\n            \"reference_file\": %s\n        }",
			quote(c.PredictionFile), quote(c.ReferenceFile))
	}
	if len(s.Cases) > 0 {
		b.WriteString("\n    ")
	}
	b.WriteString("]\n}")
	_, err := w.Write(b.Bytes())
	return err
}

// targets writes {"1": {…}, …} at the given indent.
func (s *Summary) targets(b *bytes.Buffer, indent int, scores []Scores, counts bool) {
	b.WriteByte('{')
	for n, i := range s.order() {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "\n%s%s: ", blank(indent+4), quote(s.Targets[i].Key()))
		s.object(b, indent+4, &scores[i], counts)
	}
	fmt.Fprintf(b, "\n%s}", blank(indent))
}

// object writes the fields of one Scores; counts says that they are of a case.
func (s *Summary) object(b *bytes.Buffer, indent int, scores *Scores, counts bool) {
	b.WriteByte('{')
	first := true
	for _, f := range fields {
		if f.extra && !s.Surface {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		fmt.Fprintf(b, "\n%s\"%s\": ", blank(indent+4), f.key)
		if v := *f.of(scores); counts && f.count {
			b.WriteString(strconv.FormatInt(int64(v), 10))
		} else {
			b.WriteString(pythonFloat(v))
		}
	}
	fmt.Fprintf(b, "\n%s}", blank(indent))
}

func blank(n int) string { return strings.Repeat(" ", n) }

// pythonFloat is Python's repr: the shortest text that reads back the same, with
// an exponent below 1e-4 and from 1e16 on.
func pythonFloat(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	case a != 0 && (a < 1e-4 || a >= 1e16):
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	t := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(t, ".") {
		t += ".0"
	}
	return t
}

// quote is a JSON string, ASCII only, as Python writes it.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("metric: a string that JSON cannot hold: " + err.Error())
	}
	var ascii strings.Builder
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		switch {
		case r < 0x80:
			ascii.WriteRune(r)
		case r > 0xffff: // a surrogate pair
			fmt.Fprintf(&ascii, "\\u%04x\\u%04x", 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&ascii, "\\u%04x", r)
		}
	}
	return ascii.String()
}

// Write writes s to path; the file appears whole or not at all.
func (s *Summary) Write(path string) error {
	if err := atomicfile.Write(path, s.Encode); err != nil {
		return fmt.Errorf("metric: %s: %w", path, err)
	}
	return nil
}

// ReadSummary reads a summary.json of nnU-Net or of Write.
func ReadSummary(path string) (*Summary, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("metric: %w", err)
	}
	s, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("metric: %s: %w", path, err)
	}
	return s, nil
}

// scoresJSON is one object of scores in a file; null stands for NaN.
type scoresJSON map[string]*float64

// Decode is the inverse of Encode. Scores that the file does not have are NaN.
func Decode(b []byte) (*Summary, error) {
	var in struct {
		ForegroundMean scoresJSON            `json:"foreground_mean"`
		Mean           map[string]scoresJSON `json:"mean"`
		Cases          []struct {
			Metrics    map[string]scoresJSON `json:"metrics"`
			Prediction string                `json:"prediction_file"`
			Reference  string                `json:"reference_file"`
		} `json:"metric_per_case"`
	}
	if err := json.Unmarshal(strict(b), &in); err != nil {
		return nil, fmt.Errorf("not a summary.json: %w", err)
	}
	if in.Mean == nil {
		return nil, errors.New("not a summary.json: it has no key mean")
	}
	s := &Summary{ForegroundMean: in.ForegroundMean.scores()}
	for key := range in.Mean {
		t, err := parseKey(key)
		if err != nil {
			return nil, err
		}
		s.Targets = append(s.Targets, t)
	}
	slices.SortFunc(s.Targets, func(a, b Target) int { return slices.Compare(a, b) })
	for _, t := range s.Targets {
		m := in.Mean[t.Key()]
		_, surface := m["HD95"]
		s.Surface = s.Surface || surface
		s.Mean = append(s.Mean, m.scores())
	}
	for i, c := range in.Cases {
		out := Case{ReferenceFile: c.Reference, PredictionFile: c.Prediction}
		for _, t := range s.Targets {
			m, ok := c.Metrics[t.Key()]
			if !ok {
				return nil, fmt.Errorf("case %d (%s) has no metrics of %s, which the means have", i, c.Prediction, t.Key())
			}
			out.Scores = append(out.Scores, m.scores())
		}
		s.Cases = append(s.Cases, out)
	}
	return s, nil
}

func (m scoresJSON) scores() (s Scores) {
	for _, f := range fields {
		v := math.NaN()
		if p := m[f.key]; p != nil {
			v = *p
		}
		*f.of(&s) = v
	}
	return s
}

// parseKey reads "1" and "(1, 2)", in which numbers have their shortest form.
func parseKey(key string) (Target, error) {
	inner, region := strings.CutPrefix(key, "(")
	if region {
		inner = strings.TrimSuffix(inner, ")")
	}
	var t Target
	for _, part := range strings.Split(inner, ",") {
		l, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("key %q is neither a label nor a region", key)
		}
		t = append(t, l)
	}
	if t.Key() != key {
		return nil, fmt.Errorf("key %q is neither a label nor a region", key)
	}
	return t, nil
}

// strict turns the NaN and Infinity of Python's JSON, outside strings, into null.
func strict(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i, quoted := 0, false; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\' && i+1 < len(b):
			out = append(out, c)
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == 'N' || c == 'I' || c == '-'):
			if n := constant(b[i:]); n > 0 {
				out = append(out, "null"...)
				i += n - 1
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// constant is the length of the constant that b starts with, 0 if there is none.
func constant(b []byte) int {
	for _, c := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(b, []byte(c)) {
			return len(c)
		}
	}
	return 0
}
