package dicom

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// enhanced is a multi-frame MR of oblique slices, with the places of frames in
// functional groups and frames from the top to the bottom. Its pixels are declared,
// not there: nothing of what is derived reads them.
func enhanced(frames, rows, columns int) File {
	b := explicitLE()
	b.text(tagCharacterSet, "CS", "ISO_IR 100")
	b.text(tagImageType, "CS", "ORIGINAL", "PRIMARY", "M")
	b.text(tagSOPClass, "UI", "1.2.840.10008.5.1.4.1.1.4.1")
	b.text(tagSOPInstance, "UI", "1.2.3.4.5")
	b.text(tagStudyDate, "DA", "20250102")
	b.text(tagAccession, "SH", "ACC77")
	b.text(tagModality, "CS", "MR")
	b.text(tagReferringPhysician, "PN", "Doctor^Who")
	b.text(tagStudyDescription, "LO", "for Secret")
	b.text(tagPatientName, "PN", "Secr\xe9t^Name")
	b.text(tagPatientID, "LO", "ID4711")
	b.text(tagPatientBirthDate, "DA", "19600101")
	b.text(tagPatientSex, "CS", "F")
	b.text(tagPatientAge, "AS", "065Y")
	b.text(tagStudy, "UI", "1.2.3.77")
	b.text(tagSeries, "UI", "1.2.3.78")
	b.text(tagStudyID, "SH", "S88")
	b.text(tagSeriesNumber, "IS", 4)
	b.text(tagFrameOfReference, "UI", "1.2.3.79")
	b.us(tagSamples, 1)
	b.text(tagPhotometric, "CS", "MONOCHROME2")
	b.text(tagFrames, "IS", frames)
	b.us(tagRows, uint16(rows)).us(tagColumns, uint16(columns))
	b.us(tagBitsAllocated, 16).us(tagBitsStored, 12).us(tagHighBit, 11).us(tagSigned, 0)
	b.sequence(tagSharedGroups, true, func(b *builder) {
		b.sequence(tagPlaneOrientation, true, func(b *builder) { b.text(tagOrientation, "DS", 0.8, 0.6, 0, 0, 0, -1) })
		b.sequence(tagPixelMeasures, true, func(b *builder) {
			b.text(tagSliceThickness, "DS", 2.5)
			b.text(tagPixelSpacing, "DS", 0.75, 0.7)
		})
	})
	var items []func(*builder)
	for i := range frames {
		items = append(items, func(b *builder) {
			b.sequence(tagPlanePosition, true, func(b *builder) {
				b.text(tagPosition, "DS", 0.6*2.5*float64(i)-30, -0.8*2.5*float64(i)+11, 80.125)
			})
		})
	}
	b.sequence(tagFrameGroups, true, items...)
	pixels := 2 * frames * rows * columns
	b.head(tagPixels, "OW", uint32(pixels))
	head := file(uncompressed, b.Bytes())
	return File{Name: "enhanced.dcm", Size: int64(len(head) + pixels), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(head)), nil
	}}
}

func enhancedVolume(t testing.TB, frames, rows, columns int) *Volume {
	c, err := OpenFiles(context.Background(), []File{enhanced(frames, rows, columns)})
	require.NoError(t, err)
	require.Len(t, c.Series, 1)
	require.Len(t, c.Series[0].Volumes, 1)
	require.NoError(t, c.Series[0].Volumes[0].Err)
	return c.Series[0].Volumes[0]
}

func (v *Volume) writeCompressed(ctx context.Context, w io.Writer, l *volume.Labels, o WriteOptions) error {
	o.Compress = true
	return v.WriteLabelMap(ctx, w, l, o)
}

