package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/gounet/gounet/core/analyze"
	"github.com/gounet/gounet/core/metaimage"
	"github.com/gounet/gounet/core/mgh"
	"github.com/gounet/gounet/core/nrrd"
	"github.com/gounet/gounet/core/voxel"
)

// zipped is what a zip is recognised as; its content decides.
const zipped Kind = "zip"

// frontBytes is what is looked at of a file: more than the longest header of a
// fixed size, NIfTI-2's.
const frontBytes = 600

// Recognise says what a file is by its first bytes, "" of what is not known. Those
// of a gzipped file must have been unzipped. Old DICOM files without a preamble are
// not recognised; Open asks the DICOM reader about what is left.
func Recognise(front []byte) Kind {
	for _, m := range marks {
		if m.at+len(m.magic) <= len(front) && string(front[m.at:m.at+len(m.magic)]) == m.magic {
			return m.kind
		}
	}
	switch {
	case nrrd.Is(front):
		return NRRD
	case analyze.Is(front):
		return Analyze
	case mgh.Is(front):
		return MGH
	case metaimage.Is(front):
		return MetaImage
	}
	return ""
}

// marks are what files have at a fixed place.
var marks = []struct {
	at    int
	magic string
	kind  Kind
}{
	{344, "n+1\x00", NIfTI},
	{344, "ni1\x00", NIfTI},
	{4, "n+2\x00\r\n\x1a\n", NIfTI},
	{4, "ni2\x00\r\n\x1a\n", NIfTI},
	{128, "DICM", DICOM},
	{0, "DICM", DICOM},
	{0, "\x89PNG\r\n\x1a\n", PNG},
	{0, "II*\x00", TIFF},
	{0, "MM\x00*", TIFF},
	{0, "II+\x00\x08\x00", TIFF}, // BigTIFF, with 8 bytes an offset
	{0, "MM\x00+\x00\x08", TIFF},
	{0, "PK\x03\x04", zipped},
}

// Endings are what files of scans are called; none is the end of another. Of files
// that are found by their names alone, such as the cases of a folder: what a file is
// Recognise says.
func Endings() []string {
	return []string{".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".hdr.gz", ".hdr", ".png", ".tif", ".tiff"}
}

// named are files that people try, and what to do with them.
var named = []struct{ magic, advice string }{
	{"\xff\xd8\xff", "a JPEG picture, whose values are not those that were measured: give PNG or TIFF"},
	{"\x89HDF", "an HDF5 file: convert it to NIfTI or NRRD"},
	{"BM", "a BMP picture: convert it to PNG"},
	{"GIF8", "a GIF picture: convert it to PNG"},
	{"\x93NUMPY", "a numpy array, which has no spacing: convert it to NIfTI"},
	{"mrtrix image", "an MRtrix image: convert it with mrconvert to NIfTI"},
	{"%PDF", "a PDF document"},
	{"PK\x05\x06", "a zip without files"},
	{"glTF", "a surface in glTF, which has no voxels"},
}

// front reads the first bytes of f, unzipped if it is gzipped.
func front(f voxel.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read from
	b := make([]byte, frontBytes)
	n, err := io.ReadFull(r, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if b = b[:n]; !bytes.HasPrefix(b, []byte("\x1f\x8b")) {
		return b, nil
	}
	z, err := gzip.NewReader(io.MultiReader(bytes.NewReader(b), r))
	if err != nil {
		return nil, fmt.Errorf("gzip header: %w: the file is damaged, fetch it again", err)
	}
	b, err = io.ReadAll(io.LimitReader(z, frontBytes))
	if err != nil {
		return nil, fmt.Errorf("gzip ends after %d bytes of its content: %w: the file is truncated, fetch it again", len(b), err)
	}
	return b, nil
}

// ErrUnknown is in the chain of the error of a file that is nothing that is read here.
var ErrUnknown = errors.New("none of NIfTI, NRRD, MetaImage, MGH, Analyze, DICOM, PNG, TIFF or a zip of DICOM")

// unknown is the error of a file that nothing recognises.
func unknown(front []byte) error {
	if len(front) == 0 {
		return errors.New("the file is empty: fetch it again")
	}
	for _, n := range named {
		if strings.HasPrefix(string(front), n.magic) {
			return errors.New(n.advice)
		}
	}
	return fmt.Errorf("starts with %q: %w", front[:min(len(front), 12)], ErrUnknown)
}
