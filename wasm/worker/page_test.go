package worker

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/measure"
	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

// leaning are grids that lie in every way, a little turned.
func leaning() (list []volume.Grid) {
	cos, sin := math.Cos(.2), math.Sin(.2)
	turned := [3][3]float64{{cos, -sin, 0}, {sin, cos, 0}, {0, 0, 1}} // columns
	for _, p := range [6][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for signs := range 8 {
			g := volume.Grid{Shape: [3]int{2, 3, 4}, Spacing: [3]float64{3, 2, 1}}
			for c := range 3 {
				s := g.Spacing[2-c]
				if signs>>c&1 == 1 {
					s = -s
				}
				for r := range 3 {
					g.Affine[r][c] = s * turned[r][p[c]]
				}
			}
			g.Affine[0][3], g.Affine[1][3], g.Affine[2][3], g.Affine[3][3] = 10, -20, 30, 1
			list = append(list, g)
		}
	}
	return list
}

func place(g volume.Grid, i int) (mm [3]float64) {
	x := [3]float64{float64(i % g.Shape[2]), float64(i / g.Shape[2] % g.Shape[1]), float64(i / g.Shape[2] / g.Shape[1])}
	for r := range 3 {
		mm[r] = g.Affine[r][3]
		for c := range 3 {
			mm[r] += g.Affine[r][c] * x[c]
		}
	}
	return mm
}

func TestAPagesAxesAreThePatientsAndItsVoxelsStayWhereTheyAre(t *testing.T) {
	for _, g := range leaning() {
		at := turnOf(g)
		mine := at.grid()
		index := make([]int, g.Voxels())
		for i := range index {
			index[i] = i
		}
		turned := toPage(at, index, 1, 0)
		for i, from := range turned {
			want, got := place(g, from), place(mine, i)
			for r := range 3 {
				require.InDelta(t, want[r], got[r], 1e-12, "mm: the same sums in another order, of numbers below 100")
			}
		}
		for axis := range 3 { // x to the right, y to the front, z to the head
			for other := range 3 {
				if other != axis {
					assert.Greater(t, mine.Affine[axis][axis]/mine.Spacing[2-axis], math.Abs(mine.Affine[other][axis])/mine.Spacing[2-axis])
				}
			}
		}
		assert.Equal(t, index, toScan(at, turned), "and back")
	}
}

func TestAGridWithoutAPlaceStaysAsItIs(t *testing.T) {
	g := volume.Grid{Shape: [3]int{2, 3, 4}, Spacing: [3]float64{1, 1, 1}}
	assert.Equal(t, g, turnOf(g).grid())
}

func pageOf(r api.PageRequest) api.Request { return api.Request{PageRequest: r} }

var labelsFileOf = api.File{Name: "labels"}

func TestWhatAPageSeesIsTheScan(t *testing.T) {
	p := prepared(t, Host{})
	m := p.asked(pageOf(api.PageRequest{Look: &api.Look{}}))
	require.NotNil(t, m.Looked, "%+v", m.Failed)
	seen, h, err := nifti.DecodeImage(bytes.NewReader(m.buffers[0]), "seen.nii")
	require.NoError(t, err)
	scan, _, err := nifti.DecodeImage(bytes.NewReader(scanFile(t)), "scan.nii.gz")
	require.NoError(t, err)
	at := turnOf(scan.Grid)
	assert.Equal(t, at.grid().Shape, h.Grid().Shape)
	assert.Equal(t, toPage(at, scan.Data, scan.C, 0), seen.Data)
	n := 0
	for _, c := range m.Looked.Histogram {
		n += c
	}
	assert.Equal(t, len(seen.Data), n, "every voxel is in the histogram")

	m = p.asked(pageOf(api.PageRequest{Look: &api.Look{Channel: 1}}))
	require.NotNil(t, m.Failed)
	assert.Equal(t, api.FailedRequest, m.Failed.Code)
}

// blocks are labels 1 and 2 in the page's grid.
func blocks(g api.Grid) []byte {
	b := make([]byte, g.Shape[0]*g.Shape[1]*g.Shape[2])
	for i := range b {
		x, y, z := i%g.Shape[2], i/g.Shape[2]%g.Shape[1], i/g.Shape[2]/g.Shape[1]
		if x > 4 && x < 12 && y > 5 && y < 15 && z > 3 && z < 11 {
			b[i] = uint8(1 + (x+1)/8%2)
		}
	}
	return b
}

