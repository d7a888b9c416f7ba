package nifti

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
)

const (
	// maxOffset bounds vox_offset: what lies before the voxels is headers and
	// their extensions, and those are text.
	maxOffset = 1 << 30
	// maxExtensions bounds the bytes of extensions, which are kept in memory.
	maxExtensions = 64 << 20
)

// maxValues bounds the values of a file, 4 bytes each in memory: 32 GiB, or 1 GiB
// where 32-bit WebAssembly can address no more than four.
func maxValues() int64 {
	if runtime.GOARCH == "wasm" {
		return 1 << 28
	}
	return 1 << 33
}

// readHeader reads the header proper from r, without extensions. What is said of
// pair and single file must agree with pair.
func readHeader(r io.Reader, pair bool) (*Header, error) {
	b := make([]byte, size2)
	if err := readFull(r, b[:size1], "header"); err != nil {
		return nil, err
	}
	h := &Header{}
	switch m1, m2 := string(b[magicAt1:magicAt1+4]), string(b[magicAt2:magicAt2+8]); {
	case m1 == single1 || m1 == pair1:
		h.Version = 1
		h.Pair = m1 == pair1
	case m2 == single2 || m2 == pair2:
		h.Version = 2
		h.Pair = m2 == pair2
		if err := readFull(r, b[size1:], "header"); err != nil {
			return nil, err
		}
	default:
		return nil, notNIfTI(b[:size1])
	}
	if h.Pair != pair {
		if pair {
			return nil, errors.New("header says that its voxels are in the same file, the name .hdr or .img says two files: rename it to .nii")
		}
		return nil, errors.New("header says that its voxels are in an .img file beside it: rename it to .hdr")
	}
	if err := h.decode(b); err != nil {
		return nil, err
	}
	return h, h.check()
}

// notNIfTI says what a file without the magic may be instead.
func notNIfTI(b []byte) error {
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if o.Uint32(b) == size1 {
			return errors.New("an Analyze 7.5 header, which does not say which side is left: convert it to NIfTI with the program that made it")
		}
	}
	if binary.BigEndian.Uint32(b) == 1 && binary.BigEndian.Uint32(b[4:]) < 1<<16 && b[4] == 0 {
		return errors.New("no NIfTI magic, perhaps a FreeSurfer MGH file: convert it with mri_convert to .nii.gz")
	}
	return errors.New("no NIfTI magic (n+1, ni1, n+2, ni2): not a NIfTI file")
}

// decode fills h.raw from the bytes of a header. The byte order is the one in
// which dim[0] makes sense, as every reader decides it.
func (h *Header) decode(b []byte) error {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if h.Version == 1 {
			var a header1
			if _, err := binary.Decode(b[:size1], order, &a); err != nil {
				return err
			}
			if h.raw = a.widen(); h.raw.VoxOffset < 0 {
				h.noOffset = float64(a.VoxOffset)
			}
		} else if _, err := binary.Decode(b[:size2], order, &h.raw); err != nil {
			return err
		}
		if n := h.raw.Dim[0]; n >= 1 && n <= 7 {
			h.BigEndian = order == binary.BigEndian
			return nil
		}
	}
	return errors.New("dim[0], the number of axes, is not 1 to 7 in either byte order: the header is damaged")
}

// check validates h.raw, repairs what nibabel repairs, and fills the exported fields.
func (h *Header) check() (err error) {
	r := &h.raw
	t, ok := dtypes[r.Datatype]
	if !ok {
		return fmt.Errorf("datatype code %d is none that NIfTI has: the header is damaged", r.Datatype)
	}
	h.DType = t.name
	r.Bitpix = int16(8 * t.bytes)
	if h.Version == 2 && r.IntentCode >= 3000 && r.IntentCode < 3100 { // NIFTI_INTENT_CONNECTIVITY_*
		return errors.New("a CIFTI-2 file of surfaces or connectivity, not a scan")
	}
	if err := h.checkShape(); err != nil {
		return err
	}
	h.repairPixdim()
	if err := h.checkScaling(); err != nil {
		return err
	}
	if err := h.checkOffset(); err != nil {
		return err
	}
	for _, code := range []*int32{&r.QformCode, &r.SformCode} {
		if *code < 0 || *code > 5 { // 5 is NIFTI_XFORM_TEMPLATE_OTHER
			*code = 0
		}
	}
	h.Affine, err = bestAffine(r, h.Shape)
	return err
}

func (h *Header) checkShape() error {
	n := int64(1)
	for i := int64(1); i <= h.raw.Dim[0]; i++ {
		d := &h.raw.Dim[i]
		if *d < 1 {
			if i == 1 {
				return fmt.Errorf("dim[1] is %d, wanted at least 1: the header is damaged", *d)
			}
			*d = 1
		}
		if *d > maxValues()/n {
			return fmt.Errorf("dim %v declares more than the %d values that are read: the header is damaged or the scan must be split", h.raw.Dim[1:h.raw.Dim[0]+1], maxValues())
		}
		n *= *d
		h.Shape = append(h.Shape, int(*d))
	}
	return nil
}

