package plan

import "slices"

// column is the values of axis a.
func column[T int | float64](rows [][3]T, a int) []float64 {
	v := make([]float64, len(rows))
	for i, r := range rows {
		v[i] = float64(r[a])
	}
	return v
}

func median(v []float64) float64 { return percentile(v, 50) }

// percentile is numpy's, with linear interpolation. It sorts v.
func percentile(v []float64, p float64) float64 {
	slices.Sort(v)
	at := p / 100 * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return lerp(v[i], v[i+1], at-float64(i))
}

// lerp is numpy's: exact at both ends.
func lerp(a, b, t float64) float64 {
	if t >= 0.5 {
		return b - (b-a)*(1-t)
	}
	return a + (b-a)*t
}
