// Package labels changes and compares label maps: brush, fill, threshold, undo and
// redo, Dice. It draws nothing and knows no files.
//
// Maps are a byte a voxel, x fastest, in the page's grid.
package labels

import "math"

// Map is a label map that is being corrected.
type Map struct {
	Shape   [3]int     // x y z
	Spacing [3]float64 // x y z, mm
	Data    []byte
	Locked  [256]bool // labels that strokes leave as they are
	// Values restrict strokes to voxels between Low and High, if there are any.
	Values    []float32
	Low, High float64

	done, undone []Change
	open         *Change
}

// Change is what a stroke has done.
type Change struct {
	What   string // "Brush, slice 23"
	at     []int32
	was    []byte
	is     byte
	deltas [256]int // voxels
}

// Delta is by how many voxels a label has grown.
func (c *Change) Delta(label int) int { return c.deltas[label] }

// Range is a part of the data that has changed.
type Range struct{ Lo, Hi int }

func (r *Range) add(i int) {
	if r.Hi == 0 {
		r.Lo, r.Hi = i, i+1
		return
	}
	r.Lo, r.Hi = min(r.Lo, i), max(r.Hi, i+1)
}

// Begin opens a stroke that paints label.
func (m *Map) Begin(what string, label byte) { m.open = &Change{What: what, is: label} }

// End closes the stroke. One that changed nothing is forgotten.
func (m *Map) End() {
	if m.open != nil && len(m.open.at) > 0 {
		m.done = append(m.done, *m.open)
		m.undone = nil
	}
	m.open = nil
}

// Changes are those that can be undone, the last one last.
func (m *Map) Changes() []Change { return m.done }

// CanRedo tells whether something was undone.
func (m *Map) CanRedo() bool { return len(m.undone) > 0 }

func (m *Map) set(i int, r *Range) {
	c := m.open
	was, label := m.Data[i], c.is
	if was == label || m.Locked[was] || m.Locked[label] {
		return
	}
	if m.Values != nil && label != 0 {
		if v := float64(m.Values[i]); !(v >= m.Low && v <= m.High) {
			return
		}
	}
	c.at, c.was = append(c.at, int32(i)), append(c.was, was)
	c.deltas[was]--
	c.deltas[label]++
	m.Data[i] = label
	r.add(i)
}

// Ball paints around a voxel: all whose centres are within half of mm, in the
// slice perpendicular to normal, or in all of space if normal is −1.
func (m *Map) Ball(at [3]int, mm float64, normal int) (r Range) {
	return m.Line(at, at, mm, normal)
}

// Line paints balls from one voxel to another.
func (m *Map) Line(from, to [3]int, mm float64, normal int) (r Range) {
	steps := 1
	for a := range 3 {
		steps = max(steps, abs(to[a]-from[a]))
	}
	for s := range steps + 1 {
		var at [3]float64
		for a := range 3 {
			at[a] = float64(from[a]) + float64(to[a]-from[a])*float64(s)/float64(steps)
		}
		m.ball(at, mm/2, normal, &r)
	}
	return r
}

func (m *Map) ball(at [3]float64, radius float64, normal int, r *Range) {
	var lo, hi [3]int
	for a := range 3 {
		reach := radius / m.Spacing[a]
		if a == normal {
			reach = 0
		}
		lo[a] = max(int(math.Ceil(at[a]-reach)), 0)
		hi[a] = min(int(math.Floor(at[a]+reach)), m.Shape[a]-1)
		if lo[a] > hi[a] && reach < .5 { // smaller than a voxel: the nearest one
			n := int(math.Round(at[a]))
			lo[a], hi[a] = max(n, 0), min(n, m.Shape[a]-1)
		}
	}
	limit := math.Max(radius*radius, 1e-9)
	for z := lo[2]; z <= hi[2]; z++ {
		for y := lo[1]; y <= hi[1]; y++ {
			for x := lo[0]; x <= hi[0]; x++ {
				dx, dy, dz := (float64(x)-at[0])*m.Spacing[0], (float64(y)-at[1])*m.Spacing[1], (float64(z)-at[2])*m.Spacing[2]
				if d := dx*dx + dy*dy + dz*dz; d <= limit || lo == hi {
					m.set((z*m.Shape[1]+y)*m.Shape[0]+x, r)
				}
			}
		}
	}
}

