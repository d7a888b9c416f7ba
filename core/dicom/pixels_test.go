package dicom

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// data is a folder of GOUNET_DATA, or the test is skipped.
func data(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("GOUNET_DATA")
	if root == "" {
		t.Skip("GOUNET_DATA is not set")
	}
	return filepath.Join(root, "dicom", name)
}

// fileOf is the file at path as an input.
func fileOf(t testing.TB, path string) File {
	t.Helper()
	st, err := os.Stat(path)
	require.NoError(t, err)
	return File{Name: filepath.Base(path), Size: st.Size(), Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// storedPixels are all numbers of a file as they are stored.
func storedPixels(f File) (pixelFormat, []int32, error) {
	p, err := parse(f)
	if err != nil {
		return pixelFormat{}, nil, err
	}
	if p.pixels == nil {
		return pixelFormat{}, nil, ErrNotScan
	}
	format, err := newPixelFormat(p)
	if err != nil {
		return format, nil, err
	}
	r, err := openPixels(f, p, &format, nil)
	if err != nil {
		return format, nil, err
	}
	defer r.close()
	var all []int32
	for i := range format.frames {
		b, err := r.next(i)
		if err != nil {
			return format, nil, err
		}
		var fr frame
		if err := format.decode(&fr, p.syntax.codec, b); err != nil {
			return format, nil, err
		}
		all = append(all, fr.ints...)
	}
	return format, all, nil
}

func hashOf(v []int32) string {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(x))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type expectedPixels struct {
	TransferSyntax string `json:"transfer_syntax"`
	Decoder        *string
	Shape          []int
	Hash           *string `json:"sha256_i32le"`
	Photometric    string
	Min, Max       *float64
	Error          string
}

func TestPixelsEqualPydicoms(t *testing.T) {
	root := data(t, "transfer_syntaxes")
	raw, err := os.ReadFile(filepath.Join(root, "expected_pixels.json"))
	require.NoError(t, err)
	var expected map[string]expectedPixels
	require.NoError(t, json.Unmarshal(raw, &expected))
	equal := 0
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			format, got, err := storedPixels(fileOf(t, filepath.Join(root, name)))
			if want.Hash == nil {
				if err == nil {
					t.Logf("pixels %v where pydicom has none", format)
				} else {
					t.Log(err)
				}
				return
			}
			switch filepath.Base(name) {
			case "MR_truncated.dcm":
				assert.ErrorContains(t, err, "truncated")
				return
			case "J2K_pixelrep_mismatch.dcm": // the code stream is unsigned, the header signed; pydicom 3: −2000…1896
				require.NoError(t, err)
				assert.Equal(t, [2]int32{-2000, 1896}, [2]int32{slices.Min(got), slices.Max(got)})
				return
			}
			colour := want.Photometric != "MONOCHROME2" && strings.HasSuffix(want.TransferSyntax, ".4.50")
			if err != nil {
				t.Fatal(err)
			}
			if hashOf(got) == *want.Hash {
				equal++
				return
			}
			if colour {
				t.Skip("lossy colour: decoders differ")
			}
			lo, hi := got[0], got[0]
			for _, v := range got {
				lo, hi = min(lo, v), max(hi, v)
			}
			assert.Fail(t, "pixels differ", "min %d max %d, want %v %v, %v", lo, hi, *want.Min, *want.Max, want)
		})
	}
	t.Logf("%d of %d files equal", equal, len(expected))
}

func TestOnePictureInEverySyntaxIsTheSame(t *testing.T) {
	// Files of pydicom's tests (testdata/pydicom/LICENSE), pixels as pydicom decodes them.
	names, err := filepath.Glob("testdata/pydicom/MR_small*.dcm")
	require.NoError(t, err)
	require.Len(t, names, 6)
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f := fileOf(t, name)
			_, got, err := storedPixels(f)
			require.NoError(t, err)
			assert.Equal(t, "b8d9a6cee6ff2ea9edbe8b476e54b80cfab8c6a15aff4d431b6c38840a20f7df", hashOf(got))
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			_, again, err := storedPixels(stream(name, b))
			require.NoError(t, err)
			assert.Equal(t, got, again)
		})
	}
}

func TestDoseGridsAreVolumes(t *testing.T) {
	c, err := OpenFiles(context.Background(), []File{fileOf(t, "testdata/pydicom/rtdose_rle.dcm")})
	require.NoError(t, err)
	v, im := only(t, c)
	assert.Equal(t, [3]int{15, 10, 10}, v.Shape)
	p, err := parse(fileOf(t, "testdata/pydicom/rtdose_rle.dcm"))
	require.NoError(t, err)
	_, stored, err := storedPixels(fileOf(t, "testdata/pydicom/rtdose_rle.dcm"))
	require.NoError(t, err)
	assert.Equal(t, "e30a4288ac22902293b3b0144d9cd7866d43a96e2e5cf3ec59c6f78595c3a125", hashOf(stored))
	scale := p.number(tagDoseScaling, 0)
	require.NotZero(t, scale)
	for i, x := range stored {
		require.Equal(t, float32(float64(uint32(x))*scale), im.Data[i])
	}
}
