package scan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWrittenFilesForOthers writes files where GOUNET_WRITE says, for testdata/check.py:
// labels 0, 1, 2, 3, 0, … of scans of each format in each format.
func TestWrittenFilesForOthers(t *testing.T) {
	dir := os.Getenv("GOUNET_WRITE")
	if dir == "" {
		t.Skip("GOUNET_WRITE is not set: it names a folder for files that testdata/check.py reads")
	}
	for name, path := range map[string]string{
		"nrrd": "../nrrd/testdata/itk.nrrd", "ras": "../nrrd/testdata/space_right-anterior-superior.nrrd", "mha": "../metaimage/testdata/float32.mha",
		"mgh": "../mgh/testdata/zipped.mgz", "analyze": "../analyze/testdata/int16.hdr", "nifti": filepath.Join(dir, "oblique.nii.gz"),
	} {
		if name == "nifti" { // a scan that was turned, by our own hand
			require.NoError(t, open(t, "../metaimage/testdata/int16.mha").WriteLabels(path, labelsOf(open(t, "../metaimage/testdata/int16.mha").Grid), nil))
		}
		s := open(t, path)
		for _, f := range Formats() {
			for _, e := range f.Endings {
				if f.Name != "png" {
					require.NoError(t, s.WriteLabels(filepath.Join(dir, name+"_as"+e), labelsOf(s.Grid), nil))
				}
			}
		}
	}
}
