package dicom

import (
	"fmt"
	"math"
	"slices"
)

// mostMissing is the part of a series that may be missing between its slices: what is
// interpolated must stay the exception in what is looked at and segmented.
const mostMissing = 0.25

// places are the slices of an even stack that the planes are, from 0 on: neighbours
// whose distance is a multiple of the usual one have missing slices between them. Of two
// planes nothing is usual.
func (v *Volume) places(normal vec) ([]int, error) {
	n := len(v.planes)
	at := make([]int, n)
	if n < 3 {
		for i := range at {
			at[i] = i
		}
		return at, nil
	}
	distances := make([]float64, n-1)
	for i := range distances {
		distances[i] = v.planes[i+1].along(normal) - v.planes[i].along(normal)
	}
	sorted := slices.Clone(distances)
	slices.Sort(sorted)
	usual := sorted[len(sorted)/2]
	missing, first := 0.0, -1
	for i, d := range distances {
		times := math.Round(d / usual)
		if times < 1 || !(math.Abs(d-times*usual) <= 0.25*usual) {
			return nil, fmt.Errorf("%s: the next slice is %.4g mm away, others %.4g mm: spacing varies", v.planes[i].name(), d, usual)
		}
		if times > 1 && first < 0 {
			first = i
		}
		missing += times - 1
		at[i+1] = i + 1 + int(min(missing, maxVoxels))
	}
	if missing > mostMissing*(float64(n)+missing) {
		return nil, fmt.Errorf("%.0f of %.0f slices are missing, the first after %s at %.4g mm; at most a quarter is filled: ask the archive for the whole series",
			missing, float64(n)+missing, v.planes[first].name(), v.planes[first].along(normal))
	}
	return at, nil
}

// fill puts planes of no instance where slices are missing, given the place of each of
// the others and the way from the first to the last.
func (v *Volume) fill(at []int, whole vec) {
	n := at[len(at)-1] + 1
	if n == len(v.planes) {
		return
	}
	planes := make([]*plane, n)
	for i, p := range v.planes {
		planes[at[i]] = p
	}
	first := planes[0]
	for d, p := range planes {
		if p == nil {
			planes[d] = &plane{
				tiles: 1, rows: first.rows, columns: first.columns, placed: true, x: first.x, y: first.y,
				spacing: first.spacing, sized: first.sized, position: first.position.add(whole.scale(float64(d) / float64(n-1))),
			}
		}
	}
	v.planes = planes
}

// exists says whether slice d has an instance.
func (v *Volume) exists(d int) bool { return v.planes[d].in != nil }

// Warning says, for people, what was mended in the volume; "" if nothing was.
func (v *Volume) Warning() string {
	if v.Err != nil || len(v.Missing) == 0 {
		return ""
	}
	const most = 4 // gaps that are named
	normal := v.planes[0].x.cross(v.planes[0].y)
	gaps := ""
	for n, i := 0, 0; i < len(v.Missing); n++ {
		from := v.Missing[i] - 1
		to := from + 1
		for !v.exists(to) {
			to++
		}
		i += to - from - 1
		if n == most {
			gaps += ", and elsewhere"
			break
		}
		gaps += fmt.Sprintf(", %d between %.4g and %.4g mm (images %d and %d)",
			to-from-1, v.planes[from].along(normal), v.planes[to].along(normal), v.Instances[from].Number, v.Instances[to].Number)
	}
	return fmt.Sprintf("Slices are missing from the series, %d of %d: %s. They were interpolated from the neighbouring slices: "+
		"check there what is measured or segmented, or fetch the whole series. DICOM segmentations leave them out.", len(v.Missing), len(v.planes), gaps[2:])
}

// Warnings are those of the volumes, which are named where there are several.
func (s *Series) Warnings() (out []string) {
	for _, v := range s.Volumes {
		if w := v.Warning(); w != "" {
			if v.Name != "" {
				w = v.Name + ": " + w
			}
			out = append(out, w)
		}
	}
	return out
}

// interpolate fills each missing slice d of channel c linearly from the nearest
// slices that exist, below and above:
//
//	y = a + (b − a)·(d − below)/(above − below)
func (v *Volume) interpolate(data []float32, channels, c int) {
	plane := v.Shape[1] * v.Shape[2] * channels
	for _, d := range v.Missing {
		below, above := d-1, d+1
		for !v.exists(below) {
			below--
		}
		for !v.exists(above) {
			above++
		}
		w := float64(d-below) / float64(above-below)
		for i := c; i < plane; i += channels {
			a, b := float64(data[below*plane+i]), float64(data[above*plane+i])
			data[d*plane+i] = float32(a + float64((b-a)*w)) // not fused: the same bits on every machine
		}
	}
}
