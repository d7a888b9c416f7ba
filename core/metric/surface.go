package metric

import (
	"math"
	"slices"

	"github.com/gounet/gounet/core/volume"
)

// Distances are those from each voxel of one structure's border to the nearest
// border voxel of the other, in mm between centres, ascending. The border of a
// mask is the mask minus its erosion by the six neighbours, where what lies
// outside the volume counts as inside: a structure that the scan cuts off has no
// border there. Both are empty if either structure is.
//
// These are the definitions of the CHAOS challenge's evaluation (Kavur et al.,
// Medical Image Analysis 2021).
type Distances struct {
	ToRef  []float64 // from the border of the prediction
	ToPred []float64 // from the border of the reference
}

// HD is the Hausdorff distance: the largest of both directions; NaN without any.
func (d *Distances) HD() float64 {
	return math.Max(Percentile(d.ToRef, 100), Percentile(d.ToPred, 100))
}

// HD95 is the larger of the two directions' 95th percentiles (as MONAI and
// Metrics Reloaded have it); NaN without any.
func (d *Distances) HD95() float64 {
	return math.Max(Percentile(d.ToRef, 95), Percentile(d.ToPred, 95))
}

// ASSD is the average symmetric surface distance: the mean over the voxels of both
// borders together; NaN without any.
func (d *Distances) ASSD() float64 {
	sum := 0.0
	for _, v := range d.ToRef {
		sum += v
	}
	for _, v := range d.ToPred {
		sum += v
	}
	return sum / float64(len(d.ToRef)+len(d.ToPred))
}

// SurfaceDice is the share of both borders' voxels that are at most tolerance mm
// from the other border: the normalised surface distance with voxels for surface
// elements (as MONAI's compute_surface_dice). NaN without any.
func (d *Distances) SurfaceDice(tolerance float64) float64 {
	// Distances come from squares in float32: one that equals the tolerance may
	// be off by its rounding.
	limit := tolerance * (1 + 0x1p-22)
	near := upTo(d.ToRef, limit) + upTo(d.ToPred, limit)
	return float64(near) / float64(len(d.ToRef)+len(d.ToPred))
}

// upTo is how many of the ascending values are at most limit.
func upTo(sorted []float64, limit float64) int {
	n, _ := slices.BinarySearchFunc(sorted, limit, func(v, limit float64) int {
		if v <= limit {
			return -1
		}
		return 1
	})
	return n
}

// Percentile is numpy's: linear between the two values around p percent of the
// way. The values are ascending; without any it is NaN.
func Percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := p / 100 * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (sorted[i+1]-sorted[i])*(at-float64(i))
}

// addSurface fills the scores that come from distances. Where one of the two is
// empty no distance exists; the surface Dice is 0 then, so that a structure which
// was missed does not vanish from its mean.
func (s *Scores) addSurface(d *Distances, tolerance float64) {
	s.HD95, s.HD, s.ASSD = d.HD95(), d.HD(), d.ASSD()
	s.SurfaceDice = d.SurfaceDice(tolerance)
	if (s.NRef == 0) != (s.NPred == 0) {
		s.SurfaceDice = 0
	}
}

// SurfaceDistances measures between the borders of target in ref and in pred,
// which must have the same shape; spacing is that of ref.
func SurfaceDistances(ref, pred *volume.Labels, target Target) *Distances {
	return surfaces(ref, pred, target, 0, labelBoxes(ref, pred))
}

// surfaces works in the box around target in both maps, and one voxel more, which
// is enough to tell borders. It needs 8 bytes a voxel of that box.
func surfaces(ref, pred *volume.Labels, target Target, ignore int, boxes []volume.Box) *Distances {
	box, ok := union(boxes, target)
	d := &Distances{}
	if !ok {
		return d
	}
	for a := range 3 {
		box.Lo[a] = max(box.Lo[a]-1, 0)
		box.Hi[a] = min(box.Hi[a]+1, ref.Shape[a])
	}
	in := target.members()
	borderRef := border(mask(ref, ref, in, ignore, box), box.Shape())
	borderPred := border(mask(pred, ref, in, ignore, box), box.Shape())
	if !slices.Contains(borderRef, true) || !slices.Contains(borderPred, true) {
		return d
	}
	d.ToRef = between(borderPred, borderRef, box.Shape(), ref.Spacing)
	d.ToPred = between(borderRef, borderPred, box.Shape(), ref.Spacing)
	return d
}

