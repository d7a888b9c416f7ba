// Package measure describes the structures of a label map in numbers: volume,
// intensities below it, and diameters. It compares nothing; package metric does.
//
// Lengths are between points of the structure's surface, the middles between the
// centres of a voxel inside and its neighbour outside, as package mesh and
// pyradiomics have it: a single voxel of 1 mm is 1 mm long. A label of several pieces
// is measured as one. A 2-D picture has no volume, and lengths in pixels.
package measure

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/volume"
)

// Structure is what is measured of one label.
type Structure struct {
	Label    uint8  `json:"label"`
	Name     string `json:"name"`
	Voxels   int    `json:"voxels"`
	VolumeML number `json:"volume_ml"`

	// Of the intensities of the voxels, in the units of the scan (HU for CT), those that
	// are numbers; the standard deviation is that of the whole, as numpy's.
	Mean number `json:"mean"`
	Std  number `json:"std"`
	Min  number `json:"min"`
	Max  number `json:"max"`

	// FeretMM is the largest distance of two points of the surface.
	FeretMM number `json:"feret_mm"`
	// AxialMM is the largest distance of two points in one slice, of all slices, and
	// AxialWidthMM the extent of that slice across it: RECIST's longest diameter and, as
	// for short axes of nodes, what a caliper measures perpendicular to it. Slices are
	// those of the voxel axis that is nearest to the patient's.
	AxialMM      number `json:"axial_mm"`
	AxialWidthMM number `json:"axial_width_mm"`
	AxialSlice   int    `json:"axial_slice"` // along that axis, from 0

	Centroid [3]number `json:"centroid_mm"` // mean place of the voxels, RAS+
}

// number is a float64 that JSON has as null where there is none.
type number float64

// MarshalJSON writes NaN as null.
func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// Table is what is measured of one case.
type Table struct {
	Case       string      `json:"case"`
	Structures []Structure `json:"structures"`
}

// Labels measures the structures of l that occur, in the order of their labels, with
// names where they have one. im, on the same grid, gives intensities (of its first
// channel); without it they are not known.
func Labels(name string, l *volume.Labels, im *volume.Image, names map[uint8]string) (*Table, error) {
	if len(l.Data) != l.Voxels() {
		return nil, fmt.Errorf("measure: %d labels for a grid of %v", len(l.Data), l.Shape)
	}
	if im != nil && (im.Shape != l.Shape || im.C < 1 || len(im.Data) != im.Voxels()*im.C) {
		return nil, fmt.Errorf("measure: the scan has shape %v, its labels %v (D H W): use the scan that they are of", im.Shape, l.Shape)
	}
	boxes := boxesOf(l)
	t := &Table{Case: name, Structures: []Structure{}}
	for v := 1; v <= volume.MaxLabel; v++ {
		if boxes[v].n > 0 {
			t.Structures = append(t.Structures, Structure{Label: uint8(v), Name: names[uint8(v)], Voxels: boxes[v].n})
		}
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(t.Structures)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(t.Structures); i = int(next.Add(1)) - 1 {
				s := &t.Structures[i]
				s.measure(l, im, boxes[s.Label])
			}
		})
	}
	wg.Wait()
	return t, nil
}

func (s *Structure) measure(l *volume.Labels, im *volume.Image, b box) {
	place := mesh.Place(l.Grid)
	s.VolumeML = number(float64(s.Voxels) * mesh.VoxelVolume(l.Grid) / 1000)
	if l.Picture() {
		s.VolumeML = number(math.NaN())
	}
	for r := range 3 {
		s.Centroid[r] = number(place[r][3])
		for a := range 3 {
			s.Centroid[r] += number(place[r][a] * b.sum[a] / float64(s.Voxels))
		}
	}
	s.intensities(l, im, b)
	s.diameters(l, b)
}

// box is where a label is, in x y z, both ends included.
type box struct {
	lo, hi [3]int
	n      int
	sum    [3]float64 // of the places of its voxels
}

