// Package analyze reads scans in the Analyze 7.5 format of the Mayo Clinic: pairs of
// .hdr and .img, gzipped or not, either byte order, also as SPM wrote them with a
// scale and an origin. It writes none: the format has no place for an orientation.
//
// Analyze says neither which side is left nor where the scan lies. The rule is
// nibabel's and SPM's: voxels are stored with x to the left, y to the front and z up;
// the origin field of SPM, else the centre of the scan, is the point 0. A .mat file
// beside it is not read. Sources: nibabel's analyze.py, spm99analyze.py and
// spm2analyze.py, and dbh.h of the Mayo Clinic.
package analyze

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/gounet/gounet/core/voxel"
)

// layout is the header as it lies on disk: dbh.h with SPM's meaning of unused fields.
type layout struct {
	Size      int32
	_         [36]byte
	Dim       [8]int16
	_         [14]byte
	Type      int16
	BitPix    int16
	_         int16
	Pixdim    [8]float32
	VoxOffset float32
	Slope     float32 // funused1
	Inter     float32 // funused2
	_         float32
	CalMax    float32
	CalMin    float32
	_         [8]byte
	GLMax     int32
	GLMin     int32
	_         [105]byte
	Origin    [5]int16 // originator
	_         [85]byte
}

const headerSize = 348

// types has DT_ of dbh.h, and what SPM added.
var types = map[int16]voxel.Type{
	2: voxel.Uint8, 4: voxel.Int16, 8: voxel.Int32, 16: voxel.Float32, 64: voxel.Float64,
	130: voxel.Int8, 132: voxel.Uint16, 136: voxel.Uint32,
}

// Header is what a file says of its voxels. Data reads them.
type Header struct {
	BigEndian bool
	Data      *voxel.Data

	raw layout
}

// Is says whether a file that starts with b, unzipped, is a header of Analyze: it
// states its own size, and NIfTI's magic is not there.
func Is(b []byte) bool {
	if len(b) < headerSize || string(b[344:347]) == "ni1" || string(b[344:347]) == "n+1" {
		return false
	}
	return binary.LittleEndian.Uint32(b) == headerSize || binary.BigEndian.Uint32(b) == headerSize
}

// Open reads and checks the pair of which f is the .hdr or the .img; it reads no voxels.
func Open(f voxel.File) (*Header, error) {
	h, err := open(f)
	if err != nil {
		return nil, fmt.Errorf("analyze: %s: %w", f.Name, err)
	}
	return h, nil
}

// pair gives the other name of a pair, and whether the one given is the header.
func pair(name string) (other string, header bool, err error) {
	stem, gz := name, ""
	if strings.EqualFold(filepath.Ext(name), ".gz") {
		stem, gz = name[:len(name)-3], name[len(name)-3:]
	}
	ext := filepath.Ext(stem)
	base := filepath.Base(strings.TrimSuffix(stem, ext))
	for _, e := range [][2]string{{".hdr", ".img"}, {".HDR", ".IMG"}} {
		switch ext {
		case e[0]:
			return base + e[1] + gz, true, nil
		case e[1]:
			return base + e[0] + gz, false, nil
		}
	}
	return "", false, errors.New("the name of an Analyze file ends in .hdr or .img")
}

func open(f voxel.File) (*Header, error) {
	name, isHeader, err := pair(f.Name)
	if err != nil {
		return nil, err
	}
	other, err := f.Beside(name)
	if err != nil {
		return nil, err
	}
	header, image := f, other
	if !isHeader {
		header, image = other, f
	}
	b, _, err := head(header, headerSize)
	if err != nil {
		return nil, err
	}
	_, zipped, err := head(image, 0)
	if err != nil {
		return nil, err
	}
	if !Is(b) {
		return nil, errors.New("byte 0 is not 348, the size of the header: not an Analyze file")
	}
	h := &Header{BigEndian: binary.BigEndian.Uint32(b) == headerSize}
	var order binary.ByteOrder = binary.LittleEndian
	if h.BigEndian {
		order = binary.BigEndian
	}
	if _, err := binary.Decode(b, order, &h.raw); err != nil {
		return nil, err
	}
	if v := h.raw.VoxOffset; !(v >= 0 && v < 1<<30) {
		return nil, fmt.Errorf("byte 108: offset of the voxels is %v, wanted 0 or a little more", v)
	}
	part := voxel.Part{File: image, Offset: int64(h.raw.VoxOffset)}
	if zipped {
		part = voxel.Part{File: image, Encoding: voxel.Gzip, Skip: int64(h.raw.VoxOffset)}
	}
	h.Data = &voxel.Data{Of: "analyze: " + f.Name, Lead: 1, Trail: 1, BigEndian: h.BigEndian, Parts: []voxel.Part{part}}
	return h, h.interpret()
}

