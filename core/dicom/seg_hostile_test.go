package dicom

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// segFile is a segmentation of two frames of 3×5 bits, edited.
type segFile struct {
	kind               string
	frames, bits, rows int
	number             int // of the second segment
	positions          [2]float64
	frameSegments      [2]int
	pixels             int // bytes
	edit               func(*builder)
}

func soundSEG() segFile {
	return segFile{kind: "BINARY", frames: 2, bits: 1, rows: 3, number: 2, positions: [2]float64{0, 2}, frameSegments: [2]int{1, 2}, pixels: 4}
}

func (s segFile) bytes() []byte {
	b := explicitLE()
	b.text(tagSOPClass, "UI", classSEG)
	b.text(tagModality, "CS", "SEG")
	b.text(tagPatientName, "PN", "Secret^Name")
	b.us(tagSamples, 1)
	b.text(tagFrames, "IS", s.frames)
	b.us(tagRows, uint16(s.rows)).us(tagColumns, 5)
	b.us(tagBitsAllocated, uint16(s.bits)).us(tagBitsStored, uint16(s.bits)).us(tagHighBit, uint16(s.bits-1)).us(tagSigned, 0)
	b.text(tagSegmentationType, "CS", s.kind)
	b.sequence(tagSegments, true, func(b *builder) {
		b.us(tagSegmentNumber, 1)
		b.text(tagSegmentLabel, "LO", "Secret place")
	}, func(b *builder) { b.us(tagSegmentNumber, uint16(s.number)) })
	if s.edit != nil {
		s.edit(b)
	}
	b.sequence(tagSharedGroups, true, func(b *builder) {
		b.sequence(tagPlaneOrientation, true, func(b *builder) { b.text(tagOrientation, "DS", 1, 0, 0, 0, 1, 0) })
		b.sequence(tagPixelMeasures, true, func(b *builder) { b.text(tagPixelSpacing, "DS", 1, 1) })
	})
	var items []func(*builder)
	for i := range 2 {
		items = append(items, func(b *builder) {
			b.sequence(tagPlanePosition, true, func(b *builder) { b.text(tagPosition, "DS", 0, 0, s.positions[i]) })
			b.sequence(tagSegmentIdentity, true, func(b *builder) { b.us(tagReferencedSegment, uint16(s.frameSegments[i])) })
		})
	}
	b.sequence(tagFrameGroups, true, items...)
	b.head(tagPixels, "OB", uint32(s.pixels))
	for i := range s.pixels {
		b.WriteByte(byte(0xff >> (i & 3)))
	}
	return file(explicitLittle, b.Bytes())
}

func TestHostileSegmentationsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*segFile)
		want string
	}{
		"sound":              {func(*segFile) {}, ""},
		"too few pixels":     {func(s *segFile) { s.pixels = 2 }, "element (7fe0,0010) has 2 bytes, of which 2 are left of the file; 2 frames of 5×3 bits need 4"},
		"many rows":          {func(s *segFile) { s.rows = 65535 }, "2 frames of 5×65535 bits need 81919"},
		"many frames":        {func(s *segFile) { s.frames = 131072 }, "need 245760"},
		"frames of nobody":   {func(s *segFile) { s.frames = 1 }, "element (5200,9230) has 2 items for 1 frames"},
		"unknown type":       {func(s *segFile) { s.kind = "Secret" }, "BINARY, FRACTIONAL and LABELMAP are read"},
		"bytes of a BINARY":  {func(s *segFile) { s.bits = 8 }, "where BINARY has one of 1"},
		"bits of a LABELMAP": {func(s *segFile) { s.kind = "LABELMAP" }, "where LABELMAP has one of 8"},
		"no maximum":         {func(s *segFile) { s.kind, s.bits = "FRACTIONAL", 8 }, "element (0062,000e), the fraction 1, is 0"},
		"a segment twice":    {func(s *segFile) { s.number = 1 }, "two segments have number 1"},
		"unknown segment":    {func(s *segFile) { s.frameSegments[1] = 9 }, "frame 2: element (0062,000b) is 9, which no segment has"},
		"a frame twice":      {func(s *segFile) { s.frameSegments[1], s.positions[1] = 1, 0 }, "frames 1 and 2 are of the same segment in the same place"},
		"far away":           {func(s *segFile) { s.positions[1] = 1e300 }, "frame 2: element (0020,0032)"},
		"no spacing at all":  {func(s *segFile) { s.positions[1] = 9e6; s.edit = spacing(0.02) }, "are more than 131072 slices"},
		"spread out":         {func(s *segFile) { s.positions[1], s.rows, s.pixels, s.edit = 1e5, 600, 750, spacing(1) }, "2 frames spread over 100001×600×5 voxels"},
	} {
		t.Run(name, func(t *testing.T) {
			s := soundSEG()
			c.edit(&s)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			seg, err := OpenSEG(memory("x", s.bytes()))
			runtime.ReadMemStats(&after)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<22))
			if c.want == "" {
				require.NoError(t, err)
				l, overlap, err := seg.Labels(context.Background(), nil)
				require.NoError(t, err)
				assert.Zero(t, overlap)
				assert.Equal(t, [3]int{2, 3, 5}, l.Shape)
				return
			}
			require.ErrorContains(t, err, "dicom: x: ")
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "Secret^")
		})
	}
}

