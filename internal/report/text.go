package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// none stands for a score that is not defined.
const none = "–"

// dice writes a share of 1.
func dice(v float64) string {
	if math.IsNaN(v) {
		return none
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// number writes v with about three digits.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return none
	case math.IsInf(v, 0):
		return "∞"
	case a < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case a < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// duration writes seconds as people say them: 0.4 s, 42 s, 3 min 05 s, 2 h 10 min.
func duration(s float64) string {
	switch {
	case math.IsNaN(s) || s < 0 || s > 1e9:
		return none
	case s < 9.95:
		return fmt.Sprintf("%.1f s", s)
	case s < 59.5:
		return fmt.Sprintf("%.0f s", s)
	case s < 3599.5:
		n := int(math.Round(s))
		return fmt.Sprintf("%d min %02d s", n/60, n%60)
	}
	n := int(math.Round(s / 60))
	return fmt.Sprintf("%d h %02d min", n/60, n%60)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// join writes the elements of v with a separator.
func join[T any](v []T, separator string) string {
	s := make([]string, len(v))
	for i := range v {
		s[i] = fmt.Sprint(v[i])
	}
	return strings.Join(s, separator)
}

// shorten cuts s to n characters.
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
