package dicom

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gounet/gounet/core/dicom/codec"
	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scans are the series that derived objects are written for.
var scans = []struct{ name, path string }{
	{"oblique, columns and rows unlike", "seg_rtstruct/rt-utils/oriented_data"},
	{"CT of two slices", "seg_rtstruct/rt-utils/mock_data"},
	{"one slice", "seg_rtstruct/rt-utils/one_slice_data"},
	{"hippocampus", "series_ref/udacity"},
	{"mosaic", "series_ref/dcm_qa_nih/In/20180918Si/mr_0003"},
	{"ten times", "series_ref/dcm_qa_nih/In/20180918GE/mr_0004"},
}

// scanAt is the first volume of the first series at path.
func scanAt(t testing.TB, path string) *Volume {
	c, err := Open(context.Background(), data(t, path))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c.Series[0].Volumes[0]
}

// blobs are labels 1 … n as a network makes them and as it does not: boxes with holes
// in them, single voxels, diagonals, the border.
func blobs(g volume.Grid, n int, seed uint64) *volume.Labels {
	r := rand.New(rand.NewPCG(seed, 7))
	l := volume.NewLabels(g)
	D, H, W := g.Shape[0], g.Shape[1], g.Shape[2]
	for range 6 * n {
		label := uint8(r.IntN(n + 1)) // 0 cuts holes
		z, y, x := r.IntN(D), r.IntN(H), r.IntN(W)
		d, h, w := 1+r.IntN(max(D/2, 1)), 1+r.IntN(max(H/3, 1)), 1+r.IntN(max(W/3, 1))
		for k := z; k < min(z+d, D); k++ {
			for j := y; j < min(y+h, H); j++ {
				for i := x; i < min(x+w, W); i++ {
					l.Data[(k*H+j)*W+i] = label
				}
			}
		}
	}
	for range len(l.Data) / 50 {
		l.Data[r.IntN(len(l.Data))] = uint8(r.IntN(n + 1))
	}
	for k := range D { // voxels that touch at corners only
		for i := range min(H, W) {
			l.Data[(k*H+i)*W+i] = uint8(1 + i%2*(n-1))
		}
	}
	return l
}

// stripes are labels 1 … n side by side: for what does not depend on the shape.
func stripes(g volume.Grid, n int) *volume.Labels {
	l := volume.NewLabels(g)
	for i := range l.Data {
		if x := i % g.Shape[2] * 2 * n / g.Shape[2]; x%2 == 1 && i/g.Shape[2]%3 > 0 {
			l.Data[i] = uint8(x/2 + 1)
		}
	}
	return l
}

// namedSegments are n segments of labels 1 … n.
func namedSegments(n int) []Segment {
	names := []string{"liver", "Left Kidney", "kidney_cyst_right", "hippocampus anterior", "vertebrae_L5"}
	var out []Segment
	for i := range n {
		out = append(out, Segment{Label: uint8(i + 1), Name: names[i%len(names)]})
	}
	return out
}

func testOptions(n int) WriteOptions {
	return WriteOptions{
		Segments: namedSegments(n), Algorithm: Algorithm{"Dataset004", "1.0"}, Software: "0.1", Description: "a test",
		Seed: []byte("test"), Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// dciodvfy runs David Clunie's validator on a file and returns what it calls errors
// and warnings.
func dciodvfy(t *testing.T, file []byte) []string {
	if runtime.GOOS == "js" {
		t.Skip("a browser starts no dciodvfy")
	}
	tool := ""
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		at := filepath.Join(dir, "dciodvfy")
		if st, err := os.Stat(at); err == nil && st.Mode().IsRegular() {
			tool = at
			break
		}
	}
	if tool == "" {
		t.Skip("dciodvfy of dicom3tools is not on the PATH: the objects are not checked by it")
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "x.dcm")
	require.NoError(t, os.WriteFile(at, file, 0o600))
	said, err := os.Create(filepath.Join(dir, "said"))
	require.NoError(t, err)
	defer said.Close()
	p, err := os.StartProcess(tool, []string{tool, at}, &os.ProcAttr{Files: []*os.File{nil, said, said}})
	require.NoError(t, err)
	_, err = p.Wait() // the exit status repeats what is said
	require.NoError(t, err)
	out, err := os.ReadFile(said.Name())
	require.NoError(t, err)
	require.NotEmpty(t, out)
	var bad []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Warning") {
			bad = append(bad, strings.TrimSpace(line))
		}
	}
	return bad
}