// spacing declares the distance of slices, at the end of what is in front of groups.
func spacing(mm float64) func(*builder) {
	return func(b *builder) {
		b.sequence(tagSharedGroups, true, func(b *builder) {
			b.sequence(tagPlaneOrientation, true, func(b *builder) { b.text(tagOrientation, "DS", 1, 0, 0, 0, 1, 0) })
			b.sequence(tagPixelMeasures, true, func(b *builder) { b.text(tagSpacingBetween, "DS", mm).text(tagPixelSpacing, "DS", 1, 1) })
		})
	}
}

func TestOverlapsAreCountedAndTheLargerLabelStays(t *testing.T) {
	s := soundSEG()
	s.positions[1] = 0
	seg, err := OpenSEG(memory("x", s.bytes()))
	require.NoError(t, err)
	l, overlap, err := seg.Labels(context.Background(), nil)
	require.NoError(t, err)
	// The bytes are ff 7f 3f 1f, low bits first: frame 1 has all of its 15 bits, frame 2
	// begins with the high bit of 7f, the bits of 3f and 7 of 1f.
	assert.Equal(t, []uint8{1, 2, 2, 2, 2, 2, 2, 1, 1, 2, 2, 2, 2, 2, 1}, l.Data)
	assert.Equal(t, int64(11), overlap)
}

// structureFile is a structure set with one contour.
func structureFile(kind, points string, edit func(*builder)) []byte {
	b := explicitLE()
	b.text(tagSOPClass, "UI", classRTSTRUCT)
	b.text(tagModality, "CS", "RTSTRUCT")
	b.text(tagPatientName, "PN", "Secret^Name")
	b.sequence(tagROIs, true, func(b *builder) { b.text(tagROINumber, "IS", 7).text(tagROIName, "LO", "Secret place") })
	if edit != nil {
		edit(b)
	}
	b.sequence(tagROIContours, false, func(b *builder) {
		b.sequence(tagContours, false, func(b *builder) {
			b.text(tagContourType, "CS", kind)
			b.text(tagContourData, "DS", points)
		})
		b.text(tagObservedROI, "IS", 7)
	})
	return file(explicitLittle, b.Bytes())
}

func axial(t testing.TB) *Volume {
	var files []File
	for i := range 2 {
		files = append(files, memory(fmt.Sprint(i), slice{number: i, rows: 5, columns: 6, spacing: []any{1, 1}, position: vec{0, 0, 2 * float64(i)}}.bytes()))
	}
	c, err := OpenFiles(context.Background(), files)
	require.NoError(t, err)
	return c.Series[0].Volumes[0]
}

func TestContoursThatFitNowhereAreRefused(t *testing.T) {
	v := axial(t)
	for name, c := range map[string]struct{ points, want string }{
		"between slices":  {`0\0\1\3\0\1\3\3\1`, "contour 1 of structure 7: point 1 is -1 mm beside the nearest slice, whose distance is 2 mm; at most 0.2"},
		"below the scan":  {`0\0\-2\3\0\-2\3\3\-2`, "point 1 is -2 mm beside"},
		"leaning":         {`0\0\0\3\0\0\3\3\0.5`, "point 3 is 0.5 mm beside"},
		"two coordinates": {`0\0\0\3\0`, "element (3006,0050) has 5 numbers"},
		"words":           {`Secret\Secret\Secret`, "element (3006,0050) has 0 numbers"},
		"no numbers":      {`nan\0\0\0\0\0\1\1\0`, "element (3006,0050) has 0 numbers"},
		"far away":        {`1e300\0\0\0\0\0\1\1\0`, "voxels beside the slice"},
		"very far away":   {`1e308\1e308\1e308\0\0\0\1\1\0`, "beside"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := OpenRTSTRUCT(memory("x", structureFile("CLOSED_PLANAR", c.points, nil)))
			if err == nil {
				_, _, err = set.Labels(context.Background(), v)
			}
			require.ErrorContains(t, err, "dicom: x: ")
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "Secret")
		})
	}
}

