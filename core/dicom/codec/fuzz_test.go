package codec

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// seeds are the vectors of an ending, whole and cut.
func seeds(f *testing.F, ending string) {
	names, err := filepath.Glob("testdata/*" + ending)
	require.NoError(f, err)
	for _, name := range names {
		b := read(f, filepath.Base(name))
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
}

// fuzz holds a decoder to its limit and to samples within its precision.
func fuzz(f *testing.F, decode func([]byte, int, *Scratch) (*Picture, error)) {
	const limit = 1 << 14
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b, limit, nil)
		if err != nil {
			return
		}
		require.Len(t, p.Samples, p.Width*p.Height*p.Components)
		require.LessOrEqual(t, len(p.Samples), limit)
	})
}

func FuzzJPEG(f *testing.F) {
	seeds(f, ".jpg")
	fuzz(f, JPEG)
}

func FuzzJPEGLS(f *testing.F) {
	seeds(f, ".jls")
	fuzz(f, JPEGLS)
}

func FuzzJPEG2000(f *testing.F) {
	seeds(f, ".j2k")
	fuzz(f, JPEG2000)
}

func FuzzRLE(f *testing.F) {
	f.Add(append(append([]byte{2, 0, 0, 0, 64, 0, 0, 0, 66, 0, 0, 0}, make([]byte, 52)...), 0xf5, 1, 0xf5, 2), 1, 2)
	f.Fuzz(func(t *testing.T, b []byte, components, size int) {
		if components < 1 || components > 4 || size < 1 || size > 4 {
			return
		}
		dst := make([]byte, 12*components*size)
		if err := RLE(dst, b, components, size); err == nil {
			require.GreaterOrEqual(t, len(b), 64)
		}
	})
}
