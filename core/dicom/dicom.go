// Package dicom reads scans as hospitals have them: files in a folder, a zip or
// memory, in any order and of any transfer syntax, become series, and a series
// becomes a volume.Image in modality units (HU for CT) with its place in the
// body. Labels in the grid of a volume become what hospitals show over the scan,
// segmentations and structure sets, and those become labels. It reads no colour
// pictures and no reports, and says so of each.
//
// The one idea: read twice, keep little. Open passes once over the elements in
// front of each file's pixels and keeps the few that geometry and pixels need
// (the table wanted); names and identifiers of patients are passed over and so
// can reach no error. Series.Image passes over the pixels, frame by frame,
// straight into the volume. Names are read only by the writers, who copy them from the
// source into what they write (the table copied) and show them nowhere.
//
// A file is hostile until read: lengths are held against the file and fixed
// limits before memory is taken, sequences nest to a limit, and what inflates is
// measured while it does. That is why data sets are parsed here: a reader that makes
// memory of a declared length, or keeps every element, serves other ends. Axes are those of the files: W runs along a row of
// pixels, H down the columns, D along the cross product of the two.
//
// Sources: DICOM PS3.3 (C.7.6.2 image plane, C.7.6.16 functional groups), PS3.5
// (encoding, transfer syntaxes), PS3.10 (files), https://www.dicomstandard.org. Of what is
// written: PS3.3 A.51 (segmentation), A.19 (structure set), PS3.15 E (confidentiality).
package dicom

import (
	"errors"
	"fmt"
)

// Limits of one file and of a collection. They bound time and memory, not medicine:
// the largest scans in use stay an order of magnitude below.
const (
	maxFiles    = 200_000  // of a collection
	maxDepth    = 32       // of nested sequences; PS3.3 has about 8
	maxElements = 1 << 20  // kept elements of a file, 64 bytes each
	maxValue    = 4 << 20  // bytes of a kept value; the largest are Siemens' private headers
	maxFrames   = 1 << 17  // of a file
	maxSide     = 1 << 16  // rows and columns, which are 16-bit numbers
	maxPixels   = 1 << 28  // of a frame
	maxVoxels   = 1 << 32  // of a volume
	maxUnsized  = 16 << 30 // bytes read from a source of unknown size
)

// ErrNotDICOM is wrapped by errors of files that are something else, such as the
// README beside a series.
var ErrNotDICOM = errors.New("not a DICOM file")

// ErrNotScan is wrapped by errors of DICOM files that hold no image of grey values:
// reports, structure sets, segmentations, colour pictures.
var ErrNotScan = errors.New("no scan of grey values")

// tag is a group and an element number: 0x00280010 is (0028,0010).
type tag uint32

func (t tag) String() string { return fmt.Sprintf("(%04x,%04x)", uint32(t)>>16, uint32(t)&0xffff) }