// repairPixdim does what nibabel and nifti_clib do: a spacing of 0 or not finite
// becomes 1, a negative one positive, a qfac other than ±1 becomes 1.
func (h *Header) repairPixdim() {
	p := &h.raw.Pixdim
	for i := 1; i <= 3; i++ {
		if p[i] == 0 || !finite(p[i]) {
			if i <= len(h.Shape) {
				h.NoSpacing = append(h.NoSpacing, i-1)
			}
			p[i] = 1
		}
		p[i] = math.Abs(p[i])
	}
	if p[0] != -1 {
		p[0] = 1
	}
	for i := range h.Shape {
		if !finite(p[1+i]) {
			p[1+i] = 0
		}
		h.Spacing = append(h.Spacing, p[1+i])
	}
}

func (h *Header) checkScaling() error {
	h.Slope, h.Inter = h.raw.SclSlope, h.raw.SclInter
	if h.Slope == 0 || !finite(h.Slope) {
		h.Slope, h.Inter = 1, 0
	}
	if !finite(h.Inter) {
		return fmt.Errorf("scl_slope is %g but scl_inter is %g, wanted a number: the values on disk cannot be scaled", h.Slope, h.Inter)
	}
	return nil
}

func (h *Header) checkOffset() error {
	least := int64(0)
	if !h.Pair {
		least = h.size() + 4
		if h.raw.VoxOffset == 0 {
			h.raw.VoxOffset = least
		}
	}
	if v := h.raw.VoxOffset; v < least || v > maxOffset {
		shown := float64(v)
		if h.Version == 1 && v < 0 {
			shown = h.noOffset
		}
		return fmt.Errorf("vox_offset is %.7g, wanted %d to %d: the header is damaged", shown, least, int64(maxOffset))
	}
	return nil
}

// size is the bytes of the header on disk.
func (h *Header) size() int64 {
	if h.Version == 2 {
		return size2
	}
	return size1
}

func (h *Header) order() binary.ByteOrder {
	if h.BigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// readExtensions reads the four bytes that say whether there are extensions, then
// those up to vox_offset (or to the end of an .hdr file). It returns how many bytes
// it took.
func (h *Header) readExtensions(r io.Reader) (taken int64, err error) {
	var extender [4]byte
	n, err := io.ReadFull(r, extender[:])
	if h.Pair && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return int64(n), nil // an .hdr may end with its header
	}
	if err != nil {
		return int64(n), ended(err, "header", h.size()+int64(n), h.size()+4)
	}
	if extender[0] == 0 {
		return 4, nil
	}
	room := int64(maxExtensions)
	if !h.Pair {
		room = h.raw.VoxOffset - h.size() - 4
	}
	if room > maxExtensions {
		return 4, fmt.Errorf("header extensions take %d bytes, at most %d are read: remove them", room, maxExtensions)
	}
	b, err := io.ReadAll(io.LimitReader(r, room))
	if err != nil {
		return 4 + int64(len(b)), ended(err, "header extensions", int64(len(b)), room)
	}
	if !h.Pair && int64(len(b)) < room {
		return 4 + int64(len(b)), ended(io.ErrUnexpectedEOF, "header extensions", int64(len(b)), room)
	}
	taken = 4 + int64(len(b))
	return taken, h.splitExtensions(b)
}

// splitExtensions cuts b, a row of (size, code, data). Fewer than 8 bytes, or a
// size of 0, are the padding after the last.
func (h *Header) splitExtensions(b []byte) error {
	for len(b) >= 8 {
		size := int64(int32(h.order().Uint32(b)))
		if size == 0 {
			return nil
		}
		if size < 8 || size > int64(len(b)) {
			return fmt.Errorf("header extension %d says %d bytes, wanted 8 to the %d that are there: remove the extensions", len(h.Extensions), size, len(b))
		}
		code := int(int32(h.order().Uint32(b[4:])))
		h.Extensions = append(h.Extensions, Extension{Code: code, Data: bytes.Clone(b[8:size])})
		b = b[size:]
	}
	return nil
}

// readFull fills b or says how much of it there was.
func readFull(r io.Reader, b []byte, what string) error {
	n, err := io.ReadFull(r, b)
	if err != nil {
		return ended(err, what, int64(n), int64(len(b)))
	}
	return nil
}

// ended names a read that stopped after got of want bytes.
func ended(err error, what string, got, want int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s ends after %d of %d bytes: the file is truncated, fetch it again: %w", what, got, want, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%s, byte %d of %d: %w", what, got, want, err)
}
