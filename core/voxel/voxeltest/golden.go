// Package voxeltest holds what tests of formats share: files of testdata against what
// another program found in them.
package voxeltest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/voxel"
)

// Golden is what another program found in a file.
type Golden struct {
	Shape    []int // x y z
	Channels int
	Affine   *[4][4]float64 // nil: that program has none
	SHA256   string         `json:"sha256_f64le"` // of the values as little-endian float64
	Sum      float64        // says how far off values are
}

// Expected reads what the script beside the files of testdata wrote, into v.
func Expected(t testing.TB, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, v))
}

// File opens a file on disk with a format's Open.
func File[H any](t testing.TB, path string, open func(voxel.File) (H, error)) H {
	t.Helper()
	f, err := voxel.OnDisk(path)
	require.NoError(t, err)
	h, err := open(f)
	require.NoError(t, err)
	return h
}

// Equal asserts that d is what want says; near is how far an element of the affine may
// be from that one.
func Equal(t testing.TB, want Golden, d *voxel.Data, near func(v float64) float64) {
	t.Helper()
	g := d.Grid
	assert.Equal(t, want.Shape, []int{g.Shape[2], g.Shape[1], g.Shape[0]})
	assert.Equal(t, want.Channels, d.Channels())
	s, sum := sha256.New(), 0.0
	require.NoError(t, d.Values(func(_ int, v []float64) error {
		for _, x := range v {
			s.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(x)))
			sum += x
		}
		return nil
	}))
	assert.InDelta(t, want.Sum, sum, 1e-9*math.Abs(sum)) // another order of adding
	assert.Equal(t, want.SHA256, hex.EncodeToString(s.Sum(nil)))
	if want.Affine == nil {
		return
	}
	for i, row := range want.Affine {
		for j, v := range row {
			assert.InDelta(t, v, g.Affine[i][j], near(v), "affine %d %d", i, j)
		}
	}
}