const (
	tagTransferSyntax     tag = 0x00020010
	tagImageType          tag = 0x00080008
	tagSOPClass           tag = 0x00080016
	tagSOPInstance        tag = 0x00080018
	tagAcquisitionTime    tag = 0x00080032
	tagModality           tag = 0x00080060
	tagSeriesDescription  tag = 0x0008103e
	tagSliceThickness     tag = 0x00180050
	tagEchoTime           tag = 0x00180081
	tagEchoNumber         tag = 0x00180086
	tagSpacingBetween     tag = 0x00180088
	tagTriggerTime        tag = 0x00181060
	tagImagerPixelSpacing tag = 0x00181164
	tagGantryTilt         tag = 0x00181120
	tagBValue             tag = 0x00189087
	tagEffectiveEchoTime  tag = 0x00189082
	tagEchoGroup          tag = 0x00189114
	tagDiffusionGroup     tag = 0x00189117
	tagMosaicImages       tag = 0x0019100a
	tagStudy              tag = 0x0020000d
	tagSeries             tag = 0x0020000e
	tagSeriesNumber       tag = 0x00200011
	tagAcquisitionNumber  tag = 0x00200012
	tagInstanceNumber     tag = 0x00200013
	tagPosition           tag = 0x00200032
	tagOrientation        tag = 0x00200037
	tagFrameOfReference   tag = 0x00200052
	tagTemporalPosition   tag = 0x00200100
	tagPlanePosition      tag = 0x00209113
	tagPlaneOrientation   tag = 0x00209116
	tagFrameContent       tag = 0x00209111
	tagTemporalIndex      tag = 0x00209128
	tagStackID            tag = 0x00209056
	tagSamples            tag = 0x00280002
	tagPhotometric        tag = 0x00280004
	tagPlanar             tag = 0x00280006
	tagFrames             tag = 0x00280008
	tagRows               tag = 0x00280010
	tagColumns            tag = 0x00280011
	tagPixelSpacing       tag = 0x00280030
	tagBitsAllocated      tag = 0x00280100
	tagBitsStored         tag = 0x00280101
	tagHighBit            tag = 0x00280102
	tagSigned             tag = 0x00280103
	tagIntercept          tag = 0x00281052
	tagSlope              tag = 0x00281053
	tagRescaleType        tag = 0x00281054
	tagModalityLUT        tag = 0x00283000
	tagPixelMeasures      tag = 0x00289110
	tagValueTransform     tag = 0x00289145
	tagSiemensImage       tag = 0x00291010
	tagFrameOffsets       tag = 0x3004000c
	tagDoseScaling        tag = 0x3004000e
	tagSharedGroups       tag = 0x52009229
	tagFrameGroups        tag = 0x52009230
	tagOffsetTable        tag = 0x7fe00001
	tagFloatPixels        tag = 0x7fe00008
	tagDoublePixels       tag = 0x7fe00009
	tagPixels             tag = 0x7fe00010

	tagItem         tag = 0xfffee000
	tagItemEnd      tag = 0xfffee00d
	tagSequenceEnd  tag = 0xfffee0dd
	undefinedLength     = 0xffffffff
)

// wanted has the elements that are kept, with their VR for files that do not say
// it. The names of tags are those of PS3.6.
var wanted = map[tag]string{
	tagTransferSyntax: "UI", tagImageType: "CS", tagSOPClass: "UI", tagSOPInstance: "UI", tagAcquisitionTime: "TM",
	tagModality: "CS", tagSeriesDescription: "LO", tagSliceThickness: "DS", tagEchoTime: "DS", tagEchoNumber: "IS",
	tagSpacingBetween: "DS", tagTriggerTime: "DS", tagImagerPixelSpacing: "DS", tagGantryTilt: "DS", tagBValue: "FD",
	tagEffectiveEchoTime: "FD", tagEchoGroup: "SQ", tagDiffusionGroup: "SQ", tagMosaicImages: "US", tagStudy: "UI", tagSeries: "UI", tagSeriesNumber: "IS", tagAcquisitionNumber: "IS",
	tagInstanceNumber: "IS", tagPosition: "DS", tagOrientation: "DS", tagFrameOfReference: "UI",
	tagTemporalPosition: "IS", tagPlanePosition: "SQ", tagPlaneOrientation: "SQ", tagFrameContent: "SQ",
	tagTemporalIndex: "UL", tagStackID: "SH", tagSamples: "US", tagPhotometric: "CS", tagPlanar: "US",
	tagFrames: "IS", tagRows: "US", tagColumns: "US", tagPixelSpacing: "DS", tagBitsAllocated: "US",
	tagBitsStored: "US", tagHighBit: "US", tagSigned: "US", tagIntercept: "DS", tagSlope: "DS", tagRescaleType: "LO",
	tagModalityLUT: "SQ", tagPixelMeasures: "SQ", tagValueTransform: "SQ", tagSiemensImage: "OB",
	tagFrameOffsets: "DS", tagDoseScaling: "DS", tagSharedGroups: "SQ", tagFrameGroups: "SQ", tagOffsetTable: "OV",
}