// head reads the first n bytes of f, unzipped on the way.
func head(f voxel.File, n int) (b []byte, zipped bool, err error) {
	r, err := f.Open()
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = r.Close() }() // only read from
	magic := make([]byte, 2)
	m, _ := io.ReadFull(r, magic) // what is too short is told below
	whole := io.MultiReader(bytes.NewReader(magic[:m]), r)
	if zipped = magic[0] == 0x1f && magic[1] == 0x8b; zipped {
		if whole, err = gzip.NewReader(whole); err != nil {
			return nil, false, fmt.Errorf("%s: gzip header: %w", f.Name, err)
		}
	}
	b = make([]byte, n)
	if got, err := io.ReadFull(whole, b); err != nil {
		return nil, false, fmt.Errorf("%s: header ends after %d of %d bytes: %w", f.Name, got, n, io.ErrUnexpectedEOF)
	}
	return b, zipped, nil
}

func (h *Header) interpret() error {
	l, d := &h.raw, h.Data
	var ok bool
	if d.Type, ok = types[l.Type]; !ok {
		return fmt.Errorf("byte 70: type %d, wanted a number of one value a voxel", l.Type)
	}
	n := int(l.Dim[0])
	if n < 1 || n > 7 {
		return fmt.Errorf("byte 40: %d axes, wanted 1 to 7", n)
	}
	d.Grid.Shape = [3]int{1, 1, 1}
	for i := range n {
		size := int(max(l.Dim[1+i], 1)) // absent axes are often 0
		if i == 0 && l.Dim[1] < 1 {
			return fmt.Errorf("byte 42: %d voxels along x, wanted 1 or more", l.Dim[1])
		}
		if i < 3 {
			d.Grid.Shape[2-i] = size
			continue
		}
		if d.Trail > math.MaxInt32/size {
			return fmt.Errorf("byte 48: axes %v are more than are read", l.Dim[1:1+n])
		}
		d.Trail *= size
	}
	h.scaling()
	h.place()
	return d.Check()
}

// scaling is spm2analyze.py's: SPM's factor where it is one, else what the largest
// and smallest values say.
func (h *Header) scaling() {
	l, d := &h.raw, h.Data
	finite := func(v float32) bool { return v-v == 0 }
	switch {
	case finite(l.Slope) && l.Slope != 0:
		d.Slope = float64(l.Slope)
		if finite(l.Inter) {
			d.Inter = float64(l.Inter)
		}
	case l.GLMax != l.GLMin && l.CalMax != l.CalMin && finite(l.CalMax) && finite(l.CalMin):
		d.Slope = float64(l.CalMax-l.CalMin) / (float64(l.GLMax) - float64(l.GLMin))
		d.Inter = float64(l.CalMin) - d.Slope*float64(l.GLMin)
	}
}

// place is spm99analyze.py's get_origin_affine.
func (h *Header) place() {
	l, g := &h.raw, &h.Data.Grid
	use := false
	for i := range 3 {
		use = use || l.Origin[i] != 0
	}
	for i := range 3 {
		o, n := int(l.Origin[i]), g.Shape[2-i]
		use = use && o > -n && o < 2*n
	}
	for i := range 3 {
		step := math.Abs(float64(l.Pixdim[1+i]))
		if step == 0 || math.IsNaN(step) || math.IsInf(step, 0) {
			step = 1
		}
		g.Spacing[2-i] = step
		if i == 0 {
			step = -step // x runs to the left
		}
		zero := float64(g.Shape[2-i]-1) / 2
		if use {
			zero = float64(l.Origin[i]) - 1 // counted from 1
		}
		g.Affine[i][i] = step
		g.Affine[i][3] = -zero * step
	}
	g.Affine[3][3] = 1
}