func TestLabelsOfAPageAreMeasuredWrittenAndReadAgain(t *testing.T) {
	p := prepared(t, Host{})
	looked := p.asked(pageOf(api.PageRequest{Look: &api.Look{}}))
	require.NotNil(t, looked.Looked)
	labels := blocks(looked.Looked.Grid)

	m := p.asked(pageOf(api.PageRequest{Measure: &api.Measure{Labels: labelsFileOf}}), labels)
	require.NotNil(t, m.Measured, "%+v", m.Failed)
	seen, _, err := nifti.DecodeImage(bytes.NewReader(looked.buffers[0]), "seen.nii")
	require.NoError(t, err)
	want, err := measure.Labels("", &volume.Labels{Grid: seen.Grid, Data: labels}, seen, nil)
	require.NoError(t, err)
	require.Len(t, m.Measured.Labels, len(want.Structures))
	for i, s := range want.Structures {
		got := m.Measured.Labels[i]
		assert.Equal(t, s.Voxels, got.Voxels)
		assert.InEpsilon(t, float64(s.Mean), got.Mean, 1e-12)
		c := got.Centre
		at := (c[0]*seen.Shape[1]+c[1])*seen.Shape[2] + c[2]
		assert.Equal(t, got.Value, int(labels[at]), "the centre is in its label")
	}

	names := []api.Label{{Value: 1, Name: "one", Color: "#ff0000"}, {Value: 2, Name: "two / 2", Color: "#00ff00"}}
	e := &api.Export{Labels: labelsFileOf, Names: names, Name: "out", Formats: []string{api.ExportNIfTI, api.ExportNRRD, api.ExportSTL, api.ExportCSV}}
	m = p.asked(pageOf(api.PageRequest{Export: e}), labels)
	require.NotNil(t, m.Exported, "%+v", m.Failed)
	byName := map[string][]byte{}
	for _, f := range m.Exported.Files {
		byName[f.Name] = m.buffers[f.Blob]
	}
	assert.Contains(t, byName, "out_two___2.stl")
	assert.Contains(t, string(byName["out.csv"]), "two / 2")
	scan, _, err := nifti.DecodeImage(bytes.NewReader(scanFile(t)), "scan.nii.gz")
	require.NoError(t, err)
	l, _, err := nifti.DecodeLabels(bytes.NewReader(byName["out.nii.gz"]), "out.nii.gz")
	require.NoError(t, err)
	assert.Equal(t, toScan(turnOf(scan.Grid), labels), l.Data, "in the scan's own grid")
	for _, name := range []string{"out.nii.gz", "out.seg.nrrd"} {
		m = p.asked(pageOf(api.PageRequest{Read: &api.Read{Files: []api.File{{Name: name}}}}), byName[name])
		require.NotNil(t, m.ReadLabels, "%+v", m.Failed)
		assert.Equal(t, labels, m.buffers[0], name)
	}
	assert.Equal(t, "one", m.ReadLabels.Labels[0].Name)

	e.Names, e.Formats = names[:1], []string{api.ExportNIfTI}
	m = p.asked(pageOf(api.PageRequest{Export: e}), labels)
	l, _, err = nifti.DecodeLabels(bytes.NewReader(m.buffers[0]), "out.nii.gz")
	require.NoError(t, err)
	assert.NotContains(t, l.Data, uint8(2), "labels that are not named are not written")

	e.Formats = []string{api.ExportSEG}
	m = p.asked(pageOf(api.PageRequest{Export: e}), labels)
	require.NotNil(t, m.Failed)
	assert.Contains(t, m.Failed.Reason, "DICOM series")
}

func TestSurfacesOfAPageHoldTheirVoxels(t *testing.T) {
	p := prepared(t, Host{})
	looked := p.asked(pageOf(api.PageRequest{Look: &api.Look{}}))
	labels := blocks(looked.Looked.Grid)
	m := p.asked(pageOf(api.PageRequest{Surface: &api.Surface{Labels: labelsFileOf}}), labels)
	require.NotNil(t, m.Surfaced, "%+v", m.Failed)
	assert.Equal(t, []int{1, 2}, m.Surfaced.Values)
	for _, b := range m.buffers {
		le := binary.LittleEndian
		v, n := int(le.Uint32(b)), int(le.Uint32(b[4:]))
		require.Len(t, b, 8+12*v+12*n)
		s := mesh.Mesh{}
		for i := range v {
			var p [3]float32
			for a := range p {
				p[a] = math.Float32frombits(le.Uint32(b[8+12*i+4*a:]))
			}
			s.Vertices = append(s.Vertices, p)
		}
		for i := range n {
			var t [3]uint32
			for a := range t {
				t[a] = le.Uint32(b[8+12*v+12*i+4*a:])
			}
			s.Triangles = append(s.Triangles, t)
		}
		assert.Positive(t, s.Volume(), "closed, and its outside is outside")
	}
}

func TestAListOfOneFileIsItsScan(t *testing.T) {
	p := newPage(t, Host{})
	m := p.asked(pageOf(api.PageRequest{List: &api.List{Files: []api.File{{Name: "a.nii.gz"}}}}), scanFile(t))
	require.NotNil(t, m.Listed, "%+v", m.Failed)
	require.Len(t, m.Listed.Series, 1)
	assert.True(t, m.Listed.Series[0].Best)
	m = p.asked(pageOf(api.PageRequest{List: &api.List{Files: []api.File{{Name: "a.txt"}}}}), []byte("a letter"))
	require.NotNil(t, m.Failed)
	assert.Equal(t, api.FailedScan, m.Failed.Code)
}