// requireValid allows no errors, and warnings only of elements that the source, or the
// profile, leaves empty.
func requireValid(t *testing.T, file []byte) {
	for _, line := range dciodvfy(t, file) {
		if !strings.Contains(line, "needed to build DICOMDIR") && !strings.Contains(line, "Retired Person Name form") {
			assert.Fail(t, line)
		}
	}
}

func TestSegmentationsAreValid(t *testing.T) {
	for _, s := range scans {
		for _, anonymise := range []bool{false, true} {
			t.Run(s.name, func(t *testing.T) {
				v := scanAt(t, s.path)
				var b bytes.Buffer
				o := testOptions(5)
				o.Anonymise = anonymise
				require.NoError(t, v.WriteSEG(context.Background(), &b, stripes(v.Grid, 5), o))
				requireValid(t, b.Bytes())
			})
		}
	}
}

func TestTheValidatorFindsErrors(t *testing.T) {
	v := enhancedVolume(t, 2, 9, 7)
	var b bytes.Buffer
	require.NoError(t, v.WriteSEG(context.Background(), &b, blobs(v.Grid, 1, 1), testOptions(1)))
	broken := bytes.Replace(b.Bytes(), []byte("BINARY"), []byte("BINERY"), 1)
	assert.Contains(t, strings.Join(dciodvfy(t, broken), "\n"), "Error")
}

func TestRowsUnpackToWhatWasPacked(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 127, 128, 129, 130, 256, 257, 700} {
		for range 50 {
			row := make([]byte, n)
			for i := range row {
				if i > 0 && r.IntN(3) > 0 {
					row[i] = row[i-1]
				} else {
					row[i] = byte(r.IntN(3))
				}
			}
			for _, row := range [][]byte{row, make([]byte, n)} {
				packed := make([]byte, 64)
				packed[0], packed[4] = 1, 64
				packed = appendPackBits(packed, row)
				got := make([]byte, n)
				require.NoError(t, codec.RLE(got, packed, 1, 1))
				require.Equal(t, row, got)
				require.LessOrEqual(t, len(packed)-64, n+n/128+1)
			}
		}
	}
}

func TestSegmentationsReadBackAsWritten(t *testing.T) {
	for _, s := range scans {
		t.Run(s.name, func(t *testing.T) {
			v := scanAt(t, s.path)
			for seed := range uint64(3) {
				want := blobs(v.Grid, 5, seed)
				o := testOptions(5)
				for name, write := range map[string]func(*bytes.Buffer) error{
					"BINARY":   func(b *bytes.Buffer) error { return v.WriteSEG(context.Background(), b, want, o) },
					"LABELMAP": func(b *bytes.Buffer) error { return v.WriteLabelMap(context.Background(), b, want, o) },
					"LABELMAP in RLE": func(b *bytes.Buffer) error {
						o := o
						o.Compress = true
						return v.WriteLabelMap(context.Background(), b, want, o)
					},
				} {
					var b bytes.Buffer
					require.NoError(t, write(&b))
					seg, err := OpenSEG(memory("x", b.Bytes()))
					require.NoError(t, err)
					assert.Contains(t, name, seg.Kind)
					got, overlap, err := seg.Labels(context.Background(), v)
					require.NoError(t, err)
					assert.Zero(t, overlap)
					assert.Equal(t, want, got)
					own, _, err := seg.Labels(context.Background(), nil)
					require.NoError(t, err)
					assert.Equal(t, want.Data, own.Data) // the diagonals are in all slices
					assert.True(t, near(v.Affine, own.Affine), "%v %v", v.Affine, own.Affine)
				}
			}
		})
	}
}

func TestScansWithoutUIDsAreRefused(t *testing.T) {
	v := scanAt(t, "../totalsegmentator_example/example_ct_dicom") // its publishers emptied them
	var b bytes.Buffer
	err := v.WriteSEG(context.Background(), &b, blobs(v.Grid, 1, 1), testOptions(1))
	require.ErrorContains(t, err, "element (0008,0016) is missing or no UID")
	require.ErrorContains(t, err, "(instance 286)")
	assert.Zero(t, b.Len())
}
