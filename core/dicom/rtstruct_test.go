package dicom

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStructureSetsReadBackAsWritten(t *testing.T) {
	for _, s := range scans {
		t.Run(s.name, func(t *testing.T) {
			v := scanAt(t, s.path)
			for seed := range uint64(3) {
				want := blobs(v.Grid, 5, seed)
				o := testOptions(5)
				var b bytes.Buffer
				require.NoError(t, v.WriteRTSTRUCT(context.Background(), &b, want, o))
				set, err := OpenRTSTRUCT(memory("x", b.Bytes()))
				require.NoError(t, err)
				assert.Zero(t, set.Skipped)
				for i, g := range set.Segments {
					assert.Equal(t, o.Segments[i].Name, g.Name)
					assert.Equal(t, o.Segments[i].completed().Colour, g.Colour)
				}
				got, overlap, err := set.Labels(context.Background(), v)
				require.NoError(t, err)
				assert.Zero(t, overlap)
				assert.Equal(t, want, got)
			}
		})
	}
}

func TestStructureSetsAreValid(t *testing.T) {
	for _, s := range scans {
		for _, anonymise := range []bool{false, true} {
			t.Run(s.name, func(t *testing.T) {
				v := scanAt(t, s.path)
				var b bytes.Buffer
				o := testOptions(5)
				o.Anonymise = anonymise
				require.NoError(t, v.WriteRTSTRUCT(context.Background(), &b, stripes(v.Grid, 5), o))
				requireValid(t, b.Bytes())
			})
		}
	}
}
