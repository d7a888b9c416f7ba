package dicom

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOpen reads whatever it is given, alone and beside a sound slice. What is read
// must fit its grid; an error must not tell the patient's name.
func FuzzOpen(f *testing.F) {
	for _, s := range syntaxSeeds(f) {
		f.Add(s)
	}
	sound := slice{number: 5, position: vec{10, 20, 30}}.bytes()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, files := range [][]File{{memory("x", b)}, {stream("x", b), memory("y", sound)}} {
			c, err := OpenFiles(context.Background(), files)
			if err != nil {
				require.NotContains(t, err.Error(), "Secret")
				continue
			}
			for _, s := range c.Series {
				for _, v := range s.Volumes {
					if v.Bytes() > 1<<24 {
						continue
					}
					im, err := v.Image(context.Background())
					if err != nil {
						require.NotContains(t, err.Error(), "Secret")
						continue
					}
					require.Len(t, im.Data, v.Voxels())
					require.Len(t, v.Instances, v.Shape[0])
				}
			}
		}
	})
}

// syntaxSeeds are small files of many forms.
func syntaxSeeds(t testing.TB) [][]byte {
	out := [][]byte{
		slice{}.bytes(), encoded(t, "1.2.840.10008.1.2"), encoded(t, "1.2.840.10008.1.2.2"), encoded(t, "1.2.840.10008.1.2.1.99"),
		surround(func(b *builder) {
			b.text(tagFrames, "IS", 1)
			b.sequence(tagFrameGroups, false, func(b *builder) {
				b.sequence(tagPlanePosition, true, func(b *builder) { b.text(tagPosition, "DS", 1, 2, 3) })
			})
		}),
	}
	// Three frames of RLE: a table of offsets and a fragment each.
	rleFrame := append(append([]byte{2, 0, 0, 0, 64, 0, 0, 0, 66, 0, 0, 0}, make([]byte, 52)...), 0xf5, 1, 0xf5, 2)
	compressed := slice{edit: func(b *builder) { b.text(tagFrames, "IS", 3).text(tagFrameOffsets, "DS", 0, 2, 4) }, pixels: func(b *builder) {
		b.head(tagPixels, "OB", undefinedLength).head(tagItem, "", 12)
		b.put([]uint32{0, uint32(len(rleFrame) + 8), 2 * uint32(len(rleFrame)+8)})
		for range 3 {
			b.head(tagItem, "", uint32(len(rleFrame)))
			b.Write(rleFrame)
		}
		b.head(tagSequenceEnd, "", 0)
	}}
	b := explicitLE()
	compressed.write(b)
	return append(out, file("1.2.840.10008.1.2.5", b.Bytes()))
}

func TestFramesInFragmentsAreFound(t *testing.T) {
	seeds := syntaxSeeds(t)
	c, err := OpenFiles(context.Background(), []File{memory("x", seeds[len(seeds)-1])})
	require.NoError(t, err)
	v, im := only(t, c)
	require.Equal(t, [3]int{3, 3, 4}, v.Shape)
	for _, x := range im.Data {
		require.Equal(t, float32(0x0102), x)
	}
}

// FuzzZip reads archives: no file is opened that was not listed.
func FuzzZip(f *testing.F) {
	f.Add(zipOf(f, map[string][]byte{"a/1": slice{}.bytes()}))
	f.Add(zipOf(f, map[string][]byte{"../1": slice{}.bytes()}))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := ZipFiles(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, file := range files {
			require.NotContains(t, strings.Split(file.Name, "/"), "..")
		}
		_, err = OpenFiles(context.Background(), files)
		_ = errors.Is(err, ErrNotDICOM)
	})
}

// FuzzSiemens reads private headers.
func FuzzSiemens(f *testing.F) {
	item := append([]byte{1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "35\x00\x00"...)
	head := append([]byte("SV10\x04\x03\x02\x01\x01\x00\x00\x00\x4d\x00\x00\x00NumberOfImagesInMosaic"), make([]byte, 64-22+12)...)
	head = append(head, 1, 0, 0, 0, 77, 0, 0, 0)
	f.Add(append(head, item...))
	require.Equal(f, []float64{35}, siemensNumbers(append(head, item...), "NumberOfImagesInMosaic"))
	f.Fuzz(func(_ *testing.T, b []byte) { siemensNumbers(b, "NumberOfImagesInMosaic") })
}
