package codec

import (
	"encoding/binary"
	"fmt"
)

// RLE decodes a frame of PS3.5 annex G into dst, which is the frame's bytes with
// its components side by side: [pixel component byte], little endian. A frame has
// a segment for each component and byte, the most significant byte first.
func RLE(dst, data []byte, components, bytesPerSample int) error {
	planes := components * bytesPerSample
	if len(data) < 64 {
		return fmt.Errorf("RLE header of %d bytes, want 64: %w", len(data), errEnd)
	}
	segments := int64(binary.LittleEndian.Uint32(data))
	if segments != int64(planes) || planes > 15 {
		return fmt.Errorf("%d RLE segments, want %d: one a component and byte", segments, planes)
	}
	pixels := len(dst) / planes
	for s := range planes {
		start := int64(binary.LittleEndian.Uint32(data[4+4*s:]))
		end := int64(len(data))
		if s+1 < planes {
			end = int64(binary.LittleEndian.Uint32(data[8+4*s:]))
		}
		if start < 64 || start > end || end > int64(len(data)) {
			return fmt.Errorf("RLE segment %d is from byte %d to %d of %d", s, start, end, len(data))
		}
		component, significance := s/bytesPerSample, bytesPerSample-1-s%bytesPerSample
		at := component*bytesPerSample + significance
		if n := unpackBits(dst[at:], planes, pixels, data[start:end]); n < pixels {
			return fmt.Errorf("RLE segment %d has %d of %d bytes: %w", s, n, pixels, errEnd)
		}
	}
	return nil
}

// unpackBits writes up to n bytes to dst, one every step bytes, and returns how
// many there were.
func unpackBits(dst []byte, step, n int, src []byte) int {
	at := 0
	for len(src) > 0 && at < n {
		c := int(int8(src[0]))
		src = src[1:]
		switch {
		case c >= 0:
			run := min(c+1, len(src), n-at)
			for i, v := range src[:run] {
				dst[(at+i)*step] = v
			}
			at += run
			src = src[min(c+1, len(src)):]
		case c > -128 && len(src) > 0:
			run := min(1-c, n-at)
			for i := range run {
				dst[(at+i)*step] = src[0]
			}
			at += run
			src = src[1:]
		}
	}
	return at
}