// written is an object in each of the forms.
func written(t testing.TB, v *Volume, l *volume.Labels, o WriteOptions) map[string][]byte {
	out := map[string][]byte{}
	for name, write := range map[string]func(context.Context, io.Writer, *volume.Labels, WriteOptions) error{
		"BINARY": v.WriteSEG, "LABELMAP": v.WriteLabelMap, "RTSTRUCT": v.WriteRTSTRUCT, "LABELMAP in RLE": v.writeCompressed,
	} {
		var b bytes.Buffer
		require.NoError(t, write(context.Background(), &b, l, o))
		out[name] = b.Bytes()
	}
	return out
}

// readLabels reads an object of any form in the grid of v.
func readLabels(t testing.TB, file []byte, v *Volume) *volume.Labels {
	var l *volume.Labels
	seg, err := OpenSEG(memory("x", file))
	if err == nil {
		l, _, err = seg.Labels(context.Background(), v)
	} else {
		set, setErr := OpenRTSTRUCT(memory("x", file))
		require.NoError(t, setErr, err)
		l, _, err = set.Labels(context.Background(), v)
	}
	require.NoError(t, err)
	return l
}

func TestFramesOfOneFileAreReferredTo(t *testing.T) {
	v := enhancedVolume(t, 4, 9, 7)
	l := volume.NewLabels(v.Grid)
	l.Data[2*63+10] = 1 // in slice 2, which is a frame of the file
	for name, b := range written(t, v, l, testOptions(1)) {
		if name == "BINARY" {
			requireValid(t, b)
		}
		assert.Equal(t, l, readLabels(t, b, v), name)
		if name == "RTSTRUCT" {
			continue
		}
		d, err := parseKeeping(memory("x", b), map[tag]string{
			tagTransferSyntax: "UI", tagFrameGroups: "SQ", tagDerivationImage: "SQ", tagSourceImages: "SQ", tagReferencedFrame: "IS", tagReferencedInstance: "UI", tagFrames: "IS",
		})
		require.NoError(t, err)
		require.Equal(t, 1, d.integer(tagFrames, 0))
		source := d.item(tagFrameGroups).item(tagDerivationImage).item(tagSourceImages)
		assert.Equal(t, "1.2.3.4.5", source.text(tagReferencedInstance))
		assert.Equal(t, v.Instances[2].Frame, source.integer(tagReferencedFrame, 0))
	}
}

func TestNothingOfThePatientIsLeftByTheProfile(t *testing.T) {
	v := enhancedVolume(t, 4, 9, 7)
	secrets := []string{"Secr", "Name", "ID4711", "ACC77", "Who", "1960", "2025", "065Y", "S88", "1.2.3.77", "1.2.3.78", "1.2.3.79", "1.2.3.4.5"}
	l := blobs(v.Grid, 3, 1)
	o := testOptions(3)
	for name, b := range written(t, v, l, o) {
		for _, s := range secrets {
			assert.Contains(t, string(b), s, "%s: the test looks for nothing", name)
		}
	}
	o.Anonymise = true
	for name, b := range written(t, v, l, o) {
		for _, s := range append(secrets, "2026") { // the date of the content too
			assert.NotContains(t, string(b), s, name)
		}
		assert.Contains(t, string(b), "113100", name)
	}
}

func TestObjectsOfOneSeedBelongTogether(t *testing.T) {
	v := enhancedVolume(t, 4, 9, 7)
	o := testOptions(3)
	o.Anonymise = true
	l := blobs(v.Grid, 3, 1)
	first, again := written(t, v, l, o), written(t, v, l, o)
	assert.Equal(t, first, again)
	ids := func(b []byte, t tag) string {
		d, err := parseKeeping(memory("x", b), map[tag]string{tagTransferSyntax: "UI", t: "UI"})
		if err != nil {
			return err.Error()
		}
		return d.text(t)
	}
	for _, same := range []tag{tagStudy, tagFrameOfReference} {
		assert.Equal(t, ids(first["BINARY"], same), ids(first["RTSTRUCT"], same))
		assert.True(t, strings.HasPrefix(ids(first["BINARY"], same), "2.25."))
	}
	for _, own := range []tag{tagSeries, tagSOPInstance} {
		assert.NotEqual(t, ids(first["BINARY"], own), ids(first["RTSTRUCT"], own))
		l2 := blobs(v.Grid, 3, 2)
		assert.NotEqual(t, ids(first["BINARY"], own), ids(written(t, v, l2, o)["BINARY"], own))
	}
	o.Seed = nil
	assert.NotEqual(t, ids(first["BINARY"], tagStudy), ids(written(t, v, l, o)["BINARY"], tagStudy))
}

