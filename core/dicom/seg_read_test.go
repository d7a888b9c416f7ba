package dicom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// expected is what testdata/seg/make_expected.py finds in a file.
type expected struct {
	Kind    string           `json:"kind"`
	Names   []string         `json:"names"`
	Shape   [3]int           `json:"shape"`
	Overlap int64            `json:"overlap"`
	SHA256  string           `json:"sha256"`
	Voxels  map[string]int64 `json:"voxels"`
}

func TestObjectsOfOthersAreReadAsTheyAre(t *testing.T) {
	b, err := os.ReadFile("testdata/seg/expected.json")
	require.NoError(t, err)
	var all map[string]expected
	require.NoError(t, json.Unmarshal(b, &all))
	require.Len(t, all, 7)
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			f := fileOf(t, data(t, "seg_rtstruct/"+name))
			var got expected
			var l *volume.Labels
			var segments []Segment
			if want.Kind == "RTSTRUCT" {
				set, err := OpenRTSTRUCT(f)
				require.NoError(t, err)
				segments, got.Kind = set.Segments, "RTSTRUCT"
				l, got.Overlap, err = set.Labels(context.Background(), scanAt(t, "seg_rtstruct/rt-utils/mock_data"))
				require.NoError(t, err)
			} else {
				seg, err := OpenSEG(f)
				require.NoError(t, err)
				segments, got.Kind = seg.Segments, seg.Kind
				l, got.Overlap, err = seg.Labels(context.Background(), nil)
				require.NoError(t, err)
			}
			for _, s := range segments {
				got.Names = append(got.Names, s.Name)
			}
			got.Shape, got.Voxels = l.Shape, map[string]int64{}
			for _, x := range l.Data {
				if x > 0 {
					got.Voxels[fmt.Sprint(x)]++
				}
			}
			sum := sha256.Sum256(l.Data)
			got.SHA256 = hex.EncodeToString(sum[:])
			assert.Equal(t, want, got)
		})
	}
}

func TestObjectsOfOtherScansAreRefused(t *testing.T) {
	ct := scanAt(t, "seg_rtstruct/rt-utils/mock_data")
	_, _, err := readSEG(t, "highdicom/seg_image_ct_binary.dcm", ct)
	require.ErrorContains(t, err, "element (0020,0052) differs from that of the scan")
	for _, name := range []string{"invalid_reference_rt.dcm", "non_existent_reference_rt.dcm"} { // drawn on slices that are not there
		set, err := OpenRTSTRUCT(fileOf(t, data(t, "seg_rtstruct/rt-utils/mock_data/"+name)))
		require.NoError(t, err)
		_, _, err = set.Labels(context.Background(), ct)
		t.Log(name, err)
		require.ErrorContains(t, err, "is it of another scan?")
	}
}

func readSEG(t *testing.T, name string, v *Volume) (*volume.Labels, int64, error) {
	seg, err := OpenSEG(fileOf(t, data(t, "seg_rtstruct/"+name)))
	require.NoError(t, err)
	return seg.Labels(context.Background(), v)
}

func TestScansAreNoSegmentations(t *testing.T) {
	_, err := OpenSEG(memory("x", slice{}.bytes()))
	require.ErrorIs(t, err, ErrNotSegmentation)
	_, err = OpenRTSTRUCT(memory("x", slice{}.bytes()))
	require.ErrorIs(t, err, ErrNotStructureSet)
	_, err = OpenSEG(memory("x", []byte("a README, and no DICOM file")))
	require.ErrorIs(t, err, ErrNotDICOM)
}
