package predict

import (
	"archive/zip"
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProbabilitiesAreReadAsTheyWereWritten(t *testing.T) {
	p := &Probabilities{Shape: [3]int{2, 3, 4}, K: 3, Data: make([]float32, 72)}
	for i := range p.Data {
		p.Data[i] = float32(i) / 71
	}
	file := filepath.Join(t.TempDir(), "x.npz")
	require.NoError(t, WriteProbabilities(file, p))
	got, err := ReadProbabilities(file, p.Shape)
	require.NoError(t, err)
	assert.Equal(t, p, got)
	_, err = ReadProbabilities(file, [3]int{4, 3, 2})
	assert.ErrorContains(t, err, "wanted classes × [4 3 2]")
	far, err := p.Distance(got)
	require.NoError(t, err)
	assert.Zero(t, far)
}

// npz is a zip with an array of numpy of that header.
func npz(t testing.TB, header string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(probabilitiesEntry)
	require.NoError(t, err)
	_, err = w.Write(append([]byte("\x93NUMPY\x01\x00"+string([]byte{byte(len(header)), 0})+header), data...))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func decode(b []byte, shape [3]int) (*Probabilities, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return decodeProbabilities(z, shape)
}

func TestOtherTypesOfNumpyAreRead(t *testing.T) {
	half := []byte{0, 0x3c, 0, 0x38} // 1 and ½
	double := make([]byte, 16)
	copy(double[6:], []byte{0xf0, 0x3f}) // 1
	copy(double[14:], []byte{0xe0, 0x3f})
	for kind, data := range map[string][]byte{"<f2": half, "<f8": double} {
		p, err := decode(npz(t, "{'descr': '"+kind+"', 'fortran_order': False, 'shape': (2, 1, 1, 1), }", data), [3]int{1, 1, 1})
		require.NoError(t, err, kind)
		assert.Equal(t, []float32{1, 0.5}, p.Data, kind)
	}
	for header, want := range map[string]string{
		"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1, 1, 1), }":      "type",
		"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1, 1, 1), }":       "C order",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1), }":         "shape",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (200, 1, 1, 1), }":    "too few bytes",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 1, 1), ": "C order",
	} {
		_, err := decode(npz(t, header, nil), [3]int{1, 1, 1})
		assert.ErrorContains(t, err, want, header)
	}
}

func FuzzProbabilitiesAreReadOrAreAnError(f *testing.F) {
	f.Add(npz(f, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1, 2), }", make([]byte, 16)))
	f.Add([]byte("PK"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b, [3]int{1, 1, 2})
		if err == nil && (p.K < 1 || len(p.Data) != 2*p.K) {
			t.Fatal("a shape that is not that of the data")
		}
	})
}