func TestNamesKeepTheirLetters(t *testing.T) {
	v := enhancedVolume(t, 2, 9, 7)
	o := testOptions(1)
	o.Segments[0].Name = "Läsion"
	b := written(t, v, blobs(v.Grid, 1, 1), o)["BINARY"]
	assert.Contains(t, string(b), "ISO_IR 192")
	assert.Contains(t, string(b), "Secrét^Name") // Latin-1 in the source
	seg, err := OpenSEG(memory("x", b))
	require.NoError(t, err)
	assert.Equal(t, "Läsion", seg.Segments[0].Name)
}

func TestTextOfAllCharacterSetsStaysReadable(t *testing.T) {
	for _, c := range []struct{ set, in, want string }{
		{"ISO_IR 100", "caf\xe9", "café"},
		{"ISO_IR 100", "\xc3\xa9", "Ã©"}, // what it says, though it looks like UTF-8
		{"", "\xc3\xa9", "é"},
		{"", "caf\xe9", "café"},
		{"ISO_IR 192", "é", "é"},
		{"GB18030", "ab\xcd\xf5", "ab??"},
		{"ISO_IR 192", "a\x00b\x1b", "a?b?"},
	} {
		assert.Equal(t, c.want, readable(c.in, c.set), "%q in %q", c.in, c.set)
	}
}

func TestTextThatDoesNotConvertIsKept(t *testing.T) {
	b := explicitLE()
	b.text(tagCharacterSet, "CS", "GB18030")
	b.text(tagImageType, "CS", "ORIGINAL")
	rest := explicitLE()
	slice{number: 5, position: vec{10, 20, 30}, uid: "1.2.3.5"}.write(rest)
	body := bytes.Replace(rest.Bytes(), []byte("Secret^Name"), []byte("\xcd\xf5^\xd0\xa1\xb6\xabxxxx"), 1)
	c, err := OpenFiles(context.Background(), []File{memory("x", file(uncompressed, append(b.Bytes(), body...)))})
	require.NoError(t, err)
	v := c.Series[0].Volumes[0]
	o := testOptions(1)
	out := written(t, v, blobs(v.Grid, 1, 1), o)
	assert.Contains(t, string(out["BINARY"]), "\xcd\xf5^\xd0\xa1\xb6\xabxxxx")
	assert.Contains(t, string(out["BINARY"]), "GB18030")
	o.Segments[0].Name = "Läsion"
	require.ErrorContains(t, v.WriteSEG(context.Background(), io.Discard, blobs(v.Grid, 1, 1), o), "character set GB18030 cannot be converted")
	o.Anonymise = true // no text of the source is left
	require.NoError(t, v.WriteSEG(context.Background(), io.Discard, blobs(v.Grid, 1, 1), o))
}