func TestContoursBecomeVoxels(t *testing.T) {
	v := axial(t)
	for name, c := range map[string]struct {
		kind, points string
		want         []string // of the upper slice
		skipped      int
	}{
		"through centres": {"CLOSED_PLANAR", `1\1\2\3\1\2\3\3\2\1\3\2`, []string{"......", ".###..", ".###..", ".###..", "......"}, 0},
		"rounded height":  {"CLOSED_PLANAR", `0.5\0.5\2.1\3.5\0.5\2.1\3.5\2.5\1.9\0.5\2.5\1.9`, []string{"......", ".###..", ".###..", "......", "......"}, 0},
		"a triangle":      {"CLOSEDPLANAR_XOR", `-0.4\-0.4\2\4.6\-0.4\2\-0.4\4.6\2`, []string{"#####.", "####..", "###...", "##....", "#....."}, 0},
		"beyond":          {"CLOSED_PLANAR", `-50\1.5\2\50\1.5\2\50\2.5\2\-50\2.5\2`, []string{"......", "......", "######", "......", "......"}, 0},
		"a point":         {"CLOSED_PLANAR", `2\2\2`, []string{"......", "......", "..#...", "......", "......"}, 0},
		"a figure eight":  {"CLOSED_PLANAR", `0.1\0.1\2\4.9\3.9\2\4.9\0.1\2\0.1\3.9\2`, []string{"......", ".#..#.", ".####.", ".#..#.", "......"}, 0},
		"an open line":    {"OPEN_PLANAR", `1\1\2\3\1\2\3\3\2`, []string{"......", "......", "......", "......", "......"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := OpenRTSTRUCT(memory("x", structureFile(c.kind, c.points, nil)))
			require.NoError(t, err)
			assert.Equal(t, c.skipped, set.Skipped)
			l, _, err := set.Labels(context.Background(), v)
			require.NoError(t, err)
			want := volume.NewLabels(v.Grid)
			for y, row := range c.want {
				for x, r := range row {
					if r == '#' {
						want.Data[30+6*y+x] = 1
					}
				}
			}
			assert.Equal(t, want.Data, l.Data)
		})
	}
}

func TestObjectsCutShortAreNeverReadAsWhole(t *testing.T) {
	v := enhancedVolume(t, 2, 4, 5)
	want := blobs(v.Grid, 2, 1)
	for name, whole := range written(t, v, want, testOptions(2)) {
		for n := range len(whole) {
			f := memory("x", whole[:n])
			if name == "RTSTRUCT" {
				set, err := OpenRTSTRUCT(f)
				if err != nil {
					continue
				}
				l, _, err := set.Labels(context.Background(), v)
				require.NoError(t, err)
				require.Equal(t, want, l, "%d of %d bytes", n, len(whole)) // only what follows the contours was cut
				continue
			}
			seg, err := OpenSEG(f)
			if err == nil {
				_, _, err = seg.Labels(context.Background(), v)
			}
			if n < len(whole)-1 && (name != "LABELMAP in RLE" || n < len(whole)-8) { // padding, or the delimiter
				require.Error(t, err, "%s: %d of %d bytes", name, n, len(whole))
			}
		}
	}
}

// FuzzDerived reads whatever it is given as a segmentation and as a structure set.
func FuzzDerived(f *testing.F) {
	v := enhancedVolume(f, 2, 4, 5)
	for _, b := range written(f, v, blobs(v.Grid, 2, 1), testOptions(2)) {
		f.Add(b)
	}
	f.Add(soundSEG().bytes())
	f.Add(structureFile("CLOSED_PLANAR", `1\1\2\3\1\2\3\3\2\1\3\2`, nil))
	check := func(t *testing.T, l *volume.Labels, segments []Segment, err error) {
		if err != nil {
			require.NotContains(t, err.Error(), "Secr")
			return
		}
		require.Len(t, l.Data, l.Voxels())
		for _, x := range l.Data {
			require.LessOrEqual(t, int(x), 254)
			require.True(t, x == 0 || len(segments) > 0)
		}
	}
	flat := axial(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		seg, err := OpenSEG(memory("x", b))
		if err == nil && seg.Voxels() < 1<<22 {
			l, _, err := seg.Labels(context.Background(), nil)
			check(t, l, seg.Segments, err)
			l, _, err = seg.Labels(context.Background(), v)
			check(t, l, seg.Segments, err)
		}
		set, setErr := OpenRTSTRUCT(memory("x", b))
		if setErr == nil {
			for _, v := range []*Volume{v, flat} {
				l, _, err := set.Labels(context.Background(), v)
				check(t, l, set.Segments, err)
			}
		}
		for _, err := range []error{err, setErr} {
			if err != nil {
				require.NotContains(t, err.Error(), "Secr")
			}
		}
	})
}
