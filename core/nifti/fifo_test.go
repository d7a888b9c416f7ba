//go:build linux || darwin || freebsd

package nifti

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPipeIsAnErrorAndNotAHang(t *testing.T) {
	for _, name := range []string{"a.nii.gz", "a.hdr"} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, syscall.Mkfifo(path, 0o600))
		_, err := ReadHeader(path)
		assert.ErrorContains(t, err, path+": not a regular file")
	}
}