func TestWritersRefuseWhatTheyCannotSay(t *testing.T) {
	v := enhancedVolume(t, 2, 9, 7)
	sound := func() WriteOptions { return testOptions(2) }
	for name, c := range map[string]struct {
		labels *volume.Labels
		edit   func(*WriteOptions)
		want   string
	}{
		"a label without a segment": {edit: func(o *WriteOptions) { o.Segments = o.Segments[:1] }, want: "voxels of slice 1 have label 2, which no segment has"},
		"background":                {edit: func(o *WriteOptions) { o.Segments[0].Label = 0 }, want: "segment 1 has label 0, which is the background"},
		"a label twice":             {edit: func(o *WriteOptions) { o.Segments[0].Label = 2 }, want: "segments 1 and 2 both have label 2"},
		"no name":                   {edit: func(o *WriteOptions) { o.Segments[1].Name = "" }, want: "segment 2 has no name"},
		"a long name":               {edit: func(o *WriteOptions) { o.Segments[1].Name = strings.Repeat("x", 65) }, want: "has 65 characters, at most 64"},
		"a backslash":               {edit: func(o *WriteOptions) { o.Segments[1].Name = `a\b` }, want: `has the character '\\'`},
		"no segments":               {edit: func(o *WriteOptions) { o.Segments = nil }, want: "no segments are named"},
		"half a code":               {edit: func(o *WriteOptions) { o.Segments[0].Term = Term{Category: Code{Value: "1"}} }, want: "has no value, scheme or meaning"},
		"another shape":             {labels: volume.NewLabels(volume.Grid{Shape: [3]int{2, 9, 8}}), want: "the scan [2 9 7]: bring them into the grid"},
		"another place":             {labels: &volume.Labels{Grid: volume.Grid{Shape: v.Shape}, Data: make([]uint8, v.Voxels())}, want: "labels lie elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			o := sound()
			if c.edit != nil {
				c.edit(&o)
			}
			l := c.labels
			if l == nil {
				l = blobs(v.Grid, 2, 1)
			}
			for _, write := range []func(context.Context, io.Writer, *volume.Labels, WriteOptions) error{v.WriteSEG, v.WriteLabelMap, v.WriteRTSTRUCT} {
				var b bytes.Buffer
				err := write(context.Background(), &b, l, o)
				require.ErrorContains(t, err, c.want)
				assert.NotContains(t, err.Error(), "Secr")
				assert.Zero(t, b.Len())
			}
		})
	}
}

func TestNothingFoundIsWrittenToo(t *testing.T) {
	v := enhancedVolume(t, 4, 9, 7)
	empty := volume.NewLabels(v.Grid)
	for name, b := range written(t, v, empty, testOptions(2)) {
		if !strings.Contains(name, "LABELMAP") { // which the validator may be older than
			requireValid(t, b)
		}
		assert.Equal(t, empty, readLabels(t, b, v), name)
	}
}

func TestStacksOfATiltedGantryKeepTheirPlace(t *testing.T) {
	var files []File
	for i := range 4 {
		files = append(files, memory(string(rune('a'+i)), slice{
			number: i, rows: 6, columns: 8, spacing: []any{0.5, 0.5}, position: vec{-10, 5 - 0.7*float64(i), 3 * float64(i)}, uid: "1.2.3." + string(rune('1'+i)),
		}.bytes()))
	}
	c, err := OpenFiles(context.Background(), files)
	require.NoError(t, err)
	v := c.Series[0].Volumes[0]
	require.NoError(t, v.Err)
	require.InDelta(t, 13.134, v.Tilt, 1e-3) // atan(0.7 / 3)
	l := volume.NewLabels(v.Grid)
	l.Data[10], l.Data[len(l.Data)-1] = 1, 1 // the slices between are left out
	for name, b := range written(t, v, l, testOptions(1)) {
		assert.Equal(t, l, readLabels(t, b, v), name)
		if name == "RTSTRUCT" {
			continue
		}
		seg, err := OpenSEG(memory("x", b))
		require.NoError(t, err)
		own, _, err := seg.Labels(context.Background(), nil)
		require.NoError(t, err)
		assert.Equal(t, l.Data, own.Data)
		assert.True(t, near(l.Affine, own.Affine), "%v %v", l.Affine, own.Affine)
	}
}

func TestWritingStopsWhenItIsCancelled(t *testing.T) {
	v := enhancedVolume(t, 2, 9, 7)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, write := range []func(context.Context, io.Writer, *volume.Labels, WriteOptions) error{v.WriteSEG, v.WriteLabelMap, v.WriteRTSTRUCT} {
		require.ErrorIs(t, write(ctx, io.Discard, blobs(v.Grid, 2, 1), testOptions(2)), context.Canceled)
	}
}

