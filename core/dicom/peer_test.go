//go:build !js

// The other reader's table of tags takes a browser's engine a minute to compile.

package dicom

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	peer "github.com/suyashkumar/dicom"
	peertag "github.com/suyashkumar/dicom/pkg/tag"
)

// The data set layer is judged by another reader: what both read must be equal, in
// every file that the other can read.
func TestElementsEqualAnotherReaders(t *testing.T) {
	root := data(t, "")
	files, values := 0, 0
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".dcm" || strings.Contains(path, "2018") && !strings.HasSuffix(path, "1.dcm") {
			return err
		}
		p, err := parse(fileOf(t, path))
		if err != nil {
			return nil
		}
		other, err := peerParse(path)
		if err != nil {
			return nil
		}
		files++
		for _, e := range p.elements {
			if len(e.items) > 0 || len(e.value) == 0 || e.tag == tagSiemensImage {
				continue
			}
			theirs, err := other.FindElementByTag(peertag.Tag{Group: uint16(e.tag >> 16), Element: uint16(e.tag)})
			if !assert.NoError(t, err, "%s %v", path, e.tag) {
				continue
			}
			values++
			var want, got []string
			switch v := theirs.Value.GetValue().(type) {
			case []string:
				got = p.texts(e.tag)
				for _, s := range v {
					want = append(want, strings.Trim(s, "\x00 "))
				}
			case []byte: // VR is UN in the file; ours is that of the table
				got, want = []string{string(e.value)}, []string{string(v)}
			default:
				numbers, _ := p.numbers(e.tag)
				got, want = []string{fmt.Sprint(numbers)}, []string{fmt.Sprint(v)}
			}
			assert.Equal(t, want, got, "%s %v", path, e.tag)
		}
		return nil
	}))
	t.Logf("%d files, %d values", files, values)
	assert.Greater(t, files, 100)
}

// peerParse is the other reader; where it panics it does not count.
func peerParse(path string) (d peer.Dataset, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New(fmt.Sprint(r))
		}
	}()
	return peer.ParseFile(path, nil, peer.SkipPixelData(), peer.AllowMissingMetaElementGroupLength(), peer.AllowUnknownSpecificCharacterSet())
}
