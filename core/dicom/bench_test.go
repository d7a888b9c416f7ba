package dicom

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSeries reads 600 slices of 512², the scan of a whole body, from a folder.
func BenchmarkSeries(b *testing.B) {
	dir := b.TempDir()
	for i := range 600 {
		s := slice{number: i, position: vec{0, 0, float64(i)}, rows: 512, columns: 512, first: int16(i), intercept: -1024}
		require.NoError(b, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), s.bytes(), 0o600))
	}
	b.SetBytes(600 * 512 * 512 * 2)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, im := openSeries(b, dir)
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(4*len(im.Data)), "volumes/op")
	}
}