func TestNamesFindTheirTerms(t *testing.T) {
	for name, want := range map[string]string{
		"liver": "10200004", "Left Kidney": "64033007", "kidney_right": "64033007", "right kidney": "64033007", "Tumour": "108369006",
		"subclavian_artery_left": "36765005", "vertebrae_L5": "49668003", "Left Atrium": "82471001",
	} {
		term, colour, ok := TermOf(name)
		require.True(t, ok, name)
		assert.Equal(t, want, term.Type.Value)
		assert.NotEqual(t, [3]uint8{}, colour)
	}
	term, _, _ := TermOf("Left Kidney")
	assert.Equal(t, Code{"7771000", "SCT", "Left"}, term.Modifier)
	term, _, _ = TermOf("kidney_cyst_right")
	assert.Equal(t, Code{"24028007", "SCT", "Right"}, term.RegionModifier)
	_, _, ok := TermOf("label 7")
	assert.False(t, ok)
	for name, k := range known() {
		for _, c := range []Code{k.term.Category, k.term.Type} {
			assert.NotEmpty(t, c.Meaning, name)
		}
	}
}

func TestColoursAreThoseOfOtherTools(t *testing.T) {
	for rgb, want := range map[[3]uint8][3]uint16{ // highdicom 0.28.2, CIELabColor.from_rgb
		{255, 0, 0}:     {34886, 53484, 50172},
		{216, 108, 54}:  {37778, 42842, 45318},
		{40, 140, 40}:   {33493, 20481, 44002},
		{1, 2, 3}:       {334, 32865, 32775},
		{0, 0, 255}:     {21170, 53250, 5175},
		{255, 255, 255}: {65535, 32897, 32893},
		{12, 0, 9}:      {579, 34032, 32307},
	} {
		assert.Equal(t, want, cieLab(rgb), "%v", rgb)
		assert.Equal(t, rgb, rgbOf(want))
	}
}

// discard counts what is written and the memory in use meanwhile.
type discard struct {
	n    int64
	peak uint64
}

func (d *discard) Write(b []byte) (int, error) {
	if d.n>>24 != (d.n+int64(len(b)))>>24 { // every 16 MiB
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		d.peak = max(d.peak, m.HeapAlloc)
	}
	d.n += int64(len(b))
	return len(b), nil
}

// organs are 25 balls in a scan of 512×512×600 voxels.
func organs(b *testing.B) (*Volume, *volume.Labels) {
	v := enhancedVolume(b, 600, 512, 512)
	l := volume.NewLabels(v.Grid)
	for k := range 600 {
		for j := range 512 {
			for i := range 512 {
				x, y, z := float64(i%100-50), float64(j%100-50), float64(k%120-60)
				if n := j/100*5 + i/100; x*x+y*y+z*z < 48*48 && i < 500 && j < 500 {
					l.Data[(k*512+j)*512+i] = uint8(n + 1)
				}
			}
		}
	}
	return v, l
}

func BenchmarkWrite(b *testing.B) {
	v, l := organs(b)
	for name, write := range map[string]func(context.Context, io.Writer, *volume.Labels, WriteOptions) error{
		"BINARY": v.WriteSEG, "LABELMAP": v.WriteLabelMap, "RTSTRUCT": v.WriteRTSTRUCT, "LABELMAP in RLE": v.writeCompressed,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				runtime.GC()
				var before runtime.MemStats
				runtime.ReadMemStats(&before)
				d := &discard{}
				require.NoError(b, write(context.Background(), d, l, testOptions(25)))
				b.ReportMetric(float64(d.n)/1e6, "MB")
				if d.peak > 0 {
					b.ReportMetric((float64(d.peak)-float64(before.HeapAlloc))/1e6, "MB-memory")
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	v, l := organs(b)
	for name, file := range written(b, v, l, testOptions(25)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.Equal(b, l.Data, readLabels(b, file, v).Data)
			}
			b.ReportMetric(float64(len(file))/1e6, "MB")
		})
	}
}
