package dicom

import (
	"context"
	"encoding/binary"
	"slices"
)

// bytes writes the frames of a label map.
func (s *segWriter) bytes(ctx context.Context, out *countingWriter, pixels int64) error {
	start := out.n
	for _, f := range s.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		out.write(s.slice(f.slice))
	}
	if out.err == nil && out.n-start < pixels {
		out.write([]byte{0})
	}
	return out.err
}

// bits writes frames of bits, low bits first. Frames follow each other without a gap,
// within a byte too (PS3.5 8.1.1).
func (s *segWriter) bits(ctx context.Context, out *countingWriter, pixels int64) error {
	const chunk = 1 << 16
	start := out.n
	p := bitPacker{buf: make([]byte, 0, chunk+8)}
	for _, f := range s.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		label := s.segments[f.segment].Label
		for data := s.slice(f.slice); len(data) > 0; {
			n := min(len(data), chunk)
			p.pack(data[:n], label)
			data = data[n:]
			out.write(p.buf)
			p.buf = p.buf[:0]
		}
	}
	if p.fill > 0 {
		p.buf = append(p.buf, byte(p.rest))
	}
	out.write(p.buf)
	if out.err == nil && out.n-start < pixels {
		out.write([]byte{0})
	}
	return out.err
}

// bitPacker makes bits of labels.
type bitPacker struct {
	buf  []byte
	rest uint64 // bits that fill no byte yet
	fill int    // how many
}

// pack appends a bit for each voxel of data: 1 where it has the label. Eight voxels
// are compared at once: of x = data ^ label the bytes that are zero, and the product
// moves the lowest bit of byte i to bit 56+i.
func (p *bitPacker) pack(data []uint8, label uint8) {
	const ones, low = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f
	pattern := ones * uint64(label)
	n := len(p.buf)
	p.buf = slices.Grow(p.buf, len(data)/8+1)[:n+len(data)/8]
	rest, fill, out := p.rest, p.fill&7, p.buf[n:]
	for i := range out {
		x := binary.LittleEndian.Uint64(data[8*i:]) ^ pattern
		zero := ^((x&low + low) | x | low) >> 7
		rest |= zero * 0x0102040810204080 >> 56 << fill
		out[i] = byte(rest)
		rest >>= 8
	}
	p.rest = rest
	data = data[8*len(out):]
	for _, l := range data {
		if l == label {
			p.rest |= 1 << p.fill
		}
		if p.fill++; p.fill == 8 {
			p.buf = append(p.buf, byte(p.rest))
			p.rest, p.fill = 0, 0
		}
	}
}

// fragments writes the frames of a label map in RLE (PS3.5 annex G): a fragment each,
// after an empty table of offsets.
func (s *segWriter) fragments(ctx context.Context, out *countingWriter) error {
	out.write(appendHead(nil, false, tagItem, "", 0))
	columns := s.volume.Shape[2]
	var buf []byte
	for _, f := range s.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		const header = 64 // the number of byte planes and where each starts
		buf = appendHead(buf[:0], false, tagItem, "", 0)
		start := len(buf)
		buf = append(buf, make([]byte, header)...)
		binary.LittleEndian.PutUint32(buf[start:], 1)
		binary.LittleEndian.PutUint32(buf[start+4:], header)
		for data := s.slice(f.slice); len(data) > 0; data = data[columns:] {
			buf = appendPackBits(buf, data[:columns])
		}
		if (len(buf)-start)&1 == 1 {
			buf = append(buf, 0)
		}
		binary.LittleEndian.PutUint32(buf[start-4:], uint32(len(buf)-start))
		out.write(buf)
	}
	out.write(appendHead(nil, false, tagSequenceEnd, "", 0))
	return out.err
}

// appendPackBits appends a row of bytes, which is not empty: runs of two to 128 equal
// bytes as 257 minus their number and the byte, others as their number minus one and
// themselves.
func appendPackBits(b, row []byte) []byte {
	const most = 128
	for at := 0; at < len(row); {
		run := 1
		for at+run < len(row) && run < most && row[at+run] == row[at] {
			run++
		}
		if run > 1 {
			b = append(b, byte(257-run), row[at])
			at += run
			continue
		}
		start := at
		for at < len(row) && at-start < most && (at+1 == len(row) || row[at] != row[at+1]) {
			at++
		}
		b = append(append(b, byte(at-start-1)), row[start:at]...)
	}
	return b
}
