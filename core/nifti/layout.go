package nifti

import "math"

// header1 is the NIfTI-1 header as it lies on disk, 348 bytes (nifti1.h).
type header1 struct {
	SizeofHdr     int32
	DataType      [10]byte
	DBName        [18]byte
	Extents       int32
	SessionError  int16
	Regular       uint8
	DimInfo       uint8
	Dim           [8]int16
	IntentP       [3]float32
	IntentCode    int16
	Datatype      int16
	Bitpix        int16
	SliceStart    int16
	Pixdim        [8]float32
	VoxOffset     float32
	SclSlope      float32
	SclInter      float32
	SliceEnd      int16
	SliceCode     uint8
	XYZTUnits     uint8
	CalMax        float32
	CalMin        float32
	SliceDuration float32
	TOffset       float32
	GLMax         int32
	GLMin         int32
	Descrip       [80]byte
	AuxFile       [24]byte
	QformCode     int16
	SformCode     int16
	Quatern       [3]float32
	QOffset       [3]float32
	Srow          [3][4]float32
	IntentName    [16]byte
	Magic         [4]byte
}

// header2 is the NIfTI-2 header as it lies on disk, 540 bytes (nifti2.h). It is
// also how any header is held in memory.
type header2 struct {
	SizeofHdr     int32
	Magic         [8]byte
	Datatype      int16
	Bitpix        int16
	Dim           [8]int64
	IntentP       [3]float64
	Pixdim        [8]float64
	VoxOffset     int64
	SclSlope      float64
	SclInter      float64
	CalMax        float64
	CalMin        float64
	SliceDuration float64
	TOffset       float64
	SliceStart    int64
	SliceEnd      int64
	Descrip       [80]byte
	AuxFile       [24]byte
	QformCode     int32
	SformCode     int32
	Quatern       [3]float64
	QOffset       [3]float64
	Srow          [3][4]float64
	SliceCode     int32
	XYZTUnits     int32
	IntentCode    int32
	IntentName    [16]byte
	DimInfo       uint8
	Unused        [15]byte
}

const (
	size1 = 348 // bytes of header1
	size2 = 540 // bytes of header2

	magicAt1 = 344 // offset of header1.Magic
	magicAt2 = 4   // offset of header2.Magic

	single1, pair1 = "n+1\x00", "ni1\x00"
	single2, pair2 = "n+2\x00\r\n\x1a\n", "ni2\x00\r\n\x1a\n" // the tail shows damage by text-mode transfers, as PNG's does
)

// widen turns a NIfTI-1 header into the form of NIfTI-2; nothing is lost but the
// fields that NIfTI-1 kept unused for Analyze's sake.
func (a *header1) widen() header2 {
	b := header2{
		SizeofHdr: size2, Datatype: a.Datatype, Bitpix: a.Bitpix,
		VoxOffset: offset(float64(a.VoxOffset)),
		SclSlope:  float64(a.SclSlope), SclInter: float64(a.SclInter),
		CalMax: float64(a.CalMax), CalMin: float64(a.CalMin),
		SliceDuration: float64(a.SliceDuration), TOffset: float64(a.TOffset),
		SliceStart: int64(a.SliceStart), SliceEnd: int64(a.SliceEnd),
		Descrip: a.Descrip, AuxFile: a.AuxFile,
		QformCode: int32(a.QformCode), SformCode: int32(a.SformCode),
		SliceCode: int32(a.SliceCode), XYZTUnits: int32(a.XYZTUnits),
		IntentCode: int32(a.IntentCode), IntentName: a.IntentName, DimInfo: a.DimInfo,
	}
	copy(b.Magic[:], single2)
	for i := range a.Dim {
		b.Dim[i] = int64(a.Dim[i])
	}
	convert(b.IntentP[:], a.IntentP[:])
	convert(b.Pixdim[:], a.Pixdim[:])
	convert(b.Quatern[:], a.Quatern[:])
	convert(b.QOffset[:], a.QOffset[:])
	for i := range a.Srow {
		convert(b.Srow[i][:], a.Srow[i][:])
	}
	return b
}

// narrow is the NIfTI-1 form of b for a single file. The caller has checked that
// every axis fits 15 bits.
func (b *header2) narrow() header1 {
	a := header1{
		SizeofHdr: size1, Regular: 'r', Datatype: b.Datatype, Bitpix: b.Bitpix,
		VoxOffset: float32(b.VoxOffset),
		SclSlope:  float32(b.SclSlope), SclInter: float32(b.SclInter),
		CalMax: float32(b.CalMax), CalMin: float32(b.CalMin),
		SliceDuration: float32(b.SliceDuration), TOffset: float32(b.TOffset),
		SliceStart: int16(b.SliceStart), SliceEnd: int16(b.SliceEnd),
		Descrip: b.Descrip, AuxFile: b.AuxFile,
		QformCode: int16(b.QformCode), SformCode: int16(b.SformCode),
		SliceCode: uint8(b.SliceCode), XYZTUnits: uint8(b.XYZTUnits),
		IntentCode: int16(b.IntentCode), IntentName: b.IntentName, DimInfo: b.DimInfo,
	}
	copy(a.Magic[:], single1)
	for i := range b.Dim {
		a.Dim[i] = int16(b.Dim[i])
	}
	convert(a.IntentP[:], b.IntentP[:])
	convert(a.Pixdim[:], b.Pixdim[:])
	convert(a.Quatern[:], b.Quatern[:])
	convert(a.QOffset[:], b.QOffset[:])
	for i := range b.Srow {
		convert(a.Srow[i][:], b.Srow[i][:])
	}
	return a
}

// convert copies src to dst in the other width of float.
func convert[A, B float32 | float64](dst []A, src []B) {
	for i, v := range src {
		dst[i] = A(v)
	}
}

// offset turns NIfTI-1's float vox_offset into bytes, fractions cut off; −1 marks
// what is no offset.
func offset(v float64) int64 {
	if !(v >= 0 && v < math.MaxInt32) {
		return -1
	}
	return int64(v)
}