// between is the distances from the true voxels of from to those of to, ascending.
func between(from, to []bool, shape [3]int, spacing [3]float64) []float64 {
	squared := volume.DistanceSquared(to, shape, spacing)
	n := 0
	for _, b := range from {
		if b {
			n++
		}
	}
	d := make([]float64, 0, n)
	for i, b := range from {
		if b {
			d = append(d, math.Sqrt(float64(squared[i])))
		}
	}
	slices.Sort(d)
	return d
}

// mask is l's voxels in the box that belong to the structure, but not where the
// reference says ignore.
func mask(l, ref *volume.Labels, in [256]bool, ignore int, box volume.Box) []bool {
	s := box.Shape()
	m := make([]bool, s[0]*s[1]*s[2])
	for z := range s[0] {
		for y := range s[1] {
			at := ((box.Lo[0]+z)*l.Shape[1]+box.Lo[1]+y)*l.Shape[2] + box.Lo[2]
			row := l.Data[at : at+s[2]]
			dst := m[(z*s[1]+y)*s[2]:][:s[2]]
			for x, v := range row {
				dst[x] = in[v]
			}
			if ignore > 0 {
				for x, v := range ref.Data[at : at+s[2]] {
					if int(v) == ignore {
						dst[x] = false
					}
				}
			}
		}
	}
	return m
}

// border is m without the voxels whose neighbours are all in m. What is outside
// the box counts as inside m: either the volume ends there, or the voxels at the
// box's rim are not in m and do not matter.
func border(m []bool, shape [3]int) []bool {
	nD, nH, nW := shape[0], shape[1], shape[2]
	b := make([]bool, len(m))
	i := 0
	for z := range nD {
		for y := range nH {
			for x := range nW {
				b[i] = m[i] && (x > 0 && !m[i-1] || x+1 < nW && !m[i+1] ||
					y > 0 && !m[i-nW] || y+1 < nH && !m[i+nW] ||
					z > 0 && !m[i-nW*nH] || z+1 < nD && !m[i+nW*nH])
				i++
			}
		}
	}
	return b
}

// labelBoxes are the boxes around each label in the two maps together; Hi[0] is 0
// for a label that is in neither.
func labelBoxes(maps ...*volume.Labels) []volume.Box {
	boxes := make([]volume.Box, 256)
	for _, l := range maps {
		i := 0
		for z := range l.Shape[0] {
			for y := range l.Shape[1] {
				row := l.Data[i : i+l.Shape[2]]
				i += l.Shape[2]
				for x := 0; x < len(row); {
					v, first := row[x], x
					for x < len(row) && row[x] == v {
						x++
					}
					extend(&boxes[v], [3]int{z, y, first}, [3]int{z + 1, y + 1, x})
				}
			}
		}
	}
	return boxes
}

func extend(b *volume.Box, lo, hi [3]int) {
	if b.Hi[0] == 0 {
		b.Lo, b.Hi = lo, hi
		return
	}
	for a := range 3 {
		b.Lo[a] = min(b.Lo[a], lo[a])
		b.Hi[a] = max(b.Hi[a], hi[a])
	}
}

// union is the box around all labels of the target.
func union(boxes []volume.Box, target Target) (box volume.Box, ok bool) {
	for _, l := range target {
		if b := boxes[l]; b.Hi[0] > 0 {
			extend(&box, b.Lo, b.Hi)
		}
	}
	return box, box.Hi[0] > 0
}