// Fill paints the region of one label that a voxel is in, as far as faces join it:
// in its slice, or in all of space if normal is −1.
func (m *Map) Fill(at [3]int, normal int) (r Range) {
	for a := range 3 {
		if at[a] < 0 || at[a] >= m.Shape[a] {
			return r
		}
	}
	stride := [3]int{1, m.Shape[0], m.Shape[0] * m.Shape[1]}
	index := func(v [3]int) int { return v[0] + v[1]*stride[1] + v[2]*stride[2] }
	of, label := m.Data[index(at)], m.open.is
	if of == label {
		return r
	}
	seen := map[int]bool{index(at): true}
	queue := [][3]int{at}
	for len(queue) > 0 {
		v := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		i := index(v)
		m.set(i, &r)
		if m.Data[i] != label {
			continue
		}
		for a := range 3 {
			if a == normal {
				continue
			}
			for _, d := range [2]int{-1, 1} {
				n := v
				n[a] += d
				if n[a] < 0 || n[a] >= m.Shape[a] {
					continue
				}
				if j := index(n); m.Data[j] == of && !seen[j] {
					seen[j] = true
					queue = append(queue, n)
				}
			}
		}
	}
	return r
}

// Threshold paints all voxels of a slice whose values are between Low and High, or
// of the whole scan if normal is −1.
func (m *Map) Threshold(at [3]int, normal int) (r Range) {
	lo, hi := [3]int{}, [3]int{m.Shape[0] - 1, m.Shape[1] - 1, m.Shape[2] - 1}
	if normal >= 0 {
		lo[normal], hi[normal] = at[normal], at[normal]
	}
	for z := lo[2]; z <= hi[2]; z++ {
		for y := lo[1]; y <= hi[1]; y++ {
			for x := lo[0]; x <= hi[0]; x++ {
				m.set((z*m.Shape[1]+y)*m.Shape[0]+x, &r)
			}
		}
	}
	return r
}

// Undo takes the last change back.
func (m *Map) Undo() (r Range) {
	if len(m.done) == 0 {
		return r
	}
	c := m.done[len(m.done)-1]
	m.done = m.done[:len(m.done)-1]
	m.undone = append(m.undone, c)
	for k := len(c.at) - 1; k >= 0; k-- {
		m.Data[c.at[k]] = c.was[k]
		r.add(int(c.at[k]))
	}
	return r
}

// Redo makes the change that was last undone again.
func (m *Map) Redo() (r Range) {
	if len(m.undone) == 0 {
		return r
	}
	c := m.undone[len(m.undone)-1]
	m.undone = m.undone[:len(m.undone)-1]
	m.done = append(m.done, c)
	for _, i := range c.at {
		m.Data[i] = c.is
		r.add(int(i))
	}
	return r
}

// Overlap is how two maps agree on a label.
type Overlap struct {
	A, B, Both int     // voxels
	Dice       float64 // NaN: neither has it
}

// Compare is the overlap of each label.
func Compare(a, b []byte) (out [256]Overlap) {
	for i, v := range a {
		out[v].A++
		out[b[i]].B++
		if v == b[i] {
			out[v].Both++
		}
	}
	for v := range out {
		o := &out[v]
		o.Dice = 2 * float64(o.Both) / float64(o.A+o.B)
	}
	return out
}

// Values of a map of differences.
const (
	OnlyA  = 1 // B has no label there
	OnlyB  = 2 // A has none
	InAB   = 3
	OtherB = 4 // A has the label, B another one
	OtherA = 5 // B has it, A another one
)

// Differences is where two maps differ on a label.
func Differences(a, b []byte, label byte) []byte {
	out := make([]byte, len(a))
	for i, v := range a {
		switch w := b[i]; {
		case v == label && w == label:
			out[i] = InAB
		case v == label && w == 0:
			out[i] = OnlyA
		case w == label && v == 0:
			out[i] = OnlyB
		case v == label:
			out[i] = OtherB
		case w == label:
			out[i] = OtherA
		}
	}
	return out
}

// Sides are the values that differ, of what has the label: A, then B.
var Sides = [2][2]byte{{OnlyA, OtherB}, {OnlyB, OtherA}}

// Slices counts the differences in each slice along z.
func Slices(diff []byte, shape [3]int) []int {
	out := make([]int, shape[2])
	plane := shape[0] * shape[1]
	for i, v := range diff {
		if v != 0 && v != InAB {
			out[i/plane]++
		}
	}
	return out
}

func abs(x int) int {
	if x < 0 {
		return -x
	}
	return x
}
