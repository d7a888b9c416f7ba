package dicom

// encoding says how pixels are stored.
type encoding int

const (
	native encoding = iota
	rle
	jpegDCT
	jpegLossless
	jpegLS
	jpeg2000
	jpeg2000Lossless
)

// syntax is a transfer syntax.
type syntax struct {
	name      string
	codec     encoding
	implicit  bool
	bigEndian bool
	deflated  bool
}

// syntaxes that can be read (PS3.5 section 10, PS3.6 annex A).
var syntaxes = map[string]syntax{
	"1.2.840.10008.1.2":      {name: "implicit little endian", implicit: true},
	"1.2.840.10008.1.2.1":    {name: "explicit little endian"},
	"1.2.840.10008.1.2.1.98": {name: "encapsulated uncompressed"},
	"1.2.840.10008.1.2.1.99": {name: "deflated", deflated: true},
	"1.2.840.10008.1.2.2":    {name: "explicit big endian", bigEndian: true},
	"1.2.840.113619.5.2":     {name: "GE private implicit", implicit: true},
	"1.2.840.10008.1.2.5":    {name: "RLE", codec: rle},
	"1.2.840.10008.1.2.4.50": {name: "JPEG baseline", codec: jpegDCT},
	"1.2.840.10008.1.2.4.51": {name: "JPEG extended", codec: jpegDCT},
	"1.2.840.10008.1.2.4.57": {name: "JPEG lossless, process 14", codec: jpegLossless},
	"1.2.840.10008.1.2.4.70": {name: "JPEG lossless, process 14 SV1", codec: jpegLossless},
	"1.2.840.10008.1.2.4.80": {name: "JPEG-LS lossless", codec: jpegLS},
	"1.2.840.10008.1.2.4.81": {name: "JPEG-LS near-lossless", codec: jpegLS},
	"1.2.840.10008.1.2.4.90": {name: "JPEG 2000 lossless", codec: jpeg2000Lossless},
	"1.2.840.10008.1.2.4.91": {name: "JPEG 2000", codec: jpeg2000},
}

// encapsulatedNative has uncompressed frames in fragments.
const encapsulatedNative = "1.2.840.10008.1.2.1.98"

// unreadable are syntaxes that a file may have and this package does not read.
var unreadable = map[string]string{
	"1.2.840.10008.1.2.4.92":  "JPEG 2000 part 2 multi-component",
	"1.2.840.10008.1.2.4.93":  "JPEG 2000 part 2 multi-component",
	"1.2.840.10008.1.2.4.94":  "JPIP (pixels are on a server)",
	"1.2.840.10008.1.2.4.95":  "JPIP (pixels are on a server)",
	"1.2.840.10008.1.2.4.100": "MPEG-2",
	"1.2.840.10008.1.2.4.101": "MPEG-2",
	"1.2.840.10008.1.2.4.102": "MPEG-4",
	"1.2.840.10008.1.2.4.103": "MPEG-4",
	"1.2.840.10008.1.2.4.107": "HEVC",
	"1.2.840.10008.1.2.4.110": "JPEG XL lossless",
	"1.2.840.10008.1.2.4.112": "JPEG XL",
	"1.2.840.10008.1.2.4.201": "high-throughput JPEG 2000 lossless",
	"1.2.840.10008.1.2.4.202": "high-throughput JPEG 2000 lossless RPCL",
	"1.2.840.10008.1.2.4.203": "high-throughput JPEG 2000",
}
