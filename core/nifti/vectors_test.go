package nifti

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"
)

// dataDir is the folder of the shared test data, or skips the test.
func dataDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with the shared test data")
	}
	return dir
}

// expectation is what nibabel says of a file.
type expectation struct {
	Error     string        `json:"error"`
	Class     string        `json:"klass"`
	Shape     []int         `json:"shape"`
	DiskDType string        `json:"disk_dtype"`
	Affine    [4][4]float64 `json:"affine"`
	Zooms     []float64     `json:"zooms"`
	Min       *float64      `json:"min"`
	Max       *float64      `json:"max"`
	Mean      *float64      `json:"mean"`
	NaN       int64         `json:"nan"`
	SHA256    string        `json:"sha256_f64le_xfastest"`
}

func expectations(t testing.TB) map[string]expectation {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dataDir(t), "nifti", "expected_nibabel.json"))
	require.NoError(t, err)
	var m map[string]expectation
	require.NoError(t, json.Unmarshal(b, &m))
	require.NotEmpty(t, m)
	return m
}

// vector makes files for tests, straight from the layouts of nifti1.h and nifti2.h.
type vector struct {
	version  int
	order    binary.ByteOrder
	dim      []int64
	datatype int16
	edit     func(*header2)
	ext      []byte // after the extender; its length is that of vox_offset
	voxels   any    // a slice, written in order
}

func (v vector) bytes(t testing.TB) []byte {
	t.Helper()
	if v.order == nil {
		v.order = binary.LittleEndian
	}
	r := header2{Datatype: v.datatype, Bitpix: int16(8 * dtypes[v.datatype].bytes), Pixdim: [8]float64{1, 1, 1, 1, 1, 1, 1, 1}}
	r.SizeofHdr = size2
	copy(r.Magic[:], single2)
	r.Dim[0] = int64(len(v.dim))
	copy(r.Dim[1:], v.dim)
	size := size1
	if v.version == 2 {
		size = size2
	}
	r.VoxOffset = int64(size + 4 + len(v.ext))
	if v.edit != nil {
		v.edit(&r)
	}
	var head any = &r
	if v.version != 2 {
		a := r.narrow()
		head = &a
	}
	b, err := binary.Append(nil, v.order, head)
	require.NoError(t, err)
	require.Len(t, b, size)
	extender := []byte{0, 0, 0, 0}
	if len(v.ext) > 0 {
		extender[0] = 1
	}
	b = append(append(b, extender...), v.ext...)
	b, err = binary.Append(b, v.order, v.voxels)
	require.NoError(t, err)
	return b
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func save(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}
