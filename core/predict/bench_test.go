package predict

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// BenchmarkTiles predicts a volume of 27 tiles, and says what share of a run each
// op has.
func BenchmarkTiles(b *testing.B) {
	im := read(b, filepath.Join(golden(b), "predict/inputs/mosaic222_s_0000.nii.gz"))
	for _, c := range []struct {
		name    string
		rows    int
		storage graph.DType
	}{{"rows=auto", 0, graph.F32}, {"rows=1", 1, graph.F32}, {"rows=2", 2, graph.F32}, {"rows=4", 4, graph.F32}, {"rows=auto,bf16", 0, graph.BF16}} {
		b.Run(c.name, func(b *testing.B) {
			p := newTest(b, small(b, "3d_fullres"), Options{NoMirror: true, Rows: c.rows, Storage: c.storage})
			pre, err := p.Preprocess(im)
			require.NoError(b, err)
			_, err = p.Case(b.Context(), pre, ImageOptions{})
			require.NoError(b, err)
			b.ResetTimer()
			for range b.N {
				_, err := p.Case(b.Context(), pre, ImageOptions{})
				require.NoError(b, err)
			}
			b.ReportMetric(27*float64(b.N)/b.Elapsed().Seconds(), "tiles/s")
			e := p.engines[0]
			b.StopTimer()
			seconds, err := e.tiler.Profile(b.Context())
			require.NoError(b, err)
			byOp, total := map[string]float64{}, 0.0
			for i, n := range e.tileCode.Nodes {
				byOp[graph.OpName(n.Op)] += seconds[i]
				total += seconds[i]
			}
			for op, s := range byOp {
				b.ReportMetric(100*s/total, "%"+op)
			}
		})
	}
}