func TestACheckMeasuresAndLeavesTheWorkerReady(t *testing.T) {
	p := prepared(t, Host{})
	m, _ := p.end(p.post(pageOf(api.PageRequest{Check: &api.Check{Segment: api.Segment{NoMirror: true}}})))
	require.NotNil(t, m.Checked, "%+v", m.Failed)
	assert.Positive(t, m.Checked.TileMS)
	assert.Positive(t, m.Checked.Rows)
	plain := p.asked(api.Request{Segment: &api.Segment{NoMirror: true}})
	require.NotNil(t, plain.Done, "%+v", plain.Failed)
	assert.Equal(t, plain.Done.Memory.DeviceBytes, m.Checked.Memory.DeviceBytes)
	m = p.asked(pageOf(api.PageRequest{Check: &api.Check{Segment: api.Segment{NoMirror: true}, Plan: true}}))
	require.NotNil(t, m.Checked, "%+v", m.Failed)
	assert.Equal(t, plain.Done.Memory, m.Checked.Memory, "the same without a tile")
	assert.Zero(t, m.Checked.TileMS)
	turned := p.asked(api.Request{Segment: &api.Segment{NoMirror: true, Page: true}})
	require.NotNil(t, turned.Done)
	scan, _, err := nifti.DecodeImage(bytes.NewReader(scanFile(t)), "scan.nii.gz")
	require.NoError(t, err)
	assert.Equal(t, toPage(turnOf(scan.Grid), plain.buffers[0], 1, 0), turned.buffers[0])
}

func TestLabelsOfAnotherSizeAreRefused(t *testing.T) {
	p := prepared(t, Host{})
	for _, r := range []api.PageRequest{
		{Measure: &api.Measure{Labels: labelsFileOf}},
		{Surface: &api.Surface{Labels: labelsFileOf}},
		{Export: &api.Export{Labels: labelsFileOf, Name: "x", Formats: []string{api.ExportNIfTI}}},
	} {
		m := p.asked(pageOf(r), []byte{1, 2, 3})
		require.NotNil(t, m.Failed)
		assert.Equal(t, api.FailedRequest, m.Failed.Code)
	}
}

func TestAPartOfAScanLiesInThePageAsTheWholeDoes(t *testing.T) {
	box := volume.Box{Lo: [3]int{1, 0, 1}, Hi: [3]int{2, 2, 4}}
	for _, g := range leaning() {
		whole := volume.NewLabels(g)
		for i := range whole.Data {
			whole.Data[i] = uint8(i + 1)
		}
		at := turnOf(g)
		want := toPage(at, whole.Data, 1, 0)
		lo, shape, part := at.part(box, whole.Crop(box).Data)
		require.Len(t, part, box.Voxels())
		n := at.grid().Shape
		for i, v := range part {
			d, h, w := lo[0]+i/(shape[1]*shape[2]), lo[1]+i/shape[2]%shape[1], lo[2]+i%shape[2]
			require.Equal(t, want[(d*n[1]+h)*n[2]+w], v)
		}
	}
}

func TestAPageGetsLabelsOfTilesAsTheyAreDone(t *testing.T) {
	p := prepared(t, Host{})
	m, before := p.end(p.post(api.Request{Segment: &api.Segment{NoMirror: true, Page: true}}))
	require.NotNil(t, m.Done, "%+v", m.Failed)
	parts := 0
	for _, b := range before {
		if b.Partial == nil {
			continue
		}
		parts++
		require.Len(t, b.buffers, 1)
		n := 1
		for a, s := range b.Partial.Shape {
			n *= s
			assert.LessOrEqual(t, b.Partial.Lo[a]+s, m.Done.Grid.Shape[a])
		}
		assert.Len(t, b.buffers[0], n)
	}
	assert.Positive(t, parts)
	_, before = p.end(p.post(api.Request{Segment: &api.Segment{NoMirror: true}}))
	for _, b := range before {
		assert.Nil(t, b.Partial, "others do not")
	}
}

func TestAScanIsKnownByGridAndVoxels(t *testing.T) {
	hash := func(change func(*volume.Image)) string {
		im, _, err := nifti.DecodeImage(bytes.NewReader(scanFile(t)), "scan.nii.gz")
		require.NoError(t, err)
		change(im)
		var b bytes.Buffer
		require.NoError(t, nifti.EncodeImage(&b, "scan.nii", im, nil))
		p := newPage(t, Host{})
		require.NotNil(t, p.asked(openOne(), b.Bytes()).Opened)
		m := p.asked(pageOf(api.PageRequest{Look: &api.Look{}}))
		require.NotNil(t, m.Looked, "%+v", m.Failed)
		return m.Looked.Hash
	}
	want := hash(func(*volume.Image) {})
	assert.Len(t, want, 16)
	assert.Equal(t, want, hash(func(*volume.Image) {}))
	assert.NotEqual(t, want, hash(func(im *volume.Image) { im.Data[len(im.Data)/2]++ }), "a voxel")
	assert.NotEqual(t, want, hash(func(im *volume.Image) { im.Affine[0][3]++ }), "the place")
}
