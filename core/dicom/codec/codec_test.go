package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vector is an entry of testdata/vectors.json.
type vector struct {
	Width, Height, Components, Bits int
	Signed                          bool
	Hash                            string `json:"sha256_i32le"`
}

func vectors(t testing.TB) map[string]vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var v map[string]vector
	require.NoError(t, json.Unmarshal(raw, &v))
	return v
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

// decoders by the endings of files.
var decoders = map[string]func([]byte, int, *Scratch) (*Picture, error){".jpg": JPEG, ".jls": JPEGLS, ".j2k": JPEG2000}

func hash(v []int32) string {
	b := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(x))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestStreamsDecodeAsTheReferenceImplementationsDo(t *testing.T) {
	var scratch Scratch // used by all, in whatever order
	for name, want := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			p, err := decoders[filepath.Ext(name)](read(t, name), 1<<20, &scratch)
			require.NoError(t, err)
			assert.Equal(t, [4]int{want.Width, want.Height, want.Components, want.Bits}, [4]int{p.Width, p.Height, p.Components, p.Bits})
			assert.Equal(t, want.Signed, p.Signed)
			assert.Equal(t, want.Hash, hash(p.Samples))
			assert.False(t, p.Cut)
		})
	}
}

func TestCutStreamsSaySo(t *testing.T) {
	for name := range vectors(t) {
		whole := read(t, name)
		for _, n := range []int{len(whole) / 2, len(whole) - 20} {
			p, err := decoders[filepath.Ext(name)](whole[:n], 1<<20, nil)
			if err == nil {
				assert.True(t, p.Cut, "%s: %d of %d bytes", name, n, len(whole))
			}
		}
	}
}
