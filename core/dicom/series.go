package dicom

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"path"
	"slices"

	"github.com/gounet/gounet/core/volume"
)

// Collection is what a folder, a zip or a list of files holds.
type Collection struct {
	Series  []*Series // by study, series number, UID
	Skipped []Skipped // files that hold no scan, with the reason

	closers []io.Closer
}

// Skipped is a file that is part of no series.
type Skipped struct {
	Name string
	Err  error // wraps ErrNotDICOM or ErrNotScan where the file is sound
}

// Series are slices of one series UID with the same orientation, matrix and pixel
// spacing. A series whose slices differ in these, such as a scout of three planes,
// is several of them.
type Series struct {
	StudyUID            string
	UID                 string
	FrameOfReferenceUID string
	Modality            string // CT, MR, PT, …
	Description         string // written by the scanner's operator; not for logs
	Number              int
	Localizer           bool      // a scout, which no model is for
	Volumes             []*Volume // more than one for times, echoes, b-values, acquisitions
}

// Volume is a stack of slices at equal distances. Up to a quarter of them may be missing
// between the others: Image interpolates these.
type Volume struct {
	volume.Grid
	Name      string  // what tells it apart from others of the series: "time 3"; "" for a single one
	Unit      string  // of the values: HU, as far as the file says
	Inverted  bool    // MONOCHROME1: the file asks viewers to show low values bright; values are as they are
	Tilt      float64 // degrees between the stack and the normal of its slices; the affine has it
	Instances []Instance
	Missing   []int // slices that no file has, along D; their instances are empty
	Err       error // why the volume cannot be read; nil if it can

	planes []*plane
	twins  [][2]*plane // slices in the same place, of which Image demands equal pixels
}

// Instance says where a slice of a volume came from, in the order of D. Segmentations
// refer to it.
type Instance struct {
	File           string
	SOPClassUID    string
	SOPInstanceUID string
	Number         int
	Frame          int // from 1; 0 for files of one frame
}

// Bytes is the memory that Image takes for the volume.
func (v *Volume) Bytes() int64 { return 4 * int64(v.Voxels()) }

// seriesKey puts planes together.
type seriesKey struct {
	series        string // unique in the world; studies differ where writers draw one a file
	rows, columns int
	part          int // number of the orientation and spacing within the series
}

// newSeries groups the planes of instances.
func newSeries(instances [][]plane) []*Series {
	groups := map[seriesKey][]*plane{}
	kinds := map[seriesKey][]*plane{} // one of each orientation and spacing
	for i := range instances {
		for n := range instances[i] {
			p := &instances[i][n]
			k := seriesKey{series: p.in.info.text(tagSeries), rows: p.rows, columns: p.columns}
			if k.series == "" { // left out by some converters: what is in a folder belongs together
				k.series = "folder " + path.Dir(p.in.file.Name)
			}
			base := k
			k.part = slices.IndexFunc(kinds[base], p.parallel)
			if k.part < 0 {
				k.part = len(kinds[base])
				kinds[base] = append(kinds[base], p)
			}
			groups[k] = append(groups[k], p)
		}
	}
	var out []*Series
	for _, planes := range groups {
		d := planes[0].in.info
		s := &Series{
			StudyUID: d.text(tagStudy), UID: d.text(tagSeries), FrameOfReferenceUID: d.text(tagFrameOfReference),
			Modality: d.text(tagModality), Description: d.text(tagSeriesDescription), Number: d.integer(tagSeriesNumber, 0),
			Localizer: slices.Contains(d.texts(tagImageType), "LOCALIZER"),
		}
		s.Volumes = split(planes)
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Series) int {
		return cmp.Or(
			cmp.Compare(a.StudyUID, b.StudyUID), cmp.Compare(a.Number, b.Number), cmp.Compare(a.UID, b.UID),
			cmp.Compare(len(b.Volumes), len(a.Volumes)), cmp.Compare(b.Volumes[0].Voxels(), a.Volumes[0].Voxels()),
			cmp.Compare(a.Volumes[0].Instances[0].File, b.Volumes[0].Instances[0].File),
		)
	})
	return out
}

// parallel says whether p and q have the same orientation and spacing, to the digits
// that files keep.
func (p *plane) parallel(q *plane) bool {
	if p.placed != q.placed || p.sized != q.sized {
		return false
	}
	// 1e-3 of a direction is half a voxel at the edge of 512: more is another plane.
	const direction, length = 1e-3, 1e-3
	return (p.x.sub(q.x).length() < direction && p.y.sub(q.y).length() < direction) &&
		math.Abs(p.spacing[0]-q.spacing[0]) <= length*p.spacing[0] && math.Abs(p.spacing[1]-q.spacing[1]) <= length*p.spacing[1]
}

// along is the place of p on the normal of the stack, in mm.
func (p *plane) along(normal vec) float64 { return p.position.dot(normal) }