func boxesOf(l *volume.Labels) (b [256]box) {
	for v := range b {
		b[v].lo, b[v].hi = [3]int{math.MaxInt, math.MaxInt, math.MaxInt}, [3]int{-1, -1, -1}
	}
	w := l.Shape[2]
	for row := range l.Shape[0] * l.Shape[1] {
		at := [3]int{0, row % l.Shape[1], row / l.Shape[1]}
		for x, v := range l.Data[row*w : (row+1)*w] {
			if v == 0 || v == volume.Outside {
				continue
			}
			at[0] = x
			b := &b[v]
			b.n++
			for a := range 3 {
				b.lo[a], b.hi[a] = min(b.lo[a], at[a]), max(b.hi[a], at[a])
				b.sum[a] += float64(at[a])
			}
		}
	}
	return b
}

// intensities passes twice over the voxels: for the mean, then for what is around it.
func (s *Structure) intensities(l *volume.Labels, im *volume.Image, b box) {
	nan := number(math.NaN())
	s.Mean, s.Std, s.Min, s.Max = nan, nan, nan, nan
	if im == nil {
		return
	}
	each := func(f func(x float64)) {
		for z := b.lo[2]; z <= b.hi[2]; z++ {
			for y := b.lo[1]; y <= b.hi[1]; y++ {
				row := (z*l.Shape[1] + y) * l.Shape[2]
				for i := row + b.lo[0]; i <= row+b.hi[0]; i++ {
					if l.Data[i] != s.Label {
						continue
					}
					if x := float64(im.Data[i*im.C]); !math.IsNaN(x) && !math.IsInf(x, 0) {
						f(x)
					}
				}
			}
		}
	}
	n, sum, lo, hi := 0, 0.0, math.Inf(1), math.Inf(-1)
	each(func(x float64) {
		n++
		sum += x
		lo, hi = min(lo, x), max(hi, x)
	})
	if n == 0 {
		return
	}
	mean, squares := sum/float64(n), 0.0
	each(func(x float64) { squares += (x - mean) * (x - mean) })
	s.Mean, s.Std, s.Min, s.Max = number(mean), number(math.Sqrt(squares/float64(n))), number(lo), number(hi)
}

// WriteJSON writes tables as a list, a case each.
func WriteJSON(w io.Writer, tables ...*Table) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(tables)
}

// columns are the fields of CSV after the case.
var columns = []struct {
	name string
	of   func(*Structure) string
}{
	{"label", func(s *Structure) string { return strconv.Itoa(int(s.Label)) }},
	{"name", func(s *Structure) string { return s.Name }},
	{"voxels", func(s *Structure) string { return strconv.Itoa(s.Voxels) }},
	{"volume_ml", func(s *Structure) string { return s.VolumeML.text() }},
	{"mean", func(s *Structure) string { return s.Mean.text() }},
	{"std", func(s *Structure) string { return s.Std.text() }},
	{"min", func(s *Structure) string { return s.Min.text() }},
	{"max", func(s *Structure) string { return s.Max.text() }},
	{"feret_mm", func(s *Structure) string { return s.FeretMM.text() }},
	{"axial_mm", func(s *Structure) string { return s.AxialMM.text() }},
	{"axial_width_mm", func(s *Structure) string { return s.AxialWidthMM.text() }},
	{"axial_slice", func(s *Structure) string { return strconv.Itoa(s.AxialSlice) }},
	{"centroid_r_mm", func(s *Structure) string { return s.Centroid[0].text() }},
	{"centroid_a_mm", func(s *Structure) string { return s.Centroid[1].text() }},
	{"centroid_s_mm", func(s *Structure) string { return s.Centroid[2].text() }},
}

// text is empty where there is no number.
func (n number) text() string {
	if math.IsNaN(float64(n)) {
		return ""
	}
	return strconv.FormatFloat(float64(n), 'g', -1, 64)
}

// WriteCSV writes a line a structure below a line of names. A name that a spreadsheet
// would take for a formula gets an apostrophe in front.
func WriteCSV(w io.Writer, tables ...*Table) error {
	c := csv.NewWriter(w)
	head := []string{"case"}
	for _, k := range columns {
		head = append(head, k.name)
	}
	lines := [][]string{head}
	for _, t := range tables {
		for i := range t.Structures {
			line := []string{harmless(t.Case)}
			for _, k := range columns {
				text := k.of(&t.Structures[i])
				if k.name == "name" {
					text = harmless(text)
				}
				line = append(line, text)
			}
			lines = append(lines, line)
		}
	}
	return c.WriteAll(lines)
}

func harmless(s string) string {
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@' || s[0] == '\t' || s[0] == '\r') {
		return "'" + s
	}
	return s
}
