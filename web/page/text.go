package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gounet/gounet/internal/api"
)

const thin = "\u2009" // between thousands

// Count is n with thin spaces at the thousands.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + thin + s[i:]
	}
	return sign + s
}

// Size is bytes in the unit that fits.
func Size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1e6:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	case n < 1e7:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n < 1e9:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// Span is a time as people say it.
func Span(d time.Duration) string {
	s := int(math.Round(d.Seconds()))
	switch {
	case d < 10*time.Second && d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
}

// About is a rough time.
func About(d time.Duration) string {
	s := int(math.Ceil(d.Seconds()))
	switch {
	case s < 1:
		return "about 1 s"
	case s < 20:
		return fmt.Sprintf("about %d s", s)
	case s < 60:
		return fmt.Sprintf("about %d s", (s+4)/5*5)
	case s < 600:
		return fmt.Sprintf("about %d min %02d s", (s+9)/10*10/60, (s+9)/10*10%60)
	case s < 7200:
		return fmt.Sprintf("about %d min", (s+59)/60)
	}
	return fmt.Sprintf("about %d h", (s+1800)/3600)
}

func ms(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }

// Matrix is the shape of a grid, as W × H × D.
func Matrix(g api.Grid) string {
	return fmt.Sprintf("%d × %d × %d", g.Shape[2], g.Shape[1], g.Shape[0])
}

// Voxel is the spacing of a grid.
func Voxel(g api.Grid) string {
	return fmt.Sprintf("%.3g × %.3g × %.3g mm", g.Spacing[2], g.Spacing[1], g.Spacing[0])
}

// ML is a volume.
func ML(v float64) string {
	switch {
	case v >= 100:
		return Count(int64(math.Round(v)))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Value is an intensity.
func Value(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e7 {
		return strings.Replace(fmt.Sprintf("%.0f", v), "-", "−", 1)
	}
	return strings.Replace(fmt.Sprintf("%.4g", v), "-", "−", 1)
}

// signs are those of print; nothing is less than nothing.
var signs = strings.NewReplacer("-0.0", "0.0", "-", "−")

// Tenths is a number with one digit after the point.
func Tenths(v float64) string { return signs.Replace(strconv.FormatFloat(v, 'f', 1, 64)) }

// Millimetres are a length or a place.
func Millimetres(v float64) string { return Tenths(v) + " mm" }

// Plural is n with its noun.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(int64(n)) + " " + many
}

// packages are the names in front of errors, which say nothing to those who read the
// page.
var packages = []string{"scan", "dicom", "nifti", "nrrd", "metaimage", "mgh", "analyze", "raster", "predict", "checkpoint", "webgpu", "cpu", "measure", "mesh"}

// plain is what errors of Go's library say to those who read the page.
var plain = strings.NewReplacer(": unexpected EOF", "", "zip: not a valid zip file", "the file is cut off, or no zip: fetch it again")

// counted is s with thin spaces in its whole numbers of five digits and more, unless they
// are part of a name.
func counted(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		n := strings.TrimLeft(w, "([")
		begin := w[:len(w)-len(n)]
		n = strings.TrimRight(n, ".,;)]")
		end := w[len(begin)+len(n):]
		if v, err := strconv.ParseUint(n, 10, 63); err == nil && len(n) > 4 && n[0] != '0' {
			words[i] = begin + Count(int64(v)) + end
		}
	}
	return strings.Join(words, " ")
}

// sentence begins with a capital and ends with a stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	for more := true; more; {
		more = false
		for _, name := range packages {
			if rest, ok := strings.CutPrefix(s, name+": "); ok {
				s, more = rest, true
			}
		}
	}
	if s == "" {
		return ""
	}
	s = counted(plain.Replace(s))
	if name, _, ok := strings.Cut(s, ": "); !ok || !strings.ContainsAny(name, "./") {
		s = capital(s)
	} // else it begins with the name of a file
	s = short(s, longest)
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// Title is a data set's name without nnU-Net's number and underscores.
func Title(dataset string) string {
	if _, rest, ok := strings.Cut(dataset, "_"); ok && strings.HasPrefix(dataset, "Dataset") {
		dataset = rest
	}
	dataset = strings.TrimSpace(strings.ReplaceAll(dataset, "_", " "))
	if dataset == "" {
		return "Model without a name"
	}
	return capital(dataset)
}

// capital is s with a large first letter.
func capital(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + s[n:]
}

// Plain is a number as it is typed, with four digits or those before the point.
func Plain(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64) // its own text
	return strconv.FormatFloat(r, 'f', -1, 64)
}

// longest is a text that is shown, in bytes: what comes from files may be of any length.
const longest = 800

// short is s, cut where it is longer than n bytes.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return cut(s, n) + " …"
}

// shorten is short for each of what a file says.
func shorten(list []string) {
	for i, s := range list {
		list[i] = short(s, longest)
	}
}

// cut is s, or its first n bytes as far as they are whole letters.
func cut(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

const (
	longName = 80  // bytes
	longText = 240 // of a description
)

// shown is a model whose texts can be.
func shown(l api.Loaded) api.Loaded {
	l.Dataset, l.Configuration = short(l.Dataset, longName), short(l.Configuration, longName)
	l.Description, l.Licence = short(strings.TrimSpace(l.Description), longText), short(strings.TrimSpace(l.Licence), longName)
	l.Channels = append([]string{}, l.Channels[:min(len(l.Channels), 32)]...)
	for i, c := range l.Channels {
		l.Channels[i] = short(c, longName)
	}
	l.Labels = append([]api.Label{}, l.Labels...)
	for i := range l.Labels {
		l.Labels[i].Name = short(l.Labels[i].Name, longName)
	}
	return l
}