// split makes volumes of the planes of a series: one, or one for each time, echo,
// b-value or acquisition where slices lie in the same places or leave gaps otherwise.
func split(planes []*plane) []*Volume {
	normal := planes[0].x.cross(planes[0].y)
	slices.SortStableFunc(planes, func(a, b *plane) int {
		return cmp.Or(
			cmp.Compare(a.along(normal), b.along(normal)), cmp.Compare(a.in.number, b.in.number),
			cmp.Compare(a.frame, b.frame), cmp.Compare(a.in.file.Name, b.in.file.Name),
		)
	})
	planes = withoutCopies(planes)
	whole := newVolume(planes, normal)
	simple := whole.Err == nil && len(whole.twins) == 0
	if simple && len(whole.Missing) == 0 || !planes[0].placed {
		return []*Volume{whole}
	}
	groups, by := tellApart(planes, normal, false)
	if len(groups) == 1 && !simple { // volumes with gaps of their own
		groups, by = tellApart(planes, normal, true)
	}
	if len(groups) == 1 {
		return []*Volume{whole}
	}
	var out []*Volume
	for _, g := range groups {
		v := newVolume(g.planes, normal)
		v.Name = by + " " + g.value
		out = append(out, v)
	}
	return out
}

// withoutCopies drops planes of instances that are there twice, as when a disc was
// copied into the same folder again.
func withoutCopies(planes []*plane) []*plane {
	type id struct {
		uid         string
		frame, tile int
	}
	seen := map[id]bool{}
	return slices.DeleteFunc(planes, func(p *plane) bool {
		k := id{p.in.info.text(tagSOPInstance), p.frame, p.tile}
		if k.uid == "" {
			return false
		}
		copied := seen[k]
		seen[k] = true
		return copied
	})
}

// planeGroup are planes that share the value of a key.
type planeGroup struct {
	value  string
	planes []*plane
}

// samePlace is how far apart the positions of a slice at two times are at most, in
// mm; files round to 1e-3 or better.
const samePlace = 0.01

// tellApart finds the first key, or pair of keys, by which the planes fall into sound
// volumes, which may have missing slices if gaps is set; else the turns of a slice, if
// all slices have as many.
func tellApart(planes []*plane, normal vec, gaps bool) ([]planeGroup, string) {
	most := mostInPlace(planes, normal)
	// sound groups are as many as there are slices in one place. Stacks and
	// acquisitions may be more, since they need not cover the same.
	sound := func(groups []planeGroup, parts bool) bool {
		for _, g := range groups {
			if len(groups) != most && (!parts || len(g.planes) < 2) {
				return false
			}
			if v := newVolume(g.planes, normal); v.Err != nil || len(v.twins) > 0 || len(v.Missing) > 0 && !gaps {
				return false
			}
		}
		return len(groups) > 1
	}
	for i := range keyNames {
		if groups := groupBy(planes, func(p *plane) string { return p.keys[i] }); sound(groups, i == keyStack || i == keyAcquisition) {
			return groups, keyNames[i]
		}
	}
	for i := range keyNames {
		for k := range i {
			groups := groupBy(planes, func(p *plane) string { return p.keys[k] + ", " + keyNames[i] + " " + p.keys[i] })
			if sound(groups, false) {
				return groups, keyNames[k]
			}
		}
	}
	if turns := byTurn(planes, normal); sound(turns, false) {
		return turns, "turn"
	}
	return []planeGroup{{planes: planes}}, ""
}

// mostInPlace is the largest number of slices in one place.
func mostInPlace(planes []*plane, normal vec) int {
	most, count := 1, 1
	for i := 1; i < len(planes); i++ {
		if planes[i].along(normal)-planes[i-1].along(normal) < samePlace {
			count++
		} else {
			count = 1
		}
		most = max(most, count)
	}
	return most
}

// groupBy groups planes by a key, in numeric order where the keys are numbers.
func groupBy(planes []*plane, key func(*plane) string) []planeGroup {
	at := map[string]int{}
	var out []planeGroup
	for _, p := range planes {
		k := key(p)
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, planeGroup{value: printable(k, 64)})
		}
		out[i].planes = append(out[i].planes, p)
	}
	slices.SortStableFunc(out, func(a, b planeGroup) int { return compareNumbers(a.value, b.value) })
	return out
}

// compareNumbers orders texts by the number in front of them, then by themselves.
func compareNumbers(a, b string) int {
	var x, y float64
	_, errA := fmt.Sscan(a, &x)
	_, errB := fmt.Sscan(b, &y)
	if errA == nil && errB == nil && x != y {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a, b)
}

// byTurn puts the n-th slice of every place together, by the numbers of instances,
// which scanners count up. It returns nil where places have unlike counts or numbers
// repeat.
func byTurn(planes []*plane, normal vec) []planeGroup {
	var out []planeGroup
	count := 0
	for i := 0; i < len(planes); {
		k := i
		for k < len(planes) && planes[k].along(normal)-planes[i].along(normal) < samePlace {
			k++
		}
		place := slices.Clone(planes[i:k])
		slices.SortStableFunc(place, func(a, b *plane) int {
			return cmp.Or(cmp.Compare(a.in.number, b.in.number), cmp.Compare(a.frame, b.frame))
		})
		if count == 0 {
			count = len(place)
			out = make([]planeGroup, count)
		}
		if len(place) != count {
			return nil
		}
		for n, p := range place {
			if n > 0 && p.in != place[n-1].in && p.in.number == place[n-1].in.number {
				return nil
			}
			out[n].value = fmt.Sprint(n + 1)
			out[n].planes = append(out[n].planes, p)
		}
		i = k
	}
	return out
}
