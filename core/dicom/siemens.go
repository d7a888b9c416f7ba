package dicom

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// siemensNumbers are the numbers of an element of Siemens' private "CSA" header
// SV10: a count of elements, each with a name of 64 bytes and items of text. nil if
// it is not there. Layout: https://nipy.org/nibabel/dicom/siemens_csa.html.
func siemensNumbers(b []byte, name string) []float64 {
	if len(b) < 16 || string(b[:4]) != "SV10" {
		return nil
	}
	count := binary.LittleEndian.Uint32(b[8:])
	b = b[16:]
	for range min(count, 1024) {
		if len(b) < 84 {
			return nil
		}
		found, _, _ := strings.Cut(string(b[:64]), "\x00")
		items := binary.LittleEndian.Uint32(b[76:])
		b = b[84:]
		var v []float64
		for range min(items, 4096) {
			if len(b) < 16 {
				return nil
			}
			n := int64(binary.LittleEndian.Uint32(b[4:]))
			b = b[16:]
			padded := (n + 3) &^ 3
			if padded > int64(len(b)) {
				return nil
			}
			if found == name {
				text := strings.Trim(string(b[:n]), "\x00 ")
				if x, err := strconv.ParseFloat(text, 64); err == nil {
					v = append(v, x)
				}
			}
			b = b[padded:]
		}
		if found == name {
			return v
		}
	}
	return nil
}
