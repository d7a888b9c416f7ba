package measure

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
)

func golden(t testing.TB) (*volume.Labels, *volume.Image) {
	t.Helper()
	l, _, err := nifti.ReadLabels("testdata/labels.nii.gz")
	require.NoError(t, err)
	im, _, err := nifti.ReadImage("testdata/image.nii.gz")
	require.NoError(t, err)
	return l, im
}

func TestNumbersAreThoseOfNumpyAndScikitImage(t *testing.T) {
	b, err := os.ReadFile("testdata/expected.json")
	require.NoError(t, err)
	var want []Structure
	require.NoError(t, json.Unmarshal(b, &want))
	l, im := golden(t)
	table, err := Labels("case", l, im, map[uint8]string{2: "b"})
	require.NoError(t, err)
	require.Len(t, table.Structures, 4)
	for i, s := range table.Structures {
		w := want[i]
		assert.Equal(t, w.Label, s.Label)
		assert.Equal(t, w.Voxels, s.Voxels)
		assert.Equal(t, w.AxialSlice, s.AxialSlice)
		// Sums of up to 2,000 float64 in other orders: 2,000 roundings of numbers below 1,000;
		// places of skimage's vertices are float32 below 32 voxels, of 2.5 mm.
		const sums, places = 2000 * 1000 * 0x1p-52, 4 * 32 * 2.5 * 0x1p-23
		for _, c := range []struct {
			name      string
			want, got number
			tolerance float64
		}{
			{"volume", w.VolumeML, s.VolumeML, sums},
			{"mean", w.Mean, s.Mean, sums},
			{"std", w.Std, s.Std, sums},
			{"min", w.Min, s.Min, 0},
			{"max", w.Max, s.Max, 0},
			{"Feret", w.FeretMM, s.FeretMM, places},
			{"axial", w.AxialMM, s.AxialMM, places},
			{"width", w.AxialWidthMM, s.AxialWidthMM, places},
			{"centroid R", w.Centroid[0], s.Centroid[0], sums},
			{"centroid A", w.Centroid[1], s.Centroid[1], sums},
			{"centroid S", w.Centroid[2], s.Centroid[2], sums},
		} {
			assert.InDelta(t, float64(c.want), float64(c.got), c.tolerance, "label %d: %s", s.Label, c.name)
		}
	}
	assert.Equal(t, "b", table.Structures[1].Name)
}

// TestFarthestIsTheFarthest compares with all pairs.
func TestFarthestIsTheFarthest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 60 {
		points := make([]point, n)
		for i := range points {
			points[i] = point{r.NormFloat64(), 3 * r.NormFloat64(), r.Float64()}
			if n%3 == 0 { // on a ball, where none can be left out
				l := points[i].length()
				points[i] = point{points[i][0] / l, points[i][1] / l, points[i][2] / l}
			}
		}
		want := 0.0
		for _, a := range points {
			for _, b := range points {
				want = max(want, a.minus(b).length())
			}
		}
		got, a, b := farthest(points)
		assert.InDelta(t, want, got, 4*0x1p-52*want)
		assert.Equal(t, got, a.minus(b).length())
	}
}

func TestTheAxialPlaneIsThePatients(t *testing.T) {
	l := volume.NewLabels(volume.Grid{Shape: [3]int{4, 5, 6}, Spacing: [3]float64{1, 1, 1}})
	l.Affine = [4][4]float64{{0, 0, 1}, {1, 0, 0}, {0, -1, 0}, {0, 0, 0, 1}} // y runs to the feet
	for z := range 4 {
		for x := range 6 {
			l.Data[(z*5+2)*6+x] = 1
		}
	}
	table, err := Labels("a", l, nil, nil)
	require.NoError(t, err)
	s := table.Structures[0]
	assert.Equal(t, 2, s.AxialSlice)
	assert.InDelta(t, math.Hypot(6, 3), float64(s.AxialMM), 1e-12) // from the middle of one end to that of the other
	assert.True(t, math.IsNaN(float64(s.Mean)))
}

func TestAPictureHasLengthsAndNoVolume(t *testing.T) {
	l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 8, 9}, Spacing: [3]float64{999, 1, 1}})
	for x := range 4 {
		l.Data[3*9+x+2] = 1
	}
	table, err := Labels("a", l, nil, nil)
	require.NoError(t, err)
	s := table.Structures[0]
	assert.True(t, math.IsNaN(float64(s.VolumeML)))
	assert.Equal(t, [3]number{4, 4, 1}, [3]number{s.FeretMM, s.AxialMM, s.AxialWidthMM})
}

func TestTablesAreJSONAndCSV(t *testing.T) {
	l, _ := golden(t)
	table, err := Labels("=case", l, nil, map[uint8]string{1: "a,b", 5: "+x"})
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, WriteJSON(&b, table))
	var back []struct {
		Case       string
		Structures []map[string]any
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	assert.Nil(t, back[0].Structures[0]["mean"])
	assert.Equal(t, float64(table.Structures[0].FeretMM), back[0].Structures[0]["feret_mm"])
	b.Reset()
	require.NoError(t, WriteCSV(&b, table, table))
	lines, err := csv.NewReader(&b).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 9)
	assert.Equal(t, []string{"'=case", "1", "a,b"}, lines[1][:3])
	assert.Equal(t, "'+x", lines[3][2])
	assert.Empty(t, lines[1][5])
}

func TestScansOfAnotherShapeAreRefused(t *testing.T) {
	l, im := golden(t)
	im.Shape[0]--
	_, err := Labels("a", l, im, nil)
	assert.ErrorContains(t, err, "use the scan that they are of")
}
